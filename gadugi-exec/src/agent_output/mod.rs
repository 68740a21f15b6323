//! Readers of the output of coding agents: `claude-stream-json`, `codex-json`, and `text` for all others.
//!
//! The formats are those of the agents' own versions that are named in `docs/agents.md`; real output of them is under
//! `tests/agent_output/streams`.

mod claude;
mod codex;
mod reset_time;
mod summary;
mod text;

use std::sync::Arc;

use gadugi_core::agent::{OutputFormat, OutputFormats, OutputReader};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The time zones in which agents print times of day.
#[derive(Debug, Clone)]
pub struct TimeZones {
    /// The zone of agents that run on this machine.
    pub here: TimeZone,
    /// The zone of agents that run isolated, in containers.
    pub isolated: TimeZone,
}

impl Default for TimeZones {
    fn default() -> Self {
        Self { here: TimeZone::UTC, isolated: TimeZone::UTC }
    }
}

/// All formats that this crate reads.
#[must_use]
pub fn formats(zones: &TimeZones) -> OutputFormats {
    let format = |name, reader| Arc::new(Format { name, zones: zones.clone(), reader }) as Arc<dyn OutputFormat>;
    let formats = [
        format("claude-stream-json", |now| Box::new(claude::Reader::new(now))),
        format("codex-json", |now| Box::new(codex::Reader::new(now))),
        format("text", |_| Box::new(text::Reader::default())),
    ];
    formats.into_iter().map(|format| (format.name().to_owned(), format)).collect()
}

struct Format {
    name: &'static str,
    zones: TimeZones,
    reader: fn(Zoned) -> Box<dyn OutputReader>,
}

impl OutputFormat for Format {
    fn name(&self) -> &str {
        self.name
    }

    fn reader(&self) -> Box<dyn OutputReader> {
        (self.reader)(Timestamp::now().to_zoned(self.zones.here.clone()))
    }

    fn isolated_reader(&self) -> Box<dyn OutputReader> {
        (self.reader)(Timestamp::now().to_zoned(self.zones.isolated.clone()))
    }
}
