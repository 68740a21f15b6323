//! The plain view: a line for each step that matters, for logs and pipes.

use std::sync::mpsc::Receiver;

use gadugi_core::run::{StopReason, TaskRecord, TaskState};
use gadugi_core::{EventKind, Outcome, Phase, RunRecord};

use super::{Message, ViewState};
use crate::terminal::{Terminal, Tone, duration_text, harmless, seed_text};

pub(super) fn show(terminal: &Terminal, state: ViewState, messages: &Receiver<Message>) {
    let ViewState { mut record, drives, .. } = state;
    let width = record.tasks.iter().map(|task| task.task.spec.id.as_str().len()).max().unwrap_or(0);
    while let Some(event) = Message::next_event(messages, |text| terminal.say(text)) {
        if record.apply(&event).is_err() {
            return;
        }
        if let Some((subject, text, tone)) =
            line(&record, &event.kind, LineOptions { verbose: terminal.verbose, drives })
        {
            let time = event.at.strftime("%H:%M:%SZ");
            terminal.say(&format!("{time}  {subject:<width$}  {}", terminal.toned_err(tone, &text)));
        }
    }
}

/// Whether the setup of a task's worktree is running.
pub(crate) fn is_set_up(task: &TaskRecord) -> bool {
    let command = task.last().and_then(|last| last.commands.last());
    command.is_some_and(|command| command.phase == Phase::Setup) && matches!(task.state, TaskState::Running { .. })
}

/// The colour of an outcome.
pub(crate) fn tone_of(outcome: &Outcome) -> Tone {
    match outcome {
        Outcome::Succeeded => Tone::Good,
        Outcome::Unchanged | Outcome::Cancelled | Outcome::Skipped { .. } => Tone::Notice,
        _ => Tone::Bad,
    }
}

/// Options of the lines for events.
#[derive(Clone, Copy)]
pub(super) struct LineOptions {
    /// Lines have more details, and more events have a line.
    pub(super) verbose: bool,
    /// Ctrl-C stops the run.
    pub(super) drives: bool,
}

/// Returns the line for an event: its task, the text and the colour.
pub(super) fn line(record: &RunRecord, kind: &EventKind, options: LineOptions) -> Option<(String, String, Tone)> {
    let LineOptions { verbose, drives } = options;
    let task = || kind.task().map(ToString::to_string).unwrap_or_default();
    let (text, tone) = match kind {
        EventKind::WorktreeReady { lease, seeded, took } if verbose => {
            let took = took.map(|took| format!(" in {}", duration_text(took))).unwrap_or_default();
            let seeded = seeded.map(|seeded| format!(", seeded with {}", seed_text(seeded))).unwrap_or_default();
            (format!("worktree {}{took}{seeded}", lease.path.display()), Tone::Faint)
        }
        EventKind::CommandStarted { phase: Phase::Setup, .. } => ("setting up".to_owned(), Tone::Plain),
        EventKind::CommandStarted { attempt, phase: Phase::Main, identity, .. } => {
            let again = if attempt.number.get() > 1 { format!(" (attempt {})", attempt.number) } else { String::new() };
            let detail = if verbose { format!(", {}", identity.token) } else { String::new() };
            (format!("started{again}{detail}"), Tone::Plain)
        }
        EventKind::CommandStarted { phase: Phase::Check, .. } => ("checking".to_owned(), Tone::Plain),
        EventKind::StopSent { reason: StopReason::TimedOut(_), .. } => {
            ("out of time, asked to stop".to_owned(), Tone::Notice)
        }
        EventKind::StopSent { .. } => ("asked to stop".to_owned(), Tone::Notice),
        EventKind::CommandEnded { end, .. } if end.output.leaked => {
            ("left a process behind that holds its output".to_owned(), Tone::Notice)
        }
        EventKind::AttemptEnded { said: Some(said), .. } => (format!("its output ends with: {said}"), Tone::Notice),
        EventKind::TaskFinished { task, outcome } => {
            let attempts = || record.task(task).into_iter().flat_map(|task| &task.attempts);
            let ran = |phases: fn(Phase) -> bool| {
                attempts().flat_map(|attempt| &attempt.commands).any(|command| phases(command.phase))
            };
            let time = attempts().map(|attempt| attempt.command_time()).sum();
            let time = if ran(|phase| phase != Phase::Setup) {
                format!(" after {}", duration_text(time))
            } else {
                String::new()
            };
            let setup = attempts().map(|attempt| attempt.setup_time()).sum();
            let setup = if ran(|phase| phase == Phase::Setup) {
                format!(", setup {}", duration_text(setup))
            } else {
                String::new()
            };
            (format!("{outcome}{time}{setup}"), tone_of(outcome))
        }
        EventKind::WorktreeKept { reasons, .. } => {
            let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            (format!("worktree kept: {}", reasons.join(", ")), Tone::Notice)
        }
        EventKind::Warning { message, .. } => (format!("warning: {message}"), Tone::Notice),
        EventKind::ConflictForeseen(conflict) => {
            (format!("warning: it conflicts with {} in {}", conflict.other, conflict.files_text()), Tone::Notice)
        }
        EventKind::ConflictGone { other, .. } => (format!("it merges with {other} as text again"), Tone::Plain),
        EventKind::StopRequested { tasks, now } if tasks.is_empty() => {
            let what = if *now { "killing what still runs" } else { "stopping the run" };
            let next = match (drives, *now) {
                (false, _) => "",
                (true, true) => "; Ctrl-C once more leaves at once",
                (true, false) => "; Ctrl-C once more kills at once",
            };
            (format!("{what}{next}"), Tone::Notice)
        }
        EventKind::StopRequested { tasks, now } => {
            let tasks: Vec<_> = tasks.iter().map(ToString::to_string).collect();
            let what = if *now { "killing" } else { "stopping" };
            (format!("{what} {}", tasks.join(", ")), Tone::Notice)
        }
        EventKind::RunResumed { .. } => {
            let interruption = record.interruptions.last()?;
            (format!("resumed: {interruption}"), Tone::Notice)
        }
        EventKind::RunSuspended => ("suspended, with its tasks and its clocks".to_owned(), Tone::Notice),
        EventKind::RunContinued => ("goes on".to_owned(), Tone::Plain),
        EventKind::ExecutorChosen { executor, reason } => (format!("tasks run by {executor}: {reason}"), Tone::Plain),
        _ => return None,
    };
    Some((task(), harmless(&text), tone))
}
