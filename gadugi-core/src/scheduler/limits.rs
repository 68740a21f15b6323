//! What holds agents up: refusals of their vendors, and what a run may use up.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::agent::{AgentCall, AgentError, RateLimit, Used};
use crate::event::{EventKind, WarningKind};
use crate::id::{AttemptNo, AttemptRef};
use crate::record::TaskRecord;
use crate::scheduler::RunError;
use crate::scheduler::dispatcher::Dispatcher;
use crate::state::{Failure, Outcome, TaskState};

/// The longest wait after a refusal that names no time.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);

/// A task whose agent was refused so often is given up.
const MOST_REFUSALS: usize = 100;

/// What is known of all agents of a run.
pub(super) struct AgentLimits {
    /// The agents whose requests are refused, by their names.
    gates: HashMap<String, Gate>,
    /// What the attempts have used that are under way.
    live: HashMap<AttemptRef, Used>,
    /// Set to what was reached once the run has used up what it may.
    pub(super) budget: watch::Sender<Option<String>>,
}

/// No task of an agent starts before this opens.
struct Gate {
    opens: Instant,
    /// How many attempts in a row have ended by a refusal.
    refusals: u32,
}

impl AgentLimits {
    pub(super) fn new() -> Self {
        Self { gates: HashMap::new(), live: HashMap::new(), budget: watch::channel(None).0 }
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
        self.agents.live.insert(attempt.clone(), used);
        self.hold_to_budget(&attempt)
    }

    /// What an agent has used is in the record now.
    pub(super) fn agent_reported(&mut self, attempt: &AttemptRef) -> Result<(), RunError> {
        self.agents.live.remove(attempt);
        self.hold_to_budget(attempt)
    }

    fn hold_to_budget(&mut self, attempt: &AttemptRef) -> Result<(), RunError> {
        if self.agents.budget.borrow().is_some() {
            return Ok(());
        }
        let recorded = self.record.tasks.iter().map(TaskRecord::used);
        let used = recorded.chain(self.agents.live.values().copied()).fold(Used::default(), Used::plus);
        let Some(reached) = self.record.header.settings.budget.reached(used) else { return Ok(()) };
        let message = format!("the run has reached its budget ({reached}), and starts nothing more");
        self.agents.budget.send_replace(Some(format!("of the run: {reached}")));
        self.note(EventKind::Warning { kind: WarningKind::Budget, task: Some(attempt.task.clone()), message })?;
        self.close(|_| Outcome::Skipped { because: attempt.task.clone() })
    }

    /// After an attempt with an agent: whether its tasks have to wait, and for how long this one has.
    pub(super) fn agent_ended(
        &mut self,
        position: usize,
        number: AttemptNo,
        outcome: &Outcome,
        waited: Duration,
    ) -> Result<Duration, RunError> {
        let Some(call) = self.call(position) else { return Ok(Duration::ZERO) };
        let (name, backoff) = (call.name.clone(), call.backoff);
        let Outcome::Failed(Failure::Agent(AgentError { class, .. })) = outcome else {
            if outcome.success() {
                self.agents.gates.remove(&name);
            }
            return Ok(Duration::ZERO);
        };
        if !class.passes() {
            return Ok(Duration::ZERO);
        }
        let task = &self.record.tasks[position];
        let attempt = AttemptRef { task: task.task.spec.id.clone(), number };
        let report =
            task.attempts.iter().rfind(|attempt| attempt.number == number).and_then(|attempt| attempt.agent.as_ref());
        let told = report.and_then(|report| report.limit.as_ref()).and_then(|limit| limit.until);
        let told = told.and_then(|until| Duration::try_from(until.duration_since(Timestamp::now())).ok());
        let refusals = self.agents.gates.get(&name).map_or(0, |gate| gate.refusals);
        let doubled = backoff.saturating_mul(1 << refusals.min(20)).min(LONGEST_BACKOFF.max(backoff));
        let wait = told.unwrap_or_else(|| doubled.saturating_sub(waited));
        self.close_gate(&name, wait, &attempt)?;
        if let Some(gate) = self.agents.gates.get_mut(&name) {
            gate.refusals += 1;
        }
        Ok(wait)
    }

    /// Whether a task was refused so often that it is given up.
    pub(super) fn is_given_up(&self, position: usize) -> bool {
        let ends = self.record.tasks[position].attempts.iter().filter_map(|attempt| attempt.ended.as_ref());
        ends.filter(|(outcome, _)| outcome.refused()).count() >= MOST_REFUSALS
    }

    /// Lets no task of an agent start for so long. It is told when the gate was open before.
    fn close_gate(&mut self, name: &str, wait: Duration, attempt: &AttemptRef) -> Result<(), RunError> {
        let now = Instant::now();
        let Some(opens) = now.checked_add(wait).filter(|_| !wait.is_zero()) else { return Ok(()) };
        let gate = self.agents.gates.entry(name.to_owned()).or_insert(Gate { opens: now, refusals: 0 });
        let was_open = gate.opens <= now;
        gate.opens = gate.opens.max(opens);
        if !was_open {
            return Ok(());
        }
        let until = SignedDuration::try_from(wait).ok().and_then(|wait| Timestamp::now().checked_add(wait).ok());
        let until = until.map(|until| until.strftime(" until %H:%M:%SZ").to_string()).unwrap_or_default();
        let message = format!("the requests of {name} are refused; no task of it starts{until}");
        self.note(EventKind::Warning { kind: WarningKind::RateLimit, task: Some(attempt.task.clone()), message })
    }

    /// Whether the agent of a task lets it wait.
    pub(super) fn has_to_wait(&self, position: usize) -> bool {
        let gate = self.call(position).and_then(|call| self.agents.gates.get(&call.name));
        gate.is_some_and(|gate| gate.opens > Instant::now())
    }

    /// When the next task can start that waits for its agent alone.
    pub(super) fn next_gate(&self) -> Option<Instant> {
        let waits = |at: &usize| {
            let state = &self.record.tasks[*at].state;
            matches!(state, TaskState::Queued | TaskState::AttemptOver { .. }) && self.has_to_wait(*at)
        };
        let waiting = (0..self.record.tasks.len()).filter(waits);
        let opens = waiting.filter_map(|at| Some(self.agents.gates.get(&self.call(at)?.name)?.opens));
        opens.min()
    }

    pub(super) fn call(&self, position: usize) -> Option<&AgentCall> {
        self.record.tasks[position].task.spec.action.agent.as_ref()
    }
}

/// For how long requests will be refused, where that was said.
fn wait_of(limit: &RateLimit, now: Timestamp) -> Option<Duration> {
    let until = limit.until.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
    until.or(limit.pause)
}
