//! What agents have told of their work, for people.

use gadugi_core::{AgentReport, AgentTotals, Report, TaskRecord, Tokens};

use super::escape::{block, code, inline};
use super::words::{UNKNOWN, count};

/// More of what an agent said last is not shown; its log has all of it.
const LONGEST_MESSAGE: usize = 4000;

/// Whether any agent has told a cost, so that there is something to compare.
pub(super) fn any_cost(report: &Report) -> bool {
    report.agents.without_cost < report.agents.attempts
}

/// What the attempts at a task have cost; `None` where no agent has worked at it, or told it.
pub(super) fn cost(task: &TaskRecord) -> Option<String> {
    let told: Vec<f64> = reports(task).filter_map(|report| report.cost_usd).collect();
    (!told.is_empty()).then(|| dollars(told.iter().sum()))
}

pub(super) fn reports(task: &TaskRecord) -> impl Iterator<Item = &AgentReport> {
    task.attempts.iter().filter_map(|attempt| attempt.agent.as_ref())
}

/// What was told in the whole run, in two facts; none where no agent has told anything.
pub(super) fn totals(totals: &AgentTotals) -> Vec<String> {
    let AgentTotals { attempts, cost_usd, without_cost, tokens, without_tokens } = *totals;
    if attempts == 0 {
        return Vec::new();
    }
    let told = |what: String, without: usize| match without {
        0 => what,
        without if without == attempts => UNKNOWN.to_owned(),
        without => format!("{what}, without {} that told none", count(without as u64, "attempt")),
    };
    vec![
        format!("Cost, as told by agents: {}", told(dollars(cost_usd), without_cost)),
        format!("Tokens, as told by agents: {}", told(tokens_text(tokens), without_tokens)),
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
