//! What happens in a run, in the words that the registry keeps and observers see.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::AgentReport;
use crate::executor::{ExecEnd, ExecIdentity};
use crate::id::{AttemptRef, TaskId};
use crate::plan::Phase;
use crate::run::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::worktrees::{KeepReason, Lease, Seeded, Work};

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the run, from 1, without gaps.
    pub seq: u64,
    /// When it happened, by the wall clock; only for people. Durations are measured, not subtracted.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// Why a command was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// One of its clocks ran out.
    TimedOut(Clock),
    /// The user, or the embedding program, asked for it.
    Cancelled,
    /// Its task, or the run, has used up what it may.
    Budget,
    /// Its agent had said that it was done, and its process went on.
    Lingered,
    /// The vendor of its agent does not let it in.
    Unauthenticated,
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// Another executor runs the tasks than the one that is preferred.
    Fallback,
    /// The work of an attempt could not be collected; its worktree stays.
    Snapshot,
    /// A worktree could not be released; it stays.
    Release,
    /// An observer of the run failed and is not called any more.
    Observer,
    /// A command could not be stopped.
    Stop,
    /// A process outlived its command and held its output open. Not an event: the end of the command says
    /// it, and the report makes a warning of it. So are the next two.
    LeakedProcess,
    /// Output is not in the log.
    DroppedOutput,
    /// Files that look like secrets are not on the branch.
    LeftOut,
    /// An agent was denied tools, or asked a question in place of its work. Concluded from what it told.
    Agent,
    /// Work of an attempt is not on its branch, or was taken over from elsewhere. Concluded from what was collected.
    Elsewhere,
    /// The output of a command that failed ends with an error. Concluded from how the attempt ended.
    Output,
    /// A task asks for a limit or an image that its executor does not hold.
    NotHeld,
    /// The process that drove the run ended before the run did. Not an event either: that the run was resumed
    /// says it.
    Interruption,
    /// Something of the registry was damaged, and was mended as far as it could be.
    Damage,
    /// A worktree was not made in the usual way, or lacks something that it should have.
    Worktree,
    /// An agent's requests are refused, so that its tasks wait.
    RateLimit,
    /// An agent has no key or login that is good, so that its tasks do not start.
    Authentication,
    /// The run has used up what it may.
    Budget,
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
        })
    }
}

/// The kinds of steps.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The run begins.
    RunStarted,
    /// Another process goes on with a run whose driver had ended before it.
    RunResumed {
        /// When, where the machine tells it.
        moment: Option<Moment>,
    },
    /// The run and its commands are suspended, and its clocks stand still.
    RunSuspended,
    /// They go on.
    RunContinued,
    /// Which executor the tasks get that name none, and why it and no other.
    ExecutorChosen {
        /// Its name.
        executor: String,
        /// In a few words.
        reason: String,
    },
    /// An attempt is about to be made: the first thing that is written, before anything is done for it.
    AttemptIntended {
        /// Which.
        attempt: AttemptRef,
        /// Who is going to run it.
        executor: String,
    },
    /// Its worktree is there.
    WorktreeReady {
        /// What was made.
        lease: Lease,
        /// What was copied into it, if anything was.
        seeded: Option<Seeded>,
        /// From the request to the lease; `None` for one that was found after its maker had ended.
        took: Option<Duration>,
    },
    /// A command runs.
    CommandStarted {
        /// Whose.
        attempt: AttemptRef,
        /// Which of its commands.
        phase: Phase,
        /// Names it for other processes.
        identity: ExecIdentity,
        /// How long the executor took to start it; `None` for one that was found again after its start.
        took: Option<Duration>,
    },
    /// A running command was asked to stop.
    StopSent {
        /// Whose.
        attempt: AttemptRef,
        /// Why.
        reason: StopReason,
    },
    /// A command has ended.
    CommandEnded {
        /// Whose.
        attempt: AttemptRef,
        /// Which of its commands.
        phase: Phase,
        /// How.
        end: ExecEnd,
    },
    /// What an attempt's agent has told of its work, once its command has ended.
    AgentReported {
        /// Whose.
        attempt: AttemptRef,
        /// What.
        report: AgentReport,
    },
    /// What an attempt made was collected.
    WorkCollected {
        /// Whose.
        attempt: AttemptRef,
        /// What.
        work: Work,
    },
    /// An attempt has ended; written once.
    AttemptEnded {
        /// Which.
        attempt: AttemptRef,
        /// How.
        outcome: Outcome,
        /// The error with which the output of the command that failed ends, where it names one as git does.
        said: Option<String>,
    },
    /// The worktree of an attempt is gone; its branch holds everything.
    WorktreeReleased {
        /// Whose.
        attempt: AttemptRef,
    },
    /// The worktree of an attempt stays.
    WorktreeKept {
        /// Whose.
        attempt: AttemptRef,
        /// Why.
        reasons: Vec<KeepReason>,
    },
    /// A task has ended: its last attempt has, or it will never have one.
    TaskFinished {
        /// Which.
        task: TaskId,
        /// How.
        outcome: Outcome,
    },
    /// Somebody asked the run, or some of its tasks, to stop.
    StopRequested {
        /// Which tasks; none means all.
        tasks: Vec<TaskId>,
        /// Whether without grace.
        now: bool,
    },
    /// Something that the user should know and that changes no result.
    Warning {
        /// What it is about.
        kind: WarningKind,
        /// The task that it concerns.
        task: Option<TaskId>,
        /// In a sentence.
        message: String,
    },
    /// The run is over.
    RunEnded {
        /// From its start, measured by a clock that stands still while the machine sleeps; `None` when nobody
        /// could measure it, since the machine was restarted in between.
        wall: Option<Duration>,
        /// Whether somebody stopped it before its tasks were through.
        interrupted: bool,
    },
}

impl EventKind {
    /// The attempt that it is about.
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

    /// The task that it is about.
    #[must_use]
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::TaskFinished { task, .. } => Some(task),
            Self::Warning { task, .. } => task.as_ref(),
            other => other.attempt().map(|attempt| &attempt.task),
        }
    }
}
