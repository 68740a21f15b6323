//! The last line that a task has printed, read from its log.

use std::path::PathBuf;

use crate::site::GrowingLog;
use crate::terminal::harmless;

/// Bytes at the end of a log that are searched for its last line.
const WINDOW: u64 = 4096;

/// The last line of a growing log.
pub(crate) struct LogTail {
    log: GrowingLog,
    line: String,
}

impl LogTail {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { log: GrowingLog::new(path), line: String::new() }
    }

    /// Returns the last line that is not blank. A log that does not exist, or cannot be read, has none: only the view lacks it.
    pub(crate) fn line(&mut self) -> &str {
        if let Ok(Some(end)) = self.log.read_end(WINDOW) {
            let text = String::from_utf8_lossy(&end);
            // A carriage return starts a line over, as progress bars do.
            let lines = text.split(['\n', '\r']).map(|line| harmless(line).trim().to_owned());
            self.line = lines.rev().find(|line| !line.is_empty()).unwrap_or_default();
        }
        &self.line
    }
}
