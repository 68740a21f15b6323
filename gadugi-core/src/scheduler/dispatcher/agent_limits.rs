//! Limits of agents: refusals of their vendors, and the budget of the run.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::{AgentCall, Used};
use crate::id::{AttemptNo, AttemptRef, TaskId};
use crate::run::{AttemptRecord, EventKind, Failure, Outcome, SkipReason, TaskRecord, TaskState, WarningKind};
use crate::scheduler::attempt::agent::is_nothing;
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::dispatcher::gates::{Closing, Gate, wait_until};
use crate::scheduler::error::RunError;
use crate::scheduler::message::Heard;

/// The longest wait after a refusal that names no time.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);

/// A task whose agent was refused so often is given up.
const MOST_REFUSALS: usize = 100;

/// What is known of all agents of a run.
pub(crate) struct AgentLimits {
    /// The gates of the agents whose requests are refused, by their names.
    pub(crate) gates: HashMap<String, Gate>,
    /// The agents that are not let in.
    pub(crate) shut_out: HashSet<String>,
    /// What the attempts have used that are under way.
    live: HashMap<AttemptRef, Used>,
    /// What the attempts that are under way may cost, of those whose agents are told that.
    pub(crate) promised: HashMap<AttemptRef, f64>,
    /// Set to what was reached once the run has used up what it may.
    pub(crate) budget: watch::Sender<Option<String>>,
}

impl AgentLimits {
    pub(crate) fn new() -> Self {
        Self {
            gates: HashMap::new(),
            shut_out: HashSet::new(),
            live: HashMap::new(),
            promised: HashMap::new(),
            budget: watch::channel(None).0,
        }
    }
}

impl Dispatcher {
    /// Hears what an agent has told so far.
    pub(crate) fn hear_agent(&mut self, attempt: AttemptRef, heard: Heard) -> Result<(), RunError> {
        let Some(position) = self.record.position(&attempt.task) else { return Ok(()) };
        let Heard { used, answered, refused } = heard;
        if let Some(call) = self.call(position).filter(|_| answered || refused.is_some()) {
            let (name, backoff) = (call.name.clone(), call.backoff);
            if answered {
                self.vendor_answered(&name, &attempt);
            }
            if let Some(limit) = refused {
                self.close_gate(&name, &Closing::heard(&limit, backoff), &attempt)?;
            }
        }
        let mut attempts = self.record.tasks[position].attempts.iter();
        // What an earlier driver has recorded counts once.
        if !attempts.any(|earlier| earlier.number == attempt.number && earlier.agent.is_some()) {
            self.agents.live.insert(attempt.clone(), used);
        }
        self.hold_to_budget(&attempt.task)
    }

    /// What an agent has used is in the record now.
    pub(crate) fn agent_reported(&mut self, attempt: &AttemptRef) -> Result<(), RunError> {
        self.agents.live.remove(attempt);
        self.agents.promised.remove(attempt);
        self.hold_to_budget(&attempt.task)
    }

    /// What an earlier driver has seen reached stays so, also if what its live attempts had told is not known any more.
    pub(crate) fn remember_budget(&mut self) -> Result<(), RunError> {
        let mut warnings = self.record.warnings.iter().filter(|warning| warning.kind == WarningKind::Budget);
        if let Some(task) = warnings.find_map(|warning| warning.task.clone()) {
            return self.use_up(&task, "it was reached");
        }
        let told = |task: &&TaskRecord| task.attempts.iter().any(|attempt| attempt.agent.is_some());
        match self.record.tasks.iter().rfind(told).map(|task| task.task.spec.id.clone()) {
            Some(task) => self.hold_to_budget(&task),
            None => Ok(()),
        }
    }

    fn use_up(&mut self, task: &TaskId, what: &str) -> Result<(), RunError> {
        self.agents.budget.send_replace(Some(format!("of the run: {what}")));
        let because = SkipReason::Budget { task: task.clone(), message: what.to_owned() };
        self.close(|_| Outcome::Skipped { because: because.clone() })
    }

    /// What an attempt that begins now may cost: what is left of its task's budget, and its share of what the run has left that is
    /// not promised to others. The rest is kept for those that can begin beside it.
    pub(crate) fn max_cost(&self, position: usize, used: Used) -> Option<f64> {
        let call = self.call(position).filter(|call| call.takes_max_cost())?;
        let of_task = call.budget.cost_usd.map(|most| (most - used.cost_usd).max(0.0));
        let takes = |at: usize| at != position && self.call(at).is_some_and(AgentCall::takes_max_cost);
        let of_run = self.unpromised().map(|left| left / self.next_starts(takes) as f64);
        of_task.into_iter().chain(of_run).reduce(f64::min)
    }

    /// How many attempts can begin now, by `jobs` and by what is ready, at least one.
    fn next_starts(&self, counts: impl Fn(usize) -> bool) -> usize {
        let free = self.record.header.settings.jobs.get().saturating_sub(self.slots_taken());
        let is_ready = |state: &TaskState| matches!(state, TaskState::Queued | TaskState::AttemptOver { .. });
        let ready = (0..self.specs.len()).filter(|at| is_ready(&self.record.tasks[*at].state) && counts(*at)).count();
        free.min(ready + 1).max(1)
    }

