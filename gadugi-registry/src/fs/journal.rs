//! Reading a journal: whole, or as it grows.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use gadugi_core::{Event, RegistryError, error_chain};

use crate::format::{FormatError, decode};

/// What a journal holds.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// The events of all sound lines, by rising number.
    pub(crate) events: Vec<Event>,
    /// A sentence for each line that is damaged, and for each gap.
    pub(crate) damage: Vec<String>,
}

/// Reads a journal. A last line that is cut off or whose checksum is wrong was being written when the
/// machine stopped; it is left out without a word.
///
/// # Errors
/// [`RegistryError::Read`], [`RegistryError::TooNew`]. A journal that is missing is a damaged one.
pub(crate) fn read(path: &Path) -> Result<Journal, RegistryError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Journal { events: Vec::new(), damage: vec!["journal.jsonl is missing".into()] });
        }
        Err(source) => return Err(RegistryError::Read { path: path.to_owned(), source }),
    };
    let mut journal = Journal::default();
    let mut lines = Lines::new(&bytes);
    while let Some(line) = lines.next() {
        match decode(line) {
            Ok(event) => journal.take(event, lines.number),
            Err(FormatError::TooNew { found, known }) => {
                return Err(RegistryError::TooNew { path: path.to_owned(), found, known });
            }
            Err(FormatError::Checksum) if lines.rest.is_empty() => {}
            Err(error) => journal.damage.push(damaged_line(lines.number, &error)),
        }
    }
    Ok(journal)
}

impl Journal {
    fn take(&mut self, event: Event, line: usize) {
        let last = self.events.last().map_or(0, |event| event.seq);
        if event.seq <= last {
            self.damage.push(format!("line {line} of journal.jsonl has the number {} after {last}", event.seq));
            return;
        }
        if event.seq > last + 1 && self.damage.is_empty() {
            self.damage.push(format!("journal.jsonl lacks what comes before line {line}, number {}", event.seq));
        }
        self.events.push(event);
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
/// ask again when something may have been written.
#[derive(Debug)]
pub struct JournalFollower {
    path: PathBuf,
    offset: u64,
    lines: usize,
}

impl JournalFollower {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, lines: 0 }
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
                    events.push(event);
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

    fn read_on(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
