//! Reading a journal: whole, or as it grows. It is read line by line, so that its length costs no memory.

pub(super) mod history;
pub(super) mod rebuild;
pub(super) mod writer;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gadugi_core::registry::RegistryError;
use gadugi_core::{Event, EventKind, error_chain};

use crate::format::{FormatError, Line, decode, decode_line, kind_of};
use crate::fs::regular::{self, is_unfit};

/// Limit for the bytes of a line. Gadugi never writes a longer one.
const MAX_LINE: u64 = 64 << 20;

/// Number of events that a follower returns at once.
const MAX_EVENTS: usize = 1024;

/// Buffer size for reading a journal.
const PORTION: usize = 64 << 10;

/// The state of a journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    /// A sentence for each line that is damaged, and for each gap.
    pub(crate) damage: Vec<String>,
    /// Whether it has to be rebuilt. What was lost before an earlier rebuilding stays lost, and is no reason.
    pub(crate) broken: bool,
    /// The highest number of a sound line.
    pub(crate) highest: u64,
    /// The number of the last event; 0 where there is none.
    pub(crate) last: u64,
    /// Whether that is the end of the run.
    pub(crate) over: bool,
    /// Length of the whole lines. Behind them is a line that was being written when the machine stopped.
    pub(crate) whole: u64,
    /// Whether the last of these lines lacks its newline.
    pub(crate) unended: bool,
}

/// Reads a journal, and gives the events of all sound lines to `take`, by rising number. What stands behind the last
/// newline and is no line was being written when the machine stopped; it is left out without a word.
///
/// # Errors
/// [`RegistryError::Read`], [`RegistryError::TooNew`]. A journal that is missing, or is no regular file, is a damaged one.
pub(crate) fn read(path: &Path, mut take: impl FnMut(Event)) -> Result<Journal, RegistryError> {
    let mut journal = Journal::default();
    let unreadable = |source| RegistryError::Read { path: path.to_owned(), source };
    let file = match regular::open(path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            journal.breaks("journal.jsonl is missing".to_owned());
            return Ok(journal);
        }
        Err(error) if is_unfit(&error) => {
            journal.breaks("journal.jsonl is no regular file".to_owned());
            return Ok(journal);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut lines = Lines::new(BufReader::with_capacity(PORTION, file));
    while lines.next().map_err(unreadable)? {
        match lines.line().map_or(Err(FormatError::Checksum), decode_line) {
            Ok(line) => journal.take(line, lines.number, &mut take),
            Err(FormatError::TooNew { found, known }) => {
                return Err(RegistryError::TooNew { path: path.to_owned(), found, known });
            }
            Err(error) => journal.breaks(damaged_line(lines.number, &error)),
        }
    }
    journal.whole = lines.read;
    if let Some(rest) = lines.line() {
        journal.take_rest(rest, lines.number + 1, &mut take);
    }
    Ok(journal)
}

/// Reads only the sound lines of a journal that are of these kinds of events, each with its bytes, and passes over
/// everything else, damage too.
///
/// # Errors
/// [`RegistryError::Read`].
pub(crate) fn read_only(path: &Path, kinds: &[&str], mut take: impl FnMut(Event, &[u8])) -> Result<(), RegistryError> {
    let unreadable = |source| RegistryError::Read { path: path.to_owned(), source };
    let file = regular::open(path, OpenOptions::new().read(true)).map_err(unreadable)?;
    let mut lines = Lines::new(BufReader::with_capacity(PORTION, file));
    while lines.next().map_err(unreadable)? {
        if let Some(line) = lines.line()
            && kind_of(line).is_some_and(|kind| kinds.iter().any(|wanted| wanted.as_bytes() == kind))
            && let Ok(event) = decode(line)
        {
            take(event, line);
        }
    }
    Ok(())
}

/// Whether the last line of a journal is the end of the run.
pub(crate) fn ends_with_the_end(path: &Path) -> io::Result<bool> {
    let mut file = regular::open(path, OpenOptions::new().read(true))?;
    let start = file.metadata()?.len().saturating_sub(PORTION as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(PORTION as u64).read_to_end(&mut end)?;
    let last = end.strip_suffix(b"\n").and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    let event = last.and_then(|line| decode(line).ok());
    Ok(event.is_some_and(|event| matches!(event.kind, EventKind::RunEnded { .. })))
}

impl Journal {
    /// Takes note of damage that makes it necessary to rebuild.
    pub(crate) fn breaks(&mut self, damage: String) {
        self.broken = true;
        self.damage.push(damage);
    }

    fn take(&mut self, line: Line, number: usize, take: &mut impl FnMut(Event)) {
        let Line { event, lost } = line;
        self.highest = self.highest.max(event.seq);
        let last = self.last;
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
        self.last = event.seq;
        self.over = matches!(event.kind, EventKind::RunEnded { .. });
        take(event);
    }

    /// Reads the bytes behind the last newline. They may be a whole line whose newline was not written, or is damaged.
    fn take_rest(&mut self, rest: &[u8], number: usize, take: &mut impl FnMut(Event)) {
        if let Ok(line) = decode_line(rest) {
            self.whole += rest.len() as u64;
            self.unended = true;
            self.take(line, number, take);
        } else if let Some((_, line)) = rest.split_last()
            && let Ok(line) = decode_line(line)
        {
            self.breaks(format!("line {number} of journal.jsonl has lost its end"));
            self.take(line, number, take);
        }
    }
}

fn damaged_line(line: usize, error: &FormatError) -> String {
    format!("line {line} of journal.jsonl is damaged: {}", error_chain(error))
}

/// The lines of a journal, one at a time.
struct Lines<R> {
    from: R,
    /// The last read: a line without its newline, or the bytes behind the last newline.
    buffer: Vec<u8>,
    /// Whether that is longer than a line can be, so that not all of it is kept.
    too_long: bool,
    /// The number of bytes in all lines that were read, with their newlines.
    read: u64,
    /// The number of the last line.
    number: usize,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), too_long: false, read: 0, number: 0 }
    }

    /// Reads the next line; `false` when what is left has no newline.
    fn next(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        self.from.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut self.buffer)?;
        let mut length = self.buffer.len() as u64;
        let mut is_whole = self.buffer.pop_if(|byte| *byte == b'\n').is_some();
        self.too_long = !is_whole && length > MAX_LINE;
        if self.too_long {
            self.buffer.clear();
            let (skipped, found) = skip_line(&mut self.from)?;
            (length, is_whole) = (length + skipped, found);
        }
        if is_whole {
            self.read += length;
            self.number += 1;
        }
        Ok(is_whole)
    }

    /// The last read; `None` where it is longer than a line can be.
    fn line(&self) -> Option<&[u8]> {
        (!self.too_long).then_some(&self.buffer)
    }
}

