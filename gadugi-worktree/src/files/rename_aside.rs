//! Deleting worktrees so that none is ever half there.
//!
//! The folder is first renamed, beside its place, to a name that says what it is. A deletion that fails, or is cut
//! short, leaves a folder of that name, never a worktree that seems to have lost files. That also lets the deletion be
//! done by somebody else, later.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::error::GitError;
use crate::files::mounted::mount_in;
use crate::files::remove_tree;

/// What the names of folders begin with that are to be deleted. No task's name begins with a dot.
const PREFIX: &str = ".gadugi-removed-";

/// Renames a folder that is to be deleted, and gives its new path. One in which something is mounted stays where it is.
pub(crate) fn put_aside(folder: &Path) -> Result<PathBuf, GitError> {
    if let Some(path) = mount_in(folder) {
        return Err(GitError::Mounted { path });
    }
    for number in 1_u32.. {
        let mut name = OsString::from(format!("{PREFIX}{number}-"));
        name.push(folder.file_name().unwrap_or_default());
        let aside = folder.with_file_name(name);
        if aside.symlink_metadata().is_err() {
            fs::rename(folder, &aside).map_err(GitError::io("rename", folder))?;
            return Ok(aside);
        }
    }
    unreachable!("cannot happen because a folder has fewer than four thousand million entries")
}

/// The folders in the worktrees folder that were put aside and are still there.
pub(crate) fn leftovers(worktrees: &Path) -> Result<Vec<PathBuf>, GitError> {
    let entries = match fs::read_dir(worktrees) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(GitError::io("list", worktrees)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(GitError::io("list", worktrees))?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && is_aside(&entry.file_name()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a folder of this name is one that was put aside.
pub(crate) fn is_aside(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// Deletes a folder with all that is in it, also where folders in it are not writable; one that is gone counts as
/// deleted. Symbolic links are not followed.
pub(crate) fn delete(folder: &Path) -> Result<(), GitError> {
    match remove_tree::erase(&[folder.to_owned()], 1, &AtomicBool::new(false)).into_iter().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
