//! Snapshots: committing and counting the work of an attempt.

mod elsewhere;
pub(crate) mod markers;
pub(crate) mod message;
pub(crate) mod own_references;
pub(crate) mod preview;
mod secrets;
pub(crate) mod superseded;
pub(crate) mod tree;

use std::io;

use gadugi_core::worktrees::{Counts, SnapshotRequest, Work};
use gadugi_core::{BranchName, Lease, crash_point};
use gix::ObjectId;
use tracing::debug;

use crate::durable;
use crate::error::GitError;
use crate::history::{commits_beyond, files_between, is_ancestor};
use crate::inspect::checkout::Checkout;
use crate::isolation;
use crate::lease::admin_folder::Entry;
use crate::lease::stale_locks;
use crate::repo::branch;
use crate::repo::gc_guard::MAX_RETRIES;
use crate::repo::ids::{full_name, to_commit, to_object};
use crate::repo::lock_file::lock_index;
use crate::settings::WorktreeSettings;
use crate::snapshot::message::message;
use crate::snapshot::tree::{Saved, save};

/// Number of ignored folders that are named.
const MAX_NAMED_FOLDERS: usize = 3;

/// As [`snapshot_once`], with retries where objects, or their folder, have vanished meanwhile: they are written again.
pub(crate) fn snapshot(
    settings: &WorktreeSettings,
    lease: &Lease,
    request: &SnapshotRequest,
) -> Result<Work, GitError> {
    for _ in 0..MAX_RETRIES {
        match snapshot_once(settings, lease, request) {
            Err(error) if error.may_be_of_gc() => {
                debug!(path = %lease.path.display(), %error, "snapshot retried");
            }
            other => return other,
        }
    }
    snapshot_once(settings, lease, request)
}

/// Counts the attempt's work and, if asked, commits its uncommitted files. They are not committed where `HEAD` is elsewhere
/// than on the attempt's branch and cannot be brought back, during an unfinished operation of git, which they would disturb,
/// and where the folder was emptied. For a worktree whose folder is missing, its branch counts.
fn snapshot_once(settings: &WorktreeSettings, lease: &Lease, request: &SnapshotRequest) -> Result<Work, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let is_missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    if lease.path.symlink_metadata().is_err_and(is_missing) {
        let missing = |source| GitError::WorktreeMissing { path: lease.path.clone(), source: Box::new(source) };
        let mut work = on_branch(settings, lease, branch, request).map_err(missing)?;
        work.elsewhere.push(elsewhere::of_missing(settings.repository.common_dir(), lease)?);
        return Ok(work);
    }
    let mut checkout = Checkout::inspect(settings, lease, branch)?;
    let taken_over = match request.commit {
        true => {
            stale_locks::clear(&checkout.repo, &checkout.entry, branch)?;
            elsewhere::bring_to_branch(settings, &mut checkout, lease, branch)?
        }
        false => None,
    };
    let missing = || GitError::BranchMissing { branch: branch.clone() };
    let mut tip = checkout.tip.ok_or_else(missing)?;
    let mut uncommitted = checkout.changes.files();
    let (mut left_out, mut unsaved) = (Vec::new(), Vec::new());
    let may_commit = checkout.on_branch && checkout.operation().is_none() && !elsewhere::is_emptied(&checkout.entry);
    if request.commit && may_commit && uncommitted > 0 {
        let saved = save(&checkout)?;
        uncommitted -= saved.files;
        left_out.clone_from(&saved.left_out);
        unsaved.clone_from(&saved.unsaved);
        let staged = superseded::commit(&checkout, lease, &saved.index)?;
        if staged.is_some() {
            // Before the index follows, which alone leads to it.
            own_references::keep(&settings.repository, &checkout, lease, Some(tip), staged)?;
        }
        let message = message(lease, request.subject.as_ref());
        tip = commit(settings, &checkout, saved, &message, lease)?;
    }
    if request.commit {
        own_references::keep(&settings.repository, &checkout, lease, Some(tip), None)?;
    }
    let repo = &checkout.repo;
    // Others start from here, and soon this may be all that there is of the work.
    durable::reference(settings, repo, lease.base.as_ref(), full_name(branch).as_ref(), tip)?;
    let kept_refs = isolation::kept_refs(repo, lease)?;
    for name in &kept_refs {
        if let Some(mut reference) = repo.try_find_reference(name.as_str())? {
            durable::commit(settings, repo, lease.base.as_ref(), reference.peel_to_commit()?.id)?;
        }
    }
    let base = lease.base.as_ref().map_or(tip, to_object);
    uncommitted += checkout.hidden.count();
    unsaved.extend(checkout.hidden.unsaved());
    let commits = commits_beyond(repo, tip, &[base])?;
    debug!(path = %lease.path.display(), %branch, %tip, commits, uncommitted, "worktree snapshotted");
    let since = began(repo, request)?;
    let conflict_markers = match commits {
        0 if since.is_none() => Vec::new(),
        _ => markers::added(repo, &checkout.index, since.unwrap_or(base), tip)?,
    };
    Ok(Work {
        tip: Some(to_commit(tip)),
        commits,
        files: files_between(repo, base, tip)?,
        of_task: since.map(|since| counts(repo, since, tip)).transpose()?,
        uncommitted,
        left_out,
        ignored: checkout.changes.ignored.summary(MAX_NAMED_FOLDERS),
        unsaved,
        kept_refs,
        elsewhere: elsewhere::find(&checkout, lease, branch, uncommitted)?,
        conflict_markers,
        taken_over,
    })
}

