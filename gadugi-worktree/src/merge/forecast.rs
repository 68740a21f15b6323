//! The forecast: the verdict on every two of several lines of work, by merges in memory.
//!
//! Two commits are merged only if they have changed the same path, or one a path and the other a folder above it. All
//! others merge by what a merge of trees is: each path comes from the one side that has changed it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use gadugi_core::worktrees::{Forecast, Side, Verdict};
use gadugi_core::{Lease, error_chain};
use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::diff::tree::{Recorder, recorder::Change};

use crate::error::GitError;
use crate::history::{diff_trees, limits};
use crate::inspect::checkout::Checkout;
use crate::merge::{files_in_conflict, merge_commits};
use crate::repo::ids::to_object;
use crate::settings::WorktreeSettings;
use crate::snapshot::tree::save;
use crate::threads::parallel::{side_by_side, threads};

/// The size of the cache of objects of each repository handle.
const OBJECT_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The common ancestors of two commits that count for their merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bases {
    /// Neither has anything of the other.
    Unrelated,
    One(ObjectId),
    /// Several, which a merge has to merge first.
    Several,
}

/// A side as it is merged: a commit, with what is not committed yet as one more commit in memory.
struct Line<'a> {
    name: &'a str,
    commit: ObjectId,
}

/// Foretells the merges of every two sides. All objects that this takes are kept in memory, and forgotten at the end.
pub(crate) fn forecast(settings: &WorktreeSettings, sides: &[Side]) -> Result<Forecast, GitError> {
    let mut repo = settings.repository.open(&[])?.with_object_memory();
    repo.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
    let mut lines = Vec::with_capacity(sides.len());
    let mut unseen = Vec::new();
    for (place, side) in sides.iter().enumerate() {
        let tip = to_object(&side.tip);
        let with_worktree = side.worktree.as_ref().map(|lease| with_uncommitted(settings, &mut repo, lease, tip));
        let commit = with_worktree.unwrap_or(Ok(tip)).unwrap_or_else(|error| {
            unseen.push((place, error_chain(&error)));
            tip
        });
        lines.push(Line { name: &side.name, commit });
    }
    let mut verdicts = verdicts(&repo, &lines)?;
    // A side of which a part could not be seen may be in more conflicts than were found, and not in fewer.
    for (verdict, (one, other)) in verdicts.iter_mut().zip(pairs(sides.len())) {
        let reason = unseen.iter().find(|(place, _)| *place == one || *place == other);
        if let (Verdict::MergesAsText, Some((place, reason))) = (&verdict, reason) {
            let reason = format!("what is not committed by {} could not be read: {reason}", sides[*place].name);
            *verdict = Verdict::Unknown { reason };
        }
    }
    Ok(Forecast::new(sides.len(), verdicts).expect("cannot fail because there is a verdict for each pair"))
}

/// A commit in memory of what a worktree holds beyond a commit; that commit itself where there is nothing.
fn with_uncommitted(
    settings: &WorktreeSettings,
    repo: &mut gix::Repository,
    lease: &Lease,
    tip: ObjectId,
) -> Result<ObjectId, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let mut checkout = Checkout::inspect(settings, lease, branch)?;
    let head = checkout.head.unwrap_or(tip);
    if checkout.changes.is_empty() {
        return Ok(head);
    }
    checkout.repo.objects.enable_object_memory();
    let tree = save(&checkout)?.tree;
    let commit = checkout.repo.new_commit("not committed yet", tree, [head])?.id;
    let mut known = repo.objects.take_object_memory().unwrap_or_default();
    known.extend(checkout.repo.objects.take_object_memory().unwrap_or_default().drain());
    repo.objects.set_object_memory(known);
    Ok(commit)
}

/// The verdict on every two of the lines, in the order of [`pairs`]. Of a pair that cannot be compared it says why.
fn verdicts(repo: &gix::Repository, lines: &[Line<'_>]) -> Result<Vec<Verdict>, GitError> {
    let bases = bases(repo, lines)?;
    let mut changes = Changes { repo, known: HashMap::new() };
    let mut verdicts = vec![Verdict::MergesAsText; bases.len()];
    let mut to_merge = Vec::new();
    for (place, ((ours, theirs), bases)) in pairs(lines.len()).zip(bases).enumerate() {
        let meet = bases.and_then(|bases| match bases {
            Bases::One(base) => changes.meet(base, lines[ours].commit, lines[theirs].commit),
            Bases::Unrelated | Bases::Several => Ok(true),
        });
        match meet {
            Ok(true) => to_merge.push(place),
            Ok(false) => {}
            Err(error) => verdicts[place] = Verdict::Unknown { reason: error_chain(&error) },
        }
    }
    for (place, verdict) in merge_pairs(repo, lines, &to_merge) {
        verdicts[place] = verdict;
    }
    Ok(verdicts)
}

/// The changed paths of commits since their bases, each looked for once.
struct Changes<'a> {
    repo: &'a gix::Repository,
    known: HashMap<(ObjectId, ObjectId), Vec<BString>>,
}

impl Changes<'_> {
    /// Whether two commits have changed the same path since their base, or one a folder of a path of the other.
    fn meet(&mut self, base: ObjectId, ours: ObjectId, theirs: ObjectId) -> Result<bool, GitError> {
        for commit in [ours, theirs] {
            if let Entry::Vacant(unknown) = self.known.entry((base, commit)) {
                unknown.insert(changed_paths(self.repo, base, commit)?);
            }
        }
        Ok(meet(&self.known[&(base, ours)], &self.known[&(base, theirs)]))
    }
}

