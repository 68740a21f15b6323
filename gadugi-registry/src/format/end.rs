//! The JSON form of the ends of commands and attempts.

use gadugi_core::executor::{ExecEnd, ExecUsage, ExitStatus, OutputSummary};
use gadugi_core::run::{Clock, Failure, SkipReason, StopReason};
use gadugi_core::{Outcome, Phase, TaskId};
use serde::{Deserialize, Serialize};

use super::agent::ErrorForm;
use super::elsewhere::ElsewhereForm;
use super::scalar::{Seconds, Text, from_texts, texts};
use super::{FormatError, no_format};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhaseForm {
    Setup,
    Main,
    Check,
}

impl TryFrom<Phase> for PhaseForm {
    type Error = FormatError;

    fn try_from(phase: Phase) -> Result<Self, FormatError> {
        match phase {
            Phase::Setup => Ok(Self::Setup),
            Phase::Main => Ok(Self::Main),
            Phase::Check => Ok(Self::Check),
            _ => no_format("this phase"),
        }
    }
}

impl From<PhaseForm> for Phase {
    fn from(form: PhaseForm) -> Self {
        match form {
            PhaseForm::Setup => Self::Setup,
            PhaseForm::Main => Self::Main,
            PhaseForm::Check => Self::Check,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClockForm {
    Wall,
    Idle,
    Setup,
}

impl TryFrom<Clock> for ClockForm {
    type Error = FormatError;

    fn try_from(clock: Clock) -> Result<Self, FormatError> {
        match clock {
            Clock::Wall => Ok(Self::Wall),
            Clock::Idle => Ok(Self::Idle),
            Clock::Setup => Ok(Self::Setup),
            _ => no_format("this clock"),
        }
    }
}

impl From<ClockForm> for Clock {
    fn from(form: ClockForm) -> Self {
        match form {
            ClockForm::Wall => Self::Wall,
            ClockForm::Idle => Self::Idle,
            ClockForm::Setup => Self::Setup,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum StopReasonForm {
    TimedOut { clock: ClockForm },
    Cancelled,
    Budget,
    Lingered,
    Unauthenticated,
}

impl TryFrom<StopReason> for StopReasonForm {
    type Error = FormatError;

    fn try_from(reason: StopReason) -> Result<Self, FormatError> {
        match reason {
            StopReason::TimedOut(clock) => Ok(Self::TimedOut { clock: clock.try_into()? }),
            StopReason::Cancelled => Ok(Self::Cancelled),
            StopReason::Budget => Ok(Self::Budget),
            StopReason::Lingered => Ok(Self::Lingered),
            StopReason::Unauthenticated => Ok(Self::Unauthenticated),
            _ => no_format("this reason to stop"),
        }
    }
}

impl From<StopReasonForm> for StopReason {
    fn from(form: StopReasonForm) -> Self {
        match form {
            StopReasonForm::TimedOut { clock } => Self::TimedOut(clock.into()),
            StopReasonForm::Cancelled => Self::Cancelled,
            StopReasonForm::Budget => Self::Budget,
            StopReasonForm::Lingered => Self::Lingered,
            StopReasonForm::Unauthenticated => Self::Unauthenticated,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ExitForm {
    Code { code: i32 },
    Signal { signal: i32 },
    OutOfMemory,
    Unknown,
}

impl TryFrom<ExitStatus> for ExitForm {
    type Error = FormatError;

    fn try_from(status: ExitStatus) -> Result<Self, FormatError> {
        match status {
            ExitStatus::Code(code) => Ok(Self::Code { code }),
            ExitStatus::Signal(signal) => Ok(Self::Signal { signal }),
            ExitStatus::OutOfMemory => Ok(Self::OutOfMemory),
            ExitStatus::Unknown => Ok(Self::Unknown),
            _ => no_format("this exit status"),
        }
    }
}

impl From<ExitForm> for ExitStatus {
    fn from(form: ExitForm) -> Self {
        match form {
            ExitForm::Code { code } => Self::Code(code),
            ExitForm::Signal { signal } => Self::Signal(signal),
            ExitForm::OutOfMemory => Self::OutOfMemory,
            ExitForm::Unknown => Self::Unknown,
        }
    }
}

/// The members that describe the end of a command.
#[derive(Serialize, Deserialize)]
pub(crate) struct EndForm {
    pub(crate) status: ExitForm,
    pub(crate) took_seconds: Seconds,
    pub(crate) output_bytes: u64,
    pub(crate) dropped_bytes: u64,
    pub(crate) leaked: bool,
    /// Left out where it was not asked to stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stopped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_memory_bytes: Option<u64>,
}

impl TryFrom<ExecEnd> for EndForm {
    type Error = FormatError;

    fn try_from(end: ExecEnd) -> Result<Self, FormatError> {
        Ok(Self {
            status: end.status.try_into()?,
            took_seconds: Seconds(end.took),
            output_bytes: end.output.bytes,
            dropped_bytes: end.output.dropped,
            leaked: end.output.leaked,
            stopped: end.stopped,
            cpu_seconds: end.usage.cpu.map(Seconds),
            peak_memory_bytes: end.usage.peak_memory,
        })
    }
}

impl From<EndForm> for ExecEnd {
    fn from(form: EndForm) -> Self {
        Self {
            status: form.status.into(),
            took: form.took_seconds.0,
            output: OutputSummary { bytes: form.output_bytes, dropped: form.dropped_bytes, leaked: form.leaked },
            usage: ExecUsage { cpu: form.cpu_seconds.map(|cpu| cpu.0), peak_memory: form.peak_memory_bytes },
            stopped: form.stopped,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FailureForm {
    Setup { status: ExitForm },
    ExitCode { code: i32 },
    Signal { signal: i32 },
    OutOfMemory,
    Check { status: ExitForm },
    Agent { error: ErrorForm },
    Budget { message: String },
    Worktree { message: String },
    Start { message: String },
    NothingChanged,
    Elsewhere { place: ElsewhereForm },
    ConflictMarkers { files: Vec<String> },
    Snapshot { message: String },
}

impl TryFrom<&Failure> for FailureForm {
    type Error = FormatError;

    fn try_from(failure: &Failure) -> Result<Self, FormatError> {
        match failure {
            Failure::Setup(status) => Ok(Self::Setup { status: (*status).try_into()? }),
            Failure::ExitCode(code) => Ok(Self::ExitCode { code: *code }),
            Failure::Signal(signal) => Ok(Self::Signal { signal: *signal }),
            Failure::OutOfMemory => Ok(Self::OutOfMemory),
            Failure::Check(status) => Ok(Self::Check { status: (*status).try_into()? }),
            Failure::Agent(error) => Ok(Self::Agent { error: error.try_into()? }),
            Failure::Budget { message } => Ok(Self::Budget { message: message.clone() }),
            Failure::Worktree { message } => Ok(Self::Worktree { message: message.clone() }),
            Failure::Start { message } => Ok(Self::Start { message: message.clone() }),
            Failure::NothingChanged => Ok(Self::NothingChanged),
            Failure::Elsewhere(place) => Ok(Self::Elsewhere { place: place.try_into()? }),
            Failure::ConflictMarkers { files } => Ok(Self::ConflictMarkers { files: files.clone() }),
            Failure::Snapshot { message } => Ok(Self::Snapshot { message: message.clone() }),
            _ => no_format("this failure"),
        }
    }
}

impl From<FailureForm> for Failure {
    fn from(form: FailureForm) -> Self {
        match form {
            FailureForm::Setup { status } => Self::Setup(status.into()),
            FailureForm::ExitCode { code } => Self::ExitCode(code),
            FailureForm::Signal { signal } => Self::Signal(signal),
            FailureForm::OutOfMemory => Self::OutOfMemory,
            FailureForm::Check { status } => Self::Check(status.into()),
            FailureForm::Agent { error } => Self::Agent(error.into()),
            FailureForm::Budget { message } => Self::Budget { message },
            FailureForm::Worktree { message } => Self::Worktree { message },
            FailureForm::Start { message } => Self::Start { message },
            FailureForm::NothingChanged => Self::NothingChanged,
            FailureForm::Elsewhere { place } => Self::Elsewhere(place.into()),
            FailureForm::ConflictMarkers { files } => Self::ConflictMarkers { files },
            FailureForm::Snapshot { message } => Self::Snapshot { message },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum OutcomeForm {
    Succeeded {
        /// Left out where something was changed, and by versions that did not tell.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        nothing_changed: bool,
    },
    Failed {
        failure: FailureForm,
    },
    TimedOut {
        clock: ClockForm,
    },
    Conflict {
        tasks: Vec<Text<TaskId>>,
        files: Vec<String>,
    },
    Cancelled,
    Skipped {
        because: Text<TaskId>,
        /// The exhausted part of the run's budget; left out where that was not the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<String>,
    },
    Lost {
        why: String,
    },
}

impl TryFrom<&Outcome> for OutcomeForm {
    type Error = FormatError;

    fn try_from(outcome: &Outcome) -> Result<Self, FormatError> {
        match outcome {
            Outcome::Succeeded => Ok(Self::Succeeded { nothing_changed: false }),
            Outcome::Unchanged => Ok(Self::Succeeded { nothing_changed: true }),
            Outcome::Failed(failure) => Ok(Self::Failed { failure: failure.try_into()? }),
            Outcome::TimedOut(clock) => Ok(Self::TimedOut { clock: (*clock).try_into()? }),
            Outcome::Conflict { tasks, files } => Ok(Self::Conflict { tasks: texts(tasks), files: files.clone() }),
            Outcome::Cancelled => Ok(Self::Cancelled),
            Outcome::Skipped { because: SkipReason::Task(task) } => {
                Ok(Self::Skipped { because: Text(task.clone()), budget: None })
            }
            Outcome::Skipped { because: SkipReason::Budget { task, message } } => {
                Ok(Self::Skipped { because: Text(task.clone()), budget: Some(message.clone()) })
            }
            Outcome::Lost { why } => Ok(Self::Lost { why: why.clone() }),
            _ => no_format("this outcome"),
        }
    }
}

impl From<OutcomeForm> for Outcome {
    fn from(form: OutcomeForm) -> Self {
        match form {
            OutcomeForm::Succeeded { nothing_changed: false } => Self::Succeeded,
            OutcomeForm::Succeeded { nothing_changed: true } => Self::Unchanged,
            OutcomeForm::Failed { failure } => Self::Failed(failure.into()),
            OutcomeForm::TimedOut { clock } => Self::TimedOut(clock.into()),
            OutcomeForm::Conflict { tasks, files } => Self::Conflict { tasks: from_texts(tasks), files },
            OutcomeForm::Cancelled => Self::Cancelled,
            OutcomeForm::Skipped { because: Text(task), budget } => Self::Skipped {
                because: match budget {
                    Some(message) => SkipReason::Budget { task, message },
                    None => SkipReason::Task(task),
                },
            },
            OutcomeForm::Lost { why } => Self::Lost { why },
        }
    }
}
