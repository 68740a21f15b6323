//! `gadugi logs`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::{AttemptRecord, AttemptRef, Executor, Phase, TaskId};
use tokio::time::{Instant, interval};

use super::log_parts::{last_lines, next_part};
use crate::activity::ASK_AGAIN;
use crate::args::LogsArgs;
use crate::compose::{self, Site};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::runs::LoadedRun;
use crate::terminal::harmless;

/// How often a log that is followed is looked at. Polling works on every file system.
const TICK: Duration = Duration::from_millis(50);

pub(super) async fn logs(context: &Context, args: &LogsArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let id = site.find(&args.run)?;
    let mut run = site.follow(&id).await?;
    let task = run.run().task(&args.task)?;
    let asked = args.attempt.map(|asked| position(run.run(), &task, asked)).transpose()?;
    let mut at = asked.unwrap_or(attempts(run.run(), &task).len().saturating_sub(1));
    let mut printer = Printer { context, raw: args.raw, pending: Vec::new(), left_out: 0 };
    let mut log: Option<AttemptLog> = None;
    // Only what is there when the command begins is cut to its last lines.
    let mut lines = args.lines;
    let mut ticks = interval(TICK);
    let (mut told, mut unseen) = (false, false);
    let (mut witnesses, mut last_asked) = (None, None);
    loop {
        // What is known is read, and asked, before the log, so that an attempt that is over has no more to say.
        let attempts = attempts(run.run(), &task);
        let over = match asked {
            Some(asked) => attempts[asked].ended.is_some(),
            None => run.run().record.task(&task).is_some_and(|task| task.state.is_finished()),
        };
        // Where nobody drives the run, the command itself tells whether more can come.
        let mut can_come = true;
        let is_due = last_asked.is_none_or(|last: Instant| last.elapsed() >= ASK_AGAIN);
        if args.follow && !over && !run.run().driven && is_due {
            let executors = witnesses.get_or_insert_with(|| prepare::witnesses(context, &site));
            can_come = is_running(&site, executors, run.run(), &task).await;
            last_asked = Some(Instant::now());
        }
        for attempt in &attempts[at..] {
            let mut opened = match log.take() {
                Some(log) => log,
                None => {
                    let attempt = AttemptRef { task: task.clone(), number: attempt.number };
                    AttemptLog::open(site.registry.attempt_folder(&id, &attempt), lines)?
                }
            };
            opened.print(&mut printer)?;
            if attempt.ended.is_none() || asked.is_some() {
                log = Some(opened);
                break;
            }
            printer.end_line()?;
            at += 1;
        }
        lines = None;
        if !args.follow || over {
            break;
        }
        if !run.run().driven {
            if !can_come {
                unseen = true;
                break;
            }
            if !told {
                context.terminal.say(&format!("nobody drives run {id}; `gadugi resume {id}` goes on with it"));
            }
        }
        told = !run.run().driven;
        ticks.tick().await;
        run.read_on().await?;
    }
    printer.rest()?;
    if printer.left_out > 0 {
        let left_out = printer.left_out;
        context.terminal.say(&format!(
            "warning: {left_out} bytes of the log are a hole that no task has printed, and are left out"
        ));
    }
    if unseen {
        let text =
            format!("{task} is not over and does not run, and nobody drives it; `gadugi resume {id}` goes on with it");
        context.terminal.say(&text);
    }
    if attempts(run.run(), &task).is_empty() {
        context.terminal.say(&format!("{task} has not been started"));
    }
    Ok(Code::Success)
}

/// Whether a command of it runs; what nobody can tell may run.
async fn is_running(site: &Site, executors: &[Arc<dyn Executor>], run: &LoadedRun, task: &TaskId) -> bool {
    match run.record.task(task) {
        Some(task) => site.activity(executors, &run.record, task).await.may_run(),
        None => false,
    }
}

fn attempts<'a>(run: &'a LoadedRun, task: &TaskId) -> &'a [Arc<AttemptRecord>] {
    run.record.task(task).map_or(&[], |task| &task.attempts)
}

