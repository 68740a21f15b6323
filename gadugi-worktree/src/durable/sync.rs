//! Syncing files, many at a time: a disk takes as long for one as for all that wait at the same moment.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gix::ObjectId;

use crate::durable::objects;
use crate::error::GitError;
use crate::threads::parallel::on_threads;

/// Number of files that are synced at once.
const MAX_AT_ONCE: usize = 8;

/// Number of objects up to which syncing them one by one is faster than syncing their file system.
const MAX_ONE_BY_ONE: usize = 256;

/// Syncs files and folders; missing ones are passed over.
pub(super) fn present(paths: Vec<PathBuf>) -> Result<(), GitError> {
    let synced = on_threads(MAX_AT_ONCE, paths, |path| match open(&path).and_then(|file| sync(&file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(GitError::io("sync", &path)),
    });
    synced.into_iter().collect()
}

/// Syncs loose objects in these folders. Returns those that are not loose.
pub(super) fn loose(folders: &[PathBuf], ids: Vec<ObjectId>) -> Result<Vec<ObjectId>, GitError> {
    let one_by_one = ids.len() <= MAX_ONE_BY_ONE;
    let found = on_threads(MAX_AT_ONCE, ids, |id| {
        for folder in folders {
            let path = objects::loose(folder, &id);
            match open(&path).and_then(|file| sync_object(file, one_by_one)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(GitError::ObjectMissing { id: id.to_string() });
                }
                other => {
                    other.map_err(GitError::io("sync", &path))?;
                    return Ok(Ok(path));
                }
            }
        }
        Ok(Err(id))
    });
    let (mut synced, mut absent) = (BTreeSet::new(), Vec::new());
    for found in found {
        match found? {
            Ok(path) => drop(synced.insert(path.parent().unwrap_or(&path).to_owned())),
            Err(id) => absent.push(id),
        }
    }
    if one_by_one {
        present(synced.into_iter().chain(folders.iter().cloned()).collect())?;
    } else {
        folders.iter().try_for_each(|folder| file_system(folder))?;
    }
    Ok(absent)
}

/// Syncs the file of an object. An empty one, as a loss of power leaves it, is an error.
fn sync_object(mut file: File, one_by_one: bool) -> io::Result<()> {
    file.read_exact(&mut [0])?;
    if one_by_one { sync(&file) } else { Ok(()) }
}

/// Syncs the file system of a folder.
#[cfg(target_os = "linux")]
pub(super) fn file_system(folder: &Path) -> Result<(), GitError> {
    let failed = || GitError::io("sync", folder);
    let file = open(folder).map_err(failed())?;
    rustix::fs::syncfs(file).map_err(|error| failed()(error.into()))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn file_system(folder: &Path) -> Result<(), GitError> {
    rustix::fs::sync();
    let file = open(folder).map_err(GitError::io("sync", folder))?;
    sync(&file).map_err(GitError::io("sync", folder))
}

/// Opens a file or folder. A pipe in its place does not block.
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    File::options().read(true).custom_flags(flags.cast_signed()).open(path)
}

fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        // A file system that cannot sync folders keeps them in order by itself.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && file.metadata()?.is_dir() => Ok(()),
        other => other,
    }
}
