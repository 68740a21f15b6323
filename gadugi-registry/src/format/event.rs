//! The JSON form of events. The name of a kind is the value of its member `kind`, the first one.

use gadugi_core::executor::ExecIdentity;
use gadugi_core::run::{Counterpart, ForeseenConflict, Moment, WarningKind};
use gadugi_core::{AttemptRef, EventKind, TaskId};
use serde::{Deserialize, Serialize};

use super::agent::AgentReportForm;
use super::end::{EndForm, OutcomeForm, PhaseForm, StopReasonForm};
use super::scalar::{Number, Seconds, Text, from_texts, texts};
use super::worktree::{KeepReasonForm, LeaseForm, SeededForm, WorkForm};
use super::{FormatError, no_format};

/// An event as serde has it: `{"<kind>": {<members>}}`. A tag of serde's beside the members would make it hold each of them
/// twice to read it, and a journal is long.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventForm {
    RunStarted {},
    RunResumed {
        boot: Option<String>,
        uptime_seconds: Option<Seconds>,
    },
    RunSuspended {},
    RunContinued {},
    ExecutorChosen {
        executor: String,
        reason: String,
    },
    AttemptIntended {
        task: Text<TaskId>,
        attempt: Number,
        executor: String,
    },
    WorktreeReady {
        #[serde(flatten)]
        lease: LeaseForm,
        took_seconds: Option<Seconds>,
        #[serde(flatten)]
        seeded: Option<SeededForm>,
    },
    CommandStarted {
        task: Text<TaskId>,
        attempt: Number,
        phase: PhaseForm,
        executor: String,
        token: String,
        took_seconds: Option<Seconds>,
    },
    StopSent {
        task: Text<TaskId>,
        attempt: Number,
        reason: StopReasonForm,
    },
    CommandEnded {
        task: Text<TaskId>,
        attempt: Number,
        phase: PhaseForm,
        #[serde(flatten)]
        end: EndForm,
    },
    AgentReported {
        task: Text<TaskId>,
        attempt: Number,
        report: AgentReportForm,
    },
    WorkCollected {
        task: Text<TaskId>,
        attempt: Number,
        #[serde(flatten)]
        work: WorkForm,
    },
    AttemptEnded {
        task: Text<TaskId>,
        attempt: Number,
        outcome: OutcomeForm,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
    },
    WorktreeReleased {
        task: Text<TaskId>,
        attempt: Number,
    },
    WorktreeKept {
        task: Text<TaskId>,
        attempt: Number,
        reasons: Vec<KeepReasonForm>,
    },
    TaskFinished {
        task: Text<TaskId>,
        outcome: OutcomeForm,
    },
    StopRequested {
        tasks: Vec<Text<TaskId>>,
        now: bool,
    },
    ConflictForeseen {
        task: Text<TaskId>,
        #[serde(flatten)]
        other: CounterpartForm,
        files: Vec<String>,
        #[serde(default, skip_serializing_if = "is_zero")]
        more_files: u64,
    },
    ConflictGone {
        task: Text<TaskId>,
        #[serde(flatten)]
        other: CounterpartForm,
    },
    Warning {
        about: WarningForm,
        task: Option<Text<TaskId>>,
        message: String,
    },
    RunEnded {
        wall_seconds: Option<Seconds>,
        interrupted: bool,
    },
}

impl EventForm {
    /// The event as JSON, with its kind beside its members.
    pub(super) fn to_json(&self) -> Result<String, FormatError> {
        let json = serde_json::to_string(self).map_err(FormatError::Json)?;
        let parts = json.strip_prefix("{\"").and_then(|json| json.strip_suffix("}}")?.split_once("\":{"));
        let (kind, members) = parts.expect("cannot fail because every kind has its members as an object");
        let comma = if members.is_empty() { "" } else { "," };
        Ok(format!("{{\"kind\":\"{kind}\"{comma}{members}}}"))
    }

