//! Budgets that cannot hold the agents of a plan to them.

use std::collections::BTreeSet;

use gadugi_core::{AgentCall, Plan};

use crate::config::Config;

/// Says which budgets do not hold which agents while they work, each once.
pub(super) fn not_held(plan: &Plan, config: &Config) -> BTreeSet<String> {
    let calls = plan.tasks().iter().filter_map(|task| task.spec.action.agent.as_ref());
    calls.flat_map(|call| not_held_by(call, config)).collect()
}

fn not_held_by(call: &AgentCall, config: &Config) -> Vec<String> {
    let name = &call.name;
    let (cost, tokens) = match call.output.as_str() {
        "claude-stream-json" if call.takes_max_cost() => (None, None),
        "claude-stream-json" => {
            (Some(format!("cannot hold `{name}` during a call, at whose end it tells its cost")), None)
        }
        "codex-json" => (
            Some(format!("does not hold `{name}`, which tells no cost")),
            Some(format!("cannot hold `{name}` during a turn, at whose end it tells them")),
        ),
        "text" => (
            Some(format!("does not hold `{name}`, which tells no cost")),
            Some(format!("does not hold `{name}`, which tells none")),
        ),
        _ => (None, None),
    };
    let cost = cost.filter(|_| call.budget.cost_usd.or(config.run_budget.cost_usd).is_some());
    let tokens = tokens.filter(|_| call.budget.tokens.or(config.run_budget.tokens).is_some());
    let cost = cost.map(|cost| format!("a budget in US dollars {cost}"));
    cost.into_iter().chain(tokens.map(|tokens| format!("a budget in tokens {tokens}"))).collect()
}