/// Where the attempt of that number stands among those of its task.
fn position(run: &LoadedRun, task: &TaskId, number: u32) -> Result<usize, Failure> {
    let attempts = attempts(run, task);
    attempts.iter().position(|attempt| attempt.number.get() == number).ok_or_else(|| {
        Failure::usage(format!("`{task}` has no attempt {number}")).hint(format!("it has {}", attempts.len()))
    })
}

/// The logs of one attempt, as far as they were printed.
struct AttemptLog {
    folder: PathBuf,
    printed: [u64; Phase::ALL.len()],
}

impl AttemptLog {
    /// Begins with the last lines of all logs together, where some are asked for, else at its beginning.
    fn open(folder: PathBuf, lines: Option<usize>) -> Result<Self, Failure> {
        let mut printed = [0; Phase::ALL.len()];
        if let Some(mut left) = lines {
            // From the end: the check's lines come last.
            for (phase, printed) in Phase::ALL.into_iter().zip(&mut printed).rev() {
                let path = folder.join(phase.output_file());
                let unreadable = |error: io::Error| unreadable(&path, &error);
                let Some(mut file) = open(&path).map_err(unreadable)? else { continue };
                let (start, found) = last_lines(&mut file, left).map_err(unreadable)?;
                *printed = start;
                left = left.saturating_sub(found);
            }
        }
        Ok(Self { folder, printed })
    }

    /// Prints what has come since: the log of the setup, then the command's, then the check's.
    fn print(&mut self, printer: &mut Printer<'_>) -> Result<(), Failure> {
        for (phase, printed) in Phase::ALL.into_iter().zip(&mut self.printed) {
            let path = self.folder.join(phase.output_file());
            let unreadable = |error: io::Error| unreadable(&path, &error);
            let Some(mut file) = open(&path).map_err(unreadable)? else { continue };
            let mut buffer = vec![0; 64 << 10];
            while let Some(part) = next_part(&file, *printed).map_err(unreadable)? {
                printer.left_out += part.start - *printed;
                file.seek(SeekFrom::Start(part.start)).map_err(unreadable)?;
                let mut part = file.by_ref().take(part.end - part.start);
                loop {
                    let read = part.read(&mut buffer).map_err(unreadable)?;
                    if read == 0 {
                        break;
                    }
                    printer.print(&buffer[..read])?;
                }
                *printed = file.stream_position().map_err(unreadable)?;
            }
            // A hole at the end.
            let length = file.metadata().map_err(unreadable)?.len();
            printer.left_out += length.saturating_sub(*printed);
            *printed = length.max(*printed);
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::registry(format!("cannot read {}: {error}", path.display()))
}

/// Opens a log; `None` where there is none yet.
fn open(path: &Path) -> io::Result<Option<File>> {
    match compose::open_log(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Prints bytes as they are, or whole lines made harmless.
struct Printer<'a> {
    context: &'a Context,
    raw: bool,
    pending: Vec<u8>,
    /// Bytes of holes in the logs.
    left_out: u64,
}

/// A line that is longer than this is shown in pieces.
const LONGEST_LINE: usize = 1 << 20;

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
            None if self.pending.len() > LONGEST_LINE => self.pending.len(),
            None => return Ok(()),
        };
        let whole: Vec<u8> = self.pending.drain(..end).collect();
        self.show(&whole)
    }

    /// Prints what has no line break at its end, and ends the line.
    fn end_line(&mut self) -> Result<(), Failure> {
        if !self.pending.is_empty() {
            self.pending.push(b'\n');
        }
        self.rest()
    }

    /// Prints what has no line break at its end.
    fn rest(&mut self) -> Result<(), Failure> {
        let rest = std::mem::take(&mut self.pending);
        self.show(&rest)
    }

    fn show(&self, bytes: &[u8]) -> Result<(), Failure> {
        // A program that draws over its line begins a new one here.
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let shown: Vec<_> = text.split(['\n', '\r']).map(harmless).collect();
        Ok(self.context.terminal.result(&shown.join("\n"))?)
    }
}
