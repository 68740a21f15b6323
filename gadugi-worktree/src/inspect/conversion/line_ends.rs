//! Line ends of files that are too large to be held in memory, counted and converted as they are read.

use std::io::{self, Read};

use gix::filter::plumbing::eol::{AttributesDigest, Stats};

const BUFFER: usize = 64 * 1024;

/// Counts the bytes that git decides by: whether a file is text, and with which line ends.
pub(super) fn count(mut from: impl Read) -> io::Result<Stats> {
    let mut stats = Stats { null: 0, lone_cr: 0, lone_lf: 0, crlf: 0, printable: 0, non_printable: 0 };
    let mut buffer = vec![0; BUFFER];
    let mut last = None;
    loop {
        let length = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if length == 0 {
            break;
        }
        for &byte in &buffer[..length] {
            if last == Some(b'\r') {
                let is_end = byte == b'\n';
                *(if is_end { &mut stats.crlf } else { &mut stats.lone_cr }) += 1;
            }
            match byte {
                b'\r' => {}
                b'\n' => stats.lone_lf += usize::from(last != Some(b'\r')),
                0 => {
                    stats.null += 1;
                    stats.non_printable += 1;
                }
                8 | b'\t' | 27 | 12 => stats.printable += 1,
                1..32 | 127 => stats.non_printable += 1,
                _ => stats.printable += 1,
            }
            last = Some(byte);
        }
    }
    stats.lone_cr += usize::from(last == Some(b'\r'));
    // The mark of an end of file counts as no sign of a binary one.
    stats.non_printable -= usize::from(last == Some(0x1a));
    Ok(stats)
}

/// Whether git stores other line ends than these. `has_crlf` tells whether the stored file is text with CR LF.
pub(super) fn are_converted<E>(
    stats: &Stats,
    digest: AttributesDigest,
    has_crlf: impl FnOnce() -> Result<bool, E>,
) -> Result<bool, E> {
    if digest == AttributesDigest::Binary || stats.crlf == 0 {
        return Ok(false);
    }
    Ok(!digest.is_auto_text() || !stats.is_binary() && !has_crlf()?)
}

/// A reader that drops each CR before an LF.
pub(super) struct WithoutCr<R> {
    from: R,
    buffer: Vec<u8>,
    at: usize,
    /// Whether the last byte was a CR that may have to stay.
    is_held: bool,
    is_over: bool,
}

impl<R: Read> WithoutCr<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), at: 0, is_held: false, is_over: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut next = [0; BUFFER];
        let length = self.from.read(&mut next)?;
        self.buffer.clear();
        self.at = 0;
        for &byte in &next[..length] {
            if std::mem::take(&mut self.is_held) && byte != b'\n' {
                self.buffer.push(b'\r');
            }
            if byte == b'\r' {
                self.is_held = true;
            } else {
                self.buffer.push(byte);
            }
        }
        self.is_over = length == 0;
        if self.is_over && std::mem::take(&mut self.is_held) {
            self.buffer.push(b'\r');
        }
        Ok(())
    }
}

impl<R: Read> Read for WithoutCr<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.buffer.len() && !self.is_over {
            self.fill()?;
        }
        let length = (&self.buffer[self.at..]).read(into)?;
        self.at += length;
        Ok(length)
    }
}

/// A reader of exactly so many bytes; a shorter or longer source is an error.
pub(super) struct Exactly<R> {
    pub(super) from: R,
    pub(super) left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(into)?;
        match self.left.checked_sub(length as u64) {
            Some(left) if length > 0 || left == 0 || into.is_empty() => {
                self.left = left;
                Ok(length)
            }
            _ => Err(io::Error::other("its size has changed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, so that every pair of bytes lies across two readings.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut into[..1])
        }
    }

    proptest::proptest! {
        #[test]
        fn line_ends_are_counted_and_converted_as_in_memory(
            bytes in proptest::collection::vec(proptest::sample::select(b"\r\n\r\nab\0\x1a\x01\x7f".to_vec()), 0..40),
        ) {
            let stats = count(Slow(&bytes)).expect("it is read");
            proptest::prop_assert_eq!(stats, Stats::from_bytes(&bytes));
            let mut converted = Vec::new();
            WithoutCr::new(Slow(&bytes)).read_to_end(&mut converted).expect("it is read");
            let expected = String::from_utf8(bytes).expect("text").replace("\r\n", "\n");
            proptest::prop_assert_eq!(String::from_utf8(converted).expect("text"), expected);
        }
    }

    #[test]
    fn a_file_that_grows_or_shrinks_is_no_file_of_that_size() {
        let read = |bytes: &[u8], left| io::copy(&mut Exactly { from: bytes, left }, &mut io::sink());
        assert_eq!(read(b"abc", 3).expect("it is read"), 3);
        read(b"abcd", 3).expect_err("it is longer");
        read(b"ab", 3).expect_err("it is shorter");
    }
}
