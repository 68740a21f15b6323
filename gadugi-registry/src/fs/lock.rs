//! The lock of a run's driver: an exclusive flock on a file that Gadugi never deletes.
//!
//! A reader checks whether the lock is held by taking it shared for a moment, since nothing else shows a flock. A driver that
//! comes at that moment is refused although the run has no driver. So a refused driver retries for longer than such a moment
//! can last, and only then believes it. A new run needs none of that: its lock is taken before `run.json` exists, and readers
//! do not touch a folder without `run.json`.
//!
//! The kernel releases a flock when its last descriptor is closed, however its process ends. The descriptor is closed on exec,
//! so no command that is started inherits it.
//!
//! When the file is deleted, the flock is still held, on a file without a name. So `owner.json` says which file it is on, and a
//! process that could lock another one reads that before it believes that the run has no driver. The driver checks the path
//! before it starts anything.

use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::debug;

use super::durable::{move_aside, private};
use super::regular::{self, is_unfit};

/// Time that a refused driver waits before each retry, in milliseconds; half a second in total.
const RETRY_INTERVALS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// The identity of a lock's file, as opposed to another one at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockFile {
    device: u64,
    inode: u64,
}

impl LockFile {
    /// The file at a path; `None` where there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match path.symlink_metadata() {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Held as long as it lives.
#[derive(Debug)]
pub(crate) struct RunLock {
    path: PathBuf,
    /// To be closed.
    file: File,
}

impl RunLock {
    /// Takes the lock; `None` when another driver holds it.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        let mut intervals = RETRY_INTERVALS.iter();
        Self::take_unless(path, || match intervals.next() {
            Some(interval) => {
                debug!(path = %path.display(), "waiting for the lock of the run");
                thread::sleep(Duration::from_millis(*interval));
                false
            }
            None => true,
        })
    }

    /// Tries to take the lock, after each refusal once more unless `give_up` says otherwise.
    fn take_unless(path: &Path, mut give_up: impl FnMut() -> bool) -> io::Result<Option<Self>> {
        let file = regular::open(path, private().write(true).create(true).truncate(false))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { path: path.to_owned(), file })),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if give_up() => return Ok(None),
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }

    /// The locked file.
    pub(crate) fn lock_file(&self) -> io::Result<LockFile> {
        Ok(LockFile::of(&self.file.metadata()?))
    }

    /// A watch that later tells whether this is still the lock that other processes find.
    pub(crate) fn watch(&self) -> io::Result<LockWatch> {
        Ok(LockWatch { path: self.path.clone(), held: self.lock_file()? })
    }

    /// Whether a driver holds the lock. A missing file is not held, nor is anything but a regular file.
    pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
        let file = match regular::open(path, File::options().read(true)) {
            Ok(file) => file,
            Err(error) if is_unfit(&error) || error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Moves anything but a file out of the place of a lock. Returns its new path; `None` where nothing was in the way.
pub(crate) fn clear(path: &Path) -> io::Result<Option<PathBuf>> {
    if !regular::is_no_file(path)? {
        return Ok(None);
    }
    // Another process may find the same: the second one must not move the lock aside that the first one has taken.
    let folder = File::open(path.parent().unwrap_or(path))?;
    folder.try_lock()?;
    if regular::is_no_file(path)? { move_aside(path).map(Some) } else { Ok(None) }
}

/// A check whether a held lock is still the one that other processes find.
#[derive(Debug)]
pub(crate) struct LockWatch {
    path: PathBuf,
    held: LockFile,
}

impl LockWatch {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// [`io::ErrorKind::Other`] when there is no file at its path any more, or another one.
    pub(crate) fn check(&self) -> io::Result<()> {
        let found = LockFile::at(&self.path)?;
        if found == Some(self.held) {
            return Ok(());
        }
        let what = if found.is_some() { "replaced" } else { "removed" };
        Err(io::Error::other(format!(
            "the lock was {what} while the run was driven, so that another process may drive it too; \
             nothing more is started, and the run can be resumed when this process has ended"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_looks_at_that_moment_does_not_keep_a_driver_from_its_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        drop(RunLock::take(&path).expect("a file"));
        let reader = File::open(&path).expect("a file");
        reader.lock_shared().expect("free");
        let mut reader = Some(reader);
        // The reader is done when the driver has been refused once.
        let lock = RunLock::take_unless(&path, || reader.take().is_none()).expect("a file");
        assert!(lock.is_some());
        assert!(reader.is_none());
    }

    #[test]
    fn a_driver_keeps_another_one_from_its_run_and_readers_see_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        assert!(!RunLock::is_held(&path).expect("no file"));
        let lock = RunLock::take(&path).expect("a file").expect("free");
        assert!(RunLock::take(&path).expect("a file").is_none());
        assert!(RunLock::is_held(&path).expect("a file"));
        drop(lock);
        assert!(!RunLock::is_held(&path).expect("a file"));
    }
}
