//! Reusing the worktree of an earlier attempt for the next one.

use gadugi_core::worktrees::WorktreeRequest;
use gadugi_core::{Lease, crash_point};
use tracing::debug;

use crate::error::GitError;
use crate::lease::admin_folder::Entry;
use crate::lease::marker::Marker;
use crate::settings::WorktreeSettings;

/// Gives the worktree that a request asks for to its attempt; `None` when it is gone, or belongs to another attempt. The caller
/// holds the repository's lock.
pub(crate) fn hand_over(
    settings: &WorktreeSettings,
    request: &WorktreeRequest,
    asked: &Lease,
) -> Result<Option<Lease>, GitError> {
    let is_there = asked.path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let entry = if is_there { Entry::of(settings.repository.common_dir(), &asked.path)? } else { None };
    let Some(entry) = entry else { return Ok(None) };
    let Some(marker) = entry.marker() else { return Ok(None) };
    let lease = Lease { run: request.run.clone(), attempt: request.attempt.clone(), ..asked.clone() };
    // A driver that has ended since may have handed it over.
    let is_ours = marker.is_of(asked) || marker.is_of(&lease);
    if !is_ours || marker.in_the_making || Some(&marker.branch) != asked.branch.as_ref() {
        return Ok(None);
    }
    let (run, task) = (lease.run.clone(), lease.attempt.task.clone());
    Marker { run, task, attempt: Some(lease.attempt.number), ..marker }.write(&entry.admin)?;
    debug!(path = %lease.path.display(), task = %lease.attempt.task, attempt = %lease.attempt.number, "worktree reused");
    crash_point("worktree-handed-over");
    Ok(Some(lease))
}
