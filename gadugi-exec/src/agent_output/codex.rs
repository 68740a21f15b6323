//! `codex exec --json`: a JSON object on each line. Its tokens, at the end of a turn, are those of the whole conversation; it
//! prints no cost.

use gadugi_core::agent::{AgentError, AgentErrorClass, AgentReport, OutputReader, RateLimit, Tokens};
use jiff::{Timestamp, Zoned};
use serde_json::Value;

use super::reset_time::reset_time;
use super::summary;

pub(super) struct Reader {
    report: AgentReport,
    answers: u64,
    /// The time of the agent's last output, in the agent's time zone.
    now: Zoned,
}

impl Reader {
    pub(super) fn new(now: Zoned) -> Self {
        Self { report: AgentReport::default(), answers: 0, now }
    }
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
                    self.report.denials.add(summary::tool(kind, &line["item"]));
                }
            }
            Some("turn.completed") => self.turn(&line["usage"]),
            Some("turn.failed") => self.failed(&line["error"]["message"]),
            Some("error") => drop(self.refused(line["message"].as_str().unwrap_or_default())),
            _ => {}
        }
    }

    fn report(&self) -> &AgentReport {
        &self.report
    }

    fn printed_by(&mut self, at: Timestamp) {
        self.now = at.to_zoned(self.now.time_zone().clone());
    }

    fn answers(&self) -> u64 {
        self.answers
    }
}

impl Reader {
    /// Reads an item. One of the type `error` may be a mere warning.
    fn item(&mut self, item: &Value) {
        match item["type"].as_str() {
            Some("agent_message") => {
                let message = item["text"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
                self.report.last_message = message.or(self.report.last_message.take());
            }
            None | Some("error" | "reasoning") => return,
            Some(kind) => self.report.last_tool = Some(summary::tool(kind, item)),
        }
        self.answered();
    }

    fn answered(&mut self) {
        self.report.limit = None;
        self.answers += 1;
    }

    fn turn(&mut self, usage: &Value) {
        self.report.turns = Some(self.report.turns.unwrap_or_default() + 1);
        let figure = |name: &str| usage[name].as_u64();
        if let (Some(input), Some(output)) = (figure("input_tokens"), figure("output_tokens")) {
            let cached = figure("cached_input_tokens").unwrap_or_default();
            // Those of the whole conversation.
            self.report.tokens = Some(Tokens { input, cached, output });
        }
        self.answered();
        self.report.end = Some(Ok(()));
    }

    fn failed(&mut self, message: &Value) {
        let message = message.as_str().filter(|message| !message.is_empty()).unwrap_or("it gave no reason");
        let class = self.refused(message).unwrap_or(AgentErrorClass::Other);
        self.report.end = Some(Err(AgentError { class, message: summary::one_line(message) }));
    }

    /// Reads a message about a refused request: only its words say why it was refused.
    fn refused(&mut self, message: &str) -> Option<AgentErrorClass> {
        let class = summary::refusal(message)?;
        if class.is_refusal() {
            let before = self.report.limit.as_ref();
            let refusals = before.map_or(0, |limit| limit.refusals).saturating_add(1);
            let until = if class == AgentErrorClass::RateLimit { reset_time(message, &self.now) } else { None };
            let until = until.or(before.and_then(|limit| limit.until));
            self.report.limit = Some(RateLimit { class, until, pause: None, refusals });
        }
        Some(class)
    }
}
