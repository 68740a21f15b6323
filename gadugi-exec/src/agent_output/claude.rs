//! `claude -p --output-format stream-json --verbose`: a JSON object on each line.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gadugi_core::agent::{AgentError, AgentErrorClass, AgentReport, Figure, OutputReader, RateLimit, Tokens};
use jiff::{Timestamp, Zoned};
use serde_json::Value;

use super::reset_time::reset_time;
use super::summary;

pub(super) struct Reader {
    report: AgentReport,
    answers: u64,
    /// The time of the agent's last output, in the agent's time zone.
    now: Zoned,
    /// The time at which a used-up subscription can be used again, if one was printed since the last answer.
    resets: Option<Timestamp>,
    /// Tokens of each message of the model. A message comes in several lines, each with the same figures.
    messages: BTreeMap<String, Tokens>,
    /// Cost and tokens of this call by the results so far; a call can have several.
    results: Option<(f64, Tokens)>,
    /// The last uses of tools, by their ids.
    tools: VecDeque<(String, String)>,
}

impl Reader {
    pub(super) fn new(now: Zoned) -> Self {
        let (messages, tools) = (BTreeMap::new(), VecDeque::new());
        Self { report: AgentReport::default(), answers: 0, now, resets: None, messages, tools, results: None }
    }
}

/// Uses of tools that are remembered. A denial follows at once, so a few are enough.
const MAX_TOOLS: usize = 32;

