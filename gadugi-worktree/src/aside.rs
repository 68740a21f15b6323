//! Deleting worktrees so that none is ever half there.
//!
//! The folder is first renamed, beside its place, to a name that says what it is. A deletion that fails, or is cut
//! short, leaves a folder of that name, never a worktree that seems to have lost files.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::GitError;

/// What the names of folders begin with that are to be deleted. No task's name begins with a dot.
const PREFIX: &str = ".gadugi-removed-";

/// Renames a folder that is to be deleted, and gives its new path.
pub(crate) fn put_aside(folder: &Path) -> Result<PathBuf, GitError> {
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
        if is_folder && entry.file_name().to_string_lossy().starts_with(PREFIX) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The folders that were put aside in the place of this one and are still there.
pub(crate) fn leftovers_of(folder: &Path) -> Result<Vec<PathBuf>, GitError> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return Ok(Vec::new()) };
    let mut found = leftovers(parent)?;
    found.retain(|leftover| {
        let leftover = leftover.file_name().unwrap_or_default().to_string_lossy();
        let numbered = leftover.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        numbered.is_some_and(|(_, rest)| *rest == *name.to_string_lossy())
    });
    Ok(found)
}

/// Deletes a folder with all that is in it, also where folders in it are not writable; one that is gone counts as
/// deleted. Symbolic links are not followed.
pub(crate) fn delete(folder: &Path) -> Result<(), GitError> {
    let deleted = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(folder).and_then(|()| fs::remove_dir_all(folder))
        }
        other => other,
    };
    match deleted {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Lets the owner change every folder in this one, and it.
#[cfg(unix)]
fn make_writable(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = folder.symlink_metadata()?.permissions();
    if permissions.mode() & 0o700 != 0o700 {
        permissions.set_mode(permissions.mode() | 0o700);
        fs::set_permissions(folder, permissions)?;
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_writable(_: &Path) -> io::Result<()> {
    Ok(())
}
