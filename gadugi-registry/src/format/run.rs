//! `run.json`: what is known of a run before it starts.

use std::num::NonZeroUsize;

use gadugi_core::plan::{RawPlan, RawTask};
use gadugi_core::run::{KeepPolicy, Moment, RunLink};
use gadugi_core::{CommitId, MergeId, Plan, RunHeader, RunId, RunSettings};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::agent::BudgetForm;
use super::scalar::{Seconds, Text};
use super::sealed::{is_sealed, seal};
use super::task::TaskForm;
use super::versioned::{from_json, to_json, version_of};
use super::{FormatError, no_format};

/// From version 2 on the file has a checksum, and of the attempt files only `intent.json` holds a line of the
/// journal.
const VERSION: u64 = 2;

/// The last version without a checksum.
const UNSEALED: u64 = 1;

/// The content of `run.json`.
pub(crate) struct StoredRun {
    pub(crate) header: RunHeader,
    pub(crate) version: u64,
}

impl StoredRun {
    /// Whether starts and ends of commands are also files of their attempts, line for line as in the journal.
    pub(crate) fn keeps_all_steps_twice(&self) -> bool {
        self.version == UNSEALED
    }
}

#[derive(Serialize, Deserialize)]
struct RunForm {
    run: Text<RunId>,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moment: Option<MomentForm>,
    base: Option<Text<CommitId>>,
    base_name: Option<String>,
    /// Left out of a run that stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<LinkForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    executor: Option<String>,
    settings: SettingsForm,
    tasks: Vec<TaskForm>,
}

#[derive(Serialize, Deserialize)]
struct MomentForm {
    boot: String,
    uptime_seconds: Seconds,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum LinkForm {
    Retry { run: Text<RunId> },
    Merge { merge: Text<MergeId> },
}

impl TryFrom<&RunLink> for LinkForm {
    type Error = FormatError;

    fn try_from(link: &RunLink) -> Result<Self, FormatError> {
        match link {
            RunLink::Retry { run } => Ok(Self::Retry { run: Text(run.clone()) }),
            RunLink::Merge { merge } => Ok(Self::Merge { merge: Text(merge.clone()) }),
            _ => no_format("this link of a run"),
        }
    }
}

impl From<LinkForm> for RunLink {
    fn from(form: LinkForm) -> Self {
        match form {
            LinkForm::Retry { run } => Self::Retry { run: run.0 },
            LinkForm::Merge { merge } => Self::Merge { merge: merge.0 },
        }
    }
}

#[derive(Serialize, Deserialize)]
struct SettingsForm {
    jobs: NonZeroUsize,
    fail_fast: bool,
    keep: KeepPolicyForm,
    allow_overlap: bool,
    #[serde(flatten)]
    budget: BudgetForm,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeepPolicyForm {
    Failed,
    Always,
    Never,
}

impl TryFrom<KeepPolicy> for KeepPolicyForm {
    type Error = FormatError;

    fn try_from(keep: KeepPolicy) -> Result<Self, FormatError> {
        match keep {
            KeepPolicy::Failed => Ok(Self::Failed),
            KeepPolicy::Always => Ok(Self::Always),
            KeepPolicy::Never => Ok(Self::Never),
            _ => no_format("this policy to keep worktrees"),
        }
    }
}

pub(crate) fn run_to_json(header: &RunHeader) -> Result<String, FormatError> {
    let RunSettings { jobs, fail_fast, keep, allow_overlap, budget } = header.settings;
    let form = RunForm {
        run: Text(header.run.clone()),
        created: header.created,
        moment: header
            .moment
            .as_ref()
            .map(|moment| MomentForm { boot: moment.boot.clone(), uptime_seconds: Seconds(moment.uptime) }),
        base: header.base.clone().map(Text),
        base_name: header.base_name.clone(),
        link: header.link.as_ref().map(LinkForm::try_from).transpose()?,
        executor: header.executor.clone(),
        settings: SettingsForm { jobs, fail_fast, keep: keep.try_into()?, allow_overlap, budget: budget.into() },
        tasks: header.plan.tasks().iter().map(TaskForm::try_from).collect::<Result<_, _>>()?,
    };
    Ok(seal(&to_json(VERSION, &form)?))
}

/// Whether the file says that the run belongs to a merge. Only that is read; `false` where it cannot be.
pub(crate) fn is_of_merge(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct LinkOnly {
        link: Option<LinkForm>,
    }
    serde_json::from_slice(json).is_ok_and(|form: LinkOnly| matches!(form.link, Some(LinkForm::Merge { .. })))
}

/// Reads the file. The checksum comes before everything else, so that a damaged file is never taken for one of
/// a newer version, or of the old one that had none.
pub(crate) fn run_from_json(json: &[u8]) -> Result<StoredRun, FormatError> {
    let sealed = is_sealed(json)?;
    let version = version_of(json)?;
    if !sealed && version != UNSEALED {
        return Err(FormatError::Checksum);
    }
    let form: RunForm = from_json(VERSION, json)?;
    let tasks = form.tasks.into_iter().map(RawTask::from).collect();
    let SettingsForm { jobs, fail_fast, keep, allow_overlap, budget } = form.settings;
    let header = RunHeader {
        run: form.run.0,
        created: form.created,
        moment: form.moment.map(|moment| Moment { boot: moment.boot, uptime: moment.uptime_seconds.0 }),
        base: form.base.map(|base| base.0),
        base_name: form.base_name,
        link: form.link.map(RunLink::from),
        executor: form.executor,
        settings: RunSettings {
            jobs,
            fail_fast,
            keep: match keep {
                KeepPolicyForm::Failed => KeepPolicy::Failed,
                KeepPolicyForm::Always => KeepPolicy::Always,
                KeepPolicyForm::Never => KeepPolicy::Never,
            },
            allow_overlap,
            budget: budget.into(),
        },
        plan: Plan::try_from(RawPlan { tasks }).map_err(FormatError::Plan)?,
    };
    Ok(StoredRun { header, version })
}
