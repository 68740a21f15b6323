//! Collecting what an attempt has made.

use std::time::Duration;

use gadugi_core::{BranchName, Lease, SnapshotRequest, Work, crash_point};
use gix::ObjectId;

use crate::branch;
use crate::checkout::Checkout;
use crate::entry::real;
use crate::error::GitError;
use crate::history::{commits_beyond, files_between};
use crate::ids::{to_commit, to_object};
use crate::lock_file::{LockFile, NotTaken};
use crate::save::{Saved, save};
use crate::worktrees::WorktreeSettings;

/// Counts what the attempt has made and, if asked, commits what it has not committed itself. That is not done
/// where `HEAD` is elsewhere than on the attempt's branch, or in the middle of an operation of git, since it would
/// get in its way.
pub(crate) fn snapshot(settings: &WorktreeSettings, lease: &Lease, request: SnapshotRequest) -> Result<Work, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let checkout = Checkout::look(settings, lease, branch)?;
    let missing = || GitError::BranchMissing { branch: branch.clone() };
    let mut tip = checkout.tip.ok_or_else(missing)?;
    let mut uncommitted = checkout.changes.files();
    let mut left_out = Vec::new();
    let may_commit = checkout.on_branch && checkout.operation().is_none();
    if request.commit && may_commit && uncommitted > 0 {
        let saved = save(&checkout)?;
        uncommitted -= saved.files;
        left_out.clone_from(&saved.left_out);
        tip = commit(&checkout, saved, tip, branch, lease)?;
    }
    let repo = &checkout.repo;
    let base = lease.base.as_ref().map_or(tip, to_object);
    uncommitted += checkout.hidden.count();
    Ok(Work {
        tip: Some(to_commit(tip)),
        commits: commits_beyond(repo, tip, &[base])?,
        files: files_between(repo, base, tip)?,
        uncommitted,
        left_out,
    })
}

/// The message of a commit of what a task has left uncommitted.
pub(crate) fn message(lease: &Lease) -> String {
    let task = &lease.attempt.task;
    format!("gadugi: uncommitted work of {task}\n\nGadugi-Run: {}\nGadugi-Task: {task}\n", lease.run)
}

/// Puts the saved work on the branch, and the index beside it. Gives the new tip.
fn commit(
    checkout: &Checkout,
    saved: Saved,
    tip: ObjectId,
    branch: &BranchName,
    lease: &Lease,
) -> Result<ObjectId, GitError> {
    let repo = &checkout.repo;
    let lock = LockFile::acquire(&real(repo.common_dir()), &repo.index_path(), Duration::ZERO);
    let lock = lock.map_err(|error| match error {
        NotTaken::Held { lock } => GitError::IndexLocked { lock },
        NotTaken::Failed(error) => error,
    })?;
    // The index is written before the branch moves, so that a full disk leaves both as they were. After a crash
    // between the two the next snapshot finds the work on the branch, and takes no more than the index from it.
    let mut content = Vec::new();
    saved.index.write_to(&mut content, Default::default())?;
    lock.write(&content)?;
    let mut new_tip = tip;
    if saved.tree != repo.find_commit(tip)?.tree_id()? {
        let message = message(lease);
        new_tip = repo.new_commit(&message, saved.tree, [tip])?.id;
        let log = format!("commit: {}", message.lines().next().unwrap_or_default());
        branch::advance(repo, branch, tip, new_tip, &log)?;
        crash_point("snapshot-committed");
    }
    lock.put_in_place()?;
    Ok(new_tip)
}
