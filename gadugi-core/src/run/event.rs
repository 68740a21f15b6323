//! The events of a run, as the registry keeps them and observers see them.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::AgentReport;
use crate::executor::{ExecEnd, ExecIdentity};
use crate::id::{AttemptRef, TaskId};
use crate::plan::Phase;
use crate::run::conflict::{Counterpart, ForeseenConflict};
use crate::run::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::worktrees::{KeepReason, Lease, Seeded, Work};

/// An event of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Number in the run, from 1, without gaps.
    pub seq: u64,
    /// Time by the wall clock, for display only. Durations are measured, not subtracted.
    pub at: Timestamp,
    /// The kind of event, with its data.
    pub kind: EventKind,
}

/// The reason of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// A clock of the command ran out.
    TimedOut(Clock),
    /// The user, or the embedding program, requested it.
    Cancelled,
    /// The budget of the task, or of the run, was reached.
    Budget,
    /// The agent had reported its end, and its process kept running.
    Lingered,
    /// The agent's vendor refused its authentication.
    Unauthenticated,
}

/// The subject of a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// The preferred executor cannot be used, and another one runs the tasks.
    Fallback,
    /// The work of an attempt could not be collected; its worktree stays.
    Snapshot,
    /// A worktree could not be released; it stays.
    Release,
    /// An observer of the run failed and is no longer called.
    Observer,
    /// A command could not be stopped.
    Stop,
    /// A process outlived its command and held its output open. Not an event, like the next two: the report derives the
    /// warning from the end of the command.
    LeakedProcess,
    /// Output is not in the log.
    DroppedOutput,
    /// Files that look like secrets are not on the branch.
    LeftOut,
    /// An agent was denied tools, or asked a question instead of working. Derived from its report.
    Agent,
    /// Work of an attempt is not on its branch, or was moved there. Derived from the collected work.
    Elsewhere,
    /// The output of a failed command ends with an error. Derived from the end of the attempt.
    Output,
    /// A task asks for a limit or an image that its executor does not enforce.
    NotHeld,
    /// The driver of the run ended before the run did. Not an event either: derived from the resumption.
    Interruption,
    /// A part of the registry was damaged, and was repaired as far as possible.
    Damage,
    /// A worktree was not made in the usual way, or is incomplete.
    Worktree,
    /// The requests of an agent are refused, so that its tasks wait.
    RateLimit,
    /// An agent has no valid key or login, so that its tasks do not start.
    Authentication,
    /// The run has reached its budget.
    Budget,
    /// It could not be foretold which branches merge with each other.
    Forecast,
}

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fallback => "fallback",
            Self::Snapshot => "snapshot",
            Self::Release => "release",
            Self::Observer => "observer",
            Self::Stop => "stop",
            Self::LeakedProcess => "leaked process",
            Self::DroppedOutput => "dropped output",
            Self::LeftOut => "left out",
            Self::Agent => "agent",
            Self::Elsewhere => "elsewhere",
            Self::Output => "output",
            Self::NotHeld => "not held",
            Self::Interruption => "interruption",
            Self::Damage => "damage",
            Self::Worktree => "worktree",
            Self::RateLimit => "rate limit",
            Self::Authentication => "authentication",
            Self::Budget => "budget",
            Self::Forecast => "forecast",
        })
    }
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The run starts.
    RunStarted,
    /// Another process resumes a run whose driver had ended before it.
    RunResumed {
        /// Time on the machine's monotonic clock, where it is known.
        moment: Option<Moment>,
    },
    /// The run and its commands are suspended, and its clocks stand still.
    RunSuspended,
    /// The run and its commands continue.
    RunContinued,
    /// The default executor is chosen.
    ExecutorChosen {
        /// Name of the executor.
        executor: String,
        /// Reason of the choice, in a few words.
        reason: String,
    },
    /// An attempt is about to start: recorded before anything is done for it.
    AttemptIntended {
        /// The attempt.
        attempt: AttemptRef,
        /// Name of the executor that will run it.
        executor: String,
    },
    /// The worktree of an attempt exists.
    WorktreeReady {
        /// Lease of the worktree.
        lease: Lease,
        /// Files that were copied into it, if any were.
        seeded: Option<Seeded>,
        /// Time from the request to the lease; `None` for a worktree that an earlier driver had made.
        took: Option<Duration>,
    },
    /// A command has started.
    CommandStarted {
        /// The attempt.
        attempt: AttemptRef,
        /// Phase of the command.
        phase: Phase,
        /// Identity of the command for other processes.
        identity: ExecIdentity,
        /// Time that the executor took to start it; `None` for a reattached command.
        took: Option<Duration>,
    },
    /// A running command was asked to stop.
    StopSent {
        /// The attempt.
        attempt: AttemptRef,
        /// Reason of the stop.
        reason: StopReason,
    },
    /// A command has ended.
    CommandEnded {
        /// The attempt.
        attempt: AttemptRef,
        /// Phase of the command.
        phase: Phase,
        /// End of the command.
        end: ExecEnd,
    },
    /// The agent of an attempt has reported, and its command has ended.
    AgentReported {
        /// The attempt.
        attempt: AttemptRef,
        /// Report of the agent.
        report: AgentReport,
    },
    /// The work of an attempt was collected.
    WorkCollected {
        /// The attempt.
        attempt: AttemptRef,
        /// The work.
        work: Work,
    },
    /// An attempt has ended; recorded once.
    AttemptEnded {
        /// The attempt.
        attempt: AttemptRef,
        /// Its outcome.
        outcome: Outcome,
        /// Error at the end of the output of the failed command, where it is in the form that git uses.
        said: Option<String>,
    },
    /// The worktree of an attempt is removed; its branch holds everything.
    WorktreeReleased {
        /// The attempt.
        attempt: AttemptRef,
    },
    /// The worktree of an attempt stays.
    WorktreeKept {
        /// The attempt.
        attempt: AttemptRef,
        /// Reasons to keep it.
        reasons: Vec<KeepReason>,
    },
    /// A task is finished: its last attempt has ended, or it will never have one.
    TaskFinished {
        /// The task.
        task: TaskId,
        /// Its outcome.
        outcome: Outcome,
    },
    /// A stop of the run, or of some of its tasks, was requested.
    StopRequested {
        /// Tasks to stop; none means all.
        tasks: Vec<TaskId>,
        /// Whether to stop without grace.
        now: bool,
    },
    /// The work of a task that has ended does not merge as text with that of another task, or with the branch that the run
    /// started from. Recorded again when the files change.
    ConflictForeseen(ForeseenConflict),
    /// A conflict that was foreseen is none any more.
    ConflictGone {
        /// The task that has ended.
        task: TaskId,
        /// The other side.
        other: Counterpart,
    },
    /// A warning for the user, which changes no result.
    Warning {
        /// Subject of the warning.
        kind: WarningKind,
        /// Task that it concerns.
        task: Option<TaskId>,
        /// Message, in a sentence.
        message: String,
    },
    /// The run is over.
    RunEnded {
        /// Time since its start, measured by a clock that stands still while the machine sleeps; `None` when the
        /// machine was restarted in between.
        wall: Option<Duration>,
        /// Whether it was stopped before its tasks were finished.
        interrupted: bool,
    },
}

