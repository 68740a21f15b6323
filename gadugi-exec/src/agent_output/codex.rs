//! `codex exec --json`: a JSON object on each line. It tells tokens, those of the whole conversation, at
//! the end of a turn, and no cost.

use gadugi_core::{AgentError, AgentErrorClass, AgentReport, OutputReader, RateLimit, Tokens};
use serde_json::Value;

use super::words;

#[derive(Default)]
pub(super) struct Reader {
    report: AgentReport,
}

impl OutputReader for Reader {
    fn read(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        match line["type"].as_str() {
            Some("thread.started") => {
                self.report.session = line["thread_id"].as_str().map(str::to_owned).or(self.report.session.take());
            }
            Some("item.started" | "item.updated" | "item.completed") => {
                self.item(&line["item"]);
                if line["type"] == "item.completed" && line["item"]["status"] == "declined" {
                    let kind = line["item"]["type"].as_str().unwrap_or("a tool");
                    self.report.denials.add(words::tool(kind, &line["item"]));
                }
            }
            Some("turn.completed") => self.turn(&line["usage"]),
            Some("turn.failed") => self.failed(&line["error"]["message"]),
            Some("error") => self.refused(line["message"].as_str().unwrap_or_default()),
            _ => {}
        }
    }

    fn report(&self) -> &AgentReport {
        &self.report
    }
}

impl Reader {
    /// One of the type `error` may be a mere warning.
    fn item(&mut self, item: &Value) {
        match item["type"].as_str() {
            Some("agent_message") => {
                let message = item["text"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
                self.report.last_message = message.or(self.report.last_message.take());
            }
            None | Some("error" | "reasoning") => return,
            Some(kind) => self.report.last_tool = Some(words::tool(kind, item)),
        }
        self.report.limit = None;
    }

    fn turn(&mut self, usage: &Value) {
        self.report.turns = Some(self.report.turns.unwrap_or_default() + 1);
        let figure = |name: &str| usage[name].as_u64();
        if let (Some(input), Some(output)) = (figure("input_tokens"), figure("output_tokens")) {
            let cached = figure("cached_input_tokens").unwrap_or_default();
            // Those of the whole conversation.
            self.report.tokens = Some(Tokens { input, cached, output });
        }
        self.report.limit = None;
        self.report.end = Some(Ok(()));
    }

    fn failed(&mut self, message: &Value) {
        let message = message.as_str().filter(|message| !message.is_empty()).unwrap_or("it gave no reason");
        self.refused(message);
        let class = words::status(message).map_or(AgentErrorClass::Other, AgentErrorClass::of_status);
        self.report.end = Some(Err(AgentError { class, message: words::one_line(message) }));
    }

    /// It tells in words that it asks again, and why.
    fn refused(&mut self, message: &str) {
        if words::status(message).is_some_and(|status| AgentErrorClass::of_status(status).passes()) {
            let refusals = self.report.limit.as_ref().map_or(0, |limit| limit.refusals).saturating_add(1);
            self.report.limit = Some(RateLimit { until: None, pause: None, refusals });
        }
    }
}
