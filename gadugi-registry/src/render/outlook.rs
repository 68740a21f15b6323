//! What the branches of a run can be merged as, for people.

use gadugi_core::run::{Counterpart, ForeseenConflict, TaskRecord};
use gadugi_core::{Outcome, Report, TaskId};

use super::escape::{code, code_cell};
use super::words::count;
use crate::sanitize::escaped;

/// Files that the list names of a conflict.
const MAX_FILES: usize = 5;
/// Conflicts that the title of the step names.
const MAX_CONFLICTS: usize = 2;

/// The other sides of a task's conflicts, for a cell.
pub(super) fn cell(report: &Report, task: &TaskId) -> Option<String> {
    let others = report.conflicts().iter().filter_map(|conflict| conflict.other_than(task));
    let others: Vec<String> = others.map(|other| code_cell(&other.to_string())).collect();
    Some(others.join(", ")).filter(|others| !others.is_empty())
}

/// The known conflicts, each with its files.
pub(super) fn list(report: &Report) -> Vec<String> {
    let item = |conflict: &ForeseenConflict| {
        let mut files: Vec<String> = conflict.files.iter().take(MAX_FILES).map(|file| code(file)).collect();
        let more = conflict.more + conflict.files.len().saturating_sub(MAX_FILES) as u64;
        if more > 0 {
            files.push(count(more, "more file"));
        }
        let (task, other) = (code(conflict.task.as_str()), code(&conflict.other.to_string()));
        format!("{task} with {other}: {}", files.join(", "))
    };
    report.conflicts().iter().map(item).collect()
}

/// Whether a task's branch still has something that the target lacks, as far as is known.
pub(super) fn is_open(report: &Report, task: &TaskRecord) -> bool {
    let id = &task.task.spec.id;
    is_there(report, id) && report.outlook.as_ref().is_none_or(|outlook| !outlook.in_target.contains(id))
}

/// Whether the branch of a task is there, as far as is known.
pub(super) fn is_there(report: &Report, task: &TaskId) -> bool {
    report.outlook.as_ref().is_none_or(|outlook| !outlook.gone.contains(task))
}

/// What a merge of the run would do.
pub(super) struct Merge {
    /// The title of the step.
    pub(super) title: String,
    /// Whether anything merges.
    pub(super) merges_some: bool,
}

/// What a merge of these tasks would do: they are taken in their order, and one that conflicts with the target or with one
/// taken before is set aside. `None` without a task.
pub(super) fn merge(report: &Report, tasks: &[&TaskRecord]) -> Option<Merge> {
    let (mut taken, mut set_aside) = (Vec::<&TaskId>::new(), Vec::<(&TaskId, Counterpart, &ForeseenConflict)>::new());
    for task in tasks {
        let id = &task.task.spec.id;
        let in_the_way = |conflict: &'_ ForeseenConflict| {
            conflict.other_than(id).filter(|other| match other {
                Counterpart::Task(other) => taken.contains(&other),
                Counterpart::Target(_) => true,
            })
        };
        let mut conflicts = report.conflicts().iter();
        match conflicts.find_map(|conflict| Some((id, in_the_way(conflict)?, conflict))) {
            Some(conflict) => set_aside.push(conflict),
            None => taken.push(id),
        }
    }
    let all = tasks.len();
    if all == 0 {
        return None;
    }
    let unknown = report.outlook.as_ref().is_none_or(|outlook| outlook.unknown > 0);
    let mut parts = Vec::new();
    match (taken.len(), unknown) {
        // Nothing is said of what was not compared.
        (_, true) => {}
        (1, false) if all == 1 => parts.push("it merges as text".to_owned()),
        (some, false) if some == all => parts.push(format!("all {all} merge as text")),
        (some, false) => {
            parts.push(format!("{some} of {all} {} as text", if some == 1 { "merges" } else { "merge" }));
        }
    }
    let named = set_aside.iter().take(MAX_CONFLICTS).map(|(task, other, conflict)| {
        format!("{task} conflicts with {} in {}", escaped(&other.to_string()), escaped(&conflict.files_text()))
    });
    parts.extend(named);
    if set_aside.len() > MAX_CONFLICTS {
        parts.push(format!("{} more conflict", set_aside.len() - MAX_CONFLICTS));
    }
    let what = if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) };
    Some(Merge { title: format!("Merge what succeeded{what}"), merges_some: !taken.is_empty() })
}

/// Whether a retry has anything to run again.
pub(super) fn is_to_retry(task: &TaskRecord) -> bool {
    task.outcome().is_some_and(|outcome: &Outcome| !outcome.success())
}
