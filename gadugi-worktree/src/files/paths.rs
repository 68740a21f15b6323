//! Paths and folders as they are on the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::GitError;

/// Removes an empty folder; one that is not empty, or is gone, stays as it is.
pub(crate) fn remove_if_empty(folder: &Path) -> Result<(), GitError> {
    match fs::remove_dir(folder) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {
            Err(GitError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

/// The path with symbolic links resolved, also where its end, or more of it, does not exist.
pub(crate) fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}
