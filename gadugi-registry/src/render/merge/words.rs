//! A merge in words.

use gadugi_core::TaskId;
use gadugi_core::merge::{MergeEnd, MergeRecord, SetAside};

use crate::render::words::{count, duration};

/// Tasks as words: `a, b and c`.
#[must_use]
pub fn merge_tasks(tasks: &[TaskId]) -> String {
    match tasks.split_last() {
        None => String::new(),
        Some((last, [])) => last.to_string(),
        Some((last, rest)) => {
            let rest: Vec<&str> = rest.iter().map(TaskId::as_str).collect();
            format!("{} and {last}", rest.join(", "))
        }
    }
}

/// The end of a merge in a sentence without its full stop.
pub(super) fn merge_result(record: &MergeRecord) -> String {
    let target = &record.header.target;
    let merged = count(record.merged().len() as u64, "task");
    match record.ended.as_ref().map(|(end, _)| end) {
        Some(MergeEnd::Landed) => format!("{merged} merged into {target}"),
        Some(MergeEnd::Kept { branch }) => format!("{merged} merged on {branch}; {target} was left alone"),
        Some(MergeEnd::UpToDate) => format!("{target} has everything already"),
        Some(MergeEnd::Nothing) => format!("nothing could be merged; {target} was left alone"),
        Some(MergeEnd::BaselineRed) => format!("the check fails on {target} alone, so nothing was merged"),
        Some(MergeEnd::Environment { why }) => format!("the check could not be asked, so nothing was merged: {why}"),
        Some(MergeEnd::GaveUp) => {
            format!("nothing could be merged after {}; {target} was left alone", count(record.checks() as u64, "check"))
        }
        Some(MergeEnd::TargetMoved) => format!("{target} has moved each time, so nothing was merged"),
        Some(MergeEnd::TargetGone) => format!("{target} is gone, so nothing was merged"),
        Some(MergeEnd::Cancelled) => format!("stopped; {target} was left alone"),
        Some(MergeEnd::Abandoned) => format!("given up; {target} was left alone"),
        _ => "not over".to_owned(),
    }
}

/// The end of a merge with its figures.
#[must_use]
pub fn merge_figures(record: &MergeRecord) -> String {
    let mut text = merge_result(record);
    if record.checks() > 0 {
        text.push_str(&format!("; {}", count(record.checks() as u64, "check")));
    }
    if record.flakes() > 0 {
        text.push_str(&format!(", {} flaky: red and green on the same files", record.flakes()));
    }
    if let Some((_, Some(wall))) = &record.ended {
        text.push_str(&format!(" in {}", duration(*wall)));
    }
    text
}

/// The reason why a task was not merged; empty where none is known.
#[must_use]
pub fn not_merged(record: &MergeRecord, task: &TaskId) -> String {
    if let Some(reason) = record.set_aside.get(task) {
        return set_aside(record, reason, None, task);
    }
    // Of tasks that cannot land together, the one that was noted last may have landed in place of this one.
    let instead = record.set_aside.iter().find(|(other, reason)| {
        let (SetAside::Conflict { with, .. } | SetAside::Red { with }) = reason;
        with.contains(task) && record.merged().contains(other)
    });
    if let Some((other, reason)) = instead {
        return set_aside(record, reason, Some(other), task);
    }
    let candidates = &record.header.candidates;
    let of = candidates.iter().find(|candidate| candidate.task == *task);
    let needs = of.iter().flat_map(|candidate| &candidate.needs).map(|need| candidates[*need].task.clone());
    let is_missing = |need: &TaskId| !record.merged().contains(need) && !record.contained.contains(need);
    let missing: Vec<TaskId> = needs.filter(is_missing).collect();
    if missing.is_empty() { String::new() } else { format!("needs {}", merge_tasks(&missing)) }
}

/// The reason why a task is set aside, from one that was noted for it or for another one.
fn set_aside(record: &MergeRecord, reason: &SetAside, noted_for: Option<&TaskId>, task: &TaskId) -> String {
    let (SetAside::Conflict { with, .. } | SetAside::Red { with }) = reason;
    let others: Vec<TaskId> = with.iter().chain(noted_for).filter(|other| *other != task).cloned().collect();
    match reason {
        SetAside::Conflict { files, .. } => {
            let with = if others.is_empty() { record.header.target.to_string() } else { merge_tasks(&others) };
            format!("conflicts with {with} in {}", files.join(", "))
        }
        SetAside::Red { .. } if others.is_empty() => "the check fails on it".to_owned(),
        SetAside::Red { .. } => format!("the check fails on it together with {}", merge_tasks(&others)),
    }
}
