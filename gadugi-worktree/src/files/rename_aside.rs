//! Deleting worktrees so that none is ever half there.
//!
//! The folder is first renamed, beside its place, to a name that marks it. A deletion that fails, or is cut short, leaves a
//! folder of that name, never a worktree that seems to have lost files. That also lets another thread or process delete it
//! later.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::error::GitError;
use crate::files::mounted::mount_in;
use crate::files::remove_tree;

/// The prefix of folders that are to be deleted. No task's name begins with a dot.
const PREFIX: &str = ".gadugi-removed-";

/// Renames a folder that is to be deleted, and returns its new path. One with a mount in it stays where it is.
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

/// The folders in the worktrees folder that were put aside and still exist.
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

/// Whether a name is that of a folder that was put aside.
pub(crate) fn is_aside(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// Deletes a folder with all its content, also where folders in it are not writable; one that is gone counts as deleted.
/// Symbolic links are not followed.
pub(crate) fn delete(folder: &Path) -> Result<(), GitError> {
    match remove_tree::erase(&[folder.to_owned()], 1, &AtomicBool::new(false)).into_iter().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
