//! Tells how much a command has printed, to whoever listens.
//!
//! The numbers go through a named pipe in the attempt's folder, 8 bytes each with the lowest first. A number
//! says all that was printed so far, so a listener may miss any but the last, and whoever takes over a command
//! goes on listening.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often it tells, at most.
const INTERVAL: Duration = Duration::from_millis(50);

/// As much as waits in the pipe when nobody listens.
const ROOM: usize = 4096;

pub(super) struct Progress {
    path: PathBuf,
    /// `None` where there is no such pipe.
    pipe: Option<File>,
    told: u64,
    told_at: Option<Instant>,
}

impl Progress {
    /// Opens it for both directions, so that it neither waits for a listener nor loses it when another ends.
    pub(super) fn open(path: PathBuf) -> Self {
        let pipe = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).ok();
        if let Some(pipe) = &pipe {
            // It works with more room too.
            rustix::pipe::fcntl_setpipe_size(pipe, ROOM).ok();
        }
        Self { path, pipe, told: 0, told_at: None }
    }

    /// Tells of `printed`, unless it has told something a moment ago; then it says when to try again.
    pub(super) fn tell(&mut self, printed: u64, now: Instant) -> Option<Instant> {
        if printed == self.told {
            return None;
        }
        match self.told_at.map(|told_at| told_at + INTERVAL).filter(|&next| next > now) {
            Some(next) => Some(next),
            None => {
                self.write(printed);
                self.told_at = Some(now);
                None
            }
        }
    }

    fn write(&mut self, printed: u64) {
        self.told = printed;
        if let Some(mut pipe) = self.pipe.as_ref() {
            // It fails when nobody has listened for long. The next listener begins with a number that is too
            // small, and hears the right one with the next output.
            pipe.write_all(&printed.to_le_bytes()).ok();
        }
    }

    /// Tells the last number and takes the pipe away.
    pub(super) fn finish(mut self, printed: u64) {
        if printed != self.told {
            self.write(printed);
        }
        fs::remove_file(&self.path).ok();
    }
}
