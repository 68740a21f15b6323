//! Folders of ours that were discarded with work in them that could not be taken over. They are kept for a while, as all that
//! is discarded.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::GitError;
use crate::worktrees::WorktreeSettings;
use crate::{aside, entry};

/// How long they are kept.
pub(crate) const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Moves a folder of the state folder into the trash, under a name like the given one, and gives its new path.
pub(crate) fn put(settings: &WorktreeSettings, folder: &Path, name: &str) -> Result<PathBuf, GitError> {
    let trash = root(settings);
    fs::create_dir_all(&trash).map_err(GitError::io("create", &trash))?;
    // From now on it counts how long it lies there.
    let touched = File::open(folder).and_then(|file| file.set_modified(SystemTime::now()));
    touched.map_err(GitError::io("touch", folder))?;
    for number in 1_u32.. {
        let name = if number == 1 { name.to_owned() } else { format!("{name}@{number}") };
        let to = trash.join(name);
        if to.symlink_metadata().is_err() {
            fs::rename(folder, &to).map_err(GitError::io("rename", folder))?;
            return Ok(to);
        }
    }
    unreachable!("cannot happen because a folder has fewer than four thousand million entries")
}

/// Deletes what has been in the trash for long enough.
pub(crate) fn clear(settings: &WorktreeSettings) -> Result<(), GitError> {
    let trash = root(settings);
    let entries = match fs::read_dir(&trash) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(GitError::io("list", &trash))?,
    };
    for entry in entries {
        let path = entry.map_err(GitError::io("list", &trash))?.path();
        let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
        let modified = modified.map_err(GitError::io("look at", &path))?;
        // One from the future is of a clock that was wrong, and stays until that time has come.
        if modified.elapsed().is_ok_and(|age| age > KEPT) {
            aside::delete(&path)?;
        }
    }
    entry::remove_if_empty(&trash)
}

fn root(settings: &WorktreeSettings) -> PathBuf {
    settings.state.join("trash")
}
