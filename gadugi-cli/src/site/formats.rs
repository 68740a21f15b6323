//! Formats that other crates of ours define, as the views and the commands use them.

use gadugi_core::Event;
use gadugi_core::agent::OutputFormats;
use gadugi_exec::agent_output::{TimeZones, formats};
use jiff::tz::TimeZone;

/// The output formats of agents. A container is given `TZ`, and has no time zone otherwise.
pub(crate) fn output_formats() -> OutputFormats {
    let here = TimeZone::system();
    let isolated = if std::env::var_os("TZ").is_some() { here.clone() } else { TimeZone::UTC };
    formats(&TimeZones { here, isolated })
}

/// Encodes an event as a line of JSON, as in the journal.
pub(crate) fn encode_event(event: &Event) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    Ok(gadugi_registry::format::event_to_json(event)?)
}
