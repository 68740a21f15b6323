//! Figures and counts as people read them, and what the reports make of an attempt.

use std::time::Duration;

use gadugi_core::run::{AttemptRecord, CommandRecord, TaskRecord, TaskState, Totals};
use gadugi_core::{AttemptRef, Phase, Report};

/// The text for an unknown figure of something that was started.
pub(super) const UNKNOWN: &str = "unknown";

/// A duration to two or three digits.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.is_zero() => "0 s".to_owned(),
        0 if time.as_millis() == 0 => format!("{} µs", time.as_micros()),
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `1 file`, `2 files`.
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The number of tasks by outcome, without counts of 0.
pub(super) fn totals(totals: &Totals) -> String {
    let counts = [
        (totals.succeeded, "succeeded"),
        (totals.failed, "failed"),
        (totals.timed_out, "timed out"),
        (totals.cancelled, "cancelled"),
        (totals.skipped, "skipped"),
        (totals.lost, "lost"),
        (totals.unfinished, "not over"),
    ];
    let unchanged = match totals.unchanged {
        0 => String::new(),
        n => format!(" ({n} with nothing changed)"),
    };
    let part = |(n, word): &(usize, &str)| format!("{n} {word}{}", if *word == "succeeded" { &unchanged } else { "" });
    let parts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(part).collect();
    format!("{}: {}.", count(totals.tasks as u64, "task"), parts.join(", "))
}

/// The open part of a run that has no driver and has not ended; `None` for every other run.
pub(super) fn open(report: &Report) -> Option<String> {
    if report.driven || report.record.ended.is_some() {
        return None;
    }
    let open = match report.totals.unfinished as u64 {
        0 => "its end is not recorded".to_owned(),
        1 => "1 task is not over".to_owned(),
        open => format!("{open} tasks are not over"),
    };
    Some(format!("nobody drives the run, and {open}"))
}

/// The state of a task. In a run without a driver it is unknown whether a command of it still runs.
pub(super) fn state(report: &Report, task: &TaskRecord) -> &'static str {
    match &task.state {
        TaskState::Finished(outcome) => outcome.word(),
        state if report.driven => state.word(),
        TaskState::Queued | TaskState::Blocked { .. } => "not started",
        _ => "interrupted",
    }
}

/// The measured time of an attempt's own command and its check; `None` when the end of neither is known.
pub(super) fn attempt_time(attempt: &AttemptRecord) -> Option<Duration> {
    let mut own = attempt.commands.iter().filter(|command| command.phase != Phase::Setup);
    own.any(|command| command.end.is_some()).then(|| attempt.command_time())
}

/// The measured time of what prepared an attempt's worktree; `None` when no end of it is known.
pub(super) fn setup_time(attempt: &AttemptRecord) -> Option<Duration> {
    let setup = command(attempt, Phase::Setup)?;
    setup.end.map(|_| attempt.setup_time())
}

/// The measured time of all attempts at a task; `None` when the end of none of their own commands is known.
pub(super) fn task_time(task: &TaskRecord) -> Option<Duration> {
    let times: Vec<Duration> = task.attempts.iter().filter_map(|attempt| attempt_time(attempt)).collect();
    (!times.is_empty()).then(|| times.iter().sum())
}

/// The number of commands that were started and whose end is unknown.
pub(super) fn open_commands<'a>(tasks: impl IntoIterator<Item = &'a TaskRecord>) -> usize {
    let attempts = tasks.into_iter().flat_map(|task| &task.attempts);
    attempts.flat_map(|attempt| &attempt.commands).filter(|command| command.end.is_none()).count()
}

/// The command of that phase.
pub(super) fn command(attempt: &AttemptRecord, phase: Phase) -> Option<&CommandRecord> {
    attempt.commands.iter().find(|command| command.phase == phase)
}

/// Names an attempt at a task.
pub(super) fn attempt_ref(task: &TaskRecord, attempt: &AttemptRecord) -> AttemptRef {
    AttemptRef { task: task.task.spec.id.clone(), number: attempt.number }
}
