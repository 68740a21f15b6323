//! Deleting in the background folders that were put aside.
//!
//! A thread that puts a folder aside asks for a sweep. One process at a time sweeps a repository: it holds the lock `sweep` in
//! the state folder. It checks again after it has released the lock, so a process that finds the lock held, after it has put a
//! folder aside, need not do more.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tracing::debug;

use crate::error::GitError;
use crate::files::paths::{real, remove_if_empty};
use crate::files::{ordinary, remove_tree, rename_aside};
use crate::lease::homes;
use crate::threads::parallel::threads;

/// The lock's name in the state folder.
const LOCK: &str = "sweep";

/// The threads of one process that sweep a repository. They start when there is a folder to delete, and end when there is none.
#[derive(Debug)]
pub(crate) struct Sweeper {
    state: PathBuf,
    shared: Mutex<Shared>,
    ended: Condvar,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Shared {
    /// The folders that may contain folders put aside.
    folders: BTreeSet<PathBuf>,
    /// The number of requests.
    asked: u64,
    /// Whether a thread is sweeping.
    runs: bool,
    /// Whether deletion waits for [`Sweeper::finish`] or [`Sweeper::leave`].
    deferred: bool,
}

/// Folders that are left to another process for deletion. No other process deletes them while the lock is held, by this process
/// or by the one that inherited it.
#[derive(Debug)]
pub struct LeftToSweep {
    /// The lock. It is held as long as any process has this file open.
    pub lock: File,
    /// The folders that contain folders put aside.
    pub folders: Vec<PathBuf>,
}

impl Sweeper {
    /// A sweeper for the state folder of a repository and its worktrees folder.
    pub(crate) fn new(state: &Path, worktrees: &Path, deferred: bool) -> Arc<Self> {
        let folders = BTreeSet::from([worktrees.to_owned(), homes::root(state)]);
        let shared = Mutex::new(Shared { folders, deferred, ..Shared::default() });
        Arc::new(Self { state: state.to_owned(), shared, ended: Condvar::new(), stop: AtomicBool::new(false) })
    }

    /// Asks for a sweep of the worktrees folder, and of the folders that contain `beside`.
    pub(crate) fn request<'a>(self: &Arc<Self>, beside: impl IntoIterator<Item = &'a Path>) {
        let mut shared = self.lock();
        shared.folders.extend(beside.into_iter().filter_map(Path::parent).map(Path::to_owned));
        shared.asked += 1;
        if shared.runs || shared.deferred {
            return;
        }
        // The lock is opened here and not later: by then the repository may be gone, and nothing of it is to come into
        // being again. Where it cannot be, or no thread can be had, it is left to whoever comes next.
        let Ok(lock) = open(&self.state) else { return };
        let sweeper = Arc::clone(self);
        let thread = std::thread::Builder::new().name("gadugi-sweep".to_owned()).spawn(move || sweeper.run(&lock));
        shared.runs = thread.is_ok();
    }

    /// Sweeps on this thread and a few more, including folders that another process has begun with, after waiting for it to
    /// release the lock.
    pub(crate) fn finish(&self) -> Result<(), GitError> {
        let folders = self.folders();
        if !any_left(&folders)? && !self.state.join(LOCK).exists() {
            return Ok(());
        }
        let lock = open(&self.state)?;
        sweep(&self.state, &lock, &folders, &AtomicBool::new(false))
    }

