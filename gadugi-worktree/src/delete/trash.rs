//! The trash for folders and discarded worktrees with work that could not be saved as commits. They are kept for a while.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::GitError;
use crate::files::paths::remove_if_empty;
use crate::files::rename_aside;
use crate::settings::WorktreeSettings;

/// The prefix of folders that stay beside their places.
const BESIDE: &str = ".gadugi-discarded-";
/// Time for which they are kept.
pub(crate) const RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Moves a folder into the trash, under a name like the given one, and returns its new path. One on another file system stays
/// beside its place, under a name that marks it.
pub(crate) fn put(settings: &WorktreeSettings, folder: &Path, name: &str) -> Result<PathBuf, GitError> {
    let trash = root(settings);
    fs::create_dir_all(&trash).map_err(GitError::io("create", &trash))?;
    // A task may have put a link in the place of its worktree, which leads to what is not ours.
    if folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        // Or it has locked it, so that it could neither be touched nor moved.
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(GitError::io("open", folder))?;
        // From now on it counts how long it lies there.
        let touched = File::open(folder).and_then(|file| file.set_modified(SystemTime::now()));
        touched.map_err(GitError::io("touch", folder))?;
    }
    match rename(folder, &trash, name) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let beside = folder.parent().unwrap_or(folder);
            rename(folder, beside, &format!("{BESIDE}{name}"))
        }
        other => other,
    }
    .map_err(GitError::io("rename", folder))
}

/// Renames a folder to the first free name like this one.
fn rename(folder: &Path, into: &Path, name: &str) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let name = if number == 1 { name.to_owned() } else { format!("{name}@{number}") };
        let to = into.join(name);
        if to.symlink_metadata().is_err() {
            return fs::rename(folder, &to).map(|()| to);
        }
    }
    unreachable!("cannot happen because a folder has fewer than four thousand million entries")
}

/// Whether a name among the worktrees is that of a discarded one.
pub(crate) fn is_discarded(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(BESIDE.as_bytes())
}

/// Deletes old folders from the trash.
pub(crate) fn clear(settings: &WorktreeSettings) -> Result<(), GitError> {
    let trash = root(settings);
    clear_folder(&settings.folder, is_discarded)?;
    clear_folder(&trash, |_| true)?;
    remove_if_empty(&trash)
}

fn clear_folder(folder: &Path, is_trash: impl Fn(&OsStr) -> bool) -> Result<(), GitError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(GitError::io("list", folder))?,
    };
    for entry in entries {
        let path = entry.map_err(GitError::io("list", folder))?.path();
        if !path.file_name().is_some_and(&is_trash) {
            continue;
        }
        let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
        let modified = modified.map_err(GitError::io("look at", &path))?;
        // One from the future is of a clock that was wrong, and stays until that time has come.
        if modified.elapsed().is_ok_and(|age| age > RETENTION) {
            rename_aside::delete(&path)?;
        }
    }
    Ok(())
}

fn root(settings: &WorktreeSettings) -> PathBuf {
    settings.state.join("trash")
}
