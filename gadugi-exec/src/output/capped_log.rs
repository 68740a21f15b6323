//! The file that holds a command's output: its first bytes and its last ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::os::regular_file::open_regular;

/// The part of a command's output that is kept: its first bytes and its last ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputCap {
    /// Bytes kept from the beginning.
    pub head: u64,
    /// Bytes kept from the end. While the command runs, they lie in a second file beside the log, and not in memory.
    pub tail: u64,
}

impl Default for OutputCap {
    /// 64 MiB from the beginning and 16 MiB from the end.
    fn default() -> Self {
        Self { head: 64 << 20, tail: 16 << 20 }
    }
}

/// A log that never fails: bytes that it cannot write are left out and counted.
///
/// The head goes to the file as it comes. The rest goes to a ring buffer in a second file beside it, `<log>.tail`, which
/// [`finish`](CappedLog::finish) appends to the log, after a line with the number of bytes between them.
pub(crate) struct CappedLog {
    path: PathBuf,
    cap: OutputCap,
    /// `None` after the first failed write, so that the log has no gap without a note of it.
    file: Option<File>,
    /// Bytes of the output in `file`.
    kept: u64,
    tail: Option<Tail>,
    /// Whether the file is emptied before the next bytes.
    begins_anew: bool,
}

/// The last bytes of a stream, in a file of at most `cap` bytes.
struct Tail {
    path: PathBuf,
    file: File,
    cap: u64,
    /// Bytes that were written, of which it holds the last `cap`.
    taken: u64,
}

impl CappedLog {
    /// Opens the file at `path` for appending.
    pub(crate) fn open(path: PathBuf, cap: OutputCap) -> Self {
        let file = open_regular(OpenOptions::new().append(true).create(true).mode(0o600), &path).ok();
        Self { path, cap, file, kept: 0, tail: None, begins_anew: false }
    }

    /// Opens the log of a process that has ended. Returns the bytes of output in it, which are not to be written again. With
    /// more than a head in it that number is unknown: the log is then written anew from the first byte on, and 0 is returned.
    #[cfg(feature = "docker")]
    pub(crate) fn resume(path: PathBuf, cap: OutputCap) -> (Self, u64) {
        let mut log = Self::open(path, cap);
        let tail = tail_of(&log.path);
        let length = log.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
        let is_whole = length <= cap.head && tail.symlink_metadata().is_err();
        if is_whole {
            log.kept = length;
        }
        log.begins_anew = !is_whole;
        let kept = log.kept;
        (log, kept)
    }

    /// Writes the next bytes of the output.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if std::mem::take(&mut self.begins_anew) && file.set_len(0).is_err() {
            return self.give_up();
        }
        let room = usize::try_from(self.cap.head - self.kept).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at(bytes.len().min(room));
        if write_counted(file, head, &mut self.kept).and_then(|()| self.write_tail(rest)).is_err() {
            self.give_up();
        }
    }

    fn write_tail(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let tail = match &mut self.tail {
            Some(tail) => tail,
            None => self.tail.insert(Tail::create(&self.path, self.cap.tail)?),
        };
        tail.write(bytes)
    }

    /// Appends the tail to the head. Returns how many bytes of the output the file holds.
    pub(crate) fn finish(mut self) -> u64 {
        self.give_up();
        self.kept
    }

    /// Appends the tail and closes the log.
    fn give_up(&mut self) {
        if let (Some(mut file), Some(tail)) = (self.file.take(), self.tail.take()) {
            // Bytes that could not be written are not counted as kept.
            tail.append_to(&mut file, &mut self.kept).ok();
            fs::remove_file(&tail.path).ok();
        }
    }
}

impl Tail {
    fn create(log: &Path, cap: u64) -> io::Result<Self> {
        let path = tail_of(log);
        let file = open_regular(OpenOptions::new().read(true).write(true).create(true).mode(0o600), &path)?;
        file.set_len(0)?;
        Ok(Self { path, file, cap, taken: 0 })
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.cap == 0 {
            self.taken += bytes.len() as u64;
            return Ok(());
        }
        while !bytes.is_empty() {
            let place = self.taken % self.cap;
            let room = usize::try_from(self.cap - place).unwrap_or(usize::MAX);
            match self.file.write_at(&bytes[..bytes.len().min(room)], place) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.taken += count as u64;
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn append_to(&self, log: &mut File, kept: &mut u64) -> io::Result<()> {
        let left_out = self.taken.saturating_sub(self.cap);
        if left_out > 0 {
            log.write_all(format!("\n[gadugi: {left_out} bytes of output left out here]\n").as_bytes())?;
        }
        let mut buffer = vec![0; 64 << 10];
        let mut at = left_out;
        while at < self.taken {
            let place = at % self.cap;
            let length = (self.taken - at).min(self.cap - place).min(buffer.len() as u64);
            let piece = &mut buffer[..usize::try_from(length).expect("cannot fail because the buffer is as long")];
            self.file.read_exact_at(piece, place)?;
            write_counted(log, piece, kept)?;
            at += length;
        }
        Ok(())
    }
}

/// Returns the path of a log's tail.
fn tail_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".tail");
    path.into()
}

