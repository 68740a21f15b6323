//! Gates, which keep the tasks of an agent from starting while its vendor does not answer.
//!
//! A gate closes with the first refusal that is reported, and opens when it is proven that the vendor answers again. In between
//! nothing starts before its time, and then a single task, the probe. An attempt under way that was refused and asks again by
//! itself is as good as a probe.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::debug;

use crate::agent::{AgentError, AgentErrorClass, RateLimit};
use crate::id::AttemptRef;
use crate::run::{EventKind, Failure, Outcome, TaskState, WarningKind};
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::error::RunError;

/// Time after the moment that a vendor names until the next request.
const RESET_MARGIN: Duration = Duration::from_secs(5);

/// Interval between looks at the wall clock during a wait for a named time: that clock runs on while the machine sleeps.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

/// Extension of a wait below which it is not reported again.
const MIN_NEWS: Duration = Duration::from_secs(60);

/// Refusals in a row, of a kind that agents mostly retry themselves, before a gate is reported.
const MIN_REFUSALS: u32 = 3;

/// Wait that is reported with its length.
const LONG_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// The gate of one agent, from a refusal until its vendor has answered again.
pub(super) struct Gate {
    class: AgentErrorClass,
    /// Time before which nothing starts.
    opens: Instant,
    /// Time that the vendor has named, and the attempt that got it.
    named: Option<(Timestamp, AttemptRef)>,
    /// Attempts under way that were refused, and not answered since.
    refused: HashSet<AttemptRef>,
    /// Attempt that was started to find out whether the vendor answers.
    probe: Option<AttemptRef>,
    /// Latest opening that was reported to the user.
    told: Option<Instant>,
}

/// A refusal that keeps tasks from starting.
pub(super) struct Closing {
    pub(super) class: AgentErrorClass,
    /// Time that the vendor has named.
    pub(super) until: Option<Timestamp>,
    /// Wait until the next start.
    pub(super) wait: Duration,
    /// Whether it is reported at once.
    pub(super) is_news: bool,
}

impl Closing {
    /// The closing by a refusal that an agent has reported; `backoff` is its wait where it names none.
    pub(super) fn by_refusal(limit: &RateLimit, backoff: Duration) -> Self {
        let wait = limit.until.and_then(wait_until).or(limit.pause).unwrap_or(backoff);
        let is_news = limit.class == AgentErrorClass::RateLimit || limit.refusals >= MIN_REFUSALS;
        Self { class: limit.class, until: limit.until, wait, is_news }
    }
}

/// The wait until the time that a vendor has named; `None` where that has passed.
pub(super) fn wait_until(until: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(until.duration_since(Timestamp::now())).ok().filter(|left| !left.is_zero())?;
    Some(left.saturating_add(RESET_MARGIN))
}

impl Gate {
    fn new(closing: &Closing, opens: Instant) -> Self {
        let (refused, probe, told) = (HashSet::new(), None, None);
        Self { class: closing.class, opens, named: None, refused, probe, told }
    }

    /// Whether its time has come. A named time is compared with the wall clock, too.
    fn is_due(&self, now: Instant) -> bool {
        let has_come = |(until, _): &(Timestamp, AttemptRef)| wait_until(*until).is_none();
        self.opens <= now || self.named.as_ref().is_some_and(has_come)
    }

    /// Time of the next look.
    fn next_look(&self, now: Instant) -> Instant {
        if self.named.is_some() { self.opens.min(now + CLOCK_INTERVAL) } else { self.opens }
    }

    /// Whether an answer to this attempt proves that the vendor answers all. An answer to another one may be older than the refusal.
    fn is_opened_by(&self, attempt: &AttemptRef) -> bool {
        let is_probe = self.probe.as_ref() == Some(attempt);
        match (&self.named, self.class) {
            (Some((_, teller)), _) => is_probe || teller == attempt,
            (None, AgentErrorClass::Overloaded | AgentErrorClass::Unavailable) => true,
            (None, _) => is_probe || self.refused.contains(attempt),
        }
    }
}

impl Dispatcher {
    /// Closes the gate of an agent after a refusal of this attempt.
    pub(super) fn close_gate(&mut self, name: &str, closing: &Closing, attempt: &AttemptRef) -> Result<(), RunError> {
        let now = Instant::now();
        let Some(opens) = now.checked_add(closing.wait).filter(|_| !closing.wait.is_zero()) else { return Ok(()) };
        let gate = self.agents.gates.entry(name.to_owned()).or_insert_with(|| Gate::new(closing, opens));
        gate.refused.insert(attempt.clone());
        if opens >= gate.opens {
            (gate.class, gate.opens) = (closing.class, opens);
            gate.named = closing.until.map(|until| (until, attempt.clone()));
            debug!(agent = name, class = %gate.class, wait = ?closing.wait, "gate closed");
        }
        let is_reported = gate.told.is_some_and(|told| gate.opens < told + MIN_NEWS);
        // A failed login is reported once it is certain.
        if is_reported || !closing.is_news || closing.class == AgentErrorClass::Authentication {
            return Ok(());
        }
        gate.told = Some(gate.opens);
        let what = match gate.class {
            AgentErrorClass::Unavailable => "the vendor of {name} does not answer",
            _ => "the requests of {name} are refused",
        };
        let until = until_text(gate.named.as_ref().map(|(until, _)| *until), gate.opens.duration_since(now));
        let message = format!("{}; no task of it starts{until}", what.replace("{name}", name));
        self.journal.note(EventKind::Warning {
            kind: WarningKind::RateLimit,
            task: Some(attempt.task.clone()),
            message,
        })
    }

