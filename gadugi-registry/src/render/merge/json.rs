//! The report of a merge for scripts.

use gadugi_core::merge::{MergeRecord, TrialRecord};
use gadugi_core::{BranchName, CommitId, MergeId, RunId, TaskId, TreeId};
use jiff::Timestamp;
use serde::Serialize;

use super::words::not_merged;
use crate::format::{MergeEndForm, PathForm, Seconds, Text, TrialResultForm, texts};
use crate::sanitize::escape_in_json;

const SCHEMA: &str = "gadugi.merge/1";

#[derive(Serialize)]
struct MergeReport<'a> {
    schema: &'static str,
    merge: Text<MergeId>,
    run: Text<RunId>,
    created: Timestamp,
    target: Text<BranchName>,
    #[serde(flatten)]
    end: Option<MergeEndForm>,
    wall_seconds: Option<Seconds>,
    old: Option<Text<CommitId>>,
    new: Option<Text<CommitId>>,
    followed: Vec<PathForm>,
    tasks: Vec<TaskForm<'a>>,
    checks: Vec<CheckForm<'a>>,
    checks_run: usize,
    flaky_trees: usize,
}

#[derive(Serialize)]
struct TaskForm<'a> {
    id: Text<TaskId>,
    title: &'a str,
    /// `merged`, `contained` or `set_aside`.
    result: &'static str,
    why: Option<String>,
    tip: Text<CommitId>,
}

#[derive(Serialize)]
struct CheckForm<'a> {
    tree: Text<TreeId>,
    tasks: Vec<Text<TaskId>>,
    run: Option<Text<RunId>>,
    result: Option<TrialResultForm>,
    why: Option<&'a str>,
    took_seconds: Option<Seconds>,
}

/// The report of a merge as JSON, with a newline at its end. What is unknown is `null`. Members may be added within
/// `gadugi.merge/1`; none changes its meaning.
#[must_use]
pub fn merge_json(record: &MergeRecord) -> String {
    let header = &record.header;
    let landed = record.landing.as_ref().filter(|_| record.landed.is_some());
    let (end, wall) = match &record.ended {
        Some((end, wall)) => (MergeEndForm::try_from(end.clone()).ok(), *wall),
        None => (None, None),
    };
    let report = MergeReport {
        schema: SCHEMA,
        merge: Text(header.merge.clone()),
        run: Text(header.run.clone()),
        created: header.created,
        target: Text(header.target.clone()),
        end,
        wall_seconds: wall.map(Seconds),
        old: landed.map(|landing| Text(landing.old.clone())),
        new: landed.map(|landing| Text(landing.new.clone())),
        followed: record.landed.iter().flatten().cloned().map(PathForm).collect(),
        tasks: header.candidates.iter().map(|candidate| task(record, candidate)).collect(),
        checks: record.trials.iter().map(check).collect(),
        checks_run: record.checks(),
        flaky_trees: record.flakes(),
    };
    let json = serde_json::to_string_pretty(&report).expect("cannot fail because all keys are strings");
    escape_in_json(&json) + "\n"
}

fn task<'a>(record: &MergeRecord, candidate: &'a gadugi_core::merge::Candidate) -> TaskForm<'a> {
    let result = if record.merged().contains(&candidate.task) {
        "merged"
    } else if record.contained.contains(&candidate.task) {
        "contained"
    } else {
        "set_aside"
    };
    TaskForm {
        id: Text(candidate.task.clone()),
        title: &candidate.link.title,
        result,
        why: (result == "set_aside").then(|| not_merged(record, &candidate.task)).filter(|why| !why.is_empty()),
        tip: Text(candidate.link.tip.clone()),
    }
}

fn check(trial: &TrialRecord) -> CheckForm<'_> {
    let end = trial.end.as_ref();
    CheckForm {
        tree: Text(trial.trial.tree.clone()),
        tasks: texts(&trial.trial.tasks),
        run: trial.run.clone().map(Text),
        result: end.and_then(|end| end.result?.try_into().ok()),
        why: end.map(|end| end.why.as_str()),
        took_seconds: end.and_then(|end| end.took).map(Seconds),
    }
}
