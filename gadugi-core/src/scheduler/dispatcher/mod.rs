//! The one task that owns the state of a run.

mod agent_limits;
mod conversation;
mod forecast;
mod gates;
mod home;
mod journal;
mod recover;
mod retry;
mod start;
mod stop;
mod suspension;

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::agent_limits::AgentLimits;
use self::forecast::Forecasts;
pub(super) use self::journal::Journal;
use self::journal::StopCause;
pub(super) use self::recover::{DriverStart, Resumption};
use self::stop::Stops;
use self::suspension::Suspension;
use crate::agent::OutputFormats;
use crate::executor::{Executor, Executors};
use crate::id::{AttemptRef, TaskId};
use crate::plan::TaskSpec;
use crate::run::{EventKind, Outcome, RunRecord, WarningKind};
use crate::scheduler::control::{ControlReceiver, Order};
use crate::scheduler::error::RunError;
use crate::scheduler::message::{Message, StopLevel};
use crate::scheduler::order::StartOrder;
use crate::worktrees::Worktrees;

/// An attempt whose task runs.
struct Live {
    position: usize,
    attempt: AttemptRef,
    stop: watch::Sender<StopLevel>,
    /// Whether it counts against `jobs`: until its end, not until its worktree is released.
    holds_slot: bool,
}

impl Live {
    fn ask_to_stop(&self, level: StopLevel) {
        self.stop.send_if_modified(|at| {
            let raised = *at < level;
            *at = level.max(*at);
            raised
        });
    }
}

/// The implementations that a run is driven with.
pub(super) struct Plugins {
    pub(super) executors: Executors,
    pub(super) worktrees: Arc<dyn Worktrees>,
    pub(super) formats: OutputFormats,
}

/// The task that decides what starts, and what an end leads to.
pub(super) struct Dispatcher {
    journal: Journal,
    /// Specs of all tasks, by position.
    specs: Vec<Arc<TaskSpec>>,
    plugins: Plugins,
    agents: AgentLimits,
    order: StartOrder,
    /// Start of the wall time; `None` where that is not known.
    started: Option<Instant>,
    /// Sender for the messages of attempts.
    messages: mpsc::UnboundedSender<Message>,
    /// Tasks of attempts, and other work that has to end before the run does.
    units: JoinSet<()>,
    live: HashMap<tokio::task::Id, Live>,
    /// Start of the next attempt, of tasks that wait for one.
    retry_at: HashMap<usize, Instant>,
    suspension: Suspension,
    stops: Stops,
    forecasts: Forecasts,
}

