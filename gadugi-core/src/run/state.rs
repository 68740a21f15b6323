//! The states of a task, and the one function that leads from one to the next.

use thiserror::Error;

use crate::executor::ExecIdentity;
use crate::id::{AttemptNo, TaskId};
use crate::run::event::EventKind;
use crate::run::outcome::Outcome;

/// The state of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It is ready to start.
    Queued,
    /// It waits for its needs.
    Blocked {
        /// Its needs that have not succeeded yet, in the order of the plan.
        by: Vec<TaskId>,
    },
    /// Its worktree is being made, or its command started.
    Preparing {
        /// Number of the attempt.
        attempt: AttemptNo,
    },
    /// A command of an attempt runs.
    Running {
        /// Number of the attempt.
        attempt: AttemptNo,
        /// Identity of the command.
        identity: ExecIdentity,
    },
    /// A command has ended; the work is being collected, or the next command is about to start.
    Collecting {
        /// Number of the attempt.
        attempt: AttemptNo,
    },
    /// An attempt has ended. Another one or the end of the task follows.
    AttemptOver {
        /// Number of the attempt.
        attempt: AttemptNo,
        /// Outcome of the attempt.
        outcome: Outcome,
    },
    /// It is finished.
    Finished(Outcome),
}

/// An event that cannot happen to a task in its state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a task that is {state} cannot see the event {event}")]
pub struct IllegalTransition {
    /// Word for the state, as of [`TaskState::word`].
    pub state: &'static str,
    /// Name of the event.
    pub event: String,
}

impl TaskState {
    /// The word for tables.
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

    /// Returns the state after an event that concerns this task or one that it waits for. The only place where a state
    /// changes: the scheduler, `ps`, the live view and the report all use it.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event concerns this task and cannot happen in this state, for example a second
    /// end of an attempt.
    pub fn next(&self, task: &TaskId, event: &EventKind) -> Result<Self, IllegalTransition> {
        if event.task() != Some(task) {
            return Ok(self.after_other(event));
        }
        let illegal = || Err(IllegalTransition { state: self.word(), event: event.name().to_owned() });
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
            // Its agent could not authenticate.
            (Self::Queued | Self::Blocked { .. }, EventKind::TaskFinished { outcome, .. })
                if outcome.is_unauthenticated() =>
            {
                Ok(Self::Finished(outcome.clone()))
            }
            (_, EventKind::Warning { .. } | EventKind::ConflictForeseen { .. } | EventKind::ConflictGone { .. }) => {
                Ok(self.clone())
            }
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
