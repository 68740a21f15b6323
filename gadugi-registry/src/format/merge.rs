//! The files of a merge: its header, and the events of its journal.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use gadugi_core::merge::{
    Candidate, Check, Link, MergeEnd, MergeEvent, MergeEventKind, MergeHeader, MergeSettings, Regenerate, Strategy,
    Trial, TrialResult,
};
use gadugi_core::{BranchName, CommitId, MergeId, RunId, TaskId, TreeId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::line::{open_line, seal_line};
use super::scalar::{PathForm, Seconds, Text, from_texts, texts};
use super::sealed::{is_sealed, seal};
use super::versioned::{from_json, to_json};
use super::{FormatError, no_format};

const VERSION: u64 = 1;

/// `merge.json`.
#[derive(Serialize, Deserialize)]
struct MergeForm {
    merge: Text<MergeId>,
    created: Timestamp,
    run: Text<RunId>,
    target: Text<BranchName>,
    strategy: StrategyForm,
    jobs: NonZeroUsize,
    check: Option<CheckForm>,
    resolve: Option<String>,
    regenerate: Vec<RegenerateForm>,
    candidates: Vec<CandidateForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StrategyForm {
    Merge,
    Squash,
    Rebase,
}

#[derive(Serialize, Deserialize)]
struct CheckForm {
    script: String,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct RegenerateForm {
    pattern: String,
    script: String,
}

#[derive(Serialize, Deserialize)]
struct CandidateForm {
    task: Text<TaskId>,
    title: String,
    run: Text<RunId>,
    tip: Text<CommitId>,
    base: Text<CommitId>,
    /// Ids of the candidates that it needs.
    needs: Vec<Text<TaskId>>,
}

/// The header of a merge as `merge.json`.
pub(crate) fn merge_to_json(header: &MergeHeader) -> Result<String, FormatError> {
    let MergeSettings { strategy, jobs, check, resolve, regenerate } = &header.settings;
    let candidate = |candidate: &Candidate| CandidateForm {
        task: Text(candidate.task.clone()),
        title: candidate.link.title.clone(),
        run: Text(candidate.link.run.clone()),
        tip: Text(candidate.link.tip.clone()),
        base: Text(candidate.link.base.clone()),
        needs: candidate.needs.iter().map(|need| Text(header.candidates[*need].task.clone())).collect(),
    };
    let form = MergeForm {
        merge: Text(header.merge.clone()),
        created: header.created,
        run: Text(header.run.clone()),
        target: Text(header.target.clone()),
        strategy: match strategy {
            Strategy::Merge => StrategyForm::Merge,
            Strategy::Squash => StrategyForm::Squash,
            Strategy::Rebase => StrategyForm::Rebase,
        },
        jobs: *jobs,
        check: check.clone().map(|Check { script, key }| CheckForm { script, key }),
        resolve: resolve.clone(),
        regenerate: regenerate
            .iter()
            .cloned()
            .map(|Regenerate { pattern, script }| RegenerateForm { pattern, script })
            .collect(),
        candidates: header.candidates.iter().map(candidate).collect(),
    };
    Ok(seal(&to_json(VERSION, &form)?))
}

/// Reads `merge.json`.
pub(crate) fn merge_from_json(json: &[u8]) -> Result<MergeHeader, FormatError> {
    if !is_sealed(json)? {
        return Err(FormatError::Checksum);
    }
    let form: MergeForm = from_json(VERSION, json)?;
    let ids: Vec<TaskId> = form.candidates.iter().map(|candidate| candidate.task.0.clone()).collect();
    let position = |need: &Text<TaskId>| ids.iter().position(|id| *id == need.0);
    let candidate = |form: CandidateForm| Candidate {
        link: Link {
            name: form.task.0.to_string(),
            title: form.title,
            run: form.run.0,
            tip: form.tip.0,
            base: form.base.0,
        },
        task: form.task.0,
        needs: form.needs.iter().filter_map(position).collect(),
    };
    Ok(MergeHeader {
        merge: form.merge.0,
        created: form.created,
        run: form.run.0,
        target: form.target.0,
        settings: MergeSettings {
            strategy: match form.strategy {
                StrategyForm::Merge => Strategy::Merge,
                StrategyForm::Squash => Strategy::Squash,
                StrategyForm::Rebase => Strategy::Rebase,
            },
            jobs: form.jobs,
            check: form.check.map(|CheckForm { script, key }| Check { script, key }),
            resolve: form.resolve,
            regenerate: form
                .regenerate
                .into_iter()
                .map(|RegenerateForm { pattern, script }| Regenerate { pattern, script })
                .collect(),
        },
        candidates: form.candidates.into_iter().map(candidate).collect(),
    })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum MergeEventForm {
    Resumed,
    TargetSeen {
        tip: Text<CommitId>,
    },
    ConflictFound {
        task: Text<TaskId>,
        with: Vec<Text<TaskId>>,
        files: Vec<String>,
    },
    Contained {
        task: Text<TaskId>,
    },
    TrialsStarted {
        run: Text<RunId>,
        trials: Vec<TrialForm>,
    },
    TrialEnded {
        #[serde(flatten)]
        trial: TrialForm,
        result: Option<ResultForm>,
        why: String,
        took_seconds: Option<Seconds>,
        run: Option<Text<RunId>>,
    },
    Blamed {
        tasks: Vec<Text<TaskId>>,
    },
    WorkStarted {
        run: Text<RunId>,
        task: Option<Text<TaskId>>,
    },
    WorkEnded {
        run: Text<RunId>,
        task: Option<Text<TaskId>>,
        tip: Option<Text<CommitId>>,
        why: String,
    },
    LandingIntended {
        old: Text<CommitId>,
        new: Text<CommitId>,
        tasks: Vec<Text<TaskId>>,
    },
    Landed {
        new: Text<CommitId>,
        followed: Vec<PathForm>,
    },
    TargetMoved {
        now: Option<Text<CommitId>>,
    },
    LandingBlocked {
        worktree: PathForm,
        reason: String,
        files: Vec<String>,
        kept: Text<BranchName>,
    },
    Ended {
        #[serde(flatten)]
        end: EndForm,
        wall_seconds: Option<Seconds>,
    },
}

#[derive(Serialize, Deserialize)]
struct TrialForm {
    commit: Text<CommitId>,
    tree: Text<TreeId>,
    tasks: Vec<Text<TaskId>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResultForm {
    Green,
    Red,
    Environment,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub(crate) enum EndForm {
    Landed,
    Kept { branch: Text<BranchName> },
    UpToDate,
    Nothing,
    BaselineRed,
    Environment { why: String },
    GaveUp,
    TargetMoved,
    TargetGone,
    Cancelled,
    Abandoned,
}

impl TryFrom<TrialResult> for ResultForm {
    type Error = FormatError;

    fn try_from(result: TrialResult) -> Result<Self, FormatError> {
        Ok(match result {
            TrialResult::Green => Self::Green,
            TrialResult::Red => Self::Red,
            TrialResult::Environment => Self::Environment,
            _ => return no_format("this result of a trial"),
        })
    }
}

impl From<ResultForm> for TrialResult {
    fn from(form: ResultForm) -> Self {
        match form {
            ResultForm::Green => Self::Green,
            ResultForm::Red => Self::Red,
            ResultForm::Environment => Self::Environment,
        }
    }
}

impl TryFrom<MergeEnd> for EndForm {
    type Error = FormatError;

    fn try_from(end: MergeEnd) -> Result<Self, FormatError> {
        Ok(match end {
            MergeEnd::Landed => Self::Landed,
            MergeEnd::Kept { branch } => Self::Kept { branch: Text(branch) },
            MergeEnd::UpToDate => Self::UpToDate,
            MergeEnd::Nothing => Self::Nothing,
            MergeEnd::BaselineRed => Self::BaselineRed,
            MergeEnd::Environment { why } => Self::Environment { why },
            MergeEnd::GaveUp => Self::GaveUp,
            MergeEnd::TargetMoved => Self::TargetMoved,
            MergeEnd::TargetGone => Self::TargetGone,
            MergeEnd::Cancelled => Self::Cancelled,
            MergeEnd::Abandoned => Self::Abandoned,
            _ => return no_format("this end of a merge"),
        })
    }
}

impl From<EndForm> for MergeEnd {
    fn from(form: EndForm) -> Self {
        match form {
            EndForm::Landed => Self::Landed,
            EndForm::Kept { branch } => Self::Kept { branch: branch.0 },
            EndForm::UpToDate => Self::UpToDate,
            EndForm::Nothing => Self::Nothing,
            EndForm::BaselineRed => Self::BaselineRed,
            EndForm::Environment { why } => Self::Environment { why },
            EndForm::GaveUp => Self::GaveUp,
            EndForm::TargetMoved => Self::TargetMoved,
            EndForm::TargetGone => Self::TargetGone,
            EndForm::Cancelled => Self::Cancelled,
            EndForm::Abandoned => Self::Abandoned,
        }
    }
}

impl From<Trial> for TrialForm {
    fn from(Trial { commit, tree, tasks }: Trial) -> Self {
        Self { commit: Text(commit), tree: Text(tree), tasks: texts(&tasks) }
    }
}

impl From<TrialForm> for Trial {
    fn from(form: TrialForm) -> Self {
        Self { commit: form.commit.0, tree: form.tree.0, tasks: from_texts(form.tasks) }
    }
}

impl TryFrom<&MergeEventKind> for MergeEventForm {
    type Error = FormatError;

    fn try_from(kind: &MergeEventKind) -> Result<Self, FormatError> {
        Ok(match kind.clone() {
            MergeEventKind::Resumed => Self::Resumed,
            MergeEventKind::TargetSeen { tip } => Self::TargetSeen { tip: Text(tip) },
            MergeEventKind::ConflictFound { task, with, files } => {
                Self::ConflictFound { task: Text(task), with: texts(&with), files }
            }
            MergeEventKind::Contained { task } => Self::Contained { task: Text(task) },
            MergeEventKind::TrialsStarted { run, trials } => {
                Self::TrialsStarted { run: Text(run), trials: trials.into_iter().map(TrialForm::from).collect() }
            }
            MergeEventKind::TrialEnded { trial, result, why, took, run } => Self::TrialEnded {
                trial: trial.into(),
                result: result.map(ResultForm::try_from).transpose()?,
                why,
                took_seconds: took.map(Seconds),
                run: run.map(Text),
            },
            MergeEventKind::Blamed { tasks } => Self::Blamed { tasks: texts(&tasks) },
            MergeEventKind::WorkStarted { run, task } => Self::WorkStarted { run: Text(run), task: task.map(Text) },
            MergeEventKind::WorkEnded { run, task, tip, why } => {
                Self::WorkEnded { run: Text(run), task: task.map(Text), tip: tip.map(Text), why }
            }
            MergeEventKind::LandingIntended { old, new, tasks } => {
                Self::LandingIntended { old: Text(old), new: Text(new), tasks: texts(&tasks) }
            }
            MergeEventKind::Landed { new, followed } => {
                Self::Landed { new: Text(new), followed: followed.into_iter().map(PathForm).collect() }
            }
            MergeEventKind::TargetMoved { now } => Self::TargetMoved { now: now.map(Text) },
            MergeEventKind::LandingBlocked { worktree, reason, files, kept } => {
                Self::LandingBlocked { worktree: PathForm(worktree), reason, files, kept: Text(kept) }
            }
            MergeEventKind::Ended { end, wall } => {
                Self::Ended { end: end.try_into()?, wall_seconds: wall.map(Seconds) }
            }
            _ => return no_format("this kind of event of a merge"),
        })
    }
}

impl From<MergeEventForm> for MergeEventKind {
    fn from(form: MergeEventForm) -> Self {
        match form {
            MergeEventForm::Resumed => Self::Resumed,
            MergeEventForm::TargetSeen { tip } => Self::TargetSeen { tip: tip.0 },
            MergeEventForm::ConflictFound { task, with, files } => {
                Self::ConflictFound { task: task.0, with: from_texts(with), files }
            }
            MergeEventForm::Contained { task } => Self::Contained { task: task.0 },
            MergeEventForm::TrialsStarted { run, trials } => {
                Self::TrialsStarted { run: run.0, trials: trials.into_iter().map(Trial::from).collect() }
            }
            MergeEventForm::TrialEnded { trial, result, why, took_seconds, run } => Self::TrialEnded {
                trial: trial.into(),
                result: result.map(TrialResult::from),
                why,
                took: took_seconds.map(|took| took.0),
                run: run.map(|run| run.0),
            },
            MergeEventForm::Blamed { tasks } => Self::Blamed { tasks: from_texts(tasks) },
            MergeEventForm::WorkStarted { run, task } => {
                Self::WorkStarted { run: run.0, task: task.map(|task| task.0) }
            }
            MergeEventForm::WorkEnded { run, task, tip, why } => {
                Self::WorkEnded { run: run.0, task: task.map(|task| task.0), tip: tip.map(|tip| tip.0), why }
            }
            MergeEventForm::LandingIntended { old, new, tasks } => {
                Self::LandingIntended { old: old.0, new: new.0, tasks: from_texts(tasks) }
            }
            MergeEventForm::Landed { new, followed } => {
                let followed: Vec<PathBuf> = followed.into_iter().map(|path| path.0).collect();
                Self::Landed { new: new.0, followed }
            }
            MergeEventForm::TargetMoved { now } => Self::TargetMoved { now: now.map(|now| now.0) },
            MergeEventForm::LandingBlocked { worktree, reason, files, kept } => {
                Self::LandingBlocked { worktree: worktree.0, reason, files, kept: kept.0 }
            }
            MergeEventForm::Ended { end, wall_seconds } => {
                Self::Ended { end: end.into(), wall: wall_seconds.map(|wall| wall.0) }
            }
        }
    }
}

/// An event as a line of the journal of a merge, with its newline.
pub(crate) fn encode_merge_event(event: &MergeEvent) -> Result<String, FormatError> {
    let json = serde_json::to_string(&MergeEventForm::try_from(&event.kind)?).map_err(FormatError::Json)?;
    Ok(seal_line(event.seq, event.at, &json))
}

/// Reads such a line without its newline.
pub(crate) fn decode_merge_event(line: &[u8]) -> Result<MergeEvent, FormatError> {
    let (seq, at, rest) = open_line(line)?;
    let json = [b"{", rest].concat();
    let form: MergeEventForm = serde_json::from_slice(&json).map_err(FormatError::Json)?;
    Ok(MergeEvent { seq, at, kind: form.into() })
}

/// An event of a merge as one line of JSON without a newline and without its checksum: what `--json` prints.
///
/// # Errors
/// [`FormatError::NoFormat`].
pub fn merge_event_to_json(event: &MergeEvent) -> Result<String, FormatError> {
    let line = encode_merge_event(event)?;
    let line = line.trim_end();
    let member = line.find("\"crc\":\"").unwrap_or(line.len());
    let (head, rest) = line.split_at(member);
    Ok(format!("{head}{}", rest.split_once(',').map_or("", |(_, rest)| rest)))
}

/// `checks/<key>-<tree>`: a check that has succeeded.
#[derive(Serialize, Deserialize)]
struct KeptCheckForm {
    result: ResultForm,
    at: Timestamp,
}

pub(crate) fn kept_check_to_json(result: TrialResult) -> Result<String, FormatError> {
    to_json(VERSION, &KeptCheckForm { result: result.try_into()?, at: Timestamp::now() })
}

pub(crate) fn kept_check_from_json(json: &[u8]) -> Result<TrialResult, FormatError> {
    let form: KeptCheckForm = from_json(VERSION, json)?;
    Ok(form.result.into())
}
