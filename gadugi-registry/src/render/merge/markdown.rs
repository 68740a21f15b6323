//! The report of a merge for people.

use std::fmt::Write as _;

use gadugi_core::merge::{MergeRecord, TrialRecord, TrialResult};

use super::words::{merge_figures, merge_tasks, not_merged};
use crate::render::escape::{block, code, code_cell, inline};
use crate::render::words::{UNKNOWN, duration};

/// The report of a merge in Markdown.
#[must_use]
pub fn merge_markdown(record: &MergeRecord) -> String {
    let header = &record.header;
    let mut text = format!("# Merge {} of run {}\n\n{}.\n", header.merge, header.run, inline(&merge_figures(record)));
    text.push_str("\n| Task | Result | Why |\n|---|---|---|\n");
    for candidate in &header.candidates {
        let task = &candidate.task;
        let (word, why) = if record.merged().contains(task) {
            ("merged", String::new())
        } else if record.contained.contains(task) {
            ("merged already", String::new())
        } else {
            ("not merged", not_merged(record, task))
        };
        push(&mut text, format_args!("| {} | {word} | {} |", code_cell(task.as_str()), inline(&why)));
    }
    if let Some(landing) = &record.landing {
        let (old, new) = (landing.old.short(), landing.new.short());
        let moved = if record.landed.is_some() { "moved" } else { "was to move" };
        push(&mut text, format_args!("\n{} {moved} from {old} to {new}.", code(header.target.as_str())));
    }
    if let Some((worktree, reason, files, branch)) = &record.blocked {
        let files = if files.is_empty() { String::new() } else { format!(" ({})", files.join(", ")) };
        let worktree = worktree.display().to_string();
        push(&mut text, format_args!("\n{} could not follow: {}{}.", code(&worktree), inline(reason), inline(&files)));
        text.push_str(&format!("\n{}", block("sh", &format!("git merge --ff-only {branch}"))));
    }
    if let Some(check) = &header.settings.check {
        text.push_str("\n## Checks\n\n");
        text.push_str(&block("sh", &check.script));
        text.push_str("\n| Of | Result | Time |\n|---|---|---|\n");
        record.trials.iter().for_each(|trial| push(&mut text, format_args!("{}", row(record, trial))));
    }
    text
}

fn row(record: &MergeRecord, trial: &TrialRecord) -> String {
    let of = match &trial.trial.tasks[..] {
        [] => format!("{} alone", record.header.target),
        tasks => merge_tasks(tasks),
    };
    let (result, took) = match &trial.end {
        None => ("not over".to_owned(), String::new()),
        Some(end) => {
            let word = match end.result {
                Some(TrialResult::Green) => "green",
                Some(TrialResult::Red) => "red",
                Some(TrialResult::Environment) => "could not be asked",
                _ => "none",
            };
            (format!("{word} ({})", end.why), end.took.map_or_else(|| UNKNOWN.to_owned(), duration))
        }
    };
    format!("| {} | {} | {took} |", inline(&of), inline(&result))
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("cannot fail because a String takes any text");
}
