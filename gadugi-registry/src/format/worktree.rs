//! The JSON form of worktrees, and of the work in them.

use gadugi_core::worktrees::{Counts, IgnoredFiles, KeepReason, Seeded, Unsaved, Work};
use gadugi_core::{AttemptRef, BranchName, CommitId, Lease, RunId, TaskId};
use serde::{Deserialize, Serialize};

use super::elsewhere::ElsewhereForm;
use super::scalar::{Number, PathForm, Text};
use super::{FormatError, no_format};

/// The members that describe a worktree and whose it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct LeaseForm {
    pub(crate) run: Text<RunId>,
    pub(crate) task: Text<TaskId>,
    pub(crate) attempt: Number,
    pub(crate) path: PathForm,
    pub(crate) branch: Option<Text<BranchName>>,
    pub(crate) base: Option<Text<CommitId>>,
}

/// The members that describe what was copied into a worktree; left out where nothing was.
#[derive(Serialize, Deserialize)]
pub(crate) struct SeededForm {
    pub(crate) seeded_files: u64,
    pub(crate) seeded_bytes: u64,
}

impl From<Seeded> for SeededForm {
    fn from(seeded: Seeded) -> Self {
        Self { seeded_files: seeded.files, seeded_bytes: seeded.bytes }
    }
}

impl From<SeededForm> for Seeded {
    fn from(form: SeededForm) -> Self {
        Self { files: form.seeded_files, bytes: form.seeded_bytes }
    }
}

impl From<&Lease> for LeaseForm {
    fn from(lease: &Lease) -> Self {
        Self {
            run: Text(lease.run.clone()),
            task: Text(lease.attempt.task.clone()),
            attempt: Number(lease.attempt.number),
            path: lease.path.as_path().into(),
            branch: lease.branch.clone().map(Text),
            base: lease.base.clone().map(Text),
        }
    }
}

impl From<LeaseForm> for Lease {
    fn from(form: LeaseForm) -> Self {
        Self {
            run: form.run.0,
            attempt: AttemptRef { task: form.task.0, number: form.attempt.0 },
            path: form.path.0,
            branch: form.branch.map(|branch| branch.0),
            base: form.base.map(|base| base.0),
        }
    }
}

/// The members that describe what an attempt made.
#[derive(Serialize, Deserialize)]
pub(crate) struct WorkForm {
    pub(crate) tip: Option<Text<CommitId>>,
    pub(crate) commits: u64,
    pub(crate) files: u64,
    /// Left out where that is what the attempt made, and by versions that did not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of_task: Option<CountsForm>,
    pub(crate) uncommitted: u64,
    pub(crate) left_out: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unsaved: Vec<UnsavedForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept_refs: Vec<String>,
    /// This and what follows is left out where there is nothing of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    elsewhere: Vec<ElsewhereForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conflict_markers: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ignored: Option<IgnoredForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken_over: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct CountsForm {
    commits: u64,
    files: u64,
}

#[derive(Serialize, Deserialize)]
struct IgnoredForm {
    files: u64,
    bytes: u64,
    largest: Vec<String>,
}

impl IgnoredForm {
    /// `None` where nothing is ignored.
    fn of(ignored: &IgnoredFiles) -> Option<Self> {
        let IgnoredFiles { files, bytes, largest } = ignored.clone();
        (ignored.files > 0).then_some(Self { files, bytes, largest })
    }
}

