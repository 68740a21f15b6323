//! Outcomes: how an attempt, and with its last one a task, can end.

use std::fmt;

use crate::agent::{AgentError, AgentErrorClass};
use crate::executor::ExitStatus;
use crate::id::TaskId;
use crate::time::Clock;
use crate::worktrees::Elsewhere;

/// The failure of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The setup of its worktree failed; its own command was not started.
    Setup(ExitStatus),
    /// Its command exited with this code, which is not 0.
    ExitCode(i32),
    /// This signal ended its command.
    Signal(i32),
    /// Its command was killed at its memory limit, or failed after a process that it had started was killed there.
    OutOfMemory,
    /// Its command exited with 0, and its check failed.
    Check(ExitStatus),
    /// Its agent reported an error.
    Agent(AgentError),
    /// The budget of its task, or of the run, was reached.
    Budget {
        /// The limit that was reached, in words.
        message: String,
    },
    /// Its worktree could not be made.
    Worktree {
        /// The error with all causes.
        message: String,
    },
    /// Its command could not be started.
    Start {
        /// The error with all causes.
        message: String,
    },
    /// Its commands succeeded, and it has changed nothing although it had to.
    NothingChanged,
    /// Its commands succeeded, and its work is not on its branch. The worktree stays, if it exists.
    Elsewhere(Elsewhere),
    /// Its commands succeeded, and its commits contain conflict markers.
    ConflictMarkers {
        /// Files with conflict markers, as paths in the worktree.
        files: Vec<String>,
    },
    /// Its commands had ended, and its work could not be committed. The worktree stays.
    Snapshot {
        /// The error with all causes.
        message: String,
    },
}

/// The outcome of an attempt, and with the last one of the task. None is ever turned into another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Its command, and its check where it has one, ended with 0.
    Succeeded,
    /// It succeeded without any change on its branch.
    Unchanged,
    /// It failed.
    Failed(Failure),
    /// It was stopped because a clock ran out.
    TimedOut(Clock),
    /// The branches of its needs do not merge.
    Conflict {
        /// Tasks of these branches.
        tasks: Vec<TaskId>,
        /// Files in conflict.
        files: Vec<String>,
    },
    /// It was stopped on request, or not started because of one.
    Cancelled,
    /// It was never started.
    Skipped {
        /// Why.
        because: SkipReason,
    },
    /// Its end is unknown.
    Lost {
        /// The reason, in a few words.
        why: String,
    },
}

/// The reason for which a task was never started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// A task that it needs did not succeed.
    Task(TaskId),
    /// The run has reached its budget.
    Budget {
        /// Task whose agent's report reached it.
        task: TaskId,
        /// The limit that was reached, in words.
        message: String,
    },
}

impl From<TaskId> for SkipReason {
    fn from(task: TaskId) -> Self {
        Self::Task(task)
    }
}

impl Outcome {
    /// Whether it is a success, with or without changes.
    #[must_use]
    pub fn success(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Unchanged)
    }

    /// Whether another attempt may end differently: it failed or timed out by itself. An agent without a valid key
    /// would be refused again.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Failed(failure) => match failure {
                Failure::Setup(_)
                | Failure::ExitCode(_)
                | Failure::Signal(_)
                | Failure::OutOfMemory
                | Failure::Check(_)
                | Failure::NothingChanged
                | Failure::Elsewhere(_)
                | Failure::ConflictMarkers { .. } => true,
                Failure::Agent(_) => !self.is_unauthenticated(),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether its agent was refused by its vendor for a reason that passes. Such an attempt does not count as a retry.
    #[must_use]
    pub fn refused(&self) -> bool {
        matches!(self, Self::Failed(Failure::Agent(error)) if error.class.passes())
    }

    /// Whether its agent has used up its share of a budget that is not used up. Such an attempt does not count as a
    /// retry.
    #[must_use]
    pub fn is_out_of_share(&self) -> bool {
        matches!(self, Self::Failed(Failure::Agent(error)) if error.class == AgentErrorClass::Budget)
    }

    /// Whether its agent could not authenticate to its vendor.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Failed(Failure::Agent(error)) if error.class == AgentErrorClass::Authentication)
    }

    /// The words for tables: `succeeded`, `succeeded, nothing changed`, `failed`, `timed out`, `conflict`, `cancelled`,
    /// `skipped` or `lost`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Unchanged => "succeeded, nothing changed",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed out",
            Self::Conflict { .. } => "conflict",
            Self::Cancelled => "cancelled",
            Self::Skipped { .. } => "skipped",
            Self::Lost { .. } => "lost",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded | Self::Unchanged | Self::Cancelled => f.write_str(self.word()),
            Self::Failed(Failure::Setup(status)) => write!(f, "failed (setup: {status})"),
            Self::Failed(Failure::ExitCode(code)) => write!(f, "failed (exit code {code})"),
            Self::Failed(Failure::Signal(signal)) => write!(f, "failed (signal {signal})"),
            Self::Failed(Failure::OutOfMemory) => f.write_str("failed (out of memory)"),
            Self::Failed(Failure::Check(status)) => write!(f, "failed (check: {status})"),
            Self::Failed(Failure::Agent(error)) => write!(f, "failed ({}: {})", error.class, error.message),
            Self::Failed(Failure::Budget { message }) => write!(f, "failed (budget: {message})"),
            Self::Failed(Failure::NothingChanged) => f.write_str("failed: nothing changed"),
            Self::Failed(Failure::Elsewhere(place)) => write!(f, "failed: work is elsewhere ({place})"),
            Self::Failed(Failure::ConflictMarkers { files }) => {
                write!(f, "failed: conflict markers are committed ({})", files.join(", "))
            }
            Self::Failed(
                Failure::Worktree { message } | Failure::Start { message } | Failure::Snapshot { message },
            ) => write!(f, "failed ({message})"),
            Self::TimedOut(Clock::Wall) => f.write_str("timed out"),
            Self::TimedOut(Clock::Idle) => f.write_str("timed out (no output)"),
            Self::TimedOut(Clock::Setup) => f.write_str("timed out (setup)"),
            Self::Conflict { tasks, files } => {
                let tasks: Vec<_> = tasks.iter().map(TaskId::as_str).collect();
                write!(f, "conflict ({} in {})", tasks.join(" and "), files.join(", "))
            }
            Self::Skipped { because: SkipReason::Task(task) } => write!(f, "skipped (because of {task})"),
            Self::Skipped { because: SkipReason::Budget { message, .. } } => {
                write!(f, "skipped (budget of the run: {message})")
            }
            Self::Lost { why } => write!(f, "lost ({why})"),
        }
    }
}
