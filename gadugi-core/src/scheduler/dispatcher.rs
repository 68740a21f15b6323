//! The one task that owns the state of a run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error_chain::error_chain;
use crate::event::{Event, EventKind, WarningKind};
use crate::executor::{Executor, Executors};
use crate::id::{AttemptNo, AttemptRef, TaskId};
use crate::record::RunRecord;
use crate::registry::{EventSink, RegistryError, RunLog, Ticket};
use crate::scheduler::RunError;
use crate::scheduler::attempt::{Attempt, Message, NoPlace, StopLevel};
use crate::scheduler::control::{ControlReceiver, StopRequest};
use crate::scheduler::order::StartOrder;
use crate::state::{IllegalTransition, Outcome, TaskState};
use crate::task::TaskSpec;
use crate::worktrees::{Lease, NeededTip, WorktreeRequest, Worktrees};

/// An attempt that is under way.
struct Live {
    position: usize,
    attempt: AttemptRef,
    stop: watch::Sender<StopLevel>,
    /// Whether it still counts against `jobs`: until its end, not until its worktree is put away.
    holds_slot: bool,
}

pub(super) struct Dispatcher {
    record: RunRecord,
    specs: Vec<Arc<TaskSpec>>,
    executors: Executors,
    worktrees: Arc<dyn Worktrees>,
    log: Box<dyn RunLog>,
    sinks: Vec<Box<dyn EventSink>>,
    order: StartOrder,
    begun: Instant,
    seq: u64,
    /// Tickets of what the dispatcher itself wrote.
    tickets: Vec<Ticket>,
    messages: mpsc::UnboundedSender<Message>,
    units: JoinSet<()>,
    live: HashMap<tokio::task::Id, Live>,
    /// Set once nothing may be started any more.
    closed: bool,
    interrupted: bool,
    registry_failure: Option<RegistryError>,
}

