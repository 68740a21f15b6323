//! Reports how much a command has printed.
//!
//! The numbers go through a named pipe in the attempt's folder, 8 bytes each with the lowest first. A number
//! counts everything that was printed so far, so a reader may miss any but the last, and the next driver of a command continues
//! to read.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Shortest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// Size of the pipe, which fills when nothing reads it.
const PIPE_SIZE: usize = 4096;

pub(super) struct Progress {
    path: PathBuf,
    /// `None` where there is no such pipe.
    pipe: Option<File>,
    reported: u64,
    reported_at: Option<Instant>,
}

impl Progress {
    /// Opens it for both directions, so that it neither waits for a listener nor loses it when another ends.
    pub(super) fn open(path: PathBuf) -> Self {
        let pipe = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).ok();
        if let Some(pipe) = &pipe {
            // It works with more room too.
            rustix::pipe::fcntl_setpipe_size(pipe, PIPE_SIZE).ok();
        }
        Self { path, pipe, reported: 0, reported_at: None }
    }

    /// Reports `printed`, unless the last report was a moment ago; then returns when to try again.
    pub(super) fn report(&mut self, printed: u64, now: Instant) -> Option<Instant> {
        if printed == self.reported {
            return None;
        }
        match self.reported_at.map(|reported_at| reported_at + REPORT_INTERVAL).filter(|&next| next > now) {
            Some(next) => Some(next),
            None => {
                self.write(printed);
                self.reported_at = Some(now);
                None
            }
        }
    }

    fn write(&mut self, printed: u64) {
        self.reported = printed;
        if let Some(mut pipe) = self.pipe.as_ref() {
            // It fails when the pipe is full of unread numbers. The next reader gets a number that is too small, and the
            // right one with the next output.
            pipe.write_all(&printed.to_le_bytes()).ok();
        }
    }

    /// Reports the last number and removes the pipe.
    pub(super) fn finish(mut self, printed: u64) {
        if printed != self.reported {
            self.write(printed);
        }
        fs::remove_file(&self.path).ok();
    }
}
