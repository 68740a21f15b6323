//! The last action of an agent, read from its log as it grows.

use std::path::PathBuf;
use std::sync::Arc;

use gadugi_core::agent::{Dollars, Lines, OutputReader};
use gadugi_core::run::AttemptRecord;

use crate::site::GrowingLog;
use crate::terminal::harmless;

/// The last action of an agent, from its growing log.
pub(crate) struct AgentTail {
    log: GrowingLog,
    lines: Lines,
    reader: Box<dyn OutputReader>,
    /// The attempts before this one.
    earlier: Vec<Arc<AttemptRecord>>,
    /// The last tool or message, whichever came later.
    doing: String,
}

impl AgentTail {
    pub(crate) fn new(path: PathBuf, reader: Box<dyn OutputReader>, earlier: Vec<Arc<AttemptRecord>>) -> Self {
        Self { log: GrowingLog::new(path), lines: Lines::default(), reader, earlier, doing: String::new() }
    }

    /// Returns the last action or message on a line, after the cost so far. A log that cannot be read has nothing new: only the view
    /// lacks it.
    pub(crate) fn line(&mut self) -> String {
        let portion = self.log.read_on().unwrap_or_default();
        let Self { lines, reader, doing, .. } = self;
        lines.feed(&portion, |line| {
            let before = reader.report();
            let (tool, message) = (before.last_tool.clone(), before.last_message.clone());
            reader.read(line);
            let now = reader.report();
            let news = [(&now.last_tool, tool), (&now.last_message, message)];
            if let Some((Some(news), _)) = news.into_iter().rfind(|(now, before)| *now != before) {
                let first = news.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                *doing = harmless(first).trim().to_owned();
            }
        });
        let reports_before = self.earlier.iter().filter_map(|earlier| earlier.agent.as_deref());
        let cost = self.reader.report().own_part(reports_before).cost_usd;
        let cost = cost.map(|cost| format!("${}  ", Dollars(cost.value))).unwrap_or_default();
        format!("{cost}{}", self.doing)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    #[test]
    fn what_came_last_is_shown_however_the_log_grows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("output.log");
        let format = crate::site::output_formats()["claude-stream-json"].reader();
        let mut tail = AgentTail::new(path.clone(), format, Vec::new());
        assert_eq!(tail.line(), "");
        let grow = |text: &str| {
            let mut log = OpenOptions::new().append(true).create(true).open(&path).expect("a log");
            log.write_all(text.as_bytes()).expect("it grows");
        };
        grow(
            r#"{"type":"assistant","message":{"content":[{"type":"text","text":"I look.\u001b[2J\nWell."}]}}
{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","in"#,
        );
        assert_eq!(tail.line(), "I look.");
        grow("put\":{\"command\":\"cargo test\"}}]}}\nno json\n");
        assert!(tail.line().contains("cargo test"), "{}", tail.line());
        grow(
            "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"Done.\",\"total_cost_usd\":0.5}\n",
        );
        assert_eq!(tail.line(), "$0.50  Done.");
    }
}
