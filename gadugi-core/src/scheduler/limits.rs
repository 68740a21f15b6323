//! What holds agents up: refusals of their vendors, and what a run may use up.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::agent::{AgentCall, RateLimit, Used};
use crate::event::{EventKind, WarningKind};
use crate::id::{AttemptNo, AttemptRef, TaskId};
use crate::record::TaskRecord;
use crate::scheduler::RunError;
use crate::scheduler::dispatcher::Dispatcher;
use crate::state::{Outcome, SkipReason, TaskState};

/// The longest wait after a refusal that names no time.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);

/// A task whose agent was refused so often is given up.
const MOST_REFUSALS: usize = 100;

/// What is known of all agents of a run.
pub(super) struct AgentLimits {
    /// The agents whose requests are refused, by their names, and until when none of their tasks starts.
    gates: HashMap<String, Instant>,
    /// What the attempts have used that are under way.
    live: HashMap<AttemptRef, Used>,
    /// What the attempts that are under way may cost, of those whose agents are told that.
    pub(super) promised: HashMap<AttemptRef, f64>,
    /// Set to what was reached once the run has used up what it may.
    pub(super) budget: watch::Sender<Option<String>>,
}

impl AgentLimits {
    pub(super) fn new() -> Self {
        Self { gates: HashMap::new(), live: HashMap::new(), promised: HashMap::new(), budget: watch::channel(None).0 }
    }
}

impl Dispatcher {
    /// Hears what an agent has told so far.
    pub(super) fn hear_agent(
        &mut self,
        attempt: AttemptRef,
        used: Used,
        limit: Option<RateLimit>,
    ) -> Result<(), RunError> {
        let Some(position) = self.record.position(&attempt.task) else { return Ok(()) };
        if let Some(limit) = limit
            && let Some(call) = self.call(position)
        {
            let (name, backoff) = (call.name.clone(), call.backoff);
            let wait = wait_of(&limit, Timestamp::now()).unwrap_or(backoff);
            self.close_gate(&name, wait, &attempt)?;
        }
        let mut attempts = self.record.tasks[position].attempts.iter();
        // What an earlier driver has recorded counts once.
        if !attempts.any(|earlier| earlier.number == attempt.number && earlier.agent.is_some()) {
            self.agents.live.insert(attempt.clone(), used);
        }
        self.hold_to_budget(&attempt.task)
    }

    /// What an agent has used is in the record now.
    pub(super) fn agent_reported(&mut self, attempt: &AttemptRef) -> Result<(), RunError> {
        self.agents.live.remove(attempt);
        self.agents.promised.remove(attempt);
        self.hold_to_budget(&attempt.task)
    }