    /// Reads what [`to_json`](Self::to_json) gives, from behind its first brace.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, FormatError> {
        let split = || {
            let (kind, rest) = split_at_byte(json.strip_prefix(b"\"kind\":\"")?, b'"')?;
            Some((kind, rest.strip_prefix(b",").unwrap_or(rest)))
        };
        let Some((kind, members)) = split() else {
            return Err(FormatError::Json(serde::de::Error::missing_field("kind")));
        };
        let json = [b"{\"", kind, b"\":{", members, b"}"].concat();
        serde_json::from_slice(&json).map_err(FormatError::Json)
    }
}

fn split_at_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|found| *found == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The other side of a conflict: a member `other` with a task, or `target` with a branch.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CounterpartForm {
    Other(Text<TaskId>),
    Target(String),
}

impl From<&Counterpart> for CounterpartForm {
    fn from(counterpart: &Counterpart) -> Self {
        match counterpart {
            Counterpart::Task(task) => Self::Other(Text(task.clone())),
            Counterpart::Target(branch) => Self::Target(branch.clone()),
        }
    }
}

impl From<CounterpartForm> for Counterpart {
    fn from(form: CounterpartForm) -> Self {
        match form {
            CounterpartForm::Other(task) => Self::Task(task.0),
            CounterpartForm::Target(branch) => Self::Target(branch),
        }
    }
}

/// Whether a count is left out.
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WarningForm {
    Fallback,
    Snapshot,
    Release,
    Observer,
    Stop,
    LeakedProcess,
    DroppedOutput,
    LeftOut,
    Agent,
    Elsewhere,
    Output,
    NotHeld,
    Worktree,
    RateLimit,
    Authentication,
    Budget,
    Forecast,
    Interruption,
    Damage,
}

impl TryFrom<&WarningKind> for WarningForm {
    type Error = FormatError;

    fn try_from(kind: &WarningKind) -> Result<Self, FormatError> {
        match kind {
            WarningKind::Fallback => Ok(Self::Fallback),
            WarningKind::Snapshot => Ok(Self::Snapshot),
            WarningKind::Release => Ok(Self::Release),
            WarningKind::Observer => Ok(Self::Observer),
            WarningKind::Stop => Ok(Self::Stop),
            WarningKind::LeakedProcess => Ok(Self::LeakedProcess),
            WarningKind::DroppedOutput => Ok(Self::DroppedOutput),
            WarningKind::LeftOut => Ok(Self::LeftOut),
            WarningKind::Agent => Ok(Self::Agent),
            WarningKind::Elsewhere => Ok(Self::Elsewhere),
            WarningKind::Output => Ok(Self::Output),
            WarningKind::NotHeld => Ok(Self::NotHeld),
            WarningKind::Worktree => Ok(Self::Worktree),
            WarningKind::RateLimit => Ok(Self::RateLimit),
            WarningKind::Authentication => Ok(Self::Authentication),
            WarningKind::Budget => Ok(Self::Budget),
            WarningKind::Forecast => Ok(Self::Forecast),
            WarningKind::Interruption => Ok(Self::Interruption),
            WarningKind::Damage => Ok(Self::Damage),
            _ => no_format("this kind of warning"),
        }
    }
}

impl From<WarningForm> for WarningKind {
    fn from(form: WarningForm) -> Self {
        match form {
            WarningForm::Fallback => Self::Fallback,
            WarningForm::Snapshot => Self::Snapshot,
            WarningForm::Release => Self::Release,
            WarningForm::Observer => Self::Observer,
            WarningForm::Stop => Self::Stop,
            WarningForm::LeakedProcess => Self::LeakedProcess,
            WarningForm::DroppedOutput => Self::DroppedOutput,
            WarningForm::LeftOut => Self::LeftOut,
            WarningForm::Agent => Self::Agent,
            WarningForm::Elsewhere => Self::Elsewhere,
            WarningForm::Output => Self::Output,
            WarningForm::NotHeld => Self::NotHeld,
            WarningForm::Worktree => Self::Worktree,
            WarningForm::RateLimit => Self::RateLimit,
            WarningForm::Authentication => Self::Authentication,
            WarningForm::Budget => Self::Budget,
            WarningForm::Forecast => Self::Forecast,
            WarningForm::Interruption => Self::Interruption,
            WarningForm::Damage => Self::Damage,
        }
    }
}