    /// Notes that the vendor has answered an attempt.
    pub(super) fn vendor_answered(&mut self, name: &str, attempt: &AttemptRef) {
        let Some(gate) = self.agents.gates.get_mut(name) else { return };
        if gate.is_opened_by(attempt) {
            debug!(agent = name, "gate opened");
            self.agents.gates.remove(name);
        } else {
            gate.refused.remove(attempt);
        }
    }

    /// Notes that an attempt has ended, so that it sends no more requests.
    pub(super) fn asks_no_more(&mut self, name: &str, attempt: &AttemptRef) {
        if let Some(gate) = self.agents.gates.get_mut(name) {
            gate.refused.remove(attempt);
        }
    }

    /// The gate of the agent of a task, while it is not open.
    fn gate(&self, position: usize) -> Option<&Gate> {
        self.agents.gates.get(&self.call(position)?.name)
    }

    /// Whether an attempt is under way that will prove whether the vendor answers.
    fn is_probed(&self, gate: &Gate) -> bool {
        gate.refused.iter().chain(&gate.probe).any(|attempt| self.is_under_way(attempt))
    }

    /// Whether a task has to wait for its agent.
    pub(super) fn has_to_wait(&self, position: usize, now: Instant) -> bool {
        self.gate(position).is_some_and(|gate| !gate.is_due(now) || self.is_probed(gate))
    }

    /// Returns the tasks that may start, of those picked: one of each agent whose vendor has not answered since.
    pub(super) fn probes_only(&self, picked: Vec<usize>) -> Vec<usize> {
        let mut probed = HashSet::new();
        let may_start = |position: &usize| match (self.gate(*position), self.call(*position)) {
            (Some(_), Some(call)) => probed.insert(call.name.clone()),
            _ => true,
        };
        picked.into_iter().filter(may_start).collect()
    }

    /// Notes that an attempt is started; it is a probe where its agent's gate is not open.
    pub(super) fn note_probe(&mut self, position: usize, attempt: &AttemptRef) {
        let Some(call) = self.call(position) else { return };
        let name = call.name.clone();
        if let Some(gate) = self.agents.gates.get_mut(&name) {
            debug!(agent = name, %attempt, "probe started");
            gate.probe = Some(attempt.clone());
        }
    }

    /// Time of the next look for tasks that wait only for their agents.
    pub(super) fn next_gate(&self, now: Instant) -> Option<Instant> {
        let could_start = |at: &usize| {
            let state = &self.journal.record.tasks[*at].state;
            matches!(state, TaskState::Queued | TaskState::AttemptOver { .. }) && !self.retry_at.contains_key(at)
        };
        let gates = (0..self.journal.record.tasks.len()).filter(could_start).filter_map(|at| self.gate(at));
        gates.filter(|gate| !gate.is_due(now)).map(|gate| gate.next_look(now)).min()
    }

    /// Ends the tasks of an agent that could not authenticate: none of them could.
    pub(super) fn shut_out(&mut self, position: usize, outcome: &Outcome) -> Result<(), RunError> {
        let Outcome::Failed(Failure::Agent(AgentError { class: AgentErrorClass::Authentication, message })) = outcome
        else {
            return Ok(());
        };
        let Some(call) = self.call(position) else { return Ok(()) };
        let (name, keys) = (call.name.clone(), call.keys.join(" or "));
        let task = self.specs[position].id.clone();
        if !self.agents.shut_out.insert(name.clone()) {
            return Ok(());
        }
        let keys = if keys.is_empty() { String::new() } else { format!(", or set {keys}") };
        let told =
            format!("{name} is not let in ({message}), so its other tasks are not started; log in with it{keys}");
        self.journal.note(EventKind::Warning {
            kind: WarningKind::Authentication,
            task: Some(task.clone()),
            message: told,
        })?;
        let message = format!("not started, since {name} was not let in for {task}");
        for at in 0..self.journal.record.tasks.len() {
            if self.call(at).is_none_or(|call| call.name != name) {
                continue;
            }
            let outcome = match &self.journal.record.tasks[at].state {
                TaskState::Queued | TaskState::Blocked { .. } => Outcome::Failed(Failure::Agent(AgentError {
                    class: AgentErrorClass::Authentication,
                    message: message.clone(),
                })),
                TaskState::AttemptOver { outcome, .. } => outcome.clone(),
                _ => continue,
            };
            self.retry_at.remove(&at);
            self.task_finished(at, outcome)?;
        }
        Ok(())
    }

    /// Whether the agent of a task could not authenticate.
    pub(super) fn is_shut_out(&self, position: usize) -> bool {
        self.call(position).is_some_and(|call| self.agents.shut_out.contains(&call.name))
    }
}

/// The end of a wait, for display: with the day where that is another one, and with the length of a long wait.
fn until_text(named: Option<Timestamp>, wait: Duration) -> String {
    let now = Timestamp::now();
    let wait = SignedDuration::try_from(wait).ok();
    let Some(until) = named.or_else(|| now.checked_add(wait?).ok()) else { return String::new() };
    let left = until.duration_since(now);
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let text = if day(until) == day(now) { "%H:%M:%SZ" } else { "%Y-%m-%d %H:%M:%SZ" };
    let far = if left < LONG_WAIT { String::new() } else { format!(", which is in {} hours", left.as_hours()) };
    format!(" until {}{far}", until.strftime(text))
}
