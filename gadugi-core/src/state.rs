//! The states of a task, the ways that it can end, and the one function that leads from one to the next.

use std::fmt;

use thiserror::Error;

use crate::agent::{AgentError, AgentErrorClass};
use crate::event::EventKind;
use crate::executor::{ExecIdentity, ExitStatus};
use crate::id::{AttemptNo, TaskId};
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

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It can start as soon as there is room.
    Queued,
    /// It waits for others.
    Blocked {
        /// Those of its needs that have not succeeded yet, in the order of the plan.
        by: Vec<TaskId>,
    },
    /// Its worktree is made and its command started.
    Preparing {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// A command of it runs.
    Running {
        /// Which attempt.
        attempt: AttemptNo,
        /// Names the command.
        identity: ExecIdentity,
    },
    /// Its command has ended; what it made is being collected, or a check is about to run.
    Collecting {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// An attempt has ended. It is followed by another one or by the end of the task.
    AttemptOver {
        /// Which attempt.
        attempt: AttemptNo,
        /// How it ended.
        outcome: Outcome,
    },
    /// It is over.
    Finished(Outcome),
}

/// An event that cannot happen to a task in its state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a task that is {state} cannot see the event {event}")]
pub struct IllegalTransition {
    /// [`TaskState::word`] of the state.
    pub state: &'static str,
    /// The event, as far as it matters.
    pub event: String,
}

impl TaskState {
    /// One word for tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Blocked { .. } => "blocked",
            Self::Preparing { .. } => "preparing",
            Self::Running { .. } => "running",
            Self::Collecting { .. } => "collecting",
            Self::AttemptOver { .. } => "ending",
            Self::Finished(outcome) => outcome.word(),
        }
    }

    /// Whether the task is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Finished(_))
    }

    /// The state after an event, which is about this task or about another one that it waits for. The
    /// only place where a state changes: the scheduler, `ps`, the live view and the report all use it.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event is about this task and cannot happen in this state, for
    /// example a second end of an attempt.
    pub fn next(&self, task: &TaskId, event: &EventKind) -> Result<Self, IllegalTransition> {
        if event.task() != Some(task) {
            return Ok(self.after_other(event));
        }
        let illegal = || {
            let mut event = format!("{event:?}");
            event.truncate(event.find([' ', '{', '(']).unwrap_or(event.len()));
            Err(IllegalTransition { state: self.word(), event })
        };
        let number = event.attempt().map(|attempt| attempt.number);
        match (self, event) {
            (Self::Queued, EventKind::AttemptIntended { attempt, .. }) if attempt.number == AttemptNo::FIRST => {
                Ok(Self::Preparing { attempt: attempt.number })
            }
            (Self::AttemptOver { attempt: last, .. }, EventKind::AttemptIntended { attempt, .. })
                if attempt.number == last.next() =>
            {
                Ok(Self::Preparing { attempt: attempt.number })
            }
            (Self::Preparing { attempt }, EventKind::WorktreeReady { .. }) if number == Some(*attempt) => {
                Ok(self.clone())
            }
            (
                Self::Preparing { attempt: now } | Self::Collecting { attempt: now },
                EventKind::CommandStarted { attempt, identity, .. },
            ) if attempt.number == *now => Ok(Self::Running { attempt: *now, identity: identity.clone() }),
            (Self::Running { attempt, .. }, EventKind::StopSent { .. }) if number == Some(*attempt) => Ok(self.clone()),
            (Self::Running { attempt, .. }, EventKind::CommandEnded { .. }) if number == Some(*attempt) => {
                Ok(Self::Collecting { attempt: *attempt })
            }
            (
                Self::Preparing { attempt } | Self::Running { attempt, .. } | Self::Collecting { attempt },
                EventKind::AgentReported { .. } | EventKind::WorkCollected { .. },
            ) if number == Some(*attempt) => Ok(self.clone()),
            (
                Self::Preparing { attempt: now }
                | Self::Running { attempt: now, .. }
                | Self::Collecting { attempt: now },
                EventKind::AttemptEnded { attempt, outcome, .. },
            ) if attempt.number == *now => Ok(Self::AttemptOver { attempt: *now, outcome: outcome.clone() }),
            // A worktree is put away beside whatever comes next.
            (_, EventKind::WorktreeReleased { .. } | EventKind::WorktreeKept { .. })
                if number.is_some_and(|number| self.has_ended(number)) =>
            {
                Ok(self.clone())
            }
            (Self::AttemptOver { outcome: last, .. }, EventKind::TaskFinished { outcome, .. }) if last == outcome => {
                Ok(Self::Finished(outcome.clone()))
            }
            (
                Self::Queued | Self::Blocked { .. },
                EventKind::TaskFinished { outcome: outcome @ (Outcome::Skipped { .. } | Outcome::Cancelled), .. },
            ) => Ok(Self::Finished(outcome.clone())),
            // Its agent is known not to be let in.
            (Self::Queued | Self::Blocked { .. }, EventKind::TaskFinished { outcome, .. })
                if outcome.is_of_authentication() =>
            {
                Ok(Self::Finished(outcome.clone()))
            }
            (_, EventKind::Warning { .. }) => Ok(self.clone()),
            _ => illegal(),
        }
    }

    /// Whether the attempt of that number has ended.
    fn has_ended(&self, number: AttemptNo) -> bool {
        match self {
            Self::Queued | Self::Blocked { .. } => false,
            Self::Preparing { attempt } | Self::Running { attempt, .. } | Self::Collecting { attempt } => {
                number < *attempt
            }
            Self::AttemptOver { attempt, .. } => number <= *attempt,
            Self::Finished(_) => true,
        }
    }

    fn after_other(&self, event: &EventKind) -> Self {
        match (self, event) {
            (Self::Blocked { by }, EventKind::TaskFinished { task, outcome }) if outcome.success() => {
                let by: Vec<_> = by.iter().filter(|need| *need != task).cloned().collect();
                if by.is_empty() { Self::Queued } else { Self::Blocked { by } }
            }
            _ => self.clone(),
        }
    }
}
