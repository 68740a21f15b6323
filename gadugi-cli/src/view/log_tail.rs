//! The last line that a task has printed, read from its log.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::compose::open_log;
use crate::terminal::harmless;

/// How much of the end of a log is looked at.
const WINDOW: u64 = 4096;

/// Follows the end of one log.
pub(crate) struct LogTail {
    path: PathBuf,
    seen: u64,
    line: String,
}

impl LogTail {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: 0, line: String::new() }
    }

    /// The last line with something in it. A log that is not there, or cannot be read, has none: that is
    /// the view's loss only.
    pub(crate) fn line(&mut self) -> &str {
        if let Ok(mut file) = open_log(&self.path)
            && let Ok(length) = file.metadata().map(|data| data.len())
            && length != self.seen
        {
            self.seen = length;
            let mut bytes = Vec::new();
            let start = length.saturating_sub(WINDOW);
            if file.seek(SeekFrom::Start(start)).is_ok() && file.take(WINDOW).read_to_end(&mut bytes).is_ok() {
                let text = String::from_utf8_lossy(&bytes);
                // A carriage return starts a line over, as progress bars do.
                let lines = text.split(['\n', '\r']).map(|line| harmless(line).trim().to_owned());
                self.line = lines.rev().find(|line| !line.is_empty()).unwrap_or_default();
            }
        }
        &self.line
    }
}
