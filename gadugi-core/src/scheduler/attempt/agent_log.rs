//! The log of an agent, read while it runs and after it has ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustix::fs::OFlags;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::agent::{AgentReport, Lines, OutputReader};

/// Bytes that are read at once.
const READ_SIZE: u64 = 1 << 20;

/// Time for which a log that cannot be read delays the end of an attempt.
pub(crate) const LOG_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes at the end of a log that are searched for an error.
const MAX_LOG_END: u64 = 64 << 10;

/// Bytes of a failed check's output in a prompt.
const MAX_CHECK_OUTPUT: u64 = 8 << 10;

/// Characters of an error that are kept.
const MAX_ERROR_CHARS: usize = 200;

/// A part of a log.
struct Portion {
    bytes: Vec<u8>,
    /// Time of the last output in the log.
    written: SystemTime,
}

/// The log of an agent's command. It can be opened at any time, since reading starts at the first line.
pub(crate) struct AgentLog {
    log: PathBuf,
    read: u64,
    /// A read under way. It outlives a poll that timed out, so that a file system that hangs blocks only one thread.
    portion: Option<JoinHandle<io::Result<Portion>>>,
    lines: Lines,
    reader: Box<dyn OutputReader>,
}

impl AgentLog {
    pub(crate) fn new(reader: Box<dyn OutputReader>, log: PathBuf) -> Self {
        Self { log, read: 0, portion: None, lines: Lines::default(), reader }
    }

    /// Reads the output since the last poll. A log that cannot be read counts as empty. May be dropped and called again.
    pub(crate) async fn poll(&mut self) {
        loop {
            let portion = self.portion.get_or_insert_with(|| {
                let (log, from) = (self.log.clone(), self.read);
                spawn_blocking(move || read(log, from))
            });
            let portion = portion.await;
            self.portion = None;
            let Ok(Ok(Portion { bytes, written })) = portion else { return };
            if bytes.is_empty() {
                return;
            }
            if let Ok(written) = Timestamp::try_from(written) {
                self.reader.printed_by(written);
            }
            self.read += bytes.len() as u64;
            self.lines.feed(&bytes, |line| self.reader.read(line));
        }
    }

    /// Reads the rest, including a last line without line break.
    pub(crate) async fn finish(&mut self) {
        self.poll().await;
        self.lines.finish(|line| self.reader.read(line));
    }

    pub(crate) fn report(&self) -> &AgentReport {
        self.reader.report()
    }

    pub(crate) fn answers(&self) -> u64 {
        self.reader.answers()
    }
}

/// Opens a log, which must be a file: a pipe that a command has put in its place could block for ever.
fn open(log: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(log)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Reads output from a position on.
fn read(log: PathBuf, from: u64) -> io::Result<Portion> {
    let mut file = open(&log)?;
    let written = file.metadata()?.modified()?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(READ_SIZE).read_to_end(&mut bytes)?;
    Ok(Portion { bytes, written })
}

/// The last `most` bytes of a text file at most, from the start of a line where there is one; empty where it cannot be read.
pub(crate) async fn end_of(file: PathBuf, most: u64) -> String {
    let read = move || -> io::Result<String> {
        let mut file = open(&file)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        // The end of a single long line is better than nothing.
        let whole = text.split_once('\n').map(|(_, rest)| rest).filter(|rest| length > most && !rest.is_empty());
        Ok(whole.unwrap_or(&text).to_owned())
    };
    spawn_blocking(read).await.ok().and_then(Result::ok).unwrap_or_default()
}

/// The end of a failed check's output, as an agent is told it; empty where the log cannot be read.
pub async fn end_of_check(log: PathBuf) -> String {
    end_of(log, MAX_CHECK_OUTPUT).await
}

/// The last line of a log with an error in the form that git uses, or about a program for another machine. A `fatal:` comes
/// with the `error:` before it. `None` where there is none, or where the log cannot be read.
pub(crate) async fn last_error_of(log: PathBuf) -> Option<String> {
    let end = end_of(log, MAX_LOG_END).await;
    let is_error = |line: &&str| {
        line.starts_with("fatal:") || line.starts_with("error:") || line.to_lowercase().ends_with(": exec format error")
    };
    let mut errors = end.lines().rev().map(str::trim_end).filter(is_error);
    let last = errors.next()?;
    let cause = errors.next().filter(|before| last.starts_with("fatal:") && before.starts_with("error:"));
    let told = match cause {
        Some(cause) => format!("{}; {last}", cause.trim_end_matches(':')),
        None => last.to_owned(),
    };
    Some(match told.char_indices().nth(MAX_ERROR_CHARS) {
        Some((end, _)) => format!("{}…", &told[..end]),
        None => told,
    })
}
