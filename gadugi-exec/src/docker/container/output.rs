//! The output of a container, from the daemon to the log.

use std::path::PathBuf;

use bollard::container::LogOutput;
use gadugi_core::executor::OutputSummary;
use tokio::sync::watch;

use crate::output::capped_log::CappedLog;
use crate::output::capped_log::OutputCap;

/// Writes output to the log and counts it. Bytes that came before a connection broke are skipped when they come again.
pub(in crate::docker) struct Output {
    log: CappedLog,
    printed: watch::Sender<u64>,
    /// Bytes that were written, over all connections.
    taken: u64,
    /// Bytes to skip, since they come again.
    to_skip: u64,
}

impl Output {
    /// Writes to a new file.
    pub(in crate::docker) fn to(path: PathBuf, cap: OutputCap, printed: watch::Sender<u64>) -> Self {
        Self { log: CappedLog::open(path, cap), printed, taken: 0, to_skip: 0 }
    }

    /// Continues the file of an earlier process. The output comes again from its first byte on.
    pub(in crate::docker) fn again_to(path: PathBuf, cap: OutputCap, printed: watch::Sender<u64>) -> Self {
        let (log, taken) = CappedLog::resume(path, cap);
        printed.send_replace(taken);
        Self { log, printed, taken, to_skip: taken }
    }

    /// Prepares for the output from the daemon's log, which holds `kept` bytes. If that is less than was written, its beginning
    /// was dropped, and all of the rest was written before.
    pub(in crate::docker) fn rewind(&mut self, kept: u64) {
        self.to_skip = self.taken.min(kept);
    }

    pub(in crate::docker) fn take(&mut self, output: LogOutput) {
        let bytes = output.into_bytes();
        let again = bytes.len().min(usize::try_from(self.to_skip).unwrap_or(usize::MAX));
        self.to_skip -= again as u64;
        let new = &bytes[again..];
        if !new.is_empty() {
            self.log.write(new);
            self.taken += new.len() as u64;
            self.printed.send_replace(self.taken);
        }
    }

    /// Whether no output has come so far.
    pub(in crate::docker) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Closes the log.
    pub(in crate::docker) fn finish(self) -> OutputSummary {
        let kept = self.log.finish();
        OutputSummary { bytes: self.taken, dropped: self.taken.saturating_sub(kept), leaked: false }
    }
}
