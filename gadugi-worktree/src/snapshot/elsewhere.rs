//! Work of an attempt outside of its branch: bringing it to the branch, or telling its place.
//!
//! It is brought to the branch where that only has to be fast-forwarded, without foreign commits: `HEAD` contains the branch,
//! and is on a branch that the attempt has made or renamed, or detached on commits that no other reference has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use gadugi_core::worktrees::Elsewhere;
use gadugi_core::{BranchName, Lease};
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::refs::{Category, FullName, FullNameRef};

use crate::error::GitError;
use crate::files::paths::real;
use crate::history::{commits_beyond, is_ancestor};
use crate::inspect::checkout::Checkout;
use crate::inspect::stash;
use crate::isolation;
use crate::lease::admin_folder::Entry;
use crate::repo::ids::{full_name, to_commit, to_object};
use crate::repo::refs::HeadAt;
use crate::repo::{branch, refs};
use crate::settings::WorktreeSettings;

/// Brings such work to the branch, so that the worktree's `HEAD` is on it again, and returns the old position. No file in the
/// folder changes, and the branch that `HEAD` was on stays as it is.
pub(super) fn bring_to_branch(
    settings: &WorktreeSettings,
    checkout: &mut Checkout,
    lease: &Lease,
    branch: &BranchName,
) -> Result<Option<String>, GitError> {
    let (Some(head), Some(base)) = (checkout.head, lease.base.as_ref().map(to_object)) else { return Ok(None) };
    let tip = checkout.tip;
    let is_busy = checkout.operation().is_some() || !checkout.entry.is_linked_back();
    if checkout.on_branch || is_busy || !contains(&checkout.repo, head, base, tip)? {
        return Ok(None);
    }
    let attempt = Attempt { checkout, branch, start: tip.unwrap_or(base) };
    let Some(place) = attempt.own_place(lease, head)? else { return Ok(None) };
    let stashed = match checkout.repo.head_name()? {
        Some(name) => {
            Some(stash::entries(&checkout.repo, lease, &[branch.as_str().into(), name.shorten()], Some(head))?)
        }
        None => None,
    };
    isolation::note_moved_to_branch(settings, lease, head)?;
    let repo = &checkout.repo;
    let name = full_name(branch);
    if tip != Some(head)
        && !refs::set(repo, name.as_ref(), tip, head, &format!("gadugi: take over what was on {place}"))?
    {
        return Err(GitError::BranchMoved { branch: branch.clone() });
    }
    refs::set_head(settings.repository.common_dir(), &checkout.entry.admin, &HeadAt::Branch(branch.full()))?;
    (checkout.on_branch, checkout.tip) = (true, Some(head));
    if let Some(stashed) = stashed {
        checkout.stashed = stashed;
    }
    Ok((head != base || !checkout.changes.is_empty()).then_some(place))
}

/// The places of work outside of the attempt's branch. The worktree has `uncommitted` uncommitted files.
pub(super) fn find(
    checkout: &Checkout,
    lease: &Lease,
    branch: &BranchName,
    uncommitted: u64,
) -> Result<Vec<Elsewhere>, GitError> {
    let mut found = Vec::new();
    if is_emptied(&checkout.entry) {
        found.push(Elsewhere::Removed);
    } else if !checkout.entry.is_linked_back() && checkout.entry.folder.join(".git").symlink_metadata().is_ok() {
        found.push(Elsewhere::OtherRepository);
    }
    if let Some(operation) = checkout.operation() {
        let isolated = checkout.is_operation_isolated();
        found.push(Elsewhere::Unfinished { operation: operation.to_owned(), isolated });
    } else if !checkout.on_branch {
        found.extend(
            head(checkout, lease, branch)?.filter(|(_, commits)| *commits + uncommitted > 0).map(|(place, _)| place),
        );
    }
    if checkout.on_branch && checkout.tip.as_ref() == lease.base.as_ref().map(to_object).as_ref() {
        found.extend(left_branch(checkout, branch)?);
    }
    if !checkout.stashed.revisions.is_empty() {
        found.push(Elsewhere::Stash { entries: checkout.stashed.revisions.clone() });
    }
    Ok(found)
}

/// A branch that the attempt has made and committed to before it returned to its own, which has nothing new.
fn left_branch(checkout: &Checkout, branch: &BranchName) -> Result<Option<Elsewhere>, GitError> {
    let (Some(start), repo) = (checkout.tip, &checkout.repo) else { return Ok(None) };
    let attempt = Attempt { checkout, branch, start };
    let log = refs::read_log(&checkout.entry.admin.join("logs").join("HEAD"))?.unwrap_or_default();
    let moves =
        log.lines().filter_map(|line| line.split_once_str("\tcheckout: moving from ")?.1.split_once_str(" to "));
    let names: BTreeSet<&[u8]> = moves.map(|(from, _)| from).collect();
    for name in names.into_iter().filter(|name| *name != branch.as_str().as_bytes()) {
        let Ok(name) = FullName::try_from(BString::from([b"refs/heads/", name].concat())) else { continue };
        let Some(mut reference) = repo.try_find_reference(&name)? else { continue };
        let commits = commits_beyond(repo, reference.peel_to_commit()?.id, &[start])?;
        if commits > 0 && attempt.has_made(name.as_ref())? {
            return Ok(Some(Elsewhere::Branch { name: name.shorten().to_string(), commits }));
        }
    }
    Ok(None)
}

