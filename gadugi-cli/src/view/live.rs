//! The live view: a line for each running task, and a bar for the run.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use gadugi_core::agent::OutputFormats;
use gadugi_core::run::TaskState;
use gadugi_core::{AttemptRef, Event, EventKind, Phase, RunRecord, TaskId};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::agent_tail::AgentTail;
use super::log_tail::LogTail;
use super::plain::{LineOptions, is_set_up, line};
use super::{Message, ViewState};
use crate::site::AttemptFolder;
use crate::terminal::{Terminal, duration_text};

/// Interval between drawings of the view, and between readings of the running tasks' logs.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// A running task on the screen.
struct Row {
    bar: ProgressBar,
    attempt: AttemptRef,
    since: Instant,
    tail: Tail,
}

/// The end of a task's output, as it is shown.
enum Tail {
    /// The last line.
    Line(LogTail),
    /// The agent's last action and its cost.
    Agent(Box<AgentTail>),
}

impl Tail {
    fn line(&mut self) -> String {
        match self {
            Self::Line(tail) => tail.line().to_owned(),
            Self::Agent(tail) => tail.line(),
        }
    }
}

struct Screen {
    terminal: Terminal,
    record: RunRecord,
    estimates: HashMap<TaskId, Duration>,
    folder: AttemptFolder,
    formats: OutputFormats,
    bars: MultiProgress,
    total: ProgressBar,
    rows: Vec<Row>,
    begun: Instant,
    /// Whether Ctrl-C stops the run.
    drives: bool,
}