impl Dispatcher {
    pub(super) fn new(
        record: RunRecord,
        executors: Executors,
        worktrees: Arc<dyn Worktrees>,
        log: Box<dyn RunLog>,
        sinks: Vec<Box<dyn EventSink>>,
        estimates: &HashMap<TaskId, Duration>,
    ) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (messages, inbox) = mpsc::unbounded_channel();
        let order = StartOrder::new(&record.header.plan, estimates, record.header.settings.allow_overlap);
        let specs = record.tasks.iter().map(|task| Arc::new(task.task.spec.clone())).collect();
        let dispatcher = Self {
            record,
            specs,
            executors,
            worktrees,
            log,
            sinks,
            order,
            begun: Instant::now(),
            seq: 0,
            tickets: Vec::new(),
            messages,
            units: JoinSet::new(),
            live: HashMap::new(),
            closed: false,
            interrupted: false,
            registry_failure: None,
        };
        (dispatcher, inbox)
    }

    /// Drives the run to its end.
    pub(super) async fn drive(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Message>,
        mut control: ControlReceiver,
        reason: String,
        warnings: Vec<(WarningKind, String)>,
    ) -> Result<RunRecord, RunError> {
        self.note(EventKind::RunStarted)?;
        let executor = self.default_executor().name().to_owned();
        self.note(EventKind::ExecutorChosen { executor, reason })?;
        for (kind, message) in warnings {
            self.note(EventKind::Warning { kind, task: None, message })?;
        }
        // Whoever asked to stop before the beginning does not want to see anything start.
        while let Ok(request) = control.0.try_recv() {
            self.stop(request)?;
        }
        let mut control_open = true;
        loop {
            self.start_ready()?;
            if self.units.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                // What an attempt has said is heard before its end is noticed.
                Some(message) = inbox.recv() => self.hear(message)?,
                Some(joined) = self.units.join_next_with_id() => {
                    let (id, panicked) = match joined {
                        Ok((id, ())) => (id, false),
                        Err(error) => (error.id(), error.is_panic()),
                    };
                    self.gone(id, panicked)?;
                }
                request = control.0.recv(), if control_open => match request {
                    Some(request) => self.stop(request)?,
                    None => control_open = false,
                },
            }
        }
        self.finish().await
    }

    async fn finish(mut self) -> Result<RunRecord, RunError> {
        let (wall, interrupted) = (self.begun.elapsed(), self.interrupted);
        self.note(EventKind::RunEnded { wall, interrupted })?;
        let mut failure = self.registry_failure.take();
        for ticket in std::mem::take(&mut self.tickets) {
            if let Err(error) = ticket.await {
                failure.get_or_insert(error);
            }
        }
        match failure {
            None => Ok(self.record),
            Some(source) => Err(RunError::Registry { record: Box::new(self.record), source }),
        }
    }

    fn default_executor(&self) -> Arc<dyn Executor> {
        let default = self.executors.get(None);
        Arc::clone(default.expect("cannot fail because there is always a default executor"))
    }

    /// Takes an event in: into the record, the log and the sinks.
    fn emit(&mut self, kind: EventKind) -> Result<Ticket, RunError> {
        self.seq += 1;
        let event = Event { seq: self.seq, at: Timestamp::now(), kind };
        self.record.apply(&event)?;
        let ticket = match &event.kind {
            EventKind::AttemptIntended { .. } => self.log.intent(&event),
            EventKind::CommandStarted { .. } => self.log.started(&event),
            EventKind::CommandEnded { .. } | EventKind::AttemptEnded { .. } => self.log.ended(&event),
            _ => self.log.note(&event),
        };
        self.show(&event)?;
        Ok(ticket)
    }

    fn note(&mut self, kind: EventKind) -> Result<(), RunError> {
        let ticket = self.emit(kind)?;
        self.tickets.push(ticket);
        Ok(())
    }

    fn show(&mut self, event: &Event) -> Result<(), RunError> {
        let mut failed = Vec::new();
        self.sinks.retain_mut(|sink| match sink.on_event(event) {
            Ok(()) => true,
            Err(error) => {
                failed.push(error_chain(&*error));
                false
            }
        });
        for message in failed {
            self.note(EventKind::Warning { kind: WarningKind::Observer, task: None, message })?;
        }
        Ok(())
    }

    fn slots_taken(&self) -> usize {
        self.live.values().filter(|live| live.holds_slot).count()
    }

    fn start_ready(&mut self) -> Result<(), RunError> {
        if self.closed {
            return Ok(());
        }
        let room = self.record.header.settings.jobs.get().saturating_sub(self.slots_taken());
        if room == 0 {
            return Ok(());
        }
        let running: Vec<usize> = self.live.values().filter(|live| live.holds_slot).map(|live| live.position).collect();
        let ready =
            |at: usize| matches!(self.record.tasks[at].state, TaskState::Queued | TaskState::AttemptOver { .. });
        let picked = self.order.pick(room, ready, |at| running.contains(&at));
        if picked.is_empty() { Ok(()) } else { self.start(&picked) }
    }

    /// Begins an attempt at each of these tasks, with one request for all their worktrees.
    fn start(&mut self, positions: &[usize]) -> Result<(), RunError> {
        let mut batch = Vec::with_capacity(positions.len());
        for &position in positions {
            let spec = Arc::clone(&self.specs[position]);
            let last = self.record.tasks[position].last().map(|attempt| attempt.number);
            let attempt = AttemptRef { task: spec.id.clone(), number: last.map_or(AttemptNo::FIRST, AttemptNo::next) };
            let executor = self.executors.get(spec.executor.as_deref()).map(Arc::clone);
            let executor = executor.expect("cannot fail because Run::drive has looked up all executors");
            let intent = self
                .emit(EventKind::AttemptIntended { attempt: attempt.clone(), executor: executor.name().to_owned() })?;
            let request = WorktreeRequest {
                run: self.record.header.run.clone(),
                attempt: attempt.clone(),
                needs: self.needed_tips(position),
            };
            let (sender, place) = oneshot::channel();
            batch.push((request, intent, sender));
            let (stop, stop_receiver) = watch::channel(StopLevel::Not);
            let unit = Attempt {
                run: self.record.header.run.clone(),
                attempt: attempt.clone(),
                spec,
                keep: self.record.header.settings.keep,
                files: self.log.attempt_folder(&attempt),
                executor,
                worktrees: Arc::clone(&self.worktrees),
                place,
                stop: stop_receiver,
                dispatcher: self.messages.clone(),
            };
            let id = self.units.spawn(unit.make()).id();
            self.live.insert(id, Live { position, attempt, stop, holds_slot: true });
        }
        tokio::spawn(make_places(Arc::clone(&self.worktrees), batch));
        Ok(())
    }

    /// Where the branches ended of what this task needs.
    fn needed_tips(&self, position: usize) -> Vec<NeededTip> {
        let needs = self.record.header.plan.needs(position).iter();
        let tip = |need: &usize| {
            let need = &self.record.tasks[*need];
            let tip = need.last()?.work.as_ref()?.tip.clone()?;
            Some(NeededTip { task: need.task.spec.id.clone(), tip })
        };
        needs.filter_map(tip).collect()
    }

    fn hear(&mut self, message: Message) -> Result<(), RunError> {
        let (kind, reply) = match message {
            Message::Event(kind, reply) => (kind, reply),
            Message::RegistryFailed(error) => {
                self.registry_failure.get_or_insert(error);
                return self.close(|_| Outcome::Cancelled);
            }
        };
        let ended = match &kind {
            EventKind::AttemptEnded { attempt, outcome } => Some((attempt.clone(), outcome.clone())),
            _ => None,
        };
        let ticket = self.emit(kind)?;
        // An attempt that is gone does not wait for its ticket.
        drop(reply.send(ticket));
        match ended {
            Some((attempt, outcome)) => self.attempt_ended(&attempt, outcome),
            None => Ok(()),
        }
    }

    fn attempt_ended(&mut self, attempt: &AttemptRef, outcome: Outcome) -> Result<(), RunError> {
        let Some(live) = self.live.values_mut().find(|live| live.attempt == *attempt) else { return Ok(()) };
        live.holds_slot = false;
        let position = live.position;
        let again = !self.closed && outcome.retriable() && attempt.number.get() <= self.specs[position].retries;
        if again { Ok(()) } else { self.task_finished(position, outcome) }
    }

    fn task_finished(&mut self, position: usize, outcome: Outcome) -> Result<(), RunError> {
        let task = self.specs[position].id.clone();
        let success = outcome.success();
        self.note(EventKind::TaskFinished { task: task.clone(), outcome })?;
        if success {
            return Ok(());
        }
        if self.record.header.settings.fail_fast && !self.closed {
            return self.close(|_| Outcome::Skipped { because: task.clone() });
        }
        self.skip_dependants(position)
    }

    fn skip_dependants(&mut self, position: usize) -> Result<(), RunError> {
        let because = self.specs[position].id.clone();
        let mut open = self.record.header.plan.dependants(position).to_vec();
        while let Some(at) = open.pop() {
            if !matches!(self.record.tasks[at].state, TaskState::Blocked { .. }) {
                continue;
            }
            open.extend(self.record.header.plan.dependants(at));
            let (task, because) = (self.specs[at].id.clone(), because.clone());
            self.note(EventKind::TaskFinished { task, outcome: Outcome::Skipped { because } })?;
        }
        Ok(())
    }

    /// Starts nothing more. Tasks that were never started end as `unstarted` says, those that wait for
    /// another attempt as their last one did.
    fn close(&mut self, unstarted: impl Fn(usize) -> Outcome) -> Result<(), RunError> {
        self.closed = true;
        for at in 0..self.record.tasks.len() {
            self.finish_unless_live(at, unstarted(at))?;
        }
        Ok(())
    }

    /// Ends a task of which no attempt is under way; says whether it did.
    fn finish_unless_live(&mut self, at: usize, unstarted: Outcome) -> Result<bool, RunError> {
        let outcome = match &self.record.tasks[at].state {
            TaskState::Queued | TaskState::Blocked { .. } => unstarted,
            TaskState::AttemptOver { outcome, .. } => outcome.clone(),
            _ => return Ok(false),
        };
        self.note(EventKind::TaskFinished { task: self.specs[at].id.clone(), outcome })?;
        Ok(true)
    }

    fn stop(&mut self, request: StopRequest) -> Result<(), RunError> {
        let StopRequest { tasks, now } = request;
        self.note(EventKind::StopRequested { tasks: tasks.clone(), now })?;
        let level = if now { StopLevel::Now } else { StopLevel::WithGrace };
        let raise = |live: &Live| {
            live.stop.send_if_modified(|at| {
                let raised = *at < level;
                *at = level.max(*at);
                raised
            });
        };
        if tasks.is_empty() {
            self.interrupted = true;
            self.live.values().for_each(raise);
            return self.close(|_| Outcome::Cancelled);
        }
        for task in tasks {
            let Some(at) = self.record.position(&task) else { continue };
            self.live.values().filter(|live| live.position == at).for_each(raise);
            if self.finish_unless_live(at, Outcome::Cancelled)? {
                self.skip_dependants(at)?;
            }
        }
        Ok(())
    }

    /// An attempt's own task is over. One that panicked, in somebody's plug-in, is ended here.
    fn gone(&mut self, id: tokio::task::Id, panicked: bool) -> Result<(), RunError> {
        let Some(live) = self.live.remove(&id) else { return Ok(()) };
        if !panicked || !live.holds_slot {
            return Ok(());
        }
        let outcome = Outcome::Lost { why: "a plug-in panicked".to_owned() };
        let ended = EventKind::AttemptEnded { attempt: live.attempt, outcome: outcome.clone() };
        self.note(ended)?;
        self.task_finished(live.position, outcome)
    }
}

type PlaceSender = oneshot::Sender<Result<(Lease, Duration), NoPlace>>;

/// Asks for the worktrees of a batch, once the intents are on disk, and hands them out.
async fn make_places(worktrees: Arc<dyn Worktrees>, batch: Vec<(WorktreeRequest, Ticket, PlaceSender)>) {
    let (mut requests, mut senders) = (Vec::new(), Vec::new());
    for (request, intent, sender) in batch {
        match intent.await {
            Ok(()) => {
                requests.push(request);
                senders.push(sender);
            }
            // An attempt that is gone needs no answer, here and below.
            Err(error) => drop(sender.send(Err(NoPlace::Unrecorded(error)))),
        }
    }
    let asked = Instant::now();
    let places = if requests.is_empty() { Vec::new() } else { worktrees.create(requests).await };
    let took = asked.elapsed();
    for (place, sender) in places.into_iter().zip(senders) {
        drop(sender.send(place.map(|lease| (lease, took)).map_err(NoPlace::Worktree)));
    }
}

impl From<IllegalTransition> for RunError {
    fn from(source: IllegalTransition) -> Self {
        Self::Internal { source }
    }
}
