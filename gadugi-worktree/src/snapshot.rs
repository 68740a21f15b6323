//! Collecting what an attempt has made.

use gadugi_core::{BranchName, Lease, SnapshotRequest, Work};
use gix::ObjectId;
use gix::lock::acquire::Fail;
use gix::refs::Target;
use gix::refs::transaction::{PreviousValue, RefEdit};

use crate::branch;
use crate::checkout::Checkout;
use crate::error::GitError;
use crate::history::{commits_beyond, files_between};
use crate::ids::{to_commit, to_object};
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
    let index = repo.index_path();
    let lock = gix::lock::File::acquire_to_update_resource(&index, Fail::Immediately, None, 0);
    let mut lock = lock.map_err(|error| {
        let path = index.with_extension("lock");
        if path.exists() { GitError::IndexLocked { lock: path } } else { error.into() }
    })?;
    // The index is written before the branch moves, so that a full disk leaves both as they were.
    let mut content = Vec::new();
    saved.index.write_to(&mut content, Default::default())?;
    let write = lock.with_mut(|file| std::io::Write::write_all(file, &content));
    write.map_err(GitError::io("write", &index))?;
    let mut new_tip = tip;
    if saved.tree != repo.find_commit(tip)?.tree_id()? {
        let message = message(lease);
        new_tip = repo.new_commit(&message, saved.tree, [tip])?.id;
        let log = format!("commit: {}", message.lines().next().unwrap_or_default());
        let expected = PreviousValue::MustExistAndMatch(Target::Object(tip));
        repo.edit_reference(RefEdit::update(branch::full_name(branch), new_tip, expected, log))?;
    }
    lock.commit().map_err(|error| GitError::io("write", &index)(error.error))?;
    Ok(new_tip)
}
