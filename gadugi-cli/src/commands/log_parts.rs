//! The parts of a log in which something stands. A log that was made longer without being written, by a task or a damaged
//! file system, has holes between them, which take no room on the disk and would take long to read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom as Place, seek};
use rustix::io::Errno;

/// The next part at or behind a place; `None` where there is nothing more. A file system that knows no holes has one part.
pub(super) fn next_part(file: &File, mut from: u64) -> io::Result<Option<Range<u64>>> {
    let length = file.metadata()?.len();
    loop {
        let start = match seek(file, Place::Data(from)) {
            // It may have become shorter.
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(from..length).filter(|part| !part.is_empty())),
            start => start?,
        };
        let end = seek(file, Place::Hole(start))?;
        let part = if end < length { start..end_of_text(file, start..end)? } else { start..end };
        if !part.is_empty() {
            return Ok(Some(part));
        }
        from = end;
    }
}

/// Where a part ends before a hole: the rest of its last block belongs to that.
fn end_of_text(file: &File, part: Range<u64>) -> io::Result<u64> {
    let start = part.end.saturating_sub(BLOCK).max(part.start);
    let mut block = vec![0; usize::try_from(part.end - start).unwrap_or(0)];
    file.read_exact_at(&mut block, start)?;
    let text = block.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Ok(start + text as u64)
}

/// Larger than a block of a file system.
const BLOCK: u64 = 64 << 10;

/// How far the end of a log is read back for its last lines. What is longer has no lines.
const MAX_TAIL: u64 = 64 << 20;

/// Where the last lines begin, and how many there are. Reads from the end, so a large log costs no more than its last lines.
pub(super) fn last_lines(file: &mut File, lines: usize) -> io::Result<(u64, usize)> {
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
