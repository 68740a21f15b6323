//! Removing the remains of crashes from git's list of worktrees.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gadugi_core::worktrees::Pruned;
use gadugi_core::{BranchName, CommitId};
use gix::bstr::ByteSlice;

use crate::create::rollback;
use crate::delete::{trash, trash_refs};
use crate::error::GitError;
use crate::files::paths::{real, remove_if_empty};
use crate::history::reachability::Keepers;
use crate::lease::admin_folder::Entry;
use crate::release::orphan;
use crate::repo::ids::to_object;
use crate::repo::refs::{HeadAt, head_in};
use crate::repo::{branch, filters};
use crate::settings::WorktreeSettings;
use crate::snapshot::own_references::is_lost_with;

/// Removes our entries whose folder is long gone or was being removed by us, our worktrees that were never finished, git's
/// locks left by killed processes of ours, our folders that git does not know any more, and old trash. Worktrees that a user
/// has locked stay, and those whose `HEAD` alone keeps a commit. The caller holds the repository's lock, so no worktree of ours
/// is being made now.
pub(crate) fn prune(settings: &WorktreeSettings, dry_run: bool) -> Result<Vec<Pruned>, GitError> {
    let repo = settings.repository.open(&[])?;
    let mut cleared = rollback::clear(settings, &repo, dry_run)?;
    let known: Vec<PathBuf> = cleared.half_made.iter().map(|half_made| half_made.folder.clone()).collect();
    let mut pruned: Vec<Pruned> = known.iter().cloned().map(|path| Pruned::HalfMade { path }).collect();
    for entry in Entry::all(settings.repository.common_dir())? {
        if known.iter().any(|folder| entry.is_of(folder)) {
            continue;
        }
        if let Some(half_made) = half_made(settings, &repo, &entry)? {
            if !dry_run {
                rollback::remove(&entry)?;
                delete_unused(settings, &repo, &half_made)?;
            }
            pruned.push(Pruned::HalfMade { path: entry.folder });
        } else if is_stale(settings, &repo, &entry)? {
            if !is_expired(&repo, &entry) {
                pruned.push(Pruned::EntryKept { name: entry.name(), path: entry.folder });
                continue;
            }
            if !dry_run {
                entry.remove()?;
            }
            pruned.push(Pruned::Entry { name: entry.name(), path: entry.folder });
        }
    }
    pruned.extend(orphan::clear(settings, &repo, dry_run)?);
    pruned.extend(trash_refs::expire(settings, &repo, dry_run)?);
    if !dry_run {
        // That it stays would do no harm.
        remove_if_empty(&settings.folder).ok();
        let markers: Vec<_> = Entry::all(settings.repository.common_dir())?.iter().filter_map(Entry::marker).collect();
        filters::clear(settings.repository.common_dir(), |run| {
            let is_known = settings.state.join("runs").join(run.as_str()).symlink_metadata().is_ok();
            is_known || markers.iter().any(|marker| marker.run == *run)
        })?;
        if let Err(error) = trash::clear(settings) {
            cleared.error.get_or_insert(error);
        }
    }
    cleared.error.map_or(Ok(pruned), Err)
}

/// Whether an entry is ours, its folder is gone, and nothing would be lost with it.
fn is_stale(settings: &WorktreeSettings, repo: &gix::Repository, entry: &Entry) -> Result<bool, GitError> {
    let is_gone = matches!(entry.folder.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    let may_go = is_gone && entry.marker().is_some() && entry.lock_reason().is_none();
    Ok(may_go && !is_lost_with(entry, &settings.repository, repo)?)
}

/// Whether an entry without a folder is removed now: we were removing its worktree, or it is as old as git lets one become.
/// Until then the folder may come back: it may have been moved, or lie on a disk that is not mounted.
pub(crate) fn is_expired(repo: &gix::Repository, entry: &Entry) -> bool {
    let modified = |name: &str| entry.admin.join(name).symlink_metadata().ok()?.modified().ok();
    let since = modified("index").or_else(|| modified("gitdir"));
    entry.was_being_removed() || since.zip(expiry(repo)).is_some_and(|(since, expiry)| since <= expiry)
}

/// The time before which git prunes an entry; `None` where it never does, or the configured time is invalid.
fn expiry(repo: &gix::Repository) -> Option<SystemTime> {
    let set = repo.config_snapshot().string("gc.worktreePruneExpire").map(|set| set.to_str_lossy().into_owned());
    let now = SystemTime::now();
    match set.as_deref().unwrap_or("3.months.ago") {
        "never" | "false" => None,
        "now" | "all" => Some(now),
        before => {
            let seconds = gix::date::parse(before, Some(now.try_into().ok()?)).ok()?.seconds;
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?))
        }
    }
}

/// A worktree of ours whose making was cut short without a record, as in earlier versions, so that no task has been there.
struct Unrecorded {
    branch: BranchName,
    /// The commit that the branch began at; `None` when the note was not written yet.
    start: Option<CommitId>,
}

/// Returns a worktree of ours whose making was cut short.
///
/// A crash may have come before the note that says that it is ours. Then it lies in our folder, and either its `HEAD`
/// is on the branch that a worktree of this name is given, or it has no `HEAD` on a branch and no files yet, and that
/// branch was made.
fn half_made(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    entry: &Entry,
) -> Result<Option<Unrecorded>, GitError> {
    if !entry.is_in_the_making() {
        return Ok(None);
    }
    if let Some(marker) = entry.marker() {
        return Ok(Some(Unrecorded { branch: marker.branch, start: Some(marker.start) }));
    }
    let is_in_our_folder = entry.folder.parent().map(real) == Some(real(&settings.folder));
    let name = entry.folder.file_name().and_then(OsStr::to_str).filter(|_| is_in_our_folder);
    let branch = name.and_then(|name| format!("{}{name}", settings.branch_prefix).parse::<BranchName>().ok());
    let Some(branch) = branch else { return Ok(None) };
    let is_ours = match head_in(&entry.admin) {
        Some(HeadAt::Branch(head)) => head == branch.full(),
        Some(HeadAt::Commit(_)) | None => has_no_files(&entry.folder)? && branch::tip(repo, &branch)?.is_some(),
    };
    Ok(is_ours.then_some(Unrecorded { branch, start: None }))
}

/// Whether a folder holds at most `.git`, or does not exist.
fn has_no_files(folder: &Path) -> Result<bool, GitError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(GitError::io("list", folder)(error)),
    };
    for entry in entries {
        if entry.map_err(GitError::io("list", folder))?.file_name() != ".git" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes the branch of a worktree that no task has worked in, unless it is another one by now.
fn delete_unused(settings: &WorktreeSettings, repo: &gix::Repository, half_made: &Unrecorded) -> Result<(), GitError> {
    let Unrecorded { branch, start } = half_made;
    let Some(tip) = branch::tip(repo, branch)? else { return Ok(()) };
    let keepers = Keepers::without(None, &settings.repository, repo)?;
    let is_unused = match start {
        Some(start) => tip == to_object(start),
        None => keepers.at_stake(tip, Some(branch))? == 0,
    };
    if is_unused && keepers.worktree_on(branch).is_none() {
        branch::delete(repo, branch, tip)?;
    }
    Ok(())
}