impl TryFrom<&EventKind> for EventForm {
    type Error = FormatError;

    fn try_from(kind: &EventKind) -> Result<Self, FormatError> {
        let task = |attempt: &AttemptRef| Text(attempt.task.clone());
        let number = |attempt: &AttemptRef| Number(attempt.number);
        Ok(match kind {
            EventKind::RunStarted => Self::RunStarted {},
            EventKind::RunResumed { moment } => Self::RunResumed {
                boot: moment.as_ref().map(|moment| moment.boot.clone()),
                uptime_seconds: moment.as_ref().map(|moment| Seconds(moment.uptime)),
            },
            EventKind::RunSuspended => Self::RunSuspended {},
            EventKind::RunContinued => Self::RunContinued {},
            EventKind::ExecutorChosen { executor, reason } => {
                Self::ExecutorChosen { executor: executor.clone(), reason: reason.clone() }
            }
            EventKind::AttemptIntended { attempt, executor } => {
                Self::AttemptIntended { task: task(attempt), attempt: number(attempt), executor: executor.clone() }
            }
            EventKind::WorktreeReady { lease, seeded, took } => Self::WorktreeReady {
                lease: lease.into(),
                took_seconds: took.map(Seconds),
                seeded: seeded.map(SeededForm::from),
            },
            EventKind::CommandStarted { attempt, phase, identity, took } => Self::CommandStarted {
                task: task(attempt),
                attempt: number(attempt),
                phase: (*phase).try_into()?,
                executor: identity.executor.clone(),
                token: identity.token.clone(),
                took_seconds: took.map(Seconds),
            },
            EventKind::StopSent { attempt, reason } => {
                Self::StopSent { task: task(attempt), attempt: number(attempt), reason: (*reason).try_into()? }
            }
            EventKind::CommandEnded { attempt, phase, end } => Self::CommandEnded {
                task: task(attempt),
                attempt: number(attempt),
                phase: (*phase).try_into()?,
                end: (*end).try_into()?,
            },
            EventKind::AgentReported { attempt, report } => {
                Self::AgentReported { task: task(attempt), attempt: number(attempt), report: report.try_into()? }
            }
            EventKind::WorkCollected { attempt, work } => {
                Self::WorkCollected { task: task(attempt), attempt: number(attempt), work: work.try_into()? }
            }
            EventKind::AttemptEnded { attempt, outcome, said } => Self::AttemptEnded {
                task: task(attempt),
                attempt: number(attempt),
                outcome: outcome.try_into()?,
                said: said.clone(),
            },
            EventKind::WorktreeReleased { attempt } => {
                Self::WorktreeReleased { task: task(attempt), attempt: number(attempt) }
            }
            EventKind::WorktreeKept { attempt, reasons } => Self::WorktreeKept {
                task: task(attempt),
                attempt: number(attempt),
                reasons: reasons.iter().map(KeepReasonForm::try_from).collect::<Result<_, _>>()?,
            },
            EventKind::TaskFinished { task, outcome } => {
                Self::TaskFinished { task: Text(task.clone()), outcome: outcome.try_into()? }
            }
            EventKind::StopRequested { tasks, now } => Self::StopRequested { tasks: texts(tasks), now: *now },
            EventKind::ConflictForeseen(ForeseenConflict { task, other, files, more }) => Self::ConflictForeseen {
                task: Text(task.clone()),
                other: other.into(),
                files: files.clone(),
                more_files: *more,
            },
            EventKind::ConflictGone { task, other } => {
                Self::ConflictGone { task: Text(task.clone()), other: other.into() }
            }
            EventKind::Warning { kind, task, message } => {
                Self::Warning { about: kind.try_into()?, task: task.clone().map(Text), message: message.clone() }
            }
            EventKind::RunEnded { wall, interrupted } => {
                Self::RunEnded { wall_seconds: wall.map(Seconds), interrupted: *interrupted }
            }
            _ => return no_format("this kind of event"),
        })
    }
}

