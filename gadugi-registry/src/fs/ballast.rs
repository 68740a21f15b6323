//! A file that only takes up room, so that there is some when the disk is full: a run can then still keep how
//! its commands end.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::durable::{move_aside, private};
use super::regular;

/// Room for about a thousand events.
const SIZE: usize = 256 * 1024;

/// Where the file is, or was.
#[derive(Debug)]
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes the file, unless it is there and whole. Anything else in its place is moved aside. After an error nothing
    /// of it is left.
    pub(crate) fn make(&self) -> io::Result<()> {
        if regular::is_no_file(&self.0)? {
            move_aside(&self.0)?;
        }
        if fs::metadata(&self.0).is_ok_and(|there| there.len() == SIZE as u64) {
            return Ok(());
        }
        let file = regular::open(&self.0, private().write(true).create(true).truncate(true));
        let made = file.and_then(|mut file| file.write_all(&incompressible()));
        if made.is_err() {
            // The error is told; what cannot be removed now is removed with the room that it takes up.
            self.release().ok();
        }
        made
    }

    /// Frees its disk space, and returns whether there was any.
    pub(crate) fn release(&self) -> io::Result<bool> {
        match fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says that there is no room, on the disk or for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Bytes that a file system which compresses cannot make smaller: a linear congruential generator's.
fn incompressible() -> Vec<u8> {
    let mut state: u64 = 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 32
    };
    std::iter::repeat_with(next).take(SIZE / 8).flat_map(u64::to_le_bytes).collect()
}
