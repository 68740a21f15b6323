//! Work of an attempt that is not on the attempt's branch.

use std::fmt;
use std::path::PathBuf;

use crate::id::CommitId;

/// A location of work that is not on the attempt's branch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Elsewhere {
    /// The worktree's `HEAD` is on another branch.
    Branch {
        /// Name of the branch, or the full name of a reference that is no branch.
        name: String,
        /// Number of commits of the attempt there that are not on its branch.
        commits: u64,
    },
    /// The worktree's `HEAD` is on no branch.
    Detached {
        /// The commit.
        commit: CommitId,
        /// Number of commits of the attempt there that are not on its branch.
        commits: u64,
    },
    /// A merge, rebase, cherry-pick, revert, am session or bisect was started in the worktree and not finished.
    Unfinished {
        /// Name of the operation, as in `git status`: `a merge`.
        operation: String,
        /// Whether it was started in the private git folder of an isolated attempt, which this machine's git does not
        /// see.
        isolated: bool,
    },
    /// Changes were put away with `git stash` and not applied again.
    Stash {
        /// Names of the entries for `git stash apply`, the latest first.
        entries: Vec<String>,
    },
    /// The worktree is at another path.
    Moved {
        /// Path of the worktree.
        path: PathBuf,
    },
    /// The worktree, or everything in it, is gone.
    Removed,
    /// `.git` in the worktree is, or leads to, another repository. The files are on the branch, and the commits of that
    /// repository are not.
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
