//! `gadugi logs`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::{AttemptNo, AttemptRef, Phase, Registry, RunId, RunRecord, TaskId, error_chain};
use tokio::time::interval;

use super::Context;
use crate::args::LogsArgs;
use crate::compose::Site;
use crate::failure::{Code, Failure};
use crate::terminal::harmless;

/// How often a log that is followed is looked at. Polling works on every file system.
const TICK: Duration = Duration::from_millis(50);

pub(super) async fn logs(context: &Context, args: &LogsArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let run = site.find(&args.run)?;
    let (record, _) = load(&site, &run).await?;
    let task = args.task.parse::<TaskId>().ok().filter(|id| record.task(id).is_some());
    let Some(task) = task else {
        let ids: Vec<_> = record.tasks.iter().map(|task| format!("`{}`", task.task.spec.id)).collect();
        return Err(
            Failure::usage(format!("run {run} has no task `{}`", args.task)).hint(format!("it has {}", ids.join(", ")))
        );
    };
    let mut printer = Printer { context, raw: args.raw, pending: Vec::new() };
    let mut ticks = interval(TICK);
    let mut followed: Option<Followed> = None;
    loop {
        // What is known is read before the log, so that a task that is over has no more to say.
        let (record, driven) = load(&site, &run).await?;
        let attempt = attempt(&record, &task, args.attempt)?;
        let over = !driven || record.task(&task).is_some_and(|task| task.state.is_finished());
        if let Some(attempt) = attempt {
            let folder = site.registry.attempt_folder(&run, &attempt);
            let fresh = followed.as_ref().is_none_or(|followed| followed.folder != folder);
            if fresh {
                printer.rest()?;
                followed = Some(Followed::new(folder, args.lines));
            }
        }
        if let Some(followed) = &mut followed {
            followed.print(&mut printer)?;
        }
        if !args.follow || over {
            break;
        }
        ticks.tick().await;
    }
    printer.rest()?;
    if followed.is_none() {
        context.terminal.say(&format!("{task} has not been started"));
    }
    Ok(Code::Success)
}

async fn load(site: &Site, run: &RunId) -> Result<(RunRecord, bool), Failure> {
    let history = site.registry.load(run).await?;
    let record = RunRecord::fold(history.header, &history.events);
    let record = record.map_err(|error| Failure::registry(format!("run {run}: {}", error_chain(&error))))?;
    Ok((record, history.driven))
}

/// The attempt that is asked for, or the last one; `None` while there is none.
fn attempt(record: &RunRecord, task: &TaskId, asked: Option<u32>) -> Result<Option<AttemptRef>, Failure> {
    let attempts = record.task(task).map_or(&[][..], |task| &task.attempts);
    let number = match asked {
        None => attempts.last().map(|attempt| attempt.number),
        Some(asked) => {
            let number =
                AttemptNo::new(asked).filter(|number| attempts.iter().any(|attempt| attempt.number == *number));
            let missing = || {
                Failure::usage(format!("`{task}` has no attempt {asked}")).hint(format!("it has {}", attempts.len()))
            };
            Some(number.ok_or_else(missing)?)
        }
    };
    Ok(number.map(|number| AttemptRef { task: task.clone(), number }))
}

/// The logs of one attempt, as far as they were printed.
struct Followed {
    folder: PathBuf,
    lines: Option<usize>,
    printed: [u64; 2],
}

const PHASES: [Phase; 2] = [Phase::Main, Phase::Check];

impl Followed {
    fn new(folder: PathBuf, lines: Option<usize>) -> Self {
        Self { folder, lines, printed: [0, 0] }
    }

    /// Prints what has come since. The check's log follows the command's.
    fn print(&mut self, printer: &mut Printer<'_>) -> Result<(), Failure> {
        for (phase, printed) in PHASES.into_iter().zip(&mut self.printed) {
            let path = self.folder.join(phase.output_file());
            let lines = self.lines.filter(|_| *printed == 0 && phase == Phase::Main);
            let unreadable = |error: &io::Error| Failure::registry(format!("cannot read {}: {error}", path.display()));
            let mut file = match open(&path, *printed, lines) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(error) => return Err(unreadable(&error)),
            };
            let mut buffer = vec![0; 64 << 10];
            loop {
                let read = file.read(&mut buffer).map_err(|error| unreadable(&error))?;
                if read == 0 {
                    break;
                }
                printer.print(&buffer[..read])?;
            }
            *printed = file.stream_position().map_err(|error| unreadable(&error))?;
        }
        Ok(())
    }
}

/// Opens a log at a place, or at the beginning of its last lines; `None` where there is none yet.
fn open(path: &Path, at: u64, lines: Option<usize>) -> io::Result<Option<File>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let start = match lines {
        Some(lines) => last_lines(&mut file, lines)?,
        None => at,
    };
    file.seek(SeekFrom::Start(start))?;
    Ok(Some(file))
}

/// Where the last lines begin. Reads from the end, so a large log costs no more than its last lines.
fn last_lines(file: &mut File, lines: usize) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut chunk = vec![0; 64 << 10];
    let (mut end, mut found) = (length, 0);
    while end > 0 {
        let start = end.saturating_sub(chunk.len() as u64);
        let part = &mut chunk[..usize::try_from(end - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        for (at, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let place = start + at as u64;
            // The last byte of a log that ends with a line break begins no line.
            found += usize::from(place + 1 < length);
            if found == lines && place + 1 < length {
                return Ok(place + 1);
            }
        }
        end = start;
    }
    Ok(if lines == 0 { length } else { 0 })
}

/// Prints bytes as they are, or whole lines made harmless.
struct Printer<'a> {
    context: &'a Context,
    raw: bool,
    pending: Vec<u8>,
}

/// A line that is longer than this is shown in pieces.
const LONGEST_LINE: usize = 1 << 20;

impl Printer<'_> {
    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.raw {
            return Ok(self.context.terminal.bytes(bytes)?);
        }
        self.pending.extend_from_slice(bytes);
        let end = match self.pending.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.pending.len() > LONGEST_LINE => self.pending.len(),
            None => return Ok(()),
        };
        let whole: Vec<u8> = self.pending.drain(..end).collect();
        self.show(&whole)
    }

    /// Prints what has no line break at its end.
    fn rest(&mut self) -> Result<(), Failure> {
        let rest = std::mem::take(&mut self.pending);
        self.show(&rest)
    }

    fn show(&self, bytes: &[u8]) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(bytes);
        let shown: Vec<_> = text.split('\n').map(harmless).collect();
        Ok(self.context.terminal.result(&shown.join("\n"))?)
    }
}
