//! Uncommitted files in the work tree of the user.

use crate::error::GitError;
use crate::inspect::changes::Changes;
use crate::inspect::{Extent, UserRules};
use crate::repo::Repository;

/// Files of a work tree that are not committed, so that no task sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uncommitted {
    /// Tracked files that are changed.
    pub changed: u64,
    /// Files that git does not know and does not ignore.
    pub untracked: u64,
}

impl Repository {
    /// Counts the uncommitted files of the work tree.
    ///
    /// # Errors
    /// [`GitError`] when it cannot be looked at.
    pub fn uncommitted(&self) -> Result<Uncommitted, GitError> {
        let repo = self.open_work_tree()?;
        let index = repo.index_or_empty()?;
        let rules = UserRules::now(&repo, self.opener.sources)?;
        let changes = Changes::of(&repo, &index, &rules, Extent::Status)?;
        Ok(Uncommitted { changed: changes.tracked(), untracked: changes.files() - changes.tracked() })
    }
}
