//! Messages from attempts to the dispatcher, and from the dispatcher to attempts.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::agent::{AgentReport, RateLimit, Used};
use crate::executor::{ExecError, ExitStatus, Reattached};
use crate::id::{AttemptRef, TaskId};
use crate::plan::Phase;
use crate::registry::{RegistryError, Ticket};
use crate::run::{CommandRecord, Counterpart, EventKind, StopReason};
use crate::worktrees::{Lease, Verdict, Work};

/// A message from an attempt to the dispatcher.
pub(super) enum Message {
    /// An event, with the reply channel for its ticket.
    Event(Box<EventKind>, oneshot::Sender<Ticket>),
    /// An event could not be recorded.
    RegistryFailed(RegistryError),
    /// The disk is full or cannot be written to, which is not a failure of the attempt.
    NoRoom(Box<dyn std::error::Error + Send + Sync>),
    /// An executor is about to start a command for an attempt.
    Starting(AttemptRef),
    /// The command of an attempt is suspended, or cannot be.
    Suspended(AttemptRef),
    /// A forecast of merges, or the error that kept it from being made.
    Forecast(Result<Vec<Foreseen>, String>),
    /// Progress of an attempt's agent.
    Agent(AttemptRef, AgentProgress),
}

/// The verdict on a task that has ended, with another side.
pub(super) struct Foreseen {
    pub(super) task: TaskId,
    pub(super) other: Counterpart,
    pub(super) verdict: Verdict,
}

/// The urgency with which an attempt is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopLevel {
    Not,
    WithGrace,
    Now,
}

impl StopLevel {
    /// The level of a request to stop, `now` or with grace.
    pub(super) fn of(now: bool) -> Self {
        if now { Self::Now } else { Self::WithGrace }
    }
}

/// The work of an earlier driver for an attempt.
#[derive(Default)]
pub(super) struct Recovered {
    /// Lease of the worktree, if there is one, and whether it is recorded.
    pub(super) lease: Option<(Lease, bool)>,
    /// Recorded commands.
    pub(super) commands: Vec<CommandRecord>,
    /// Recorded report of the agent.
    pub(super) agent: Option<AgentReport>,
    /// Recorded work.
    pub(super) work: Option<Work>,
    /// State of the command that it had started last, or may have started.
    pub(super) last: Option<(Phase, Result<Reattached, ExecError>)>,
    /// Time for which the command that may run was suspended.
    pub(super) suspended: Duration,
    /// Whether the machine was restarted after its worktree was made and before its work was collected.
    pub(super) restarted: bool,
}

/// The end of a command.
#[derive(Debug, Clone, Copy)]
pub(super) enum CommandEnd {
    Exited(ExitStatus),
    /// It was stopped because of its agent's report.
    Stopped(StopReason),
}

impl CommandEnd {
    /// Its exit status; unknown for a command that was stopped.
    pub(super) fn status(self) -> ExitStatus {
        match self {
            Self::Exited(status) => status,
            Self::Stopped(_) => ExitStatus::Unknown,
        }
    }
}

/// The progress of an agent since the last poll.
pub(super) struct AgentProgress {
    /// Use of the call so far.
    pub(super) used: Used,
    /// Whether its vendor has answered it since the last poll, and has not refused it after that.
    pub(super) answered: bool,
    /// A new refusal.
    pub(super) refused: Option<RateLimit>,
}