impl From<EventForm> for EventKind {
    fn from(form: EventForm) -> Self {
        let whose = |task: Text<TaskId>, Number(number): Number| AttemptRef { task: task.0, number };
        match form {
            EventForm::RunStarted {} => Self::RunStarted,
            EventForm::RunResumed { boot, uptime_seconds } => {
                let moment = boot.zip(uptime_seconds).map(|(boot, uptime)| Moment { boot, uptime: uptime.0 });
                Self::RunResumed { moment }
            }
            EventForm::RunSuspended {} => Self::RunSuspended,
            EventForm::RunContinued {} => Self::RunContinued,
            EventForm::ExecutorChosen { executor, reason } => Self::ExecutorChosen { executor, reason },
            EventForm::AttemptIntended { task, attempt, executor } => {
                Self::AttemptIntended { attempt: whose(task, attempt), executor }
            }
            EventForm::WorktreeReady { lease, took_seconds, seeded } => Self::WorktreeReady {
                lease: lease.into(),
                seeded: seeded.map(Into::into),
                took: took_seconds.map(|took| took.0),
            },
            EventForm::CommandStarted { task, attempt, phase, executor, token, took_seconds } => Self::CommandStarted {
                attempt: whose(task, attempt),
                phase: phase.into(),
                identity: ExecIdentity { executor, token },
                took: took_seconds.map(|took| took.0),
            },
            EventForm::StopSent { task, attempt, reason } => {
                Self::StopSent { attempt: whose(task, attempt), reason: reason.into() }
            }
            EventForm::CommandEnded { task, attempt, phase, end } => {
                Self::CommandEnded { attempt: whose(task, attempt), phase: phase.into(), end: end.into() }
            }
            EventForm::AgentReported { task, attempt, report } => {
                Self::AgentReported { attempt: whose(task, attempt), report: report.into() }
            }
            EventForm::WorkCollected { task, attempt, work } => {
                Self::WorkCollected { attempt: whose(task, attempt), work: work.into() }
            }
            EventForm::AttemptEnded { task, attempt, outcome, said } => {
                Self::AttemptEnded { attempt: whose(task, attempt), outcome: outcome.into(), said }
            }
            EventForm::WorktreeReleased { task, attempt } => Self::WorktreeReleased { attempt: whose(task, attempt) },
            EventForm::WorktreeKept { task, attempt, reasons } => Self::WorktreeKept {
                attempt: whose(task, attempt),
                reasons: reasons.into_iter().map(Into::into).collect(),
            },
            EventForm::TaskFinished { task, outcome } => Self::TaskFinished { task: task.0, outcome: outcome.into() },
            EventForm::StopRequested { tasks, now } => Self::StopRequested { tasks: from_texts(tasks), now },
            EventForm::ConflictForeseen { task, other, files, more_files } => {
                Self::ConflictForeseen(ForeseenConflict { task: task.0, other: other.into(), files, more: more_files })
            }
            EventForm::ConflictGone { task, other } => Self::ConflictGone { task: task.0, other: other.into() },
            EventForm::Warning { about, task, message } => {
                Self::Warning { kind: about.into(), task: task.map(|task| task.0), message }
            }
            EventForm::RunEnded { wall_seconds, interrupted } => {
                Self::RunEnded { wall: wall_seconds.map(|wall| wall.0), interrupted }
            }
        }
    }
}
