//! Deleting whole folders where there are no handles of folders.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::GitError;

/// Deletes folders with all that is in them; one that is gone counts as deleted. Gives the first error of each folder.
pub(crate) fn erase(folders: &[PathBuf], _: usize, stop: &AtomicBool) -> Vec<GitError> {
    let left = folders.iter().take_while(|_| !stop.load(Ordering::Relaxed));
    left.filter_map(|folder| match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Some(GitError::io("remove", folder)(error)),
        _ => None,
    })
    .collect()
}
