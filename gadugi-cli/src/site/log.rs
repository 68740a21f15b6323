//! Logs of attempts, read as they grow.
//!
//! A log that was made longer without being written, by a task or by a damaged file system, has holes. They take no room on the disk,
//! would take long to read, and are skipped.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use gadugi_registry::render::open_log;
use rustix::fs::{SeekFrom as Extent, seek};
use rustix::io::Errno;

/// Bytes that are read at once.
const MAX_PORTION: u64 = 1 << 20;

/// Bytes at the end of a log that are searched for its last lines. A longer stretch without a line break counts as one line.
const MAX_TAIL: u64 = 64 << 20;

/// Bytes at the end of a part that are searched for the end of its text; more than a block of any file system.
const MAX_BLOCK: u64 = 64 << 10;

/// A log of which each byte is read once, as it is appended. Until the log exists it is empty.
pub(crate) struct GrowingLog {
    path: PathBuf,
    position: u64,
    skipped: u64,
}

impl GrowingLog {
    /// The log at `path`, from its first byte.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, position: 0, skipped: 0 }
    }

    /// The log at `path` from its last lines, and the number of these lines: `lines`, or fewer if it has fewer. Reads from the end, so that a
    /// large log costs no more than its last lines.
    pub(crate) fn from_last_lines(path: PathBuf, lines: usize) -> io::Result<(Self, usize)> {
        let (position, found) = match open(&path)? {
            Some(mut file) => last_lines(&mut file, lines)?,
            None => (0, 0),
        };
        Ok((Self { path, position, skipped: 0 }, found))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of holes that were skipped.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads the next bytes, at most 1 MiB; none once everything was read.
    pub(crate) fn read_on(&mut self) -> io::Result<Vec<u8>> {
        let Some(mut file) = open(&self.path)? else { return Ok(Vec::new()) };
        let Some(part) = next_part(&file, self.position)? else {
            // A hole at the end is skipped too. A log that has become shorter is not read again.
            let length = file.metadata()?.len();
            self.skipped += length.saturating_sub(self.position);
            self.position = length.max(self.position);
            return Ok(Vec::new());
        };
        self.skipped += part.start - self.position;
        file.seek(SeekFrom::Start(part.start))?;
        let mut portion = Vec::new();
        file.take(MAX_PORTION.min(part.end - part.start)).read_to_end(&mut portion)?;
        self.position = part.start + portion.len() as u64;
        Ok(portion)
    }

    /// Reads the last `window` bytes if the log has grown since the last call, and skips all before them.
    pub(crate) fn read_end(&mut self, window: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = open(&self.path)? else { return Ok(None) };
        let length = file.metadata()?.len();
        if length == self.position {
            return Ok(None);
        }
        self.position = length;
        file.seek(SeekFrom::Start(length.saturating_sub(window)))?;
        let mut end = Vec::new();
        file.take(window).read_to_end(&mut end)?;
        Ok(Some(end))
    }
}

/// Opens a log; `None` where there is none yet.
fn open(path: &Path) -> io::Result<Option<File>> {
    match open_log(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The next part with text at or after `from`; `None` at the end. On a file system without holes everything is one part.
fn next_part(file: &File, mut from: u64) -> io::Result<Option<Range<u64>>> {
    let length = file.metadata()?.len();
    loop {
        let start = match seek(file, Extent::Data(from)) {
            // It may have become shorter.
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(from..length).filter(|part| !part.is_empty())),
            start => start?,
        };
        let end = seek(file, Extent::Hole(start))?;
        let part = if end < length { start..end_of_text(file, start..end)? } else { start..end };
        if !part.is_empty() {
            return Ok(Some(part));
        }
        from = end;
    }
}

/// The end of the text in a part before a hole: the rest of its last block is zeros and belongs to the hole.
fn end_of_text(file: &File, part: Range<u64>) -> io::Result<u64> {
    let start = part.end.saturating_sub(MAX_BLOCK).max(part.start);
    let mut block = vec![0; usize::try_from(part.end - start).unwrap_or(0)];
    file.read_exact_at(&mut block, start)?;
    let text = block.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Ok(start + text as u64)
}

/// The position of the last lines, and their number.
fn last_lines(file: &mut File, lines: usize) -> io::Result<(u64, usize)> {
    let mut parts = Vec::new();
    let mut length = 0;
    while let Some(part) = next_part(file, length)? {
        length = part.end;
        parts.push(part);
    }
    let mut chunk = vec![0; 64 << 10];
    let (mut found, mut read) = (0, 0);
    for part in parts.iter().rev() {
        let mut end = part.end;
        while end > part.start {
            let start = end.saturating_sub(chunk.len() as u64).max(part.start);
            let bytes = &mut chunk[..usize::try_from(end - start).unwrap_or(0)];
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(bytes)?;
            for (at, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                let place = start + at as u64;
                // The last byte of a log that ends with a line break begins no line.
                found += usize::from(place + 1 < length);
                if found == lines && place + 1 < length {
                    return Ok((place + 1, lines));
                }
            }
            read += end - start;
            if read >= MAX_TAIL {
                return Ok((start, found + 1));
            }
            end = start;
        }
    }
    Ok(if lines == 0 || length == 0 { (length, 0) } else { (0, found + 1) })
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    /// Appends text to a log after a hole.
    fn append(path: &Path, hole: u64, text: &str) {
        let mut log = OpenOptions::new().write(true).create(true).truncate(false).open(path).expect("a log");
        log.seek(SeekFrom::End(i64::try_from(hole).expect("a small hole"))).expect("its end");
        log.write_all(text.as_bytes()).expect("it grows");
    }

    #[test]
    fn each_byte_is_read_once_and_what_is_not_there_yet_is_empty() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("output.log");
        let mut log = GrowingLog::new(path.clone());
        assert_eq!(log.read_on().expect("no log is no error"), b"");
        append(&path, 0, "one\n");
        assert_eq!(log.read_on().expect("it is read"), b"one\n");
        append(&path, 0, "two");
        assert_eq!(log.read_on().expect("it is read"), b"two");
        assert_eq!(log.read_on().expect("it is read"), b"");
        assert_eq!(log.skipped(), 0);
    }

    #[test]
    fn holes_are_skipped_and_counted_where_the_file_system_knows_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("output.log");
        append(&path, 0, "one\n");
        append(&path, 1 << 20, "two\n");
        let mut log = GrowingLog::new(path);
        let mut text = Vec::new();
        loop {
            match log.read_on().expect("it is read") {
                portion if portion.is_empty() => break,
                portion => text.extend(portion),
            }
        }
        assert_eq!(text.len() as u64 + log.skipped(), (1 << 20) + 8);
        text.retain(|byte| *byte != 0);
        assert_eq!(text, b"one\ntwo\n");
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("output.log");
        let last = |lines| {
            let (mut log, found) = GrowingLog::from_last_lines(path.clone(), lines).expect("it is read");
            (String::from_utf8(log.read_on().expect("it is read")).expect("text"), found)
        };
        assert_eq!(last(3), (String::new(), 0));
        append(&path, 0, "one\ntwo\nthree\n");
        assert_eq!(last(2), ("two\nthree\n".to_owned(), 2));
        assert_eq!(last(9), ("one\ntwo\nthree\n".to_owned(), 3));
        assert_eq!(last(0), (String::new(), 0));
    }
}