/// The work on the branch of a lease, if it is still the one that was made for it: it began at the same commit, and no worktree
/// of another attempt got its name since.
fn on_branch(
    settings: &WorktreeSettings,
    lease: &Lease,
    branch: &BranchName,
    request: &SnapshotRequest,
) -> Result<Work, GitError> {
    let repo = settings.repository.open(&[])?;
    let tip = branch::tip(&repo, branch)?.ok_or_else(|| GitError::BranchMissing { branch: branch.clone() })?;
    let another = || GitError::AnotherBranch { branch: branch.clone() };
    let base = lease.base.as_ref().map(to_object).ok_or_else(another)?;
    let markers = Entry::all(settings.repository.common_dir())?.into_iter().filter_map(|entry| entry.marker());
    let mut of_others = markers.filter(|marker| !marker.is_of(lease));
    if of_others.any(|marker| marker.branch == *branch) || !is_ancestor(&repo, base, tip)? {
        return Err(another());
    }
    durable::reference(settings, &repo, Some(&to_commit(base)), full_name(branch).as_ref(), tip)?;
    Ok(Work {
        tip: Some(to_commit(tip)),
        commits: commits_beyond(&repo, tip, &[base])?,
        files: files_between(&repo, base, tip)?,
        of_task: began(&repo, request)?.map(|since| counts(&repo, since, tip)).transpose()?,
        kept_refs: isolation::kept_refs(&repo, lease)?,
        ..Work::default()
    })
}

/// The commit that the task's work began at, if that was before the attempt. `None` if the commit is gone.
fn began(repo: &gix::Repository, request: &SnapshotRequest) -> Result<Option<ObjectId>, GitError> {
    let Some(since) = request.since.as_ref().map(to_object) else { return Ok(None) };
    Ok(repo.try_find_object(since)?.map(|_| since))
}

/// The commits and files on a branch since a commit.
fn counts(repo: &gix::Repository, since: ObjectId, tip: ObjectId) -> Result<Counts, GitError> {
    Ok(Counts { commits: commits_beyond(repo, tip, &[since])?, files: files_between(repo, since, tip)? })
}

/// Puts the saved work on the branch, with the index beside it. Returns the new tip.
fn commit(
    settings: &WorktreeSettings,
    checkout: &Checkout,
    saved: Saved,
    message: &str,
    lease: &Lease,
) -> Result<ObjectId, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let tip = checkout.tip.ok_or_else(|| GitError::BranchMissing { branch: branch.clone() })?;
    let repo = &checkout.repo;
    let lock = lock_index(repo)?;
    // The index is written before the branch moves, so that a full disk leaves both as they were. After a crash
    // between the two the next snapshot finds the work on the branch, and takes no more than the index from it.
    let mut content = Vec::new();
    saved.index.write_to(&mut content, Default::default())?;
    lock.write(&content)?;
    let mut new_tip = tip;
    if saved.tree != repo.find_commit(tip)?.tree_id()? {
        new_tip = repo.new_commit(message, saved.tree, [tip])?.id;
        // A branch that leads to a commit which a loss of power took would be of no use to anybody.
        durable::commit(settings, repo, lease.base.as_ref(), new_tip)?;
        let log = format!("commit: {}", message.lines().next().unwrap_or_default());
        branch::advance(repo, branch, tip, new_tip, &log)?;
        crash_point("snapshot-committed");
    }
    lock.put_in_place()?;
    Ok(new_tip)
}