/// Passes over the rest of a line. Says how many bytes that was, and whether there was a newline.
fn skip_line(from: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let portion = from.fill_buf()?;
        if portion.is_empty() {
            return Ok((skipped, false));
        }
        let newline = portion.iter().position(|byte| *byte == b'\n');
        let passed = newline.map_or(portion.len(), |at| at + 1);
        from.consume(passed);
        skipped += passed as u64;
        if newline.is_some() {
            return Ok((skipped, true));
        }
    }
}

/// The events of a journal as it grows, each once and in order. It takes no lock and never waits: call again when more may have
/// been written. After a rebuilding it continues behind the last event that was returned.
#[derive(Debug)]
pub struct JournalFollower {
    path: PathBuf,
    offset: u64,
    lines: usize,
    /// The number of the last event that was given.
    last: u64,
    /// The identity of the file that was read.
    file: Option<FileId>,
}

impl JournalFollower {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, lines: 0, last: 0, file: None }
    }

    /// Events that were written since the last call, the first ones of them where there are many; none when all were returned.
    /// A line that is still being written is returned by a later call.
    ///
    /// # Errors
    /// [`RegistryError::Read`], and [`RegistryError::TooNew`] when a newer version of Gadugi goes on with the
    /// run. [`RegistryError::Damaged`] for a damaged line with others behind it, told once; the next call
    /// goes on behind it, and [`load`](gadugi_core::Registry::load) tells what can be known of the run.
    pub fn next_events(&mut self) -> Result<Vec<Event>, RegistryError> {
        let path = self.path.clone();
        let unreadable = |source| RegistryError::Read { path: path.clone(), source };
        let mut lines = Lines::new(self.open().map_err(unreadable)?);
        let mut events = Vec::new();
        while events.len() < MAX_EVENTS && lines.next().map_err(unreadable)? {
            let damage = match lines.line().map_or(Err(FormatError::Checksum), decode) {
                Ok(event) => {
                    if event.seq > self.last {
                        self.last = event.seq;
                        events.push(event);
                    }
                    None
                }
                // It may be torn. Once there is something behind it, it is not.
                Err(FormatError::Checksum) if lines.from.fill_buf().map_err(unreadable)?.is_empty() => break,
                // First what is before it; the next call meets it again.
                Err(_) if !events.is_empty() => break,
                Err(FormatError::TooNew { found, known }) => {
                    return Err(RegistryError::TooNew { path: self.path.clone(), found, known });
                }
                Err(error) => Some(damaged_line(self.lines + 1, &error)),
            };
            self.lines += 1;
            self.offset += std::mem::take(&mut lines.read);
            if let Some(what) = damage {
                return Err(RegistryError::Damaged { path: self.path.clone(), what });
            }
        }
        Ok(events)
    }

    fn open(&mut self) -> io::Result<BufReader<File>> {
        let mut file = regular::open(&self.path, OpenOptions::new().read(true))?;
        let metadata = file.metadata()?;
        let id = file_id(&metadata);
        if self.file.replace(id).is_some_and(|before| before != id) || metadata.len() < self.offset {
            (self.offset, self.lines) = (0, 0);
        }
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(BufReader::with_capacity(PORTION, file))
    }
}

/// The identity and state of a journal's file, which change with every write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JournalState {
    file: FileId,
    length: u64,
    changed: SystemTime,
}

impl JournalState {
    /// `None` where that cannot be told.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok().filter(Metadata::is_file)?;
        Some(Self { file: file_id(&metadata), length: metadata.len(), changed: metadata.modified().ok()? })
    }
}

/// The identity of a file, as opposed to another one of the same name.
type FileId = (u64, u64);

fn file_id(metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}
