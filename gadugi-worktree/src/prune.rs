//! Clearing away what crashes have left in git's list of worktrees.

use std::fs;
use std::io;

use gadugi_core::Pruned;

use crate::branch;
use crate::entry::{Entry, real};
use crate::error::GitError;
use crate::ids::to_object;
use crate::keepers::is_lost_with;
use crate::worktrees::WorktreeSettings;

/// What stands in `locked` while a worktree is being made, as git and gix do it.
const IN_THE_MAKING: &str = "initializing";

/// Removes entries of ours whose folder is gone, and worktrees that were never finished. Those that somebody has
/// locked stay, and those whose `HEAD` alone keeps a commit. The caller holds the repository's lock, so nobody is
/// making a worktree now.
pub(crate) fn prune(settings: &WorktreeSettings, dry_run: bool) -> Result<Vec<Pruned>, GitError> {
    let repo = settings.repository.open(&[])?;
    let folder = real(&settings.folder);
    let mut pruned = Vec::new();
    for entry in Entry::all(settings.repository.common_dir())? {
        let marker = entry.marker();
        let is_ours = marker.is_some() || entry.folder.parent().map(real).as_ref() == Some(&folder);
        let lock = entry.lock_reason();
        let half_made = marker.filter(|_| lock.as_deref() == Some(IN_THE_MAKING));
        let is_gone = matches!(entry.folder.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
        let is_stale = is_gone && lock.is_none() && !is_lost_with(&entry, &settings.repository, &repo)?;
        if !is_ours || (!is_stale && half_made.is_none()) {
            continue;
        }
        if !dry_run {
            if !is_gone {
                fs::remove_dir_all(&entry.folder).map_err(GitError::io("remove", &entry.folder))?;
            }
            entry.remove()?;
            if let Some(marker) = half_made {
                // No task has been there, so the branch is where it was made, or somebody else's by now.
                branch::delete(&repo, &marker.branch, to_object(&marker.start))?;
            }
        }
        pruned.push(Pruned::Entry { name: entry.name(), path: entry.folder });
    }
    Ok(pruned)
}
