//! What can go wrong inside the adapter; the errors of the trait and of [`Repository`](crate::Repository)
//! carry these as their source.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use gadugi_core::{BranchName, IdError};
use thiserror::Error;

/// Why a step in the repository failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitError {
    /// Reading or writing git's data failed.
    #[error(transparent)]
    Gix(#[from] gix::Error),
    /// A file or folder could not be used.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was being done to it.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A branch name made from the prefix and the task is none.
    #[error(transparent)]
    Name(#[from] IdError),
    /// Git keeps `a` and `a/b` at one path, so it cannot have both as branches.
    #[error(
        "the branch `{existing}` is in the way: git cannot have `{wanted}` beside it; \
         rename it, or set another branch prefix"
    )]
    BranchInTheWay {
        /// The branch that exists.
        existing: String,
        /// The branch that was to be made.
        wanted: BranchName,
    },
    /// The branch of a lease is gone.
    #[error("the branch `{branch}` does not exist any more")]
    BranchMissing {
        /// Its name.
        branch: BranchName,
    },
    /// The lease was not made by this implementation.
    #[error("it has no branch")]
    NoBranch,
    /// The folder of a lease is gone, and its branch cannot stand for what was in it.
    #[error("the worktree {} does not exist any more", .path.display())]
    WorktreeMissing {
        /// The folder.
        path: PathBuf,
        /// What is wrong with the branch.
        #[source]
        source: Box<GitError>,
    },
    /// There is a branch of the name that was given to an attempt, but it is another one by now.
    #[error("the branch `{branch}` is not the one that was made for this attempt")]
    AnotherBranch {
        /// Its name.
        branch: BranchName,
    },
    /// Git's list of worktrees has no entry that leads to this folder, or one of somebody else.
    #[error("{} is not a worktree of this repository that was made for this attempt", .path.display())]
    NotAWorktree {
        /// The folder.
        path: PathBuf,
    },
    /// The files that belong to git in a worktree's entry were changed to lead elsewhere.
    #[error("git's entry of the worktree leads to {} instead", .path.display())]
    Redirected {
        /// Where it leads.
        path: PathBuf,
    },
    /// The index of the worktree is locked: git runs there, or was killed there.
    #[error("its index is locked by another git process, or one that was killed; if none runs, remove {}", .lock.display())]
    IndexLocked {
        /// The lock file.
        lock: PathBuf,
    },
    /// A reference, or the file of packed references, is locked.
    #[error("a reference is locked by another git process, or one that was killed; if none runs, remove {}", .lock.display())]
    ReferenceLocked {
        /// The lock file.
        lock: PathBuf,
    },
    /// Somebody else has made a branch of this name a moment ago.
    #[error("the branch `{branch}` was made by somebody else in the meantime")]
    BranchTaken {
        /// Its name.
        branch: BranchName,
    },
    /// Somebody else has moved the branch.
    #[error("the branch `{branch}` was moved by somebody else in the meantime")]
    BranchMoved {
        /// Its name.
        branch: BranchName,
    },
    /// The log of a reference needs a name and an address.
    #[error("git knows no committer for the log of a reference")]
    NoCommitter,
    /// The work tree could not be written in full.
    #[error("{} files were not written, among them {first}", .count)]
    Incomplete {
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
    /// A worktree could not be made, and neither could all of it be removed again.
    #[error("it was begun, and its remains could not be removed ({cleanup})")]
    LeftBehind {
        /// Why it could not be made.
        #[source]
        source: Box<GitError>,
        /// Why it could not be removed.
        cleanup: String,
    },
    /// A worktree was removed, but its folder, which has another name by then, could not be deleted in full.
    #[error("the worktree is removed, and what it held is kept, but a part of its folder remains at {}", .folder.display())]
    Remains {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Box<GitError>,
    },
    /// The lock of the repository cannot be shared with the command git.
    #[error("cannot share the lock of the repository with git")]
    ShareLock(#[source] io::Error),
    /// The command git could not be started.
    #[error("cannot start git")]
    Start(#[source] io::Error),
    /// The command git failed.
    #[error("`git worktree add` failed ({status}): {}", .stderr.trim())]
    Command {
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        stderr: String,
    },
}

impl GitError {
    /// For `map_err` on an operation with a file or folder.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