/// Every two of so many sides: each with those after it.
fn pairs(sides: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..sides).flat_map(move |first| (first + 1..sides).map(move |second| (first, second)))
}

/// The bases of every two lines. The graph of commits is read once for all of them.
fn bases(repo: &gix::Repository, lines: &[Line<'_>]) -> Result<Vec<Result<Bases, GitError>>, GitError> {
    let cache = repo.commit_graph_if_enabled()?;
    let mut graph = repo.revision_graph(cache.as_ref());
    let mut bases_of = |ours: ObjectId, theirs: ObjectId| {
        let bases = repo.merge_bases_many_with_graph(ours, &[theirs], &mut graph)?;
        Ok(match &bases[..] {
            [] => Bases::Unrelated,
            [one] => Bases::One(one.detach()),
            _ => Bases::Several,
        })
    };
    Ok(pairs(lines.len()).map(|(ours, theirs)| bases_of(lines[ours].commit, lines[theirs].commit)).collect())
}

/// The paths of files that differ between two commits, sorted by their components.
fn changed_paths(repo: &gix::Repository, from: ObjectId, to: ObjectId) -> Result<Vec<BString>, GitError> {
    limits::check(repo, from, to)?;
    let (from, to) = (repo.find_commit(from)?.tree()?, repo.find_commit(to)?.tree()?);
    if from.id == to.id {
        return Ok(Vec::new());
    }
    let mut recorder = Recorder::default();
    diff_trees(repo, &from, &to, &mut recorder)?;
    let mut paths: Vec<BString> = recorder.records.into_iter().filter_map(path_of_file).collect();
    paths.sort_by(|a, b| components(a.as_bstr()).cmp(components(b.as_bstr())));
    Ok(paths)
}

/// The path of a change, unless only a folder's content has changed, whose files are changes of their own.
fn path_of_file(change: Change) -> Option<BString> {
    match change {
        Change::Addition { entry_mode, path, .. } | Change::Deletion { entry_mode, path, .. } => {
            (!entry_mode.is_tree()).then_some(path)
        }
        Change::Modification { previous_entry_mode, entry_mode, path, .. } => {
            (!(entry_mode.is_tree() && previous_entry_mode.is_tree())).then_some(path)
        }
    }
}

fn components(path: &BStr) -> impl Iterator<Item = &[u8]> {
    path.split_str("/")
}

/// Whether two lists, sorted by components, have a path in common, or one a path that is a folder of a path of the other.
fn meet(ours: &[BString], theirs: &[BString]) -> bool {
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
        if is_at_or_above(a.as_bstr(), b.as_bstr()) || is_at_or_above(b.as_bstr(), a.as_bstr()) {
            return true;
        }
        if components(a.as_bstr()).lt(components(b.as_bstr())) {
            ours.next();
        } else {
            theirs.next();
        }
    }
    false
}

/// Whether `path` is `other`, or the path of a folder that it lies in.
fn is_at_or_above(path: &BStr, other: &BStr) -> bool {
    other.strip_prefix(path.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Merges the pairs at these places in the order of [`pairs`], a few at once.
fn merge_pairs(repo: &gix::Repository, lines: &[Line<'_>], places: &[usize]) -> Vec<(usize, Verdict)> {
    let pairs: Vec<_> = pairs(lines.len()).collect();
    let mut shared = repo.clone();
    let memory = shared.objects.take_object_memory().unwrap_or_default();
    let shared = shared.into_sync();
    // Each portion opens the repository anew, and forgets what it has written when it is done.
    let portions: Vec<&[usize]> = places.chunks(places.len().div_ceil(threads() * 4).max(1)).collect();
    let merged = side_by_side(portions, |places| {
        let mut repo = shared.to_thread_local();
        repo.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
        repo.objects.set_object_memory(memory.clone());
        let merge = |place: &usize| {
            let (ours, theirs) = pairs[*place];
            (*place, merge_pair(&repo, &lines[ours], &lines[theirs]))
        };
        places.iter().map(merge).collect::<Vec<_>>()
    });
    merged.into_iter().flatten().collect()
}

fn merge_pair(repo: &gix::Repository, ours: &Line<'_>, theirs: &Line<'_>) -> Verdict {
    let merged = merge_commits(repo, (ours.commit, ours.name), (theirs.commit, theirs.name));
    match merged.map(|outcome| files_in_conflict(&outcome.tree_merge)) {
        Ok(files) if files.is_empty() => Verdict::MergesAsText,
        Ok(files) => Verdict::Conflict { files },
        Err(error) => Verdict::Unknown { reason: error_chain(&error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(paths: &[&str]) -> Vec<BString> {
        let mut paths: Vec<BString> = paths.iter().map(|path| BString::from(*path)).collect();
        paths.sort_by(|a, b| components(a.as_bstr()).cmp(components(b.as_bstr())));
        paths
    }

    #[test]
    fn changes_meet_where_a_path_is_the_same_or_a_folder_of_the_other() {
        let meets = |ours: &[&str], theirs: &[&str]| meet(&sorted(ours), &sorted(theirs));
        assert!(meets(&["a", "b"], &["b", "c"]));
        assert!(meets(&["a", "b/c/d"], &["b"]));
        assert!(meets(&["b"], &["a", "b/c"]));
        assert!(meets(&["b", "b.txt"], &["a/z", "b/c"]));
        assert!(!meets(&["a.txt", "b/c"], &["a", "b.txt", "b/d"]));
        assert!(!meets(&["b-c", "bc"], &["b/c"]));
        assert!(!meets(&[], &["a"]));
    }
}
