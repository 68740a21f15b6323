//! Outcomes: how an attempt, and with its last one a task, can end.

use std::fmt;

use crate::agent::{AgentError, AgentErrorClass};
use crate::executor::ExitStatus;
use crate::id::TaskId;
use crate::time::Clock;
use crate::worktrees::Elsewhere;

/// What failed in a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The command that prepares its worktree did not end well; its own was not started.
    Setup(ExitStatus),
    /// Its command exited with this code, which is not 0.
    ExitCode(i32),
    /// This signal ended its command.
    Signal(i32),
    /// Its command was killed, or failed after something that it had started was killed, for needing more memory than
    /// it may have.
    OutOfMemory,
    /// Its command ended well, and then its check said no.
    Check(ExitStatus),
    /// Its agent says that it has failed.
    Agent(AgentError),
    /// Its task, or the run, has used up what it may.
    Budget {
        /// What has been reached.
        message: String,
    },
    /// There is no worktree for it.
    Worktree {
        /// Why, with all causes.
        message: String,
    },
    /// Its command could not be started.
    Start {
        /// Why, with all causes.
        message: String,
    },
    /// Its commands ended well, and it has changed nothing, which it had to.
    NothingChanged,
    /// Its commands ended well, and its work is not on its branch. The worktree stays, if it is there.
    Elsewhere(Elsewhere),
    /// Its commands ended well, and what it has committed has conflict markers.
    ConflictMarkers {
        /// The files, as paths in the worktree.
        files: Vec<String>,
    },
    /// Its command had ended, and what it had made could not be committed. The worktree stays.
    Snapshot {
        /// Why, with all causes.
        message: String,
    },
}

/// How an attempt, and with the last one the task, ended. None is ever turned into another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Its command, and its check where it has one, ended with 0.
    Succeeded,
    /// The same, and there is nothing new on its branch.
    Unchanged,
    /// Something failed.
    Failed(Failure),
    /// A clock ran out and it was stopped.
    TimedOut(Clock),
    /// The branches that it needs do not merge.
    Conflict {
        /// The tasks whose branches those are.
        tasks: Vec<TaskId>,
        /// The files in conflict.
        files: Vec<String>,
    },
    /// It was stopped on request, or never started for that reason.
    Cancelled,
    /// It was never started.
    Skipped {
        /// Why.
        because: SkipReason,
    },
    /// Nobody can say how it ended.
    Lost {
        /// In a few words.
        why: String,
    },
}

/// Why a task was never started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// This task did not succeed.
    Task(TaskId),
    /// The run has used up what it may.
    Budget {
        /// The task whose agent told of what reached it.
        task: TaskId,
        /// What has been reached.
        message: String,
    },
}

impl From<TaskId> for SkipReason {
    fn from(task: TaskId) -> Self {
        Self::Task(task)
    }
}

impl Outcome {
    /// Whether it is a success, be anything changed or not.
    #[must_use]
    pub fn success(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Unchanged)
    }

    /// Whether another attempt may end otherwise: it failed or ran out of time by itself. An agent without a valid key is
    /// refused the next time too.
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
                Failure::Agent(_) => !self.is_of_authentication(),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether its agent was refused by its vendor for a reason that passes. Such an attempt spends no retry.
    #[must_use]
    pub fn refused(&self) -> bool {
        matches!(self, Self::Failed(Failure::Agent(error)) if error.class.passes())
    }

    /// Whether its agent has used up its part of a budget of which there was more. Such an attempt spends no retry.
    #[must_use]
    pub fn is_out_of_share(&self) -> bool {
        matches!(self, Self::Failed(Failure::Agent(error)) if error.class == AgentErrorClass::Budget)
    }

    /// Whether its agent was not let in by its vendor.
    #[must_use]
    pub fn is_of_authentication(&self) -> bool {
        matches!(self, Self::Failed(Failure::Agent(error)) if error.class == AgentErrorClass::Authentication)
    }

    /// A few words for tables: `succeeded`, `succeeded, nothing changed`, `failed`, `timed out`, `conflict`, `cancelled`,
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
