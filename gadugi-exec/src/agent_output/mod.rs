//! Reading what coding agents print: `claude-stream-json`, `codex-json`, and `text` for all others.
//!
//! The formats are those of the agents' own versions that are named in `docs/agents.md`; real output of them is under
//! `tests/agent_output/streams`.

mod claude;
mod codex;
mod text;
mod words;

use std::sync::Arc;

use gadugi_core::{OutputFormat, OutputFormats, OutputReader};

/// All formats that this crate reads.
#[must_use]
pub fn formats() -> OutputFormats {
    let formats: [Arc<dyn OutputFormat>; 3] = [
        Arc::new(Format { name: "claude-stream-json", reader: || Box::new(claude::Reader::default()) }),
        Arc::new(Format { name: "codex-json", reader: || Box::new(codex::Reader::default()) }),
        Arc::new(Format { name: "text", reader: || Box::new(text::Reader::default()) }),
    ];
    formats.into_iter().map(|format| (format.name().to_owned(), format)).collect()
}

struct Format {
    name: &'static str,
    reader: fn() -> Box<dyn OutputReader>,
}

impl OutputFormat for Format {
    fn name(&self) -> &str {
        self.name
    }

    fn reader(&self) -> Box<dyn OutputReader> {
        (self.reader)()
    }
}
