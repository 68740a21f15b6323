//! Reading a journal: whole, or as it grows.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use gadugi_core::{Event, RegistryError, error_chain};

use crate::format::{FormatError, Line, decode, decode_line};

/// What a journal holds.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// The events of all sound lines, by rising number.
    pub(crate) events: Vec<Event>,
    /// A sentence for each line that is damaged, and for each gap.
    pub(crate) damage: Vec<String>,
    /// Whether it has to be rebuilt. What was lost before an earlier rebuilding stays lost, and is no reason.
    pub(crate) broken: bool,
    /// The highest number of a sound line.
    pub(crate) highest: u64,
    /// Up to here its lines are whole. Behind that is a line that was being written when the machine stopped.
    pub(crate) whole: u64,
    /// Whether the last of these lines lacks its newline.
    pub(crate) unended: bool,
}

/// Reads a journal. What stands behind the last newline and is no line was being written when the machine
/// stopped; it is left out without a word.
///
/// # Errors
/// [`RegistryError::Read`], [`RegistryError::TooNew`]. A journal that is missing is a damaged one.
pub(crate) fn read(path: &Path) -> Result<Journal, RegistryError> {
    let mut journal = Journal::default();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            journal.breaks("journal.jsonl is missing".to_owned());
            return Ok(journal);
        }
        Err(source) => return Err(RegistryError::Read { path: path.to_owned(), source }),
    };
    let mut lines = Lines::new(&bytes);
    while let Some(line) = lines.next() {
        match decode_line(line) {
            Ok(line) => journal.take(line, lines.number),
            Err(FormatError::TooNew { found, known }) => {
                return Err(RegistryError::TooNew { path: path.to_owned(), found, known });
            }
            Err(error) => journal.breaks(damaged_line(lines.number, &error)),
        }
    }
    journal.whole = (bytes.len() - lines.rest.len()) as u64;
    journal.take_rest(lines.rest, lines.number + 1);
    Ok(journal)
}

impl Journal {
    /// Takes note of damage that makes it necessary to rebuild.
    pub(crate) fn breaks(&mut self, damage: String) {
        self.broken = true;
        self.damage.push(damage);
    }

    fn take(&mut self, line: Line, number: usize) {
        let Line { event, lost } = line;
        self.highest = self.highest.max(event.seq);
        let last = self.events.last().map_or(0, |event| event.seq);
        if event.seq <= last {
            self.breaks(format!("line {number} of journal.jsonl has the number {} after {last}", event.seq));
            return;
        }
        let missing = event.seq - last - 1;
        if missing > 0 && missing == lost {
            let (events, are) = if lost == 1 { ("event", "is") } else { ("events", "are") };
            self.damage.push(format!("{lost} {events} before line {number} of journal.jsonl {are} lost"));
        } else if missing > 0 && !self.broken {
            let what = format!("journal.jsonl lacks what comes before line {number}, number {}", event.seq);
            self.breaks(what);
        }
        self.events.push(event);
    }

    /// Takes what stands behind the last newline. It may be a whole line, whose newline was not written any
    /// more or is damaged.
    fn take_rest(&mut self, rest: &[u8], number: usize) {
        if let Ok(line) = decode_line(rest) {
            self.whole += rest.len() as u64;
            self.unended = true;
            self.take(line, number);
        } else if let Some((_, line)) = rest.split_last()
            && let Ok(line) = decode_line(line)
        {
            self.breaks(format!("line {number} of journal.jsonl has lost its end"));
            self.take(line, number);
        }
    }
}

fn damaged_line(line: usize, error: &FormatError) -> String {
    format!("line {line} of journal.jsonl is damaged: {}", error_chain(error))
}

/// The whole lines of some bytes, without their newlines, and how far they have been read.
struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the last line that was given.
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, number: 0 }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        self.number += 1;
        Some(line)
    }
}

/// Gives the events of a journal as it grows, each once and in order. It takes no lock and never waits:
/// ask again when something may have been written. A journal that was rebuilt meanwhile is gone on with behind the
/// last event that was given.
#[derive(Debug)]
pub struct JournalFollower {
    path: PathBuf,
    offset: u64,
    lines: usize,
    /// The number of the last event that was given.
    last: u64,
    /// Which file was read.
    file: Option<FileId>,
}

impl JournalFollower {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, lines: 0, last: 0, file: None }
    }

    /// The events that have been written since the last call; the first call gives all. A line that is
    /// still being written is given by a later call.
    ///
    /// # Errors
    /// [`RegistryError::Read`], and [`RegistryError::TooNew`] when a newer version of Gadugi goes on with the
    /// run. [`RegistryError::Damaged`] for a damaged line with others behind it, told once; the next call
    /// goes on behind it, and [`load`](gadugi_core::Registry::load) tells what can be known of the run.
    pub fn next_events(&mut self) -> Result<Vec<Event>, RegistryError> {
        let bytes = self.read_on().map_err(|source| RegistryError::Read { path: self.path.clone(), source })?;
        let mut lines = Lines::new(&bytes);
        let mut events = Vec::new();
        while let Some(line) = lines.next() {
            let damage = match decode(line) {
                Ok(event) => {
                    if event.seq > self.last {
                        self.last = event.seq;
                        events.push(event);
                    }
                    None
                }
                // It may be torn. Once there is something behind it, it is not.
                Err(FormatError::Checksum) if lines.rest.is_empty() => break,
                // First what is before it; the next call meets it again.
                Err(_) if !events.is_empty() => break,
                Err(FormatError::TooNew { found, known }) => {
                    return Err(RegistryError::TooNew { path: self.path.clone(), found, known });
                }
                Err(error) => Some(damaged_line(self.lines + 1, &error)),
            };
            self.lines += 1;
            self.offset += line.len() as u64 + 1;
            if let Some(what) = damage {
                return Err(RegistryError::Damaged { path: self.path.clone(), what });
            }
        }
        Ok(events)
    }

    fn read_on(&mut self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        let id = file_id(&metadata);
        if self.file.replace(id).is_some_and(|before| before != id) || metadata.len() < self.offset {
            (self.offset, self.lines) = (0, 0);
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Tells a file from another one of the same name.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Elsewhere only the length tells.
#[cfg(not(unix))]
fn file_id(_: &Metadata) -> FileId {
    (0, 0)
}
