//! The traits that read the output of an agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::agent::report::AgentReport;

/// Reads what agents of one kind print. Third parties add their own by name.
pub trait OutputFormat: Send + Sync {
    /// The name by which profiles ask for it.
    fn name(&self) -> &str;

    /// A reader for one command.
    fn reader(&self) -> Box<dyn OutputReader>;

    /// A reader for a command that is isolated from this machine, and so perhaps in another time zone.
    fn isolated_reader(&self) -> Box<dyn OutputReader> {
        self.reader()
    }
}

/// Reads the output of one command, line by line.
///
/// It never fails: what it does not understand it passes over, since agents print new things with every version, and a
/// line may be cut short. The log keeps all of it in any case.
pub trait OutputReader: Send + Sync {
    /// Takes the next line, without its line break. It may hold any bytes.
    fn read(&mut self, line: &[u8]);

    /// What the lines so far have told.
    fn report(&self) -> &AgentReport;

    /// Tells when the lines that follow were printed, at the latest: a time of day in them is understood by that.
    fn printed_by(&mut self, at: Timestamp) {
        let _ = at;
    }

    /// How many answers of the vendor the lines so far have told of. One that does not count them says 0.
    fn answers(&self) -> u64 {
        0
    }
}

/// Output formats, by their names.
pub type OutputFormats = BTreeMap<String, Arc<dyn OutputFormat>>;