    /// Ends the threads, and returns the rest, unless another process is sweeping.
    pub(crate) fn leave(&self) -> Result<Option<LeftToSweep>, GitError> {
        self.stop.store(true, Ordering::Relaxed);
        let mut shared = self.lock();
        shared.deferred = true;
        while shared.runs {
            shared = self.ended.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        self.stop.store(false, Ordering::Relaxed);
        let folders: Vec<_> = shared.folders.iter().cloned().collect();
        drop(shared);
        if !any_left(&folders)? {
            return Ok(None);
        }
        let lock = open(&self.state)?;
        let is_taken = take(&lock, &self.state)?;
        Ok(is_taken.then_some(LeftToSweep { lock, folders }))
    }

    fn run(&self, lock: &File) {
        loop {
            let (asked, folders) = {
                let shared = self.lock();
                (shared.asked, shared.folders.iter().cloned().collect::<Vec<_>>())
            };
            // What cannot be deleted stays under its name, and is told of by whoever waits for it.
            self.sweep_if_free(lock, &folders).ok();
            let mut shared = self.lock();
            if shared.asked == asked || self.stop.load(Ordering::Relaxed) {
                shared.runs = false;
                self.ended.notify_all();
                return;
            }
        }
    }

    fn sweep_if_free(&self, lock: &File, folders: &[PathBuf]) -> Result<(), GitError> {
        if any_left(folders)? && take(lock, &self.state)? {
            sweep_held(&self.state, lock, folders, &self.stop)?;
        }
        Ok(())
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.lock().folders.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sweeps these folders in the process that got a [`LeftToSweep`]: `lock` is its lock. Returns when nothing is left, or the
/// rest cannot be deleted.
///
/// # Errors
/// The first error, after all other folders were deleted.
pub fn sweep_left(state: &Path, lock: &File, folders: &[PathBuf]) -> Result<(), GitError> {
    sweep(state, lock, folders, &AtomicBool::new(false))
}

/// The number of folders that wait to be deleted, and whether a process is sweeping.
///
/// # Errors
/// [`GitError::Io`] when they cannot be read.
pub fn left_to_sweep(state: &Path, worktrees: &Path) -> Result<(usize, bool), GitError> {
    let left = rename_aside::leftovers(worktrees)?.len() + rename_aside::leftovers(&homes::root(state))?.len();
    Ok((left, is_swept(state)?))
}

fn sweep(state: &Path, lock: &File, folders: &[PathBuf], stop: &AtomicBool) -> Result<(), GitError> {
    lock.lock().map_err(GitError::io("lock", &state.join(LOCK)))?;
    sweep_held(state, lock, folders, stop)
}

/// Deletes until nothing is left. The lock is held, and released at the end.
fn sweep_held(state: &Path, lock: &File, folders: &[PathBuf], stop: &AtomicBool) -> Result<(), GitError> {
    let path = state.join(LOCK);
    let mut left = leftovers(folders)?;
    loop {
        debug!(folders = left.len(), state = %state.display(), "sweep started");
        let failed = remove_tree::erase(&left, threads(), stop);
        debug!(failed = failed.len(), state = %state.display(), "sweep ended");
        remove_empty(state, folders)?;
        lock.unlock().map_err(GitError::io("unlock", &path))?;
        if let Some(error) = failed.into_iter().next() {
            return Err(error);
        }
        // What was put aside while the lock was held has nobody else.
        left = leftovers(folders)?;
        if left.is_empty() || stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        lock.lock().map_err(GitError::io("lock", &path))?;
        left = leftovers(folders)?;
    }
}

/// Removes empty worktrees folders, under the lock that keeps worktrees from being made there.
fn remove_empty(state: &Path, folders: &[PathBuf]) -> Result<(), GitError> {
    let is_empty = |folder: &&PathBuf| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    let empty: Vec<_> = folders.iter().filter(is_empty).collect();
    if empty.is_empty() {
        return Ok(());
    }
    let path = state.join("lock");
    // Never made anew: the repository may be gone by now.
    let lock = match ordinary::open(&path, File::options().write(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(GitError::io("open", &path))?,
    };
    lock.lock().map_err(GitError::io("lock", &path))?;
    for folder in empty {
        // That it stays would do no harm.
        remove_if_empty(folder).ok();
    }
    Ok(())
}

fn leftovers(folders: &[PathBuf]) -> Result<Vec<PathBuf>, GitError> {
    let mut found = BTreeSet::new();
    for folder in folders {
        found.extend(rename_aside::leftovers(&real(folder))?);
    }
    Ok(found.into_iter().collect())
}

fn any_left(folders: &[PathBuf]) -> Result<bool, GitError> {
    Ok(!leftovers(folders)?.is_empty())
}

fn open(state: &Path) -> Result<File, GitError> {
    let path = state.join(LOCK);
    fs::create_dir_all(state).map_err(GitError::io("create", state))?;
    let file = ordinary::open(&path, File::options().create(true).truncate(false).read(true).write(true));
    file.map_err(GitError::io("open", &path))
}

/// Takes the lock unless a process is sweeping.
fn take(lock: &File, state: &Path) -> Result<bool, GitError> {
    let failed = |error| GitError::io("lock", &state.join(LOCK))(error);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Whoever only looks whether somebody sweeps shares it for a moment.
        match lock.try_lock_shared() {
            Ok(()) => lock.unlock().map_err(failed)?,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// Whether a process is sweeping at this moment.
fn is_swept(state: &Path) -> Result<bool, GitError> {
    let path = state.join(LOCK);
    match ordinary::open(&path, File::options().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => {
            let lock = other.map_err(GitError::io("open", &path))?;
            match lock.try_lock_shared() {
                Ok(()) => Ok(false),
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(error)) => Err(GitError::io("lock", &path)(error)),
            }
        }
    }
}