/// The place of a worktree whose folder is missing.
pub(super) fn of_missing(common_dir: &Path, lease: &Lease) -> Result<Elsewhere, GitError> {
    let mut entries = Entry::all(common_dir)?.into_iter();
    let entry = entries.find(|entry| entry.marker().is_some_and(|marker| marker.is_of(lease)));
    let moved = entry.filter(|entry| entry.folder.is_dir() && real(&entry.folder) != real(&lease.path));
    Ok(moved.map_or(Elsewhere::Removed, |entry| Elsewhere::Moved { path: entry.folder }))
}

/// Whether the folder of a worktree is empty, without even its `.git`.
pub(super) fn is_emptied(entry: &Entry) -> bool {
    fs::read_dir(&entry.folder).is_ok_and(|mut files| files.next().is_none())
}

/// The place of a `HEAD` that is not on the branch, with the number of the attempt's commits there that the branch has not.
fn head(checkout: &Checkout, lease: &Lease, branch: &BranchName) -> Result<Option<(Elsewhere, u64)>, GitError> {
    let repo = &checkout.repo;
    let Some(base) = lease.base.as_ref().map(to_object) else { return Ok(None) };
    let start = checkout.tip.unwrap_or(base);
    let attempt = Attempt { checkout, branch, start };
    let mut known = vec![base, start];
    let (name, head) = match (repo.head_name()?, checkout.head) {
        (Some(name), head) => {
            if let Some(made) = made(&checkout.entry) {
                known.extend(value_before(repo, name.as_ref(), made)?);
            }
            let short = if name.category() == Some(Category::LocalBranch) { name.shorten() } else { name.as_bstr() };
            (Some(short.to_string()), head)
        }
        (None, Some(head)) => {
            let kept = isolation::kept_refs_with_commits(repo, lease)?;
            // What an isolated attempt has called its branch has another name here.
            (
                kept.into_iter()
                    .find(|(name, commit)| *commit == head && !name.ends_with("/HEAD"))
                    .map(|(name, _)| name),
                Some(head),
            )
        }
        (None, None) => return Ok(None),
    };
    let commits = match head {
        None => 0,
        Some(head) if repo.head_name()?.is_none() => attempt.own_commits(head, &known)?.0,
        Some(head) => commits_beyond(repo, head, &known)?,
    };
    let place = match (name, head) {
        (Some(name), _) => Elsewhere::Branch { name, commits },
        (None, Some(head)) => Elsewhere::Detached { commit: to_commit(head), commits },
        (None, None) => return Ok(None),
    };
    Ok(Some((place, commits)))
}

fn contains(repo: &gix::Repository, head: ObjectId, base: ObjectId, tip: Option<ObjectId>) -> Result<bool, GitError> {
    Ok(is_ancestor(repo, base, head)? && tip.map_or(Ok(true), |tip| is_ancestor(repo, tip, head))?)
}

/// The attempt whose own branches and commits are told from others.
struct Attempt<'a> {
    checkout: &'a Checkout,
    branch: &'a BranchName,
    /// The tip of its branch, or its start where the branch is gone.
    start: ObjectId,
}

