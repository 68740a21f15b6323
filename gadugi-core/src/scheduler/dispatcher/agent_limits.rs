//! Limits of agents: refusals of their vendors, and the budget of the run.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::{AgentCall, Used};
use crate::id::{AttemptNo, AttemptRef, TaskId};
use crate::run::{AttemptRecord, EventKind, Failure, Outcome, SkipReason, TaskRecord, TaskState, WarningKind};
use crate::scheduler::attempt::agent::is_negligible;
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::dispatcher::gates::{Closing, Gate, wait_until};
use crate::scheduler::error::RunError;
use crate::scheduler::message::AgentProgress;

/// Longest wait after a refusal that names no time.
const MAX_BACKOFF: Duration = Duration::from_secs(15 * 60);

/// Rate-limit refusals after which a task fails.
const MAX_REFUSALS: usize = 100;

/// The limits of all agents of a run.
pub(super) struct AgentLimits {
    /// Gates of the agents whose requests are refused, by name.
    pub(super) gates: HashMap<String, Gate>,
    /// Agents that could not authenticate.
    pub(super) shut_out: HashSet<String>,
    /// Use of the attempts under way.
    live: HashMap<AttemptRef, Used>,
    /// Cost limits of the attempts under way, of agents that take one.
    pub(super) promised: HashMap<AttemptRef, f64>,
    /// The limit of the run's budget that was reached, once it is.
    pub(super) budget: watch::Sender<Option<String>>,
}

