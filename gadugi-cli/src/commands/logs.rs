//! `gadugi logs`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::run::AttemptRecord;
use gadugi_core::{AttemptRef, Executor, Phase, RunId, TaskId};
use tokio::time::interval;

use crate::args::LogsArgs;
use crate::context::Context;
use crate::drive::Witnesses;
use crate::failure::{Code, Failure};
use crate::site::{GrowingLog, LoadedRun, Site};
use crate::terminal::harmless;

/// Interval between polls of a followed log. Polling works on every file system.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn logs(context: &Context, args: &LogsArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let id = site.find(&args.run)?;
    let mut run = site.follow(&id).await?;
    let task = run.run().task(&args.task)?;
    let mut logs = TaskLogs::new(context, &site, run.run(), &task, args)?;
    let mut witnesses = Witnesses::new(context, &site);
    let (mut announced, mut abandoned) = (false, false);
    let mut ticks = interval(POLL_INTERVAL);
    loop {
        // The state is read, and asked for, before the log, so that an attempt that is over prints no more.
        let over = logs.are_complete(run.run());
        // Without a driver, only its executor knows whether a command still prints.
        let mut can_grow = true;
        if args.follow && !over && !run.run().driven {
            let running = async |executors: &[Arc<dyn Executor>]| is_running(&site, executors, run.run(), &task).await;
            can_grow = witnesses.ask(running).await.unwrap_or(true);
        }
        logs.print(run.run())?;
        if !args.follow || over {
            break;
        }
        if !run.run().driven {
            if !can_grow {
                abandoned = true;
                break;
            }
            if !announced {
                context.terminal.say(&format!("nobody drives run {id}; `gadugi resume {id}` goes on with it"));
            }
        }
        announced = !run.run().driven;
        ticks.tick().await;
        run.read_on().await?;
    }
    logs.finish()?;
    if abandoned {
        let text =
            format!("{task} is not over and does not run, and nobody drives it; `gadugi resume {id}` goes on with it");
        context.terminal.say(&text);
    }
    if attempts(run.run(), &task).is_empty() {
        context.terminal.say(&format!("{task} has not been started"));
    }
    Ok(Code::Success)
}

/// Whether a command of a task runs. A command whose executor cannot tell may run.
async fn is_running(site: &Site, executors: &[Arc<dyn Executor>], run: &LoadedRun, task: &TaskId) -> bool {
    match run.record.task(task) {
        Some(task) => site.activity(executors, &run.record, task).await.may_run(),
        None => false,
    }
}

fn attempts<'a>(run: &'a LoadedRun, task: &TaskId) -> &'a [Arc<AttemptRecord>] {
    run.record.task(task).map_or(&[], |task| &task.attempts)
}

/// The index of the attempt with that number among those of its task.
fn position(run: &LoadedRun, task: &TaskId, number: u32) -> Result<usize, Failure> {
    let attempts = attempts(run, task);
    attempts.iter().position(|attempt| attempt.number.get() == number).ok_or_else(|| {
        Failure::usage(format!("`{task}` has no attempt {number}")).hint(format!("it has {}", attempts.len()))
    })
}

/// The logs of a task: of one attempt, or of its last attempt and all later ones.
struct TaskLogs<'a> {
    site: &'a Site,
    run: RunId,
    task: TaskId,
    /// Index of the only attempt to print.
    only: Option<usize>,
    /// Index of the attempt whose log is printed next.
    at: usize,
    /// The logs of that attempt, once they are open.
    open: Option<AttemptLogs>,
    /// Last lines to start with. Only the logs that exist when the command starts are cut to them.
    lines: Option<usize>,
    printer: Printer<'a>,
}

impl<'a> TaskLogs<'a> {
    fn new(
        context: &'a Context,
        site: &'a Site,
        run: &LoadedRun,
        task: &TaskId,
        args: &LogsArgs,
    ) -> Result<Self, Failure> {
        let only = args.attempt.map(|number| position(run, task, number)).transpose()?;
        Ok(Self {
            site,
            run: run.record.header.run.clone(),
            task: task.clone(),
            only,
            at: only.unwrap_or(attempts(run, task).len().saturating_sub(1)),
            open: None,
            lines: args.lines,
            printer: Printer { context, raw: args.raw, pending: Vec::new(), skipped: 0 },
        })
    }

    /// Whether nothing more will be printed into the logs.
    fn are_complete(&self, run: &LoadedRun) -> bool {
        match self.only {
            Some(only) => attempts(run, &self.task)[only].ended.is_some(),
            None => run.record.task(&self.task).is_some_and(|task| task.state.is_finished()),
        }
    }

