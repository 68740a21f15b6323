//! The folder that the worktrees of a repository lie in.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::repo::Repository;

/// The reason why worktrees cannot lie in a folder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// It lies in a work tree, whose files they would become.
    #[error("{} lies in the work tree of {}", .folder.display(), .repository.display())]
    InARepository {
        /// The folder.
        folder: PathBuf,
        /// The root of that work tree.
        repository: PathBuf,
    },
    /// Nothing can be written there.
    #[error("{} cannot be written", .folder.display())]
    NotWritable {
        /// The folder that exists: it, or the nearest one above.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Repository {
    /// The folder beside the repository that its worktrees are put in, unless it is unusable:
    /// `<parent of the repository>/<name of the repository>.gadugi`.
    #[must_use]
    pub fn default_worktrees_folder(&self) -> PathBuf {
        let parent = self.root().parent().unwrap_or(self.root());
        parent.join(format!("{}.gadugi", self.name()))
    }
}

/// Checks that worktrees can be made in a folder, which need not exist yet: it, or its nearest ancestor that exists, must be
/// writable, and it must not lie in the work tree of a repository. Nothing is created.
///
/// # Errors
/// [`PlaceError`] says what is in the way.
pub fn check_worktrees_folder(folder: &Path) -> Result<(), PlaceError> {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    if !existing.is_dir() {
        let source = io::ErrorKind::NotADirectory.into();
        return Err(PlaceError::NotWritable { folder: existing.to_owned(), source });
    }
    if let Ok((found, _)) = gix::discover::upwards(existing)
        && let (_, Some(repository)) = found.into_repository_and_work_tree_directories()
    {
        return Err(PlaceError::InARepository { folder: folder.to_owned(), repository });
    }
    writable(existing).map_err(|source| PlaceError::NotWritable { folder: existing.to_owned(), source })
}

fn writable(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}