    /// What an earlier driver has seen reached stays so, also if what its live attempts had told is not known any more.
    pub(super) fn remember_budget(&mut self) -> Result<(), RunError> {
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
    pub(super) fn max_cost(&self, position: usize, used: Used) -> Option<f64> {
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
    pub(super) fn waits_for_budget(&self, position: usize) -> bool {
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

    /// After an attempt with an agent, and so much time: whether its tasks have to wait.
    pub(super) fn agent_ended(
        &mut self,
        position: usize,
        number: AttemptNo,
        outcome: &Outcome,
        waited: Duration,
    ) -> Result<(), RunError> {
        let Some(call) = self.call(position).filter(|_| outcome.refused()) else { return Ok(()) };
        let (name, backoff) = (call.name.clone(), call.backoff);
        let task = &self.record.tasks[position];
        let attempt = AttemptRef { task: task.task.spec.id.clone(), number };
        let report =
            task.attempts.iter().rfind(|attempt| attempt.number == number).and_then(|attempt| attempt.agent.as_ref());
        let told = report.and_then(|report| report.limit.as_ref()).and_then(|limit| limit.until);
        let told = told.and_then(|until| Duration::try_from(until.duration_since(Timestamp::now())).ok());
        let doublings = self.refusals(&name).saturating_sub(1).min(20);
        let doubled = backoff.saturating_mul(1 << doublings).min(LONGEST_BACKOFF.max(backoff));
        let wait = told.unwrap_or_else(|| doubled.saturating_sub(waited));
        self.close_gate(&name, wait, &attempt)
    }

    /// How often in a row an agent was refused. Attempts that were refused side by side have met the same refusal.
    fn refusals(&self, name: &str) -> u32 {
        let calls = |task: &&TaskRecord| task.task.spec.action.agent.as_ref().is_some_and(|call| call.name == name);
        let attempts = self.record.tasks.iter().filter(calls).flat_map(|task| &task.attempts);
        let mut ends: Vec<_> =
            attempts.filter_map(|attempt| Some((attempt.ended.as_ref()?, attempt.intended))).collect();
        ends.sort_by_key(|((_, ended), _)| *ended);
        let (mut refusals, mut last) = (0, None);
        for ((outcome, ended), begun) in ends {
            if outcome.success() {
                (refusals, last) = (0, None);
            } else if outcome.refused() && last.is_none_or(|last| begun >= last) {
                (refusals, last) = (refusals + 1, Some(*ended));
            }
        }
        refusals
    }

    /// Whether a task was refused, or out of its share, so often that it is given up.
    pub(super) fn is_given_up(&self, position: usize) -> bool {
        let ends = self.record.tasks[position].attempts.iter().filter_map(|attempt| attempt.ended.as_ref());
        ends.filter(|(outcome, _)| outcome.refused() || outcome.is_out_of_share()).count() >= MOST_REFUSALS
    }

    /// Lets no task of an agent start for so long. It is told when the gate was open before.
    fn close_gate(&mut self, name: &str, wait: Duration, attempt: &AttemptRef) -> Result<(), RunError> {
        let now = Instant::now();
        let Some(opens) = now.checked_add(wait).filter(|_| !wait.is_zero()) else { return Ok(()) };
        let gate = self.agents.gates.entry(name.to_owned()).or_insert(now);
        let was_open = *gate <= now;
        *gate = opens.max(*gate);
        if !was_open {
            return Ok(());
        }
        let until = SignedDuration::try_from(wait).ok().and_then(|wait| Timestamp::now().checked_add(wait).ok());
        let until = until.map(|until| until.strftime(" until %H:%M:%SZ").to_string()).unwrap_or_default();
        let message = format!("the requests of {name} are refused; no task of it starts{until}");
        self.note(EventKind::Warning { kind: WarningKind::RateLimit, task: Some(attempt.task.clone()), message })
    }

    /// Until when the agent of a task lets it wait.
    fn waits_until(&self, position: usize, now: Instant) -> Option<Instant> {
        let call = self.call(position)?;
        self.agents.gates.get(&call.name).copied().filter(|opens| *opens > now)
    }

    /// Whether the agent of a task lets it wait.
    pub(super) fn has_to_wait(&self, position: usize, now: Instant) -> bool {
        self.waits_until(position, now).is_some()
    }

    /// When the next task can start that waits for its agent alone.
    pub(super) fn next_gate(&self, now: Instant) -> Option<Instant> {
        let could_start =
            |at: &usize| matches!(self.record.tasks[*at].state, TaskState::Queued | TaskState::AttemptOver { .. });
        (0..self.record.tasks.len()).filter(could_start).filter_map(|at| self.waits_until(at, now)).min()
    }

    pub(super) fn call(&self, position: usize) -> Option<&AgentCall> {
        self.record.tasks[position].task.spec.action.agent.as_ref()
    }
}

/// Whether so many US dollars are too few for anything.
pub(super) fn is_nothing(cost: f64) -> bool {
    cost < 0.000_001
}

/// For how long requests will be refused, where that was said.
fn wait_of(limit: &RateLimit, now: Timestamp) -> Option<Duration> {
    let until = limit.until.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
    until.or(limit.pause)
}
