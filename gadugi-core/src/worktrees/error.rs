//! Errors of worktrees.

use std::path::PathBuf;

use thiserror::Error;

use crate::id::{AttemptRef, TaskId};

/// A source error of an adapter.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error in making, keeping or releasing a worktree.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorktreeError {
    /// The branches of the needed tasks cannot be merged.
    #[error("the branches of {} do not merge: {}", .tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" and "), .files.join(", "))]
    Conflict {
        /// The two tasks whose branches do not merge; more where only several together conflict.
        tasks: Vec<TaskId>,
        /// The files in conflict, as paths in the repository.
        files: Vec<String>,
    },
    /// A worktree could not be made. Nothing of it was left behind.
    #[error("cannot make the worktree of {attempt} at {}", .path.display())]
    Create {
        /// The attempt.
        attempt: AttemptRef,
        /// Intended path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Source,
    },
    /// A worktree could not be prepared for isolated commands.
    #[error("cannot isolate the worktree {}", .path.display())]
    Isolate {
        /// The worktree.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Source,
    },
    /// The home folder of an agent could not be made, checked or removed.
    #[error("cannot keep the home folder of the agent of {task}")]
    Home {
        /// The agent's task.
        task: TaskId,
        /// Cause.
        #[source]
        source: Source,
    },
    /// Commits of an isolated attempt could not be imported. The worktree stays as it is.
    #[error("cannot take over what was committed in {}", .path.display())]
    Import {
        /// The worktree.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Source,
    },
    /// Work of an attempt could not be committed. The worktree stays as it is.
    #[error("cannot take the snapshot of {}", .path.display())]
    Snapshot {
        /// The worktree.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Source,
    },
    /// A worktree could not be inspected or removed.
    #[error("cannot release the worktree {}", .path.display())]
    Release {
        /// The worktree.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Source,
    },
    /// The disk is full, or cannot be written to any more. It is no fault of the attempt: the scheduler starts nothing
    /// more, and leaves the attempt to be resumed when there is room.
    #[error("the disk is full or cannot be written to")]
    NoRoom {
        /// The operation that failed.
        #[source]
        source: Source,
    },
    /// The repository itself could not be read or locked.
    #[error("cannot use the repository {}", .path.display())]
    Repository {
        /// The repository.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Source,
    },
}
