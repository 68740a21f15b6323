//! Limits that an executor or an agent does not enforce, as warnings before a run.

use std::collections::BTreeSet;

use gadugi_core::agent::AgentCall;
use gadugi_core::run::WarningKind;
use gadugi_core::{Executor, Plan, TaskSpec};

use super::TaskLifetime;
use crate::config::Config;

/// Warns of an executor whose tasks outlive gadugi where they should not.
pub(super) fn lifetime_not_held(executor: &dyn Executor, lifetime: TaskLifetime) -> Option<(WarningKind, String)> {
    (lifetime == TaskLifetime::OfParent && executor.capabilities().mounts).then(|| {
        let message = "containers go on when gadugi is killed, also with --die-with-parent";
        (WarningKind::NotHeld, message.to_owned())
    })
}

/// Warns of limits that a task asks for and its executor does not enforce. The configured image, of `gadugi.toml` or of the
/// task's agent, concerns only tasks in containers.
pub(super) fn not_held(task: &TaskSpec, executor: &dyn Executor, config: &Config) -> Option<(WarningKind, String)> {
    let (resources, can) = (&task.resources, executor.capabilities());
    let profile = task.action.agent.as_ref().and_then(|agent| config.agents.get(&agent.name));
    let configured = profile.and_then(|profile| profile.image.as_ref()).or(config.image.as_ref());
    let asked = [
        ("image", resources.image.is_some() && resources.image.as_ref() != configured && !can.images),
        ("memory", resources.memory.is_some() && !can.limits_resources),
        ("cpus", resources.cpus.is_some() && !can.limits_resources),
    ];
    let ignored: Vec<_> = asked.iter().filter(|(_, ignored)| *ignored).map(|(name, _)| *name).collect();
    let what = ignored.join(", ");
    let message = || format!("{}: the executor {} does not hold its {what}", task.id, executor.name());
    (!ignored.is_empty()).then(|| (WarningKind::NotHeld, message()))
}

/// Warns of budgets that agents can exceed while they work, each once.
pub(crate) fn budgets_not_held(plan: &Plan, config: &Config) -> BTreeSet<String> {
    let calls = plan.tasks().iter().filter_map(|task| task.spec.action.agent.as_ref());
    calls.flat_map(|call| budgets_not_held_by(call, config)).collect()
}

fn budgets_not_held_by(call: &AgentCall, config: &Config) -> Vec<String> {
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
    let cost = cost.filter(|_| call.budget.cost_usd.or(config.run_max_cost).is_some());
    let tokens = tokens.filter(|_| call.budget.tokens.or(config.run_max_tokens).is_some());
    let cost = cost.map(|cost| format!("a budget in US dollars {cost}"));
    cost.into_iter().chain(tokens.map(|tokens| format!("a budget in tokens {tokens}"))).collect()
}
