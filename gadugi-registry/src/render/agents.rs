//! What agents have told of their work, for people.

use gadugi_core::{AgentReport, AgentTotals, TaskRecord, Tokens};

use super::escape::{block, code, inline};
use super::words::{UNKNOWN, count};

/// More of what an agent said last is not shown; its log has all of it.
const LONGEST_MESSAGE: usize = 4000;

/// What the attempts at a task have cost; `None` where no agent was started for it.
pub(super) fn cost(task: &TaskRecord) -> Option<String> {
    let totals = AgentTotals::of(task);
    (totals.attempts > 0).then(|| match totals.cost() {
        Some(cost) if totals.without_cost == 0 => dollars(cost),
        Some(cost) => format!("{}, {} unknown", dollars(cost), count(totals.without_cost as u64, "attempt")),
        None => UNKNOWN.to_owned(),
    })
}

pub(super) fn reports(task: &TaskRecord) -> impl Iterator<Item = &AgentReport> {
    task.attempts.iter().filter_map(|attempt| attempt.agent.as_deref())
}

/// What was told in the whole run, in two facts; none where no agent was started.
pub(super) fn totals(totals: &AgentTotals) -> Vec<String> {
    if totals.attempts == 0 {
        return Vec::new();
    }
    let told = |what: Option<String>, without: usize| match (what, without) {
        (None, _) => UNKNOWN.to_owned(),
        (Some(what), 0) => what,
        (Some(what), without) => format!("{what}, without {} that told none", count(without as u64, "attempt")),
    };
    vec![
        format!("Cost, as told by agents: {}", told(totals.cost().map(dollars), totals.without_cost)),
        format!("Tokens, as told by agents: {}", told(totals.tokens().map(tokens_text), totals.without_tokens)),
    ]
}

/// An attempt in a line.
pub(super) fn line(report: &AgentReport) -> String {
    let parts = [
        report.model.as_deref().map(|model| format!("model {}", code(model))),
        report.session.as_deref().map(|session| format!("session {}", code(session))),
        report.turns.map(|turns| count(turns, "turn")),
        report.tokens.map(tokens_text),
        report.cost_usd.map(dollars),
        report.limit.as_ref().map(|limit| format!("requests refused {}", count(limit.refusals.into(), "time"))),
        (report.denials.count > 0).then(|| format!("tools denied {}", count(report.denials.count, "time"))),
        report.last_tool.as_deref().map(|tool| format!("last tool {}", inline(tool))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "agent: told nothing".to_owned() } else { format!("agent: {}", parts.join(", ")) }
}

/// What the agent said last, as a block.
pub(super) fn last_message(task: &TaskRecord) -> Option<String> {
    let message = reports(task).last()?.last_message.as_deref()?;
    let shown = match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    };
    Some(block("text", &shown))
}

fn dollars(cost: f64) -> String {
    // Small amounts would all be zero to the cent.
    if cost > 0.0 && cost < 1.0 { format!("{cost:.4} US dollars") } else { format!("{cost:.2} US dollars") }
}

fn tokens_text(Tokens { input, cached, output }: Tokens) -> String {
    format!("{input} tokens in ({cached} of them cached), {output} out")
}