impl OutputReader for Reader {
    fn read(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        if let Some(session) = text(&line["session_id"]) {
            self.report.session = Some(session);
        }
        match line["type"].as_str() {
            Some("system") => self.system(&line),
            Some("assistant") => self.assistant(&line),
            Some("rate_limit_event") => self.resets = resets(&line["rate_limit_info"]).or(self.resets),
            Some("result") => self.result(&line),
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
    fn system(&mut self, line: &Value) {
        match line["subtype"].as_str() {
            Some("init") => self.report.model = text(&line["model"]).or(self.report.model.take()),
            Some("api_retry") => {
                // Without an answer there is no status.
                let class = line["error_status"].as_u64().map_or(AgentErrorClass::Unavailable, class);
                if class.is_refusal() {
                    self.refused(class, None, line["retry_delay_ms"].as_u64().map(Duration::from_millis));
                }
            }
            Some("permission_denied") => {
                let used = self.tools.iter().find(|(id, _)| line["tool_use_id"].as_str() == Some(id));
                let tool = used.map(|(_, tool)| tool.clone()).or(text(&line["tool_name"]));
                self.report.denials.add(tool.map_or_else(|| "a tool".to_owned(), |tool| summary::one_line(&tool)));
            }
            _ => {}
        }
    }

    fn assistant(&mut self, line: &Value) {
        let message = &line["message"];
        for part in message["content"].as_array().into_iter().flatten() {
            match part["type"].as_str() {
                Some("text") => self.report.last_message = text(&part["text"]).or(self.report.last_message.take()),
                Some("tool_use") => {
                    self.report.last_tool = part["name"].as_str().map(|name| summary::tool(name, &part["input"]));
                    if let (Some(id), Some(tool)) = (text(&part["id"]), &self.report.last_tool) {
                        self.tools.truncate(MAX_TOOLS - 1);
                        self.tools.push_front((id, tool.clone()));
                    }
                }
                _ => {}
            }
        }
        // After a failed request the agent itself writes a message in the model's place, which is no answer.
        if line["is_api_error_message"].as_bool() == Some(true) {
            self.resets = resets(&line["api_error_params"]["rate_limit_info"]).or(self.resets);
            return;
        }
        self.answered();
        if let (Some(id), Some(tokens)) = (message["id"].as_str(), tokens(&message["usage"])) {
            self.messages.insert(id.to_owned(), tokens);
            self.report.tokens = self.messages.values().copied().reduce(Tokens::plus);
            let in_results = self.results.map_or(0, |(_, tokens)| tokens.total());
            self.set_own_tokens(self.report.tokens.filter(|tokens| tokens.total() > in_results));
        }
    }

    /// Sets the tokens of this call, where there is something new of them.
    fn set_own_tokens(&mut self, tokens: Option<Tokens>) {
        self.report.own.tokens = tokens.map(Figure::reported).or(self.report.own.tokens);
    }

    /// The last line of a call. A request that was refused has the subtype `success` too, but also `is_error`.
    fn result(&mut self, line: &Value) {
        self.report.turns = line["num_turns"].as_u64().or(self.report.turns);
        self.report.cost_usd = line["total_cost_usd"].as_f64().or(self.report.cost_usd);
        self.report.tokens = tokens(&line["usage"]).or(self.report.tokens);
        // The cost is that of the whole conversation, unless it is an older version; that of the call stands beside it.
        if let Some((cost, tokens)) = since_last_result(&line["model_usage_since_last_result"]) {
            let (earlier_cost, earlier) = self.results.unwrap_or_default();
            self.results = Some((earlier_cost + cost, tokens.plus(earlier)));
            self.report.own.cost_usd = Some(Figure::reported(earlier_cost + cost));
            self.report.own.tokens = Some(Figure::reported(tokens.plus(earlier)));
        } else {
            self.set_own_tokens(self.report.tokens);
        }
        let model = line["modelUsage"].as_object().and_then(|models| models.keys().next());
        self.report.model = self.report.model.take().or(model.cloned());
        self.report.last_message = text(&line["result"]).or(self.report.last_message.take());
        // All that were denied, also where nothing was printed of some of them.
        let denied =
            line["permission_denials"].as_array().filter(|denied| denied.len() as u64 >= self.report.denials.count);
        if let Some(denied) = denied {
            let tool =
                |denied: &Value| summary::tool(denied["tool_name"].as_str().unwrap_or("a tool"), &denied["tool_input"]);
            self.report.denials = denied.iter().map(tool).collect();
        }
        if line["is_error"].as_bool() != Some(true) {
            self.answered();
            self.report.end = Some(Ok(()));
            return;
        }
        let subtype = text(&line["subtype"]).filter(|subtype| subtype != "success");
        let error = line["errors"].as_array().into_iter().flatten().find_map(text);
        let message = text(&line["result"]).or(error).or(subtype).unwrap_or_else(|| "it gave no reason".to_owned());
        let used_up = used_up(&message);
        let class = match line["api_error_status"].as_u64() {
            _ if used_up.is_some() => AgentErrorClass::RateLimit,
            _ if line["subtype"].as_str() == Some("error_max_budget_usd") => AgentErrorClass::Budget,
            Some(status) => class(status),
            None if line["terminal_reason"] == "api_error" => {
                summary::refusal(&message).unwrap_or(AgentErrorClass::Unavailable)
            }
            None => AgentErrorClass::Other,
        };
        if class.is_refusal() {
            let limited = class == AgentErrorClass::RateLimit;
            let until = self.resets.or(used_up).or_else(|| reset_time(&message, &self.now)).filter(|_| limited);
            self.refused(class, until, None);
        }
        self.report.end = Some(Err(AgentError { class, message: summary::one_line(&message) }));
    }

    fn refused(&mut self, class: AgentErrorClass, until: Option<Timestamp>, pause: Option<Duration>) {
        let before = self.report.limit.as_ref();
        let refusals = before.map_or(0, |limit| limit.refusals).saturating_add(1);
        let pause = pause.or(before.and_then(|limit| limit.pause));
        self.report.limit = Some(RateLimit { class, until, pause, refusals });
    }

    fn answered(&mut self) {
        (self.report.limit, self.resets) = (None, None);
        self.answers += 1;
    }
}

fn class(status: u64) -> AgentErrorClass {
    u16::try_from(status).map_or(AgentErrorClass::Other, AgentErrorClass::of_status)
}

/// Reads the reset time (Unix seconds) of an event that is more than a warning.
fn resets(info: &Value) -> Option<Timestamp> {
    let is_used_up = info["status"] == "rejected" && info["isUsingOverage"].as_bool() != Some(true);
    let seconds = info["resetsAt"].as_i64().filter(|_| is_used_up)?;
    Timestamp::from_second(seconds).ok()
}

/// Reads the reset time as earlier versions print it: `…usage limit reached|1763900000`, in Unix seconds.
fn used_up(message: &str) -> Option<Timestamp> {
    let (words, seconds) = message.rsplit_once('|')?;
    let seconds = seconds.trim().parse().ok()?;
    if words.contains("limit reached") { Timestamp::from_second(seconds).ok() } else { None }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Sums the usage of all models in a call; `None` when a figure is missing.
fn since_last_result(models: &Value) -> Option<(f64, Tokens)> {
    models.as_object()?.values().try_fold((0.0, Tokens::default()), |(cost, tokens), model| {
        let figure = |name: &str| model[name].as_u64();
        let cached = figure("cacheReadInputTokens").unwrap_or_default();
        let written = figure("cacheCreationInputTokens").unwrap_or_default();
        let input = figure("inputTokens")?.saturating_add(cached).saturating_add(written);
        let of_model = Tokens { input, cached, output: figure("outputTokens")? };
        Some((cost + model["costUSD"].as_f64()?, tokens.plus(of_model)))
    })
}

/// Reads the tokens of a request. What is read from a cache or written to it counts as input.
fn tokens(usage: &Value) -> Option<Tokens> {
    let figure = |name: &str| usage[name].as_u64();
    let (input, output) = (figure("input_tokens")?, figure("output_tokens")?);
    let cached = figure("cache_read_input_tokens").unwrap_or_default();
    let written = figure("cache_creation_input_tokens").unwrap_or_default();
    Some(Tokens { input: input.saturating_add(cached).saturating_add(written), cached, output })
}