impl Dispatcher {
    /// A dispatcher, with the receiver of its messages.
    pub(super) fn new(
        journal: Journal,
        plugins: Plugins,
        estimates: &HashMap<TaskId, Duration>,
    ) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (messages, inbox) = mpsc::unbounded_channel();
        let record = &journal.record;
        let dispatcher = Self {
            order: StartOrder::new(&record.header.plan, estimates, record.header.settings.allow_overlap),
            specs: record.tasks.iter().map(|task| Arc::new(task.task.spec.clone())).collect(),
            journal,
            plugins,
            agents: AgentLimits::new(),
            started: Some(Instant::now()),
            messages,
            units: JoinSet::new(),
            live: HashMap::new(),
            retry_at: HashMap::new(),
            suspension: Suspension::new(),
            stops: Stops::before_start(&[]),
            forecasts: Forecasts::default(),
        };
        (dispatcher, inbox)
    }

    /// Drives the run to its end.
    pub(super) async fn drive(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Message>,
        mut control: ControlReceiver,
        start: DriverStart,
    ) -> Result<RunRecord, RunError> {
        // Orders from before the start count before anything starts.
        let orders: Vec<Order> = std::iter::from_fn(|| control.0.try_recv().ok()).collect();
        self.stops = Stops::before_start(&orders);
        self.start_driver(start).await?;
        for order in orders {
            self.execute(order)?;
        }
        let mut control_open = true;
        loop {
            // The same moment for both: a task that is not due to start at it is waited for.
            let now = Instant::now();
            self.start_ready(now)?;
            let next_gate = self.next_gate(now).filter(|_| !self.stops.is_closed());
            if self.units.is_empty() && self.retry_at.is_empty() && next_gate.is_none() {
                break;
            }
            let next_start = self.retry_at.values().min().copied().into_iter().chain(next_gate).min();
            tokio::select! {
                biased;
                // The messages of an attempt come before its end.
                Some(message) = inbox.recv() => self.receive(message)?,
                Some(joined) = self.units.join_next_with_id() => {
                    let (id, panicked) = match joined {
                        Ok((id, ())) => (id, false),
                        Err(error) => (error.id(), error.is_panic()),
                    };
                    self.unit_ended(id, panicked)?;
                }
                order = control.0.recv(), if control_open => match order {
                    Some(order) => self.execute(order)?,
                    None => control_open = false,
                },
                // A due attempt is started by the next round, as soon as a job is free.
                () = due(next_start) => self.retry_at.retain(|_, at| *at > Instant::now()),
            }
        }
        self.finish().await
    }

    /// Ends the run.
    async fn finish(self) -> Result<RunRecord, RunError> {
        let mut journal = self.journal.into_result()?;
        for lock in self.plugins.worktrees.left_locks(journal.record.header.created.into()).await {
            let message = format!(
                "{0} was left, as by a git that was killed with its task, and hinders git; if no git runs here, `rm '{0}'` removes it",
                lock.display()
            );
            journal.note(EventKind::Warning { kind: WarningKind::Worktree, task: None, message })?;
        }
        let (wall, interrupted) = (self.started.map(|started| started.elapsed()), self.stops.was_interrupted());
        journal.note(EventKind::RunEnded { wall, interrupted })?;
        journal.close().await
    }

    fn default_executor(&self) -> Arc<dyn Executor> {
        let default = self.plugins.executors.get(None);
        Arc::clone(default.expect("cannot fail because there is always a default executor"))
    }

    /// Receives a message of an attempt.
    fn receive(&mut self, message: Message) -> Result<(), RunError> {
        let (kind, reply) = match message {
            Message::Event(kind, reply) => (*kind, reply),
            Message::RegistryFailed(error) => {
                self.stop_early(StopCause::Registry(error));
                return Ok(());
            }
            Message::NoRoom(source) => {
                self.stop_early(StopCause::NoRoom(source));
                return Ok(());
            }
            Message::Starting(attempt) => {
                self.suspension.command_starting(attempt);
                return Ok(());
            }
            Message::Forecast(result) => return self.forecast_made(result),
            Message::Agent(attempt, progress) => return self.agent_progressed(attempt, progress),
            Message::Suspended(attempt) => {
                self.suspension.settle(&attempt);
                return Ok(());
            }
        };
        let mut ended = None;
        let mut reported = None;
        match &kind {
            EventKind::AttemptEnded { attempt, outcome, .. } => {
                self.suspension.start_over(attempt);
                ended = Some((attempt.clone(), outcome.clone()));
            }
            EventKind::CommandStarted { attempt, .. } => self.suspension.start_over(attempt),
            // It need not be suspended any more.
            EventKind::CommandEnded { attempt, .. } => self.suspension.settle(attempt),
            EventKind::AgentReported { attempt, .. } => reported = Some(attempt.clone()),
            _ => {}
        }
        let ticket = self.journal.emit(kind)?;
        // The attempt has to know the budget before it continues.
        if let Some(attempt) = reported {
            self.agent_reported(&attempt)?;
        }
        // An attempt that is gone does not wait for its ticket.
        drop(reply.send(ticket));
        match ended {
            Some((attempt, outcome)) => self.attempt_ended(&attempt, outcome),
            None => Ok(()),
        }
    }

    /// Frees the slot of an attempt that has ended, and decides about another one.
    fn attempt_ended(&mut self, attempt: &AttemptRef, outcome: Outcome) -> Result<(), RunError> {
        let Some(live) = self.live.values_mut().find(|live| live.attempt == *attempt) else { return Ok(()) };
        live.holds_slot = false;
        let position = live.position;
        self.retry_or_finish(position, attempt.number, outcome, Duration::ZERO)
    }

    /// Forgets an attempt whose task has ended. One that panicked, in a plug-in, is lost.
    fn unit_ended(&mut self, id: tokio::task::Id, panicked: bool) -> Result<(), RunError> {
        let Some(live) = self.live.remove(&id) else { return Ok(()) };
        self.agents.promised.remove(&live.attempt);
        self.suspension.forget(&live.attempt);
        if !panicked || !live.holds_slot {
            return Ok(());
        }
        let outcome = Outcome::Lost { why: "a plug-in panicked".to_owned() };
        let attempt = live.attempt.clone();
        self.journal.note(EventKind::AttemptEnded { attempt, outcome: outcome.clone(), said: None })?;
        self.release_unless_kept(live.position, live.attempt.number);
        self.task_finished(live.position, outcome)
    }
}

/// Waits for the next start; for ever where none is due.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