impl From<IgnoredForm> for IgnoredFiles {
    fn from(IgnoredForm { files, bytes, largest }: IgnoredForm) -> Self {
        Self { files, bytes, largest }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct UnsavedForm {
    pub(crate) path: String,
    pub(crate) why: String,
}

impl TryFrom<&Work> for WorkForm {
    type Error = FormatError;

    fn try_from(work: &Work) -> Result<Self, FormatError> {
        Ok(Self {
            tip: work.tip.clone().map(Text),
            commits: work.commits,
            files: work.files,
            of_task: work.of_task.map(|Counts { commits, files }| CountsForm { commits, files }),
            uncommitted: work.uncommitted,
            left_out: work.left_out.clone(),
            unsaved: work
                .unsaved
                .iter()
                .map(|file| UnsavedForm { path: file.path.clone(), why: file.why.clone() })
                .collect(),
            kept_refs: work.kept_refs.clone(),
            elsewhere: work.elsewhere.iter().map(ElsewhereForm::try_from).collect::<Result<_, _>>()?,
            conflict_markers: work.conflict_markers.clone(),
            ignored: IgnoredForm::of(&work.ignored),
            taken_over: work.taken_over.clone(),
        })
    }
}

impl From<WorkForm> for Work {
    fn from(form: WorkForm) -> Self {
        Self {
            tip: form.tip.map(|tip| tip.0),
            commits: form.commits,
            files: form.files,
            of_task: form.of_task.map(|CountsForm { commits, files }| Counts { commits, files }),
            uncommitted: form.uncommitted,
            left_out: form.left_out,
            unsaved: form.unsaved.into_iter().map(|UnsavedForm { path, why }| Unsaved { path, why }).collect(),
            kept_refs: form.kept_refs,
            elsewhere: form.elsewhere.into_iter().map(Into::into).collect(),
            conflict_markers: form.conflict_markers,
            ignored: form.ignored.map(Into::into).unwrap_or_default(),
            taken_over: form.taken_over,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum KeepReasonForm {
    Uncommitted { files: u64 },
    HeadElsewhere,
    GitFileReplaced,
    OperationInProgress { operation: String },
    Submodule { path: String },
    Locked { reason: String },
    Mounted { path: PathForm },
    Stashed { entries: u64 },
    Unmerged { commits: u64 },
    CheckedOut { path: PathForm },
    Moved,
    Requested,
}

impl TryFrom<&KeepReason> for KeepReasonForm {
    type Error = FormatError;

    fn try_from(reason: &KeepReason) -> Result<Self, FormatError> {
        match reason {
            KeepReason::Uncommitted { files } => Ok(Self::Uncommitted { files: *files }),
            KeepReason::HeadElsewhere => Ok(Self::HeadElsewhere),
            KeepReason::GitFileReplaced => Ok(Self::GitFileReplaced),
            KeepReason::OperationInProgress { operation } => {
                Ok(Self::OperationInProgress { operation: operation.clone() })
            }
            KeepReason::Submodule { path } => Ok(Self::Submodule { path: path.clone() }),
            KeepReason::Locked { reason } => Ok(Self::Locked { reason: reason.clone() }),
            KeepReason::Mounted { path } => Ok(Self::Mounted { path: path.as_path().into() }),
            KeepReason::Stashed { entries } => Ok(Self::Stashed { entries: *entries }),
            KeepReason::Unmerged { commits } => Ok(Self::Unmerged { commits: *commits }),
            KeepReason::CheckedOut { path } => Ok(Self::CheckedOut { path: path.as_path().into() }),
            KeepReason::Moved => Ok(Self::Moved),
            KeepReason::Requested => Ok(Self::Requested),
            _ => no_format("this reason to keep a worktree"),
        }
    }
}

impl From<KeepReasonForm> for KeepReason {
    fn from(form: KeepReasonForm) -> Self {
        match form {
            KeepReasonForm::Uncommitted { files } => Self::Uncommitted { files },
            KeepReasonForm::HeadElsewhere => Self::HeadElsewhere,
            KeepReasonForm::GitFileReplaced => Self::GitFileReplaced,
            KeepReasonForm::OperationInProgress { operation } => Self::OperationInProgress { operation },
            KeepReasonForm::Submodule { path } => Self::Submodule { path },
            KeepReasonForm::Locked { reason } => Self::Locked { reason },
            KeepReasonForm::Mounted { path } => Self::Mounted { path: path.0 },
            KeepReasonForm::Stashed { entries } => Self::Stashed { entries },
            KeepReasonForm::Unmerged { commits } => Self::Unmerged { commits },
            KeepReasonForm::CheckedOut { path } => Self::CheckedOut { path: path.0 },
            KeepReasonForm::Moved => Self::Moved,
            KeepReasonForm::Requested => Self::Requested,
        }
    }
}