impl Attempt<'_> {
    /// The place of `HEAD`, if all commits there that the branch has not are the attempt's own.
    fn own_place(&self, lease: &Lease, head: ObjectId) -> Result<Option<String>, GitError> {
        let repo = &self.checkout.repo;
        if let Some(name) = repo.head_name()? {
            let is_branch = name.category() == Some(Category::LocalBranch);
            let is_own = head == self.start || self.has_made(name.as_ref())?;
            return Ok((is_branch && is_own).then(|| format!("branch {}", name.shorten())));
        }
        let (_, has_others) = self.own_commits(head, &[self.start])?;
        let kept = isolation::kept_refs_with_commits(repo, lease)?;
        let kept = kept.iter().find(|(_, commit)| *commit == head);
        let name = kept.and_then(|(name, _)| name.splitn(7, '/').nth(6)).filter(|name| *name != "HEAD");
        Ok((!has_others).then(|| name.map_or("a detached HEAD".to_owned(), |name| format!("branch {name}"))))
    }

    /// The commits of branches and tags that the attempt has not made.
    fn foreign(&self) -> Result<Vec<ObjectId>, GitError> {
        let repo = &self.checkout.repo;
        let mut found = Vec::new();
        for reference in repo.references()?.all()? {
            let mut reference = reference?;
            let name = reference.name().to_owned();
            let counts = match name.category() {
                Some(Category::LocalBranch) => name != full_name(self.branch) && !self.has_made(name.as_ref())?,
                Some(Category::Tag | Category::RemoteBranch) => true,
                _ => false,
            };
            if counts && let Ok(commit) = reference.peel_to_commit() {
                found.push(commit.id);
            }
        }
        Ok(found)
    }

    /// Whether a branch was made by the attempt: its log begins, after the worktree was made, at a commit of the attempt's
    /// branch or one that was made in the worktree, or tells of its renaming from that branch. Without a log it counts as
    /// foreign.
    fn has_made(&self, name: &FullNameRef) -> Result<bool, GitError> {
        let repo = &self.checkout.repo;
        let (Some(log), Some(made)) = (refs::log_of(repo, name)?, made(&self.checkout.entry)) else {
            return Ok(false);
        };
        let renamed = format!("Branch: renamed {} to {}", self.branch.full(), name.as_bstr());
        if log.lines().any(|line| line.ends_with(renamed.as_bytes())) {
            return Ok(true);
        }
        // Those of other attempts begin at the same time and place.
        if let Ok(branch) = name.shorten().to_string().parse::<BranchName>()
            && branch::was_made_here(repo, &branch)?
        {
            return Ok(false);
        }
        match log.lines().next().and_then(LogLine::parse) {
            Some(first) if first.from.is_null() && first.at >= made && repo.has_object(first.to) => {
                Ok(is_ancestor(repo, first.to, self.start)? || self.committed()?.contains(&first.to))
            }
            _ => Ok(false),
        }
    }

    /// The number of the attempt's commits that a detached `HEAD` has beyond the known ones, and whether others are among them.
    /// Two attempts may make the very same commit.
    fn own_commits(&self, head: ObjectId, known: &[ObjectId]) -> Result<(u64, bool), GitError> {
        let repo = &self.checkout.repo;
        let all = ids_beyond(repo, head, known)?;
        let apart = ids_beyond(repo, head, &[known, &self.foreign()?].concat())?;
        let committed = self.committed()?;
        let own = all.iter().filter(|id| apart.contains(*id) || committed.contains(*id)).count();
        Ok((own as u64, own < all.len()))
    }

    /// The commits that were made in the worktree, by the log of its `HEAD`.
    fn committed(&self) -> Result<BTreeSet<ObjectId>, GitError> {
        let log = refs::read_log(&self.checkout.entry.admin.join("logs").join("HEAD"))?.unwrap_or_default();
        let made = log.lines().filter(|line| line.contains_str("\tcommit"));
        Ok(made.filter_map(|line| Some(LogLine::parse(line)?.to)).collect())
    }
}

/// The commits that can be reached from `from`, and not from `others`.
fn ids_beyond(repo: &gix::Repository, from: ObjectId, others: &[ObjectId]) -> Result<BTreeSet<ObjectId>, GitError> {
    if others.contains(&from) {
        return Ok(BTreeSet::new());
    }
    let walk = repo.rev_walk([from]).with_hidden(others.iter().copied()).all()?;
    Ok(walk.map(|commit| commit.map(|commit| commit.id)).collect::<Result<_, _>>()?)
}

/// The time at which a worktree was made, in Unix seconds: git writes this file of its entry once.
fn made(entry: &Entry) -> Option<u64> {
    let made = fs::metadata(entry.admin.join("commondir")).ok()?.modified().ok()?;
    made.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// The commit that a reference led to before a moment, as far as its log tells.
fn value_before(repo: &gix::Repository, name: &FullNameRef, moment: u64) -> Result<Option<ObjectId>, GitError> {
    let Some(log) = refs::log_of(repo, name)? else { return Ok(None) };
    let lines = log.lines().filter_map(LogLine::parse);
    let before = lines.take_while(|line| line.at < moment).last().map(|line| line.to);
    Ok(before.filter(|id| repo.has_object(id)))
}

/// A line of a reflog.
struct LogLine {
    from: ObjectId,
    to: ObjectId,
    /// Seconds of Unix.
    at: u64,
}

impl LogLine {
    fn parse(line: &[u8]) -> Option<Self> {
        let head = line.split_once_str("\t").map_or(line, |(head, _)| head);
        let mut ids = head.splitn_str(3, " ").map(|id| ObjectId::from_hex(id).ok());
        let (from, to) = (ids.next()??, ids.next()??);
        let at = head.rsplit_str(" ").nth(1)?.to_str().ok()?.parse().ok()?;
        Some(Self { from, to, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_tells_ids_and_time() {
        let line = format!("{} {} A B <a@b> 1763900000 +0100\tcommit: 1 2 3", "0".repeat(40), "a".repeat(40));
        let line = LogLine::parse(line.as_bytes()).expect("it can be read");
        assert!(line.from.is_null());
        assert_eq!((line.to.to_string(), line.at), ("a".repeat(40), 1_763_900_000));
        assert!(LogLine::parse(b"nothing of that kind").is_none());
    }
}
