//! Git's lock files, made so that one left by a killed process of ours is recognised.
//!
//! A lock file is `<resource>.lock`, and the process that creates it holds the resource. It stays when its holder is killed,
//! and nothing in it tells git who that was. Ours always say so: the file is written in full in a folder of ours, locked with
//! `flock`, and only then linked to its place. A process that finds such a file and can take its `flock` knows that its holder
//! is gone.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;

/// The first bytes of our lock files; the path of the lock file follows.
pub(crate) const HEADING: &str = "held by gadugi: ";

/// Interval for retrying a lock that another process holds. Its release cannot be awaited.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// One of git's resources, held until this is dropped.
pub(crate) struct LockFile {
    resource: PathBuf,
    lock: PathBuf,
    own: Own,
    /// The lock file, where it could not be linked.
    _apart: Option<File>,
}

/// The file in our folder that the lock file is a link to.
struct Own {
    path: PathBuf,
    _file: File,
}

/// Why a lock file was not taken.
pub(crate) enum NotTaken {
    /// Another process holds it, or was killed with it.
    Held {
        lock: PathBuf,
    },
    Failed(GitError),
}

impl From<GitError> for NotTaken {
    fn from(error: GitError) -> Self {
        Self::Failed(error)
    }
}

/// Takes the lock of the index of a worktree that was opened by git's own files of it. Does not wait.
pub(crate) fn lock_index(repo: &gix::Repository) -> Result<LockFile, GitError> {
    let lock = LockFile::acquire(&real(repo.common_dir()), &repo.index_path(), Duration::ZERO);
    lock.map_err(|error| match error {
        NotTaken::Held { lock } => GitError::IndexLocked { lock },
        NotTaken::Failed(error) => error,
    })
}

impl LockFile {
    /// Takes the lock of a file in a git folder, whose folder is made where it is missing. A lock that is held is retried for
    /// as long as `patience`.
    pub(crate) fn acquire(common_dir: &Path, resource: &Path, patience: Duration) -> Result<Self, NotTaken> {
        let mut lock = resource.as_os_str().to_owned();
        lock.push(".lock");
        let (resource, lock) = (resource.to_owned(), PathBuf::from(lock));
        let give_up = Instant::now() + patience;
        let mut own = Own::new(common_dir, &lock)?;
        loop {
            let failure = match link(&own, &lock) {
                Ok(apart) => return Ok(Self { resource, lock, own, _apart: apart }),
                Err(error) => error,
            };
            match failure.kind() {
                io::ErrorKind::AlreadyExists => {
                    if !clear_if_stale(&lock)? {
                        if Instant::now() >= give_up {
                            own.remove();
                            return Err(NotTaken::Held { lock });
                        }
                        std::thread::sleep(RETRY_INTERVAL);
                    }
                }
                // The folder of the resource is not there, or has gone since; or our own file was swept away before it
                // had its lock.
                io::ErrorKind::NotFound if Instant::now() < give_up + RETRY_INTERVAL => {
                    if let Some(folder) = lock.parent() {
                        fs::create_dir_all(folder).map_err(GitError::io("create", folder))?;
                    }
                    if !own.path.exists() {
                        own = Own::new(common_dir, &lock)?;
                    }
                }
                _ => {
                    own.remove();
                    return Err(GitError::io("create", &lock)(failure).into());
                }
            }
        }
    }

    /// Puts new content in the place of the resource, at once and in full. It is on the disk before it has the name, so that
    /// a loss of power leaves no empty file of that name.
    pub(crate) fn replace(&self, content: &[u8]) -> Result<(), GitError> {
        let new = self.own.content();
        let written =
            ordinary::create(&new).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
        written.map_err(GitError::io("write", &self.resource))?;
        self.put_in_place()
    }

    /// Writes new content for the resource, which stays as it is.
    pub(crate) fn write(&self, content: &[u8]) -> Result<(), GitError> {
        let new = self.own.content();
        ordinary::write(&new, content).map_err(GitError::io("write", &self.resource))
    }

    /// Puts the content that was written in the place of the resource.
    pub(crate) fn put_in_place(&self) -> Result<(), GitError> {
        fs::rename(self.own.content(), &self.resource).map_err(GitError::io("write", &self.resource))
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // One that stays is found to be stale.
        fs::remove_file(&self.lock).ok();
        self.own.remove();
    }
}