    /// What is left of the cost that the run may have and is not promised to attempts under way.
    fn unpromised(&self) -> Option<f64> {
        let most = self.record.header.settings.budget.cost_usd?;
        let recorded: f64 = self.record.tasks.iter().map(|task| task.used().cost_usd).sum();
        let live = |attempt: &AttemptRef| self.agents.live.get(attempt).map_or(0.0, |used| used.cost_usd);
        let promised: f64 = self.agents.promised.iter().map(|(attempt, cost)| cost.max(live(attempt))).sum();
        let others = self.agents.live.iter().filter(|(attempt, _)| !self.agents.promised.contains_key(attempt));
        let others: f64 = others.map(|(_, used)| used.cost_usd).sum();
        Some((most - recorded - promised - others).max(0.0))
    }

    /// Whether a task has to wait since all that the run has left is promised to attempts under way.
    pub(crate) fn waits_for_budget(&self, position: usize) -> bool {
        let takes = self.call(position).is_some_and(AgentCall::takes_max_cost);
        takes && !self.agents.promised.is_empty() && self.unpromised().is_some_and(is_nothing)
    }

    fn hold_to_budget(&mut self, task: &TaskId) -> Result<(), RunError> {
        if self.agents.budget.borrow().is_some() {
            return Ok(());
        }
        let recorded = self.record.tasks.iter().map(TaskRecord::used);
        let used = recorded.chain(self.agents.live.values().copied()).fold(Used::default(), Used::plus);
        let Some(reached) = self.record.header.settings.budget.reached(used) else { return Ok(()) };
        let message = format!("the run has reached its budget ({reached}), and starts nothing more");
        self.note(EventKind::Warning { kind: WarningKind::Budget, task: Some(task.clone()), message })?;
        self.use_up(task, &reached)
    }

    /// After an attempt with an agent, and so much time: what follows for the tasks of that agent. Gives how long the task itself
    /// has to wait, however soon the vendor answers others.
    pub(crate) fn agent_ended(
        &mut self,
        position: usize,
        number: AttemptNo,
        outcome: &Outcome,
        waited: Duration,
    ) -> Result<Duration, RunError> {
        let Some(call) = self.call(position) else { return Ok(Duration::ZERO) };
        let (name, backoff) = (call.name.clone(), call.backoff);
        let task = &self.record.tasks[position];
        let attempt = AttemptRef { task: task.task.spec.id.clone(), number };
        let report =
            task.attempts.iter().rfind(|attempt| attempt.number == number).and_then(|attempt| attempt.agent.as_ref());
        let until = report.and_then(|report| report.limit.as_ref()).and_then(|limit| limit.until);
        if outcome.success() {
            self.vendor_answered(&name, &attempt);
        }
        let class = match outcome {
            Outcome::Failed(Failure::Agent(error)) if outcome.refused() => error.class,
            _ => {
                self.asks_no_more(&name, &attempt);
                return Ok(Duration::ZERO);
            }
        };
        let doublings = self.refusals(&name).saturating_sub(1).min(20);
        let doubled = backoff.saturating_mul(1 << doublings).min(LONGEST_BACKOFF.max(backoff)).saturating_sub(waited);
        let named = until.and_then(wait_until);
        let closing = Closing { class, until, wait: named.unwrap_or(doubled), is_news: true };
        self.close_gate(&name, &closing, &attempt)?;
        self.asks_no_more(&name, &attempt);
        // A named time holds for all.
        Ok(if named.is_some() { Duration::ZERO } else { doubled })
    }

    /// How often in a row an agent was refused. Attempts that were refused side by side have met the same refusal.
    fn refusals(&self, name: &str) -> u32 {
        let calls = |task: &&TaskRecord| task.task.spec.action.agent.as_ref().is_some_and(|call| call.name == name);
        let attempts = self.record.tasks.iter().filter(calls).flat_map(|task| &task.attempts);
        let mut ends: Vec<_> = attempts
            .filter_map(|attempt| Some((attempt.ended.as_ref()?, attempt.intended, was_answered(attempt))))
            .collect();
        ends.sort_by_key(|((_, ended), _, _)| *ended);
        let (mut refusals, mut last) = (0, None);
        for ((outcome, ended), begun, was_answered) in ends {
            if outcome.success() {
                (refusals, last) = (0, None);
            } else if outcome.refused() && last.is_none_or(|last| begun >= last) {
                // One that was answered before it was refused begins a row.
                (refusals, last) = (if was_answered { 1 } else { refusals + 1 }, Some(*ended));
            }
        }
        refusals
    }

    /// Whether a task was refused, or out of its share, so often that it is given up.
    pub(crate) fn is_given_up(&self, position: usize) -> bool {
        let ends = self.record.tasks[position].attempts.iter().filter_map(|attempt| attempt.ended.as_ref());
        ends.filter(|(outcome, _)| outcome.refused() || outcome.is_out_of_share()).count() >= MOST_REFUSALS
    }

    pub(crate) fn call(&self, position: usize) -> Option<&AgentCall> {
        self.record.tasks[position].task.spec.action.agent.as_ref()
    }
}

/// Whether a vendor has answered an attempt, before it refused it.
fn was_answered(attempt: &AttemptRecord) -> bool {
    attempt.agent.as_ref().is_some_and(|report| report.last_tool.is_some() || report.used().tokens > 0)
}
