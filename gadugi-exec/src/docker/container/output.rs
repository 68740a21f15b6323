//! The output of a container, on its way to the log.

use std::path::PathBuf;

use bollard::container::LogOutput;
use gadugi_core::OutputSummary;
use tokio::sync::watch;

use crate::output::capped_log::CappedLog;
use crate::output::capped_log::OutputCap;

/// Takes output and counts it. What was taken before a connection broke is passed over when it comes again.
pub(in crate::docker) struct Output {
    log: CappedLog,
    printed: watch::Sender<u64>,
    /// Bytes that were taken, over all connections.
    taken: u64,
    /// Bytes that come again.
    to_skip: u64,
}

impl Output {
    /// Into a file that is new.
    pub(in crate::docker) fn to(path: PathBuf, cap: OutputCap, printed: watch::Sender<u64>) -> Self {
        Self { log: CappedLog::open(path, cap), printed, taken: 0, to_skip: 0 }
    }

    /// Into the file of an earlier process, which has taken as much as is in it. Everything comes again, from the first
    /// byte on.
    pub(in crate::docker) fn again_to(path: PathBuf, cap: OutputCap, printed: watch::Sender<u64>) -> Self {
        let (log, taken) = CappedLog::resume(path, cap);
        printed.send_replace(taken);
        Self { log, printed, taken, to_skip: taken }
    }

    /// Everything comes again that the daemon has kept, which is so much: where that is less than was taken, its beginning was
    /// given up, and what is left was taken too.
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

    /// Whether nothing has come so far.
    pub(in crate::docker) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// No more comes.
    pub(in crate::docker) fn finish(self) -> OutputSummary {
        let kept = self.log.finish();
        OutputSummary { bytes: self.taken, dropped: self.taken.saturating_sub(kept), leaked: false }
    }
}
