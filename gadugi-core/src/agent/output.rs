//! The traits that read the output of an agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::agent::report::AgentReport;

/// The output format of one kind of agents. Third parties add their own by name.
pub trait OutputFormat: Send + Sync {
    /// The name by which profiles refer to it.
    fn name(&self) -> &str;

    /// Returns a reader for one command.
    fn reader(&self) -> Box<dyn OutputReader>;

    /// Returns a reader for a command that is isolated from this machine, and so perhaps in another time zone.
    fn isolated_reader(&self) -> Box<dyn OutputReader> {
        self.reader()
    }
}

/// Reads the output of one command, line by line.
///
/// It never fails: it skips lines that it cannot parse, since agents print new ones with every version, and a line may
/// be cut short. The log keeps all lines in any case.
pub trait OutputReader: Send + Sync {
    /// Reads the next line, without its line break. The line may hold any bytes.
    fn read(&mut self, line: &[u8]);

    /// The report of the lines read so far.
    fn report(&self) -> &AgentReport;

    /// Sets the time by which the lines that follow were printed; it dates a time of day in them.
    fn printed_by(&mut self, at: Timestamp) {
        let _ = at;
    }

    /// Number of the vendor's answers in the lines read so far; 0 for a reader that does not count them.
    fn answers(&self) -> u64 {
        0
    }
}

/// Output formats by name.
pub type OutputFormats = BTreeMap<String, Arc<dyn OutputFormat>>;