    /// Prints what the logs have grown by.
    fn print(&mut self, run: &LoadedRun) -> Result<(), Failure> {
        for attempt in &attempts(run, &self.task)[self.at..] {
            let mut logs = match self.open.take() {
                Some(logs) => logs,
                None => {
                    let attempt = AttemptRef { task: self.task.clone(), number: attempt.number };
                    AttemptLogs::open(&self.site.attempt_folder(&self.run, &attempt), self.lines)?
                }
            };
            logs.print(&mut self.printer)?;
            if attempt.ended.is_none() || self.only.is_some() {
                self.open = Some(logs);
                break;
            }
            self.printer.skipped += logs.skipped();
            self.printer.end_line()?;
            self.at += 1;
        }
        self.lines = None;
        Ok(())
    }

    /// Prints what has no line break at its end, and warns of holes.
    fn finish(mut self) -> Result<(), Failure> {
        self.printer.print_rest()?;
        let skipped = self.printer.skipped + self.open.map_or(0, |logs| logs.skipped());
        if skipped > 0 {
            self.printer.context.terminal.say(&format!(
                "warning: {skipped} bytes of the log are a hole that no task has printed, and are left out"
            ));
        }
        Ok(())
    }
}

/// The logs of one attempt, one for each phase.
struct AttemptLogs {
    logs: Vec<GrowingLog>,
}

impl AttemptLogs {
    /// Opens the logs at the last lines of all together, where some are asked for, else at their beginning.
    fn open(folder: &Path, lines: Option<usize>) -> Result<Self, Failure> {
        let path = |phase: Phase| folder.join(phase.output_file());
        let Some(mut left) = lines else {
            return Ok(Self { logs: Phase::ALL.into_iter().map(|phase| GrowingLog::new(path(phase))).collect() });
        };
        let mut logs = Vec::new();
        // From the end: the lines of the check come last.
        for phase in Phase::ALL.into_iter().rev() {
            let opened = GrowingLog::from_last_lines(path(phase), left);
            let (log, found) = opened.map_err(|error| unreadable(&path(phase), &error))?;
            logs.push(log);
            left = left.saturating_sub(found);
        }
        logs.reverse();
        Ok(Self { logs })
    }

    /// Prints what has been appended: to the log of the setup, then to the command's, then to the check's.
    fn print(&mut self, printer: &mut Printer<'_>) -> Result<(), Failure> {
        for log in &mut self.logs {
            loop {
                let portion = log.read_on().map_err(|error| unreadable(log.path(), &error))?;
                if portion.is_empty() {
                    break;
                }
                printer.print(&portion)?;
            }
        }
        Ok(())
    }

    fn skipped(&self) -> u64 {
        self.logs.iter().map(GrowingLog::skipped).sum()
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::registry(format!("cannot read {}: {error}", path.display()))
}

/// Prints bytes as they are, or whole lines made harmless.
struct Printer<'a> {
    context: &'a Context,
    raw: bool,
    pending: Vec<u8>,
    /// Bytes of holes in the logs that are complete.
    skipped: u64,
}

/// Bytes of a line after which it is printed in pieces.
const MAX_LINE: usize = 1 << 20;

impl Printer<'_> {
    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.raw {
            return Ok(self.context.terminal.bytes(bytes)?);
        }
        self.pending.extend_from_slice(bytes);
        // A carriage return at the end may belong to a line break that has not come yet.
        let returned = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending);
        let end = match returned.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(end) => end + 1,
            None if self.pending.len() > MAX_LINE => self.pending.len(),
            None => return Ok(()),
        };
        let whole: Vec<u8> = self.pending.drain(..end).collect();
        self.print_lines(&whole)
    }

    /// Prints what has no line break at its end, and ends the line.
    fn end_line(&mut self) -> Result<(), Failure> {
        if !self.pending.is_empty() {
            self.pending.push(b'\n');
        }
        self.print_rest()
    }

    /// Prints what has no line break at its end.
    fn print_rest(&mut self) -> Result<(), Failure> {
        let rest = std::mem::take(&mut self.pending);
        self.print_lines(&rest)
    }

    fn print_lines(&self, bytes: &[u8]) -> Result<(), Failure> {
        // A program that draws over its line begins a new one here.
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let shown: Vec<_> = text.split(['\n', '\r']).map(harmless).collect();
        Ok(self.context.terminal.result(&shown.join("\n"))?)
    }
}