impl Own {
    fn new(common_dir: &Path, lock: &Path) -> Result<Self, GitError> {
        let folder = folder(common_dir);
        fs::create_dir_all(&folder).map_err(GitError::io("create", &folder))?;
        for number in 1_u32.. {
            let path = folder.join(format!("{}-{number}", std::process::id()));
            let mut file = match File::options().write(true).read(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(GitError::io("create", &path))?,
            };
            let text = [HEADING.as_bytes(), lock.as_os_str().as_encoded_bytes(), b"\n"].concat();
            file.write_all(&text).map_err(GitError::io("write", &path))?;
            match file.try_lock() {
                Ok(()) => return Ok(Self { path, _file: file }),
                // Somebody sweeps it away just now.
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(GitError::io("lock", &path)(error)),
            }
        }
        unreachable!("cannot happen because a process holds fewer than four thousand million locks")
    }

    /// Where new content of the resource is written.
    fn content(&self) -> PathBuf {
        self.path.with_extension("new")
    }

    fn remove(&self) {
        // Those that stay are swept away.
        fs::remove_file(self.content()).ok();
        fs::remove_file(&self.path).ok();
    }
}

/// The folder of our own files.
fn folder(common_dir: &Path) -> PathBuf {
    common_dir.join("gadugi").join("locks")
}

/// Links the lock file to our own file. Where the file system has no links, the lock file is made apart, and for a moment does
/// not say whose it is.
fn link(own: &Own, lock: &Path) -> io::Result<Option<File>> {
    match fs::hard_link(&own.path, lock) {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => Err(error),
        Err(_) => {
            let mut file = File::options().write(true).create_new(true).open(lock)?;
            let taken = file.try_lock().map_err(io::Error::from);
            taken
                .and_then(|()| file.write_all(&ordinary::read(&own.path)?))
                .inspect_err(|_| drop(fs::remove_file(lock)))?;
            Ok(Some(file))
        }
    }
}

/// Removes a lock file that a process of ours has left. Answers whether it is gone.
fn clear_if_stale(lock: &Path) -> Result<bool, GitError> {
    match lock.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Ok(metadata) if metadata.is_file() => {}
        _ => return Ok(false),
    }
    let mut file = match ordinary::open(lock, File::options().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other.map_err(GitError::io("open", lock))?,
    };
    let mut heading = Vec::new();
    let length = HEADING.len() as u64;
    Read::by_ref(&mut file).take(length).read_to_end(&mut heading).map_err(GitError::io("read", lock))?;
    if heading != HEADING.as_bytes() {
        return Ok(false);
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(GitError::io("lock", lock)(error)),
    }
    // Somebody else may have removed it, and taken it, in the meantime.
    if is_at(&file, lock) {
        remove(lock)?;
    }
    Ok(true)
}

/// Removes all lock files that killed processes of ours have left in a repository.
pub(crate) fn sweep(common_dir: &Path) -> Result<(), GitError> {
    let folder = folder(common_dir);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(GitError::io("list", &folder))?,
    };
    for entry in entries {
        let own = entry.map_err(GitError::io("list", &folder))?.path();
        if own.extension().is_some() {
            // The holder makes it after its own file, and removes it before.
            if !own.with_extension("").exists() {
                remove(&own)?;
            }
            continue;
        }
        let Ok(mut file) = ordinary::open(&own, File::options().read(true)) else { continue };
        if file.try_lock().is_err() {
            continue;
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(GitError::io("read", &own))?;
        if let Some(lock) = text.strip_prefix(HEADING.as_bytes()).and_then(|path| path.strip_suffix(b"\n")) {
            let lock = gix::path::from_byte_slice(lock)?;
            let is_in_git = lock.starts_with(common_dir) && lock.extension().is_some_and(|end| end == "lock");
            if is_in_git && is_at(&file, lock) {
                remove(lock)?;
            } else if is_in_git {
                clear_if_stale(lock)?;
            }
        }
        remove(&own.with_extension("new"))?;
        remove(&own)?;
    }
    Ok(())
}

fn remove(file: &Path) -> Result<(), GitError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::io("remove", file)(error)),
        _ => Ok(()),
    }
}

/// Whether a path leads to this very file.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), path.symlink_metadata()), (Ok(a), Ok(b)) if id(&a) == id(&b))
}
