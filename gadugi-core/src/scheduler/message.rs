//! Messages from attempts to the dispatcher, and from the dispatcher to attempts.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::agent::{AgentReport, RateLimit, Used};
use crate::executor::{ExecError, ExitStatus, Reattached};
use crate::id::AttemptRef;
use crate::plan::Phase;
use crate::registry::{RegistryError, Ticket};
use crate::run::{CommandRecord, EventKind, StopReason};
use crate::worktrees::{Lease, Work};

/// What an attempt tells the dispatcher.
pub(super) enum Message {
    /// A step, with the way back for the ticket of its record.
    Event(Box<EventKind>, oneshot::Sender<Ticket>),
    /// A record could not be written.
    RegistryFailed(RegistryError),
    /// The disk is full or cannot be written to, which is no fault of the attempt.
    NoRoom(Box<dyn std::error::Error + Send + Sync>),
    /// An executor is about to start a command for an attempt.
    Starting(AttemptRef),
    /// The command of an attempt is suspended, or cannot be.
    Suspended(AttemptRef),
    /// What the agent of an attempt has told so far.
    Agent(AttemptRef, Heard),
}

/// How much an attempt is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopLevel {
    Not,
    WithGrace,
    Now,
}

/// What an earlier driver of the run had done for an attempt.
#[derive(Default)]
pub(super) struct Begun {
    /// The worktree, if there is one, and whether that is recorded.
    pub(super) lease: Option<(Lease, bool)>,
    /// The commands that it has recorded.
    pub(super) commands: Vec<CommandRecord>,
    /// What its agent had told, if that is recorded.
    pub(super) agent: Option<AgentReport>,
    /// What it had collected.
    pub(super) work: Option<Work>,
    /// What became of the command that it had started last, or may have started.
    pub(super) last: Option<(Phase, Result<Reattached, ExecError>)>,
    /// For how long the command that may run was suspended.
    pub(super) suspended: Duration,
    /// Whether the machine was restarted since its worktree was made and before its work was collected.
    pub(super) restarted: bool,
}

/// How a command ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum CommandEnd {
    Exited(ExitStatus),
    /// It was stopped for something that its agent has said.
    Stopped(StopReason),
}

impl CommandEnd {
    /// How it exited; one that was stopped did not by itself.
    pub(super) fn status(self) -> ExitStatus {
        match self {
            Self::Exited(status) => status,
            Self::Stopped(_) => ExitStatus::Unknown,
        }
    }
}

/// What was heard of an agent at once.
pub(super) struct Heard {
    /// All that it has used so far.
    pub(super) used: Used,
    /// Whether its vendor has answered it since it was heard last, and the last thing that it was told is no refusal.
    pub(super) answered: bool,
    /// A refusal that was not heard before.
    pub(super) refused: Option<RateLimit>,
}
