//! Files that were staged in a worktree and are neither committed nor in its files: `git add` keeps the content of that moment,
//! and the file may be gone or rewritten since. They would be lost with the index.

use gadugi_core::Lease;
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::index::entry::{Flags, Stage};

use crate::error::GitError;
use crate::inspect::Edit;
use crate::inspect::checkout::Checkout;
use crate::snapshot::secrets::looks_like_a_secret;

/// A commit of the staged files, on top of `HEAD`, where some of them are not in the index `after` the snapshot; `None` where
/// all of them are.
pub(crate) fn commit(
    checkout: &Checkout,
    lease: &Lease,
    after: &gix::index::State,
) -> Result<Option<ObjectId>, GitError> {
    let Checkout { repo, index, changes, .. } = checkout;
    let staged = |path: &BString| {
        // One that is still in its file is left to that, as where the files are committed.
        let is_secret = looks_like_a_secret(path.as_bstr()) && changes.edited.get(path) != Some(&Edit::Removed);
        let entry = index.entry_by_path_and_stage(path.as_bstr(), Stage::Unconflicted);
        entry.filter(|entry| !is_secret && !entry.flags.contains(Flags::INTENT_TO_ADD))
    };
    let is_superseded = |path: &&BString| {
        let is_kept = |id| after.entry_by_path(path.as_bstr()).is_some_and(|entry| entry.id == id);
        changes.edited.contains_key(*path) && staged(path).is_some_and(|entry| !is_kept(entry.id))
    };
    if changes.staged.iter().find(is_superseded).is_none() {
        return Ok(None);
    }
    let mut tree = repo.edit_tree(repo.head_tree_id_or_empty()?)?;
    for path in &changes.staged {
        if let Some(entry) = staged(path)
            && let Some(mode) = entry.mode.to_tree_entry_mode()
        {
            tree.upsert(path, mode.kind(), entry.id)?;
        }
    }
    let task = &lease.attempt.task;
    let message =
        format!("gadugi: staged work of {task}, not in its files\n\nGadugi-Run: {}\nGadugi-Task: {task}\n", lease.run);
    Ok(Some(repo.new_commit(message, tree.write()?, checkout.head)?.id))
}
