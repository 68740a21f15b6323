//! Errors of a run.

use thiserror::Error;

use crate::executor::ExecError;
use crate::id::{AttemptRef, TaskId};
use crate::registry::RegistryError;
use crate::run::{IllegalTransition, RunRecord};
use crate::worktrees::WorktreeError;

/// Why a run could not be driven to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A task asks for an executor that the run does not have. Nothing was started.
    #[error("{}: the task `{task}` asks for the executor `{executor}`, which is not there", .at)]
    UnknownExecutor {
        /// The task.
        task: TaskId,
        /// What it asks for.
        executor: String,
        /// Where it says so.
        at: crate::plan::SourceLocation,
    },
    /// A task has an agent whose output is read by a format that the run does not have. Nothing was started.
    #[error("{}: the output of the agent of `{task}` is to be read as `{format}`, which is not there", .at)]
    UnknownFormat {
        /// The task.
        task: TaskId,
        /// The format.
        format: String,
        /// Where the task was written down.
        at: crate::plan::SourceLocation,
    },
    /// The registry could not keep a step. What ran at that moment went on to its end, and nothing was
    /// started after it. The run is not over: it can be resumed when the registry works again.
    #[error("the registry failed, so the run stopped early")]
    Registry {
        /// What has happened, also what could not be kept.
        record: Box<RunRecord>,
        /// What went wrong first.
        #[source]
        source: RegistryError,
    },
    /// A worktree, a commit or a command could not be made since the disk is full or cannot be written to. What ran at that
    /// moment went on to its end, and nothing was started after it. The run is not over: it can be resumed when there is
    /// room.
    #[error("there is no room on the disk, so the run stopped early")]
    NoRoom {
        /// What has happened.
        record: Box<RunRecord>,
        /// What could not be done first.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A run cannot be taken over, since an attempt may be running and cannot be reached. Nothing was changed.
    #[error("cannot find out what became of {attempt}")]
    Reattach {
        /// Which attempt.
        attempt: AttemptRef,
        /// Cause.
        #[source]
        source: ExecError,
    },
    /// A run cannot be taken over, since its worktrees cannot be listed. Nothing was changed.
    #[error("cannot tell which worktrees there are")]
    Leases {
        /// Cause.
        #[source]
        source: WorktreeError,
    },
    /// The scheduler contradicted itself: a defect of Gadugi.
    #[error("a defect in the scheduler")]
    Internal {
        /// The contradiction.
        #[source]
        source: IllegalTransition,
    },
}

impl From<IllegalTransition> for RunError {
    fn from(source: IllegalTransition) -> Self {
        Self::Internal { source }
    }
}
