//! The log of an agent, read while it runs and after it has ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::agent::{AgentReport, Lines, OutputReader};

/// So much is read at once.
const PORTION: u64 = 1 << 20;

/// How long a log that cannot be read holds up an end.
pub(crate) const LONGEST_WAIT_FOR_LOG: Duration = Duration::from_secs(10);

/// So much of the end of a log is searched for an error.
const MOST_OF_END: u64 = 64 << 10;

/// So many characters of an error are told.
const LONGEST_ERROR: usize = 200;

/// A part of a log.
struct Portion {
    bytes: Vec<u8>,
    /// When the last of the log was printed.
    written: SystemTime,
}

/// Follows the log of one command. It can begin at any time, since it begins with the first line.
pub(crate) struct Listener {
    log: PathBuf,
    read: u64,
    /// What is being read. Kept by those who wait no longer, so that a log that hangs holds up one thread and no more.
    portion: Option<JoinHandle<io::Result<Portion>>>,
    lines: Lines,
    reader: Box<dyn OutputReader>,
}

impl Listener {
    pub(crate) fn new(reader: Box<dyn OutputReader>, log: PathBuf) -> Self {
        Self { log, read: 0, portion: None, lines: Lines::default(), reader }
    }

    /// Takes in what was printed since. A log that cannot be read says nothing. May be dropped and called again.
    pub(crate) async fn listen(&mut self) {
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

    /// Takes in the rest, also a last line without its end.
    pub(crate) async fn finish(&mut self) {
        self.listen().await;
        self.lines.finish(|line| self.reader.read(line));
    }

    pub(crate) fn report(&self) -> &AgentReport {
        self.reader.report()
    }

    pub(crate) fn answers(&self) -> u64 {
        self.reader.answers()
    }
}

/// Opens a log. What a command has put in its place, such as a pipe, could be waited for, or read, for ever.
fn open(log: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY).bits().cast_signed());
    }
    let file = options.open(log)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// What was printed from there on.
fn read(log: PathBuf, from: u64) -> io::Result<Portion> {
    let mut file = open(&log)?;
    let written = file.metadata()?.modified()?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(PORTION).read_to_end(&mut bytes)?;
    Ok(Portion { bytes, written })
}

/// The end of a text file, at most so many bytes of it, from the beginning of a line on where there is one; nothing where it cannot be read.
pub(crate) async fn end_of(file: PathBuf, most: u64) -> String {
    let read = move || -> io::Result<String> {
        let mut file = open(&file)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        // Of a single line, too, the end is worth more than nothing.
        let whole = text.split_once('\n').map(|(_, rest)| rest).filter(|rest| length > most && !rest.is_empty());
        Ok(whole.unwrap_or(&text).to_owned())
    };
    spawn_blocking(read).await.ok().and_then(Result::ok).unwrap_or_default()
}

/// The last line of a log that names an error as git does, or a program that is none of this machine, after the `error:` that led to it where that is a `fatal:`, bounded;
/// `None` where no line does, or where it cannot be read.
pub(crate) async fn last_error_of(log: PathBuf) -> Option<String> {
    let end = end_of(log, MOST_OF_END).await;
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
    Some(match told.char_indices().nth(LONGEST_ERROR) {
        Some((end, _)) => format!("{}…", &told[..end]),
        None => told,
    })
}
