//! The reports of agents about their work, as text.

use gadugi_core::agent::{AgentReport, Dollars, Figure, Tokens};
use gadugi_core::run::{AgentTotals, TaskRecord};

use super::escape::{block, code, inline};
use super::words::{UNKNOWN, count};

/// More of what an agent said last is not shown; its log has all of it.
const MAX_MESSAGE: usize = 4000;

/// The cost of the attempts at a task; `None` where no agent was started for it.
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

/// The totals of the whole run, as two facts; none where no agent was started.
pub(super) fn totals(totals: &AgentTotals) -> Vec<String> {
    if totals.attempts == 0 {
        return Vec::new();
    }
    let told = |what: Option<String>, reckoned: usize, without: usize| {
        let Some(what) = what else { return UNKNOWN.to_owned() };
        let attempts = |number: usize| count(number as u64, "attempt");
        let reckoned = match reckoned {
            0 => String::new(),
            reckoned => format!(", reckoned for {} from figures of the conversation", attempts(reckoned)),
        };
        match without {
            0 => format!("{what}{reckoned}"),
            without => format!("{what}{reckoned}, without {} that told none", attempts(without)),
        }
    };
    let cost = told(totals.cost().map(dollars), totals.reckoned_cost, totals.without_cost);
    let tokens = told(totals.tokens().map(tokens_text), totals.reckoned_tokens, totals.without_tokens);
    vec![format!("Cost, as told by agents: {cost}"), format!("Tokens, as told by agents: {tokens}")]
}

/// A figure of an attempt, and that of its conversation where it was reckoned from that.
fn own<T: Copy>(own: Option<Figure<T>>, told: Option<T>, text: impl Fn(T) -> String) -> Option<String> {
    let own = own?;
    let told = told.filter(|_| own.is_reckoned).map(&text);
    let basis = told.map(|told| format!(" (reckoned; told of the conversation: {told})")).unwrap_or_default();
    Some(format!("{}{basis}", text(own.value)))
}

/// An attempt in a line.
pub(super) fn line(report: &AgentReport) -> String {
    let parts = [
        report.model.as_deref().map(|model| format!("model {}", code(model))),
        report.session.as_deref().map(|session| format!("session {}", code(session))),
        report.turns.map(|turns| count(turns, "turn")),
        own(report.own_tokens(), report.tokens, tokens_text),
        own(report.own_cost(), report.cost_usd, dollars),
        report.limit.as_ref().map(|limit| format!("requests refused {}", count(limit.refusals.into(), "time"))),
        (report.denials.count > 0).then(|| format!("tools denied {}", count(report.denials.count, "time"))),
        report.last_tool.as_deref().map(|tool| format!("last tool {}", inline(tool))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "agent: told nothing".to_owned() } else { format!("agent: {}", parts.join(", ")) }
}

/// The last message of the agent, as a block.
pub(super) fn last_message(task: &TaskRecord) -> Option<String> {
    let message = reports(task).last()?.last_message.as_deref()?;
    let shown = match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    };
    Some(block("text", &shown))
}

fn dollars(cost: f64) -> String {
    format!("{} US dollars", Dollars(cost))
}

fn tokens_text(Tokens { input, cached, output }: Tokens) -> String {
    format!("{input} tokens in ({cached} of them cached), {output} out")
}