/// As `write_all`, but counts also what was written before an error.
fn write_counted(file: &mut File, mut bytes: &[u8], written: &mut u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                *written += count as u64;
                bytes = &bytes[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(cap: OutputCap, pieces: &[&[u8]]) -> (Vec<u8>, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("output.log");
        let mut log = CappedLog::open(path.clone(), cap);
        pieces.iter().for_each(|piece| log.write(piece));
        let kept = log.finish();
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "the tail's file is gone");
        (fs::read(path).expect("the log"), kept)
    }

    #[test]
    fn output_within_the_cap_is_whole() {
        let cap = OutputCap { head: 4, tail: 4 };
        assert_eq!(log_of(cap, &[b"abc"]), (b"abc".to_vec(), 3));
        assert_eq!(log_of(cap, &[b"abc", b"defgh"]), (b"abcdefgh".to_vec(), 8));
        assert_eq!(log_of(cap, &[]), (vec![], 0));
    }

    #[test]
    fn of_longer_output_both_ends_are_kept_however_it_is_cut() {
        let cap = OutputCap { head: 4, tail: 4 };
        let expected = (b"abcd\n[gadugi: 3 bytes of output left out here]\nhijk".to_vec(), 8);
        let output = b"abcdefghijk";
        assert_eq!(log_of(cap, &[output]), expected);
        for size in 1..output.len() {
            let pieces: Vec<&[u8]> = output.chunks(size).collect();
            assert_eq!(log_of(cap, &pieces), expected, "pieces of {size}");
        }
    }

    #[cfg(feature = "docker")]
    #[test]
    fn a_log_that_is_whole_is_gone_on_with_and_one_that_is_not_begins_anew() {
        let cap = OutputCap { head: 6, tail: 2 };
        for (before, taken, expected) in [
            ("abc", 3, "abcdef\n[gadugi: 1 bytes of output left out here]\nhi"),
            ("abc\n[gadugi: 9 bytes of output left out here]\n", 0, "defghi"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("output.log");
            fs::write(&path, before).expect("a log");
            let (mut log, found) = CappedLog::resume(path.clone(), cap);
            assert_eq!(found, taken);
            log.write(b"defghi");
            log.finish();
            assert_eq!(fs::read_to_string(path).expect("the log"), expected);
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_the_log_or_of_its_tail_is_not_waited_for() {
        for (name, kept) in [("output.log", 0), ("output.log.tail", 1)] {
            let folder = tempfile::tempdir().expect("a folder");
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, folder.path().join(name), rustix::fs::FileType::Fifo, mode, 0)
                .expect("a pipe");
            let (done, is_done) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let mut log = CappedLog::open(folder.path().join("output.log"), OutputCap { head: 1, tail: 4 });
                log.write(b"abc");
                done.send(log.finish()).expect("it is awaited");
            });
            let written = is_done.recv_timeout(std::time::Duration::from_secs(20));
            assert_eq!(written, Ok(kept), "{name}");
        }
    }

    #[test]
    fn an_end_may_be_empty() {
        let line = "\n[gadugi: 2 bytes of output left out here]\n";
        let without_tail = log_of(OutputCap { head: 1, tail: 0 }, &[b"abc"]);
        assert_eq!(without_tail, (format!("a{line}").into_bytes(), 1));
        let without_head = log_of(OutputCap { head: 0, tail: 1 }, &[b"abc"]);
        assert_eq!(without_head, (format!("{line}c").into_bytes(), 1));
    }

    #[test]
    fn a_log_that_cannot_be_opened_keeps_nothing_and_does_not_fail() {
        let mut log = CappedLog::open("/nonexistent/output.log".into(), OutputCap::default());
        log.write(b"abc");
        assert_eq!(log.finish(), 0);
    }
}