impl AgentLimits {
    pub(super) fn new() -> Self {
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
    /// Receives the progress of an agent.
    pub(super) fn agent_progressed(&mut self, attempt: AttemptRef, progress: AgentProgress) -> Result<(), RunError> {
        let Some(position) = self.journal.record.position(&attempt.task) else { return Ok(()) };
        let AgentProgress { used, answered, refused } = progress;
        if let Some(call) = self.call(position).filter(|_| answered || refused.is_some()) {
            let (name, backoff) = (call.name.clone(), call.backoff);
            if answered {
                self.vendor_answered(&name, &attempt);
            }
            if let Some(limit) = refused {
                self.close_gate(&name, &Closing::by_refusal(&limit, backoff), &attempt)?;
            }
        }
        let mut attempts = self.journal.record.tasks[position].attempts.iter();
        // Use that an earlier driver has recorded counts once.
        if !attempts.any(|earlier| earlier.number == attempt.number && earlier.agent.is_some()) {
            self.agents.live.insert(attempt.clone(), used);
        }
        self.check_budget(&attempt.task)
    }

    /// Notes that the use of an attempt is in the record now.
    pub(super) fn agent_reported(&mut self, attempt: &AttemptRef) -> Result<(), RunError> {
        self.agents.live.remove(attempt);
        self.agents.promised.remove(attempt);
        self.check_budget(&attempt.task)
    }

    /// Restores the budget of an earlier driver: once it was reached it stays so, even if the use of live attempts is not known any
    /// more.
    pub(super) fn restore_budget(&mut self) -> Result<(), RunError> {
        let mut warnings = self.journal.record.warnings.iter().filter(|warning| warning.kind == WarningKind::Budget);
        if let Some(task) = warnings.find_map(|warning| warning.task.clone()) {
            return self.use_up(&task, "it was reached");
        }
        let told = |task: &&TaskRecord| task.attempts.iter().any(|attempt| attempt.agent.is_some());
        match self.journal.record.tasks.iter().rfind(told).map(|task| task.task.spec.id.clone()) {
            Some(task) => self.check_budget(&task),
            None => Ok(()),
        }
    }

    /// Ends the run because its budget is reached.
    fn use_up(&mut self, task: &TaskId, what: &str) -> Result<(), RunError> {
        self.agents.budget.send_replace(Some(format!("of the run: {what}")));
        let because = SkipReason::Budget { task: task.clone(), message: what.to_owned() };
        self.close(|_| Outcome::Skipped { because: because.clone() })
    }

    /// The cost limit of an attempt that starts now: the rest of its task's budget, and its share of the run's budget that is not
    /// promised to others. The rest of that is kept for attempts that can start beside it.
    pub(super) fn max_cost(&self, position: usize, used: Used) -> Option<f64> {
        let call = self.call(position).filter(|call| call.takes_max_cost())?;
        let of_task = call.budget.cost_usd.map(|most| (most - used.cost_usd).max(0.0));
        let takes = |at: usize| at != position && self.call(at).is_some_and(AgentCall::takes_max_cost);
        let of_run = self.unpromised().map(|left| left / self.next_starts(takes) as f64);
        of_task.into_iter().chain(of_run).reduce(f64::min)
    }

    /// Number of attempts that can start now, by `jobs` and by the tasks that are ready; at least one.
    fn next_starts(&self, counts: impl Fn(usize) -> bool) -> usize {
        let free = self.journal.record.header.settings.jobs.get().saturating_sub(self.slots_taken());
        let is_ready = |state: &TaskState| matches!(state, TaskState::Queued | TaskState::AttemptOver { .. });
        let ready =
            (0..self.specs.len()).filter(|at| is_ready(&self.journal.record.tasks[*at].state) && counts(*at)).count();
        free.min(ready + 1).max(1)
    }

    /// The rest of the run's budget that is not promised to attempts under way.
    fn unpromised(&self) -> Option<f64> {
        let most = self.journal.record.header.settings.budget.cost_usd?;
        let recorded: f64 = self.journal.record.tasks.iter().map(|task| task.used().cost_usd).sum();
        let live = |attempt: &AttemptRef| self.agents.live.get(attempt).map_or(0.0, |used| used.cost_usd);
        let promised: f64 = self.agents.promised.iter().map(|(attempt, cost)| cost.max(live(attempt))).sum();
        let others = self.agents.live.iter().filter(|(attempt, _)| !self.agents.promised.contains_key(attempt));
        let others: f64 = others.map(|(_, used)| used.cost_usd).sum();
        Some((most - recorded - promised - others).max(0.0))
    }

    /// Whether a task has to wait since the rest of the run's budget is promised to attempts under way.
    pub(super) fn waits_for_budget(&self, position: usize) -> bool {
        let takes = self.call(position).is_some_and(AgentCall::takes_max_cost);
        takes && !self.agents.promised.is_empty() && self.unpromised().is_some_and(is_negligible)
    }

    /// Ends the run once its budget is reached.
    fn check_budget(&mut self, task: &TaskId) -> Result<(), RunError> {
        if self.agents.budget.borrow().is_some() {
            return Ok(());
        }
        let recorded = self.journal.record.tasks.iter().map(TaskRecord::used);
        let used = recorded.chain(self.agents.live.values().copied()).fold(Used::default(), Used::plus);
        let Some(reached) = self.journal.record.header.settings.budget.reached(used) else { return Ok(()) };
        let message = format!("the run has reached its budget ({reached}), and starts nothing more");
        self.journal.note(EventKind::Warning { kind: WarningKind::Budget, task: Some(task.clone()), message })?;
        self.use_up(task, &reached)
    }

    /// Carries out the consequences of an attempt's end, `waited` ago, for the tasks of its agent. Returns the wait of its own task,
    /// however soon the vendor answers others.
    pub(super) fn agent_ended(
        &mut self,
        position: usize,
        number: AttemptNo,
        outcome: &Outcome,
        waited: Duration,
    ) -> Result<Duration, RunError> {
        let Some(call) = self.call(position) else { return Ok(Duration::ZERO) };
        let (name, backoff) = (call.name.clone(), call.backoff);
        let task = &self.journal.record.tasks[position];
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
        let doubled = backoff.saturating_mul(1 << doublings).min(MAX_BACKOFF.max(backoff)).saturating_sub(waited);
        let named = until.and_then(wait_until);
        let closing = Closing { class, until, wait: named.unwrap_or(doubled), is_news: true };
        self.close_gate(&name, &closing, &attempt)?;
        self.asks_no_more(&name, &attempt);
        // A named time holds for all.
        Ok(if named.is_some() { Duration::ZERO } else { doubled })
    }

    /// Number of refusals of an agent in a row. Attempts that were refused side by side have met the same refusal.
    fn refusals(&self, name: &str) -> u32 {
        let calls = |task: &&TaskRecord| task.task.spec.action.agent.as_ref().is_some_and(|call| call.name == name);
        let attempts = self.journal.record.tasks.iter().filter(calls).flat_map(|task| &task.attempts);
        let mut ends: Vec<_> = attempts
            .filter_map(|attempt| Some((attempt.ended.as_ref()?, attempt.intended, was_answered(attempt))))
            .collect();
        ends.sort_by_key(|((_, ended), _, _)| *ended);
        let (mut refusals, mut last) = (0, None);
        for ((outcome, ended), started, was_answered) in ends {
            if outcome.success() {
                (refusals, last) = (0, None);
            } else if outcome.refused() && last.is_none_or(|last| started >= last) {
                // An attempt that was answered before its refusal starts a new row.
                (refusals, last) = (if was_answered { 1 } else { refusals + 1 }, Some(*ended));
            }
        }
        refusals
    }

    /// Whether a task was refused, or out of its share, so often that it fails.
    pub(super) fn is_given_up(&self, position: usize) -> bool {
        let ends = self.journal.record.tasks[position].attempts.iter().filter_map(|attempt| attempt.ended.as_ref());
        ends.filter(|(outcome, _)| outcome.refused() || outcome.is_out_of_share()).count() >= MAX_REFUSALS
    }

    /// The agent of a task, if it has one.
    pub(super) fn call(&self, position: usize) -> Option<&AgentCall> {
        self.journal.record.tasks[position].task.spec.action.agent.as_ref()
    }
}

/// Whether the vendor has answered an attempt before a refusal.
fn was_answered(attempt: &AttemptRecord) -> bool {
    attempt.agent.as_ref().is_some_and(|report| report.last_tool.is_some() || report.used().tokens > 0)
}
