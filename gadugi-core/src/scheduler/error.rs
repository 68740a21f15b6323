//! Errors of a run.

use thiserror::Error;

use crate::executor::ExecError;
use crate::id::{AttemptRef, TaskId};
use crate::registry::RegistryError;
use crate::run::{IllegalTransition, RunRecord};
use crate::worktrees::WorktreeError;

/// An error for which a run could not be driven to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A task names an executor that the run does not have. Nothing was started.
    #[error("{}: the task `{task}` asks for the executor `{executor}`, which is not there", .at)]
    UnknownExecutor {
        /// The task.
        task: TaskId,
        /// Name of the executor.
        executor: String,
        /// Location of the task in the input.
        at: crate::plan::SourceLocation,
    },
    /// A task has an agent whose output format the run does not have. Nothing was started.
    #[error("{}: the output of the agent of `{task}` is to be read as `{format}`, which is not there", .at)]
    UnknownFormat {
        /// The task.
        task: TaskId,
        /// Name of the format.
        format: String,
        /// Location of the task in the input.
        at: crate::plan::SourceLocation,
    },
    /// The registry could not record an event. Running commands ran to their end, and nothing was started after it. The run is
    /// not over: it can be resumed when the registry works again.
    #[error("the registry failed, so the run stopped early")]
    Registry {
        /// Record of the run, including events that could not be recorded.
        record: Box<RunRecord>,
        /// First error.
        #[source]
        source: RegistryError,
    },
    /// A worktree, a commit or a command could not be made since the disk is full or cannot be written to. Running commands ran
    /// to their end, and nothing was started after it. The run is not over: it can be resumed when there is room.
    #[error("there is no room on the disk, so the run stopped early")]
    NoRoom {
        /// Record of the run.
        record: Box<RunRecord>,
        /// First error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A run cannot be resumed, since an attempt may be running and cannot be reached. Nothing was changed.
    #[error("cannot find out what became of {attempt}")]
    Reattach {
        /// The attempt.
        attempt: AttemptRef,
        /// Cause.
        #[source]
        source: ExecError,
    },
    /// A run cannot be resumed, since its worktrees cannot be listed. Nothing was changed.
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
