//! The lock under which one process at a time changes the worktrees of a repository.
//!
//! Worktrees that are added at the same time lose entries, with git and with gix.

use std::fs::{self, File};
use std::path::Path;

use tracing::debug;

use crate::error::GitError;
use crate::files::ordinary;

/// Held while worktrees are made or removed; dropping it lets the next one in, and so does the end of the
/// process in any way.
pub(crate) struct RepositoryLock {
    file: File,
}

impl RepositoryLock {
    /// Waits for the lock of this state folder. Blocks.
    pub(crate) fn acquire(state: &Path) -> Result<Self, GitError> {
        fs::create_dir_all(state).map_err(GitError::io("create", state))?;
        let path = state.join("lock");
        let file = ordinary::open(&path, File::options().create(true).truncate(false).read(true).write(true));
        let file = file.map_err(GitError::io("open", &path))?;
        if file.try_lock().is_err() {
            debug!(path = %path.display(), "waiting for the lock of the repository");
            file.lock().map_err(GitError::io("lock", &path))?;
        }
        Ok(Self { file })
    }

    /// The lock for a child process: if this process is killed, the lock is held until the child has ended too. Reading from it
    /// yields nothing.
    pub(crate) fn share(&self) -> Result<File, GitError> {
        self.file.try_clone().map_err(GitError::ShareLock)
    }
}
