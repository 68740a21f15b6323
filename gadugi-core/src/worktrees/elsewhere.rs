//! Where the work of an attempt is when it is not on the attempt's branch.

use std::fmt;
use std::path::PathBuf;

use crate::id::CommitId;

/// A place of work that is not on the attempt's branch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Elsewhere {
    /// The worktree's `HEAD` is on another branch.
    Branch {
        /// The branch; a reference that is no branch by its full name.
        name: String,
        /// Commits of the attempt there that its own branch has not.
        commits: u64,
    },
    /// The worktree's `HEAD` is on no branch.
    Detached {
        /// The commit that it is on.
        commit: CommitId,
        /// Commits of the attempt there that its branch has not.
        commits: u64,
    },
    /// A merge, rebase, cherry-pick, revert, am session or bisect was begun in the worktree and not finished.
    Unfinished {
        /// Which, as in `git status`: `a merge`.
        operation: String,
        /// Whether it was begun in the private git folder of an isolated attempt, of which this machine's git knows nothing.
        isolated: bool,
    },
    /// Changes were put away with `git stash` and not taken out again.
    Stash {
        /// What `git stash apply` takes for each entry, the latest first.
        entries: Vec<String>,
    },
    /// The worktree is at another path.
    Moved {
        /// The path.
        path: PathBuf,
    },
    /// The worktree, or all that was in it, is gone.
    Removed,
    /// `.git` in the worktree is, or leads to, another repository. The files are on the branch, and what was committed there is not.
    OtherRepository,
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commits = |f: &mut fmt::Formatter<'_>, commits: &u64| match commits {
            0 => Ok(()),
            1 => f.write_str(", 1 commit"),
            commits => write!(f, ", {commits} commits"),
        };
        match self {
            Self::Branch { name, commits: count } => {
                write!(f, "branch {name}")?;
                commits(f, count)
            }
            Self::Detached { commit, commits: count } => {
                write!(f, "detached HEAD at {}", commit.short())?;
                commits(f, count)
            }
            Self::Unfinished { operation, .. } => write!(f, "{operation} is in progress"),
            Self::Stash { entries } if entries.len() == 1 => f.write_str("1 stash entry"),
            Self::Stash { entries } => write!(f, "{} stash entries", entries.len()),
            Self::Moved { path } => write!(f, "the worktree was moved to {}", path.display()),
            Self::Removed => f.write_str("the worktree was removed"),
            Self::OtherRepository => f.write_str("another repository in the worktree"),
        }
    }
}