pub(super) fn show(terminal: Terminal, state: ViewState, messages: &Receiver<Message>) {
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(20));
    let ViewState { record, estimates, folder, formats, drives } = state;
    let total = bars.add(ProgressBar::new(record.tasks.len() as u64));
    total.set_style(style("{bar:30} {pos}/{len} tasks  {wide_msg}"));
    let begun = record.started.map_or_else(Instant::now, instant_of);
    let mut screen =
        Screen { terminal, record, estimates, folder, formats, bars, total, rows: Vec::new(), begun, drives };
    screen.show_attempts_under_way();
    let mut cleared = false;
    loop {
        match messages.recv_timeout(DRAW_INTERVAL) {
            Ok(Message::Event(event)) => {
                cleared = false;
                if !screen.show_event(&event) {
                    break;
                }
            }
            Ok(Message::Say(text)) => screen.print(&text),
            Ok(Message::Clear(done)) => {
                // A terminal that cannot be cleared, here and below, is no concern of the run.
                drop(screen.bars.clear());
                cleared = true;
                done.send(()).ok();
            }
            Err(RecvTimeoutError::Timeout) if cleared => {}
            Err(RecvTimeoutError::Timeout) => screen.draw(),
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    screen.rows.iter().for_each(|row| row.bar.finish_and_clear());
    screen.total.finish_and_clear();
}

/// Converts a time of the journal to this process's clock.
fn instant_of(at: Timestamp) -> Instant {
    let ago = Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or(Duration::ZERO);
    Instant::now().checked_sub(ago).unwrap_or_else(Instant::now)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Screen {
    /// Gives a row to each attempt that was under way before the first event.
    fn show_attempts_under_way(&mut self) {
        let under_way = self.record.tasks.iter().filter_map(|task| {
            let last = task.last().filter(|last| last.ended.is_none())?;
            Some((AttemptRef { task: task.task.spec.id.clone(), number: last.number }, last.intended))
        });
        for (attempt, since) in under_way.collect::<Vec<_>>() {
            self.add_row(&attempt, since);
        }
    }

    fn add_row(&mut self, attempt: &AttemptRef, since: Timestamp) {
        let bar = self.bars.insert_before(&self.total, ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {wide_msg}"));
        let command = self.record.task(&attempt.task).and_then(|task| task.last()?.commands.last());
        let phase = command.map_or(Phase::Main, |command| command.phase);
        let tail = self.tail(attempt, phase);
        self.rows.push(Row { bar, attempt: attempt.clone(), since: instant_of(since), tail });
    }

    fn tail(&self, attempt: &AttemptRef, phase: Phase) -> Tail {
        let path = (self.folder)(attempt).join(phase.output_file());
        let task = self.record.task(&attempt.task);
        let agent = task.and_then(|task| task.task.spec.action.agent.as_ref());
        let attempts = task.into_iter().flat_map(|task| &task.attempts);
        let earlier = attempts.filter(|earlier| earlier.number < attempt.number).cloned().collect();
        // Plain text is shown as it is.
        let format = agent.filter(|agent| phase == Phase::Main && agent.output != "text").map(|agent| &agent.output);
        match format.and_then(|format| self.formats.get(format)) {
            Some(format) => Tail::Agent(Box::new(AgentTail::new(path, format.reader(), earlier))),
            None => Tail::Line(LogTail::new(path)),
        }
    }

    /// Shows an event. Returns whether it was valid.
    fn show_event(&mut self, event: &Event) -> bool {
        if self.record.apply(event).is_err() {
            return false;
        }
        match &event.kind {
            EventKind::RunStarted => self.begun = instant_of(event.at),
            EventKind::AttemptIntended { attempt, .. } => self.add_row(attempt, event.at),
            EventKind::AttemptEnded { attempt, .. } => {
                if let Some(at) = self.rows.iter().position(|row| row.attempt == *attempt) {
                    let row = self.rows.remove(at);
                    row.bar.finish_and_clear();
                    self.bars.remove(&row.bar);
                }
            }
            EventKind::CommandStarted { attempt, phase, .. } => {
                let tail = self.tail(attempt, *phase);
                if let Some(row) = self.rows.iter_mut().find(|row| row.attempt == *attempt) {
                    row.tail = tail;
                }
                if !self.terminal.verbose {
                    return true;
                }
            }
            _ => {}
        }
        let options = LineOptions { verbose: self.terminal.verbose, drives: self.drives };
        if let Some((subject, text, tone)) = line(&self.record, &event.kind, options) {
            let text = self.terminal.toned_err(tone, &text);
            let text = if subject.is_empty() { text } else { format!("{subject}  {text}") };
            self.print(&text);
        }
        self.draw();
        true
    }

    fn print(&self, text: &str) {
        // A line that the terminal does not take is lost; the run goes on.
        drop(self.bars.println(self.terminal.drawn(text)));
    }

    fn draw(&mut self) {
        let width = self.rows.iter().map(|row| row.attempt.task.as_str().len()).max().unwrap_or(0);
        for row in &mut self.rows {
            let task = self.record.task(&row.attempt.task);
            let state = task.map_or("", |task| if is_set_up(task) { "setup" } else { task.state.word() });
            let (task, elapsed) = (&row.attempt.task, duration_text(row.since.elapsed()));
            let line = format!("{task:<width$}  {state:<10} {elapsed:>6}  {}", row.tail.line());
            row.bar.set_message(self.terminal.drawn(&line));
            row.bar.tick();
        }
        let over = self.record.tasks.iter().filter(|task| task.state.is_finished()).count();
        self.total.set_position(over as u64);
        let rest = self.rest().map(|rest| format!(", about {} left", duration_text(rest))).unwrap_or_default();
        self.total.set_message(format!("{}{rest}", duration_text(self.begun.elapsed())));
    }

    /// Estimates the time left, from the times that tasks took before in this run or in earlier ones; `None`
    /// while no time is known of a task. It is the larger of the work divided by the jobs and of the
    /// longest task alone.
    fn rest(&self) -> Option<Duration> {
        let done = self.record.tasks.iter().filter(|task| task.state.is_finished());
        let done: Vec<_> = done.map(|task| task.attempts.iter().map(|a| a.command_time()).sum::<Duration>()).collect();
        let measured: Vec<_> = done.into_iter().filter(|time| !time.is_zero()).collect();
        let usual = u32::try_from(measured.len()).ok().filter(|n| *n > 0);
        let usual = usual.map(|n| measured.iter().sum::<Duration>() / n);
        let mut left = Vec::new();
        for task in self.record.tasks.iter().filter(|task| !task.state.is_finished()) {
            let id = &task.task.spec.id;
            let expected = self.estimates.get(id).copied().or(usual)?;
            let since = self.rows.iter().find(|row| row.attempt.task == *id).map(|row| row.since.elapsed());
            let running = !matches!(task.state, TaskState::Queued | TaskState::Blocked { .. });
            left.push(if running { expected.saturating_sub(since.unwrap_or_default()) } else { expected });
        }
        let jobs = u32::try_from(self.record.header.settings.jobs.get()).unwrap_or(u32::MAX);
        let shared = left.iter().sum::<Duration>() / jobs.min(u32::try_from(left.len()).unwrap_or(u32::MAX)).max(1);
        // A task that takes longer than it did before has no known end.
        Some(left.into_iter().max()?.max(shared)).filter(|rest| !rest.is_zero())
    }
}
