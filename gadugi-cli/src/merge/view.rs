//! A merge as people see it: a line for each event while it goes on, and a summary at its end.

use gadugi_core::TaskId;
use gadugi_core::merge::{Candidate, MergeEnd, MergeEvent, MergeEventKind, MergeRecord, Trial, TrialResult};
use gadugi_registry::render::merge_tasks;

use crate::terminal::{Terminal, Tone, duration_text};

/// Prints events of a merge.
pub(super) fn show(terminal: &Terminal, event: &MergeEvent, record: &MergeRecord) {
    if let Some(line) = line(terminal, event, record) {
        terminal.say(&line);
    }
}

fn line(terminal: &Terminal, event: &MergeEvent, record: &MergeRecord) -> Option<String> {
    Some(match &event.kind {
        MergeEventKind::Resumed => "going on where it was cut short".to_owned(),
        MergeEventKind::TargetSeen { tip } => {
            let again = if record.targets.len() > 1 { "once more " } else { "" };
            format!("merging {again}onto {} at {}", record.header.target, tip.short())
        }
        MergeEventKind::ConflictFound { task, with, files } => {
            let with = if with.is_empty() { record.header.target.to_string() } else { merge_tasks(with) };
            let label = terminal.toned_err(Tone::Notice, "conflict:");
            format!("{label} {task} with {with} in {}", files.join(", "))
        }
        MergeEventKind::TrialsStarted { trials, .. } => match &trials[..] {
            [trial] => format!("checking {}", tried(trial, record)),
            trials => format!("checking {} combinations at once", trials.len()),
        },
        MergeEventKind::TrialEnded { trial, result, why, took, .. } => {
            let word = match result {
                Some(TrialResult::Green) => terminal.toned_err(Tone::Good, "green:"),
                Some(TrialResult::Red) => terminal.toned_err(Tone::Bad, "red:"),
                _ => terminal.toned_err(Tone::Notice, "no result:"),
            };
            let took = took.map(|took| format!(" after {}", duration_text(took))).unwrap_or_default();
            format!("{word} {} ({why}{took})", tried(trial, record))
        }
        MergeEventKind::Blamed { tasks } => {
            let together = if tasks.len() > 1 { " together" } else { "" };
            format!("{} {}{together}", terminal.toned_err(Tone::Bad, "the check fails because of"), merge_tasks(tasks))
        }
        MergeEventKind::WorkStarted { task: Some(task), run } => format!("the agent of {task} goes on (run {run})"),
        MergeEventKind::WorkStarted { task: None, .. } => "making generated files anew".to_owned(),
        MergeEventKind::WorkEnded { task: Some(task), why, .. } => format!("the agent of {task}: {why}"),
        MergeEventKind::WorkEnded { task: None, tip: None, why, .. } => format!("generated files: {why}"),
        MergeEventKind::TargetMoved { now } => {
            let now = now.as_ref().map_or_else(|| "gone".to_owned(), |now| format!("at {}", now.short()));
            format!("{} has moved meanwhile: it is {now}", record.header.target)
        }
        _ => return None,
    })
}

/// The tasks of a trial for people.
fn tried(trial: &Trial, record: &MergeRecord) -> String {
    match trial.tasks.len() {
        0 => format!("{} alone", record.header.target),
        1..=4 => merge_tasks(&trial.tasks),
        count => format!("{count} tasks together"),
    }
}

/// The tasks that were not merged, and are not in the target either.
pub(super) fn left(record: &MergeRecord) -> impl Iterator<Item = &Candidate> {
    let is_open = |task: &TaskId| !record.merged().contains(task) && !record.contained.contains(task);
    record.header.candidates.iter().filter(move |candidate| is_open(&candidate.task))
}

/// What the user may do next, a line each. `can_resolve` says whether an agent could go on with what was not merged.
pub(super) fn next_steps(record: &MergeRecord, can_resolve: bool) -> Vec<String> {
    let mut steps = Vec::new();
    if let (Some((worktree, reason, files, branch)), Some((MergeEnd::Kept { .. }, _))) =
        (&record.blocked, &record.ended)
    {
        let files = if files.is_empty() { String::new() } else { format!(": {}", files.join(", ")) };
        steps.push(format!("{} could not follow: {reason}{files}", worktree.display()));
        steps.push(format!("hint: take the result when that is settled: git merge --ff-only {branch}"));
    }
    let first = left(record).next();
    match (record.ended.as_ref().map(|(end, _)| end), first) {
        (Some(MergeEnd::Landed | MergeEnd::Nothing), Some(_))
            if can_resolve && record.header.settings.resolve.is_none() =>
        {
            steps.push("hint: `gadugi merge --resolve` hands the rest to the agents of its authors".to_owned());
        }
        (Some(MergeEnd::Landed | MergeEnd::Nothing), Some(left)) => {
            steps.push(format!("hint: `gadugi diff {}` shows what is left", left.task));
        }
        (Some(MergeEnd::Landed | MergeEnd::UpToDate), None) => {
            steps.push("hint: `gadugi clean` removes the branches that are merged".to_owned());
        }
        (Some(MergeEnd::BaselineRed), _) => {
            steps.push(format!("hint: repair {} first, or merge with --no-check", record.header.target));
        }
        (Some(MergeEnd::GaveUp), _) => {
            let hint =
                "hint: a check that fails for reasons of its own looks like this; `gadugi merge TASK` tries one alone";
            steps.push(hint.to_owned());
        }
        _ => {}
    }
    steps
}
