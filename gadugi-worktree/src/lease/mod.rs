//! The worktrees of ours that are there, by git's list and the notes beside it.

pub(crate) mod admin_folder;
pub(crate) mod homes;
pub(crate) mod marker;
pub(crate) mod stale_locks;

use std::path::Path;

use gadugi_core::{AttemptNo, AttemptRef, Lease};

use crate::error::GitError;
use crate::lease::admin_folder::Entry;

/// The leases of all our worktrees whose folder exists, without those that are in the making, or that a crash left half made.
pub(crate) fn leases(common_dir: &Path) -> Result<Vec<Lease>, GitError> {
    let is_there = |entry: &Entry| entry.folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let entries = Entry::all(common_dir)?.into_iter().filter(|entry| is_there(entry) && !entry.is_in_the_making());
    Ok(entries.filter_map(lease).collect())
}

fn lease(entry: Entry) -> Option<Lease> {
    let marker = entry.marker()?;
    // Notes without a number are taken for any attempt of their task.
    let attempt = AttemptRef { task: marker.task, number: marker.attempt.unwrap_or(AttemptNo::FIRST) };
    Some(Lease { run: marker.run, attempt, path: entry.folder, branch: Some(marker.branch), base: Some(marker.start) })
}