impl EventKind {
    /// The name of the kind, for errors and traces.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted => "RunStarted",
            Self::RunResumed { .. } => "RunResumed",
            Self::RunSuspended => "RunSuspended",
            Self::RunContinued => "RunContinued",
            Self::ExecutorChosen { .. } => "ExecutorChosen",
            Self::AttemptIntended { .. } => "AttemptIntended",
            Self::WorktreeReady { .. } => "WorktreeReady",
            Self::CommandStarted { .. } => "CommandStarted",
            Self::StopSent { .. } => "StopSent",
            Self::CommandEnded { .. } => "CommandEnded",
            Self::AgentReported { .. } => "AgentReported",
            Self::WorkCollected { .. } => "WorkCollected",
            Self::AttemptEnded { .. } => "AttemptEnded",
            Self::WorktreeReleased { .. } => "WorktreeReleased",
            Self::WorktreeKept { .. } => "WorktreeKept",
            Self::TaskFinished { .. } => "TaskFinished",
            Self::StopRequested { .. } => "StopRequested",
            Self::ConflictForeseen(_) => "ConflictForeseen",
            Self::ConflictGone { .. } => "ConflictGone",
            Self::Warning { .. } => "Warning",
            Self::RunEnded { .. } => "RunEnded",
        }
    }

    /// The attempt that it concerns.
    #[must_use]
    pub fn attempt(&self) -> Option<&AttemptRef> {
        match self {
            Self::AttemptIntended { attempt, .. }
            | Self::CommandStarted { attempt, .. }
            | Self::StopSent { attempt, .. }
            | Self::CommandEnded { attempt, .. }
            | Self::AgentReported { attempt, .. }
            | Self::WorkCollected { attempt, .. }
            | Self::AttemptEnded { attempt, .. }
            | Self::WorktreeReleased { attempt }
            | Self::WorktreeKept { attempt, .. } => Some(attempt),
            Self::WorktreeReady { lease, .. } => Some(&lease.attempt),
            _ => None,
        }
    }

    /// The task that it concerns.
    #[must_use]
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::TaskFinished { task, .. } | Self::ConflictGone { task, .. } => Some(task),
            Self::ConflictForeseen(conflict) => Some(&conflict.task),
            Self::Warning { task, .. } => task.as_ref(),
            other => other.attempt().map(|attempt| &attempt.task),
        }
    }
}
