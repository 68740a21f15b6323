//! The one task that owns the state of a run.

mod agent_limits;
mod conversation;
mod gates;
mod home;
pub(super) mod recover;
mod retry;

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::agent::OutputFormats;
use crate::crash_point::crash_point;
use crate::error_chain::error_chain;
use crate::executor::{Executor, Executors};
use crate::id::{AttemptNo, AttemptRef, CommitId, TaskId};
use crate::plan::{RetryFrom, TaskSpec};
use crate::registry::{EventSink, RegistryError, RunLog, Ticket};
use crate::run::{AttemptRecord, Event, EventKind, Outcome, RunRecord, TaskState, WarningKind};
use crate::scheduler::attempt::Attempt;
use crate::scheduler::attempt::conversation::Talk;
use crate::scheduler::attempt::worktree::{WorktreeResult, make_worktrees};
use crate::scheduler::control::{ControlReceiver, Order};
use crate::scheduler::dispatcher::agent_limits::AgentLimits;
use crate::scheduler::dispatcher::recover::Beginning;
use crate::scheduler::error::RunError;
use crate::scheduler::message::{Begun, Message, StopLevel};
use crate::scheduler::order::StartOrder;
use crate::worktrees::{Lease, NeededTip, WorktreeRequest, Worktrees};

/// An attempt that is under way.
struct Live {
    position: usize,
    attempt: AttemptRef,
    stop: watch::Sender<StopLevel>,
    /// Whether it still counts against `jobs`: until its end, not until its worktree is put away.
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

/// Why a run has stopped before its end.
pub(super) enum StoppedBy {
    /// A step could not be kept.
    Registry(RegistryError),
    /// There was no room on the disk for something else.
    NoRoom(Box<dyn std::error::Error + Send + Sync>),
}

impl StoppedBy {
    fn into_error(self, record: RunRecord) -> RunError {
        let record = Box::new(record);
        match self {
            Self::Registry(source) => RunError::Registry { record, source },
            Self::NoRoom(source) => RunError::NoRoom { record, source },
        }
    }
}

/// What a run is driven with.
pub(super) struct Plugins {
    pub(super) executors: Executors,
    pub(super) worktrees: Arc<dyn Worktrees>,
    pub(super) formats: OutputFormats,
}

pub(super) struct Dispatcher {
    pub(super) record: RunRecord,
    pub(super) specs: Vec<Arc<TaskSpec>>,
    pub(super) executors: Executors,
    pub(super) worktrees: Arc<dyn Worktrees>,
    pub(super) formats: OutputFormats,
    pub(super) agents: AgentLimits,
    log: Box<dyn RunLog>,
    sinks: Vec<Box<dyn EventSink>>,
    order: StartOrder,
    /// When the wall time began; `None` where that is not known.
    pub(super) begun: Option<Instant>,
    seq: u64,
    /// Tickets of what the dispatcher itself wrote.
    tickets: Vec<Ticket>,
    messages: mpsc::UnboundedSender<Message>,
    units: JoinSet<()>,
    live: HashMap<tokio::task::Id, Live>,
    /// When the next attempt may begin, of tasks that wait for one.
    pub(super) retry_at: HashMap<usize, Instant>,
    suspended: watch::Sender<bool>,
    /// The attempts whose executor is just starting a command.
    starting: HashSet<AttemptRef>,
    /// How much an attempt is asked to stop that is begun now.
    pub(super) stop_level: StopLevel,
    /// The attempts whose commands are being suspended, and who waits for that.
    suspending: Option<(HashSet<AttemptRef>, oneshot::Sender<()>)>,
    /// Set once nothing may be started any more.
    pub(super) closed: bool,
    pub(super) interrupted: bool,
    /// Set once nothing more can be kept or made.
    pub(super) stopped_by: Option<StoppedBy>,
}

impl Dispatcher {
    pub(super) fn new(
        record: RunRecord,
        plugins: Plugins,
        log: Box<dyn RunLog>,
        sinks: Vec<Box<dyn EventSink>>,
        estimates: &HashMap<TaskId, Duration>,
        seq: u64,
    ) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (messages, inbox) = mpsc::unbounded_channel();
        let order = StartOrder::new(&record.header.plan, estimates, record.header.settings.allow_overlap);
        let specs = record.tasks.iter().map(|task| Arc::new(task.task.spec.clone())).collect();
        let Plugins { executors, worktrees, formats } = plugins;
        let dispatcher = Self {
            record,
            specs,
            executors,
            worktrees,
            formats,
            agents: AgentLimits::new(),
            log,
            sinks,
            order,
            begun: Some(Instant::now()),
            seq,
            tickets: Vec::new(),
            messages,
            units: JoinSet::new(),
            live: HashMap::new(),
            retry_at: HashMap::new(),
            suspended: watch::channel(false).0,
            starting: HashSet::new(),
            stop_level: StopLevel::Not,
            suspending: None,
            closed: false,
            interrupted: false,
            stopped_by: None,
        };
        (dispatcher, inbox)
    }

    /// Drives the run to its end.
    pub(super) async fn drive(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Message>,
        mut control: ControlReceiver,
        beginning: Beginning,
    ) -> Result<RunRecord, RunError> {
        // Whoever asked to stop before the beginning does not want to see anything start.
        let orders: Vec<Order> = std::iter::from_fn(|| control.0.try_recv().ok()).collect();
        let stops_all = |order: &Order| match order {
            Order::Stop { tasks, now } if tasks.is_empty() => {
                Some(if *now { StopLevel::Now } else { StopLevel::WithGrace })
            }
            _ => None,
        };
        self.stop_level = orders.iter().filter_map(stops_all).max().unwrap_or(StopLevel::Not);
        self.begin(beginning).await?;
        for order in orders {
            self.obey(order)?;
        }
        let mut control_open = true;
        loop {
            // One moment for both: what does not start at it is waited for.
            let now = Instant::now();
            self.start_ready(now)?;
            let next_gate = self.next_gate(now).filter(|_| !self.closed);
            if self.units.is_empty() && self.retry_at.is_empty() && next_gate.is_none() {
                break;
            }
            let next_start = self.retry_at.values().min().copied().into_iter().chain(next_gate).min();
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
                order = control.0.recv(), if control_open => match order {
                    Some(order) => self.obey(order)?,
                    None => control_open = false,
                },
                // What is due is started by the next round, as soon as there is room for it.
                () = due(next_start) => self.retry_at.retain(|_, at| *at > Instant::now()),
            }
        }
        self.finish().await
    }

    async fn finish(mut self) -> Result<RunRecord, RunError> {
        if let Some(cause) = self.stopped_by.take() {
            return Err(cause.into_error(self.record));
        }
        for lock in self.worktrees.left_locks(self.record.header.created.into()).await {
            let message = format!(
                "{0} was left, as by a git that was killed with its task, and hinders git; if no git runs here, `rm '{0}'` removes it",
                lock.display()
            );
            self.note(EventKind::Warning { kind: WarningKind::Worktree, task: None, message })?;
        }
        let (wall, interrupted) = (self.begun.map(|begun| begun.elapsed()), self.interrupted);
        self.note(EventKind::RunEnded { wall, interrupted })?;
        let mut failure = None;
        for ticket in std::mem::take(&mut self.tickets) {
            if let Err(error) = ticket.await {
                failure.get_or_insert(error);
            }
        }
        match failure {
            None => {
                crash_point("run-ended");
                Ok(self.record)
            }
            Some(source) => Err(RunError::Registry { record: Box::new(self.record), source }),
        }
    }

    pub(super) fn default_executor(&self) -> Arc<dyn Executor> {
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
            // With the last one everything before it lasts, and a run that was told as ended is not resumed.
            EventKind::CommandEnded { .. } | EventKind::AttemptEnded { .. } | EventKind::RunEnded { .. } => {
                self.log.ended(&event)
            }
            _ => self.log.note(&event),
        };
        self.show(&event)?;
        Ok(ticket)
    }

    pub(super) fn note(&mut self, kind: EventKind) -> Result<(), RunError> {
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

    pub(super) fn slots_taken(&self) -> usize {
        self.live.values().filter(|live| live.holds_slot).count()
    }

    fn start_ready(&mut self, now: Instant) -> Result<(), RunError> {
        if self.closed {
            return Ok(());
        }
        loop {
            let picked = self.pick_ready(now);
            let count = picked.len();
            let started = self.probes_only(picked);
            if started.is_empty() {
                return Ok(());
            }
            self.start(&started)?;
            // Those that wait for a probe have given up their places.
            if started.len() == count {
                return Ok(());
            }
        }
    }

    fn pick_ready(&self, now: Instant) -> Vec<usize> {
        let room = self.record.header.settings.jobs.get().saturating_sub(self.slots_taken());
        if room == 0 {
            return Vec::new();
        }
        let running: Vec<usize> = self.live.values().filter(|live| live.holds_slot).map(|live| live.position).collect();
        let ready = |at: usize| {
            let state = &self.record.tasks[at].state;
            matches!(state, TaskState::Queued | TaskState::AttemptOver { .. })
                && !self.retry_at.contains_key(&at)
                && !self.has_to_wait(at, now)
                && !self.waits_for_budget(at)
        };
        self.order.pick(room, ready, |at| running.contains(&at))
    }

    /// Whether an attempt is under way.
    pub(super) fn is_under_way(&self, attempt: &AttemptRef) -> bool {
        self.live.values().any(|live| live.holds_slot && live.attempt == *attempt)
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
            self.retry_at.remove(&position);
            let intent = self
                .emit(EventKind::AttemptIntended { attempt: attempt.clone(), executor: executor.name().to_owned() })?;
            self.note_probe(position, &attempt);
            let place = self.spawn(position, attempt.clone(), executor, None);
            batch.push((self.worktree_request(position, attempt), intent, place));
        }
        tokio::spawn(make_worktrees(Arc::clone(&self.worktrees), batch));
        Ok(())
    }

    /// Begins to look after an attempt, which waits for its worktree, unless it has one already.
    pub(super) fn spawn(
        &mut self,
        position: usize,
        attempt: AttemptRef,
        executor: Arc<dyn Executor>,
        begun: Option<Begun>,
    ) -> oneshot::Sender<WorktreeResult> {
        let (sender, place) = oneshot::channel();
        let (stop, stop_receiver) = watch::channel(self.stop_level);
        let unit = self.unit(position, attempt.clone(), executor, place, stop_receiver, begun);
        // Of one that was heard out, what it has used counts.
        let talk = unit.talk.as_ref().filter(|talk| talk.recorded.is_none());
        if let Some(cost) = talk.and_then(|talk| talk.max_cost) {
            self.agents.promised.insert(attempt.clone(), cost);
        }
        let id = self.units.spawn(unit.make()).id();
        self.live.insert(id, Live { position, attempt, stop, holds_slot: true });
        sender
    }

    /// Gives back the worktree of an attempt that an earlier driver has ended.
    pub(super) fn spawn_release(&mut self, position: usize, attempt: AttemptRef, lease: Lease) {
        // It runs nothing more, so any executor will do.
        let executor = self.default_executor();
        let (_, place) = oneshot::channel();
        let (stop, stop_receiver) = watch::channel(StopLevel::Not);
        let mut unit = self.unit(position, attempt.clone(), executor, place, stop_receiver, None);
        let id = self.units.spawn(async move { unit.release(&lease).await }).id();
        self.live.insert(id, Live { position, attempt, stop, holds_slot: false });
    }

    /// Does something that is waited for before the run ends, and tells of it if it says so.
    pub(super) fn spawn_telling(&mut self, work: impl Future<Output = Option<EventKind>> + Send + 'static) {
        let messages = self.messages.clone();
        self.units.spawn(async move {
            if let Some(kind) = work.await {
                // A dispatcher that is gone does not wait for it.
                drop(messages.send(Message::Event(Box::new(kind), oneshot::channel().0)));
            }
        });
    }

    fn unit(
        &self,
        position: usize,
        attempt: AttemptRef,
        executor: Arc<dyn Executor>,
        place: oneshot::Receiver<WorktreeResult>,
        stop: watch::Receiver<StopLevel>,
        begun: Option<Begun>,
    ) -> Attempt {
        let is_isolated = executor.capabilities().isolates;
        let talk = self.talk(position, &attempt, begun.as_ref()).map(|talk| Talk { is_isolated, ..talk });
        Attempt {
            run: self.record.header.run.clone(),
            files: self.files_of(&attempt),
            spec: Arc::clone(&self.specs[position]),
            keep: self.record.header.settings.keep,
            executor,
            worktrees: Arc::clone(&self.worktrees),
            place,
            begun,
            earlier: self.earlier(position, &attempt),
            may_start: true,
            talk,
            home: None,
            attempt,
            deadline: None,
            stop,
            suspended: self.suspended.subscribe(),
            dispatcher: self.messages.clone(),
        }
    }

    /// The attempts at a task before this one.
    pub(super) fn earlier(&self, position: usize, attempt: &AttemptRef) -> Vec<Arc<AttemptRecord>> {
        let attempts = &self.record.tasks[position].attempts;
        attempts.iter().filter(|before| before.number < attempt.number).cloned().collect()
    }

    pub(super) fn files_of(&self, attempt: &AttemptRef) -> PathBuf {
        self.log.attempt_folder(attempt)
    }

    pub(super) fn worktree_request(&self, position: usize, attempt: AttemptRef) -> WorktreeRequest {
        let from = self.start_of_retry(position, &attempt);
        let take_over = self.place_to_take_over(position, &attempt);
        let (run, needs) = (self.record.header.run.clone(), self.needed_tips(position));
        WorktreeRequest { run, attempt, needs, from, take_over }
    }

    /// Where the attempt before this one ended, if it is to start there.
    fn start_of_retry(&self, position: usize, attempt: &AttemptRef) -> Option<CommitId> {
        if self.specs[position].retry_from != RetryFrom::Previous {
            return None;
        }
        let earlier = self.record.tasks[position].attempts.iter().rev().filter(|before| before.number < attempt.number);
        earlier.filter_map(|before| before.work.as_ref()?.tip.clone()).next()
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
            Message::Event(kind, reply) => (*kind, reply),
            Message::RegistryFailed(error) => {
                self.stop_early(StoppedBy::Registry(error));
                return Ok(());
            }
            Message::NoRoom(source) => {
                self.stop_early(StoppedBy::NoRoom(source));
                return Ok(());
            }
            Message::Starting(attempt) => {
                self.starting.insert(attempt);
                return Ok(());
            }
            Message::Agent(attempt, heard) => return self.hear_agent(attempt, heard),
            Message::Suspended(attempt) => {
                self.is_suspended(&attempt);
                return Ok(());
            }
        };
        let ended = match &kind {
            EventKind::AttemptEnded { attempt, outcome, .. } => {
                self.starting.remove(attempt);
                Some((attempt.clone(), outcome.clone()))
            }
            EventKind::CommandStarted { attempt, .. } => {
                self.starting.remove(attempt);
                None
            }
            // There is nothing left to suspend.
            EventKind::CommandEnded { attempt, .. } => {
                self.is_suspended(&attempt.clone());
                None
            }
            _ => None,
        };
        let reported = if let EventKind::AgentReported { attempt, .. } = &kind { Some(attempt.clone()) } else { None };
        let ticket = self.emit(kind)?;
        // Before the attempt goes on, so that it knows what has been reached.
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

    fn attempt_ended(&mut self, attempt: &AttemptRef, outcome: Outcome) -> Result<(), RunError> {
        let Some(live) = self.live.values_mut().find(|live| live.attempt == *attempt) else { return Ok(()) };
        live.holds_slot = false;
        let position = live.position;
        self.retry_or_finish(position, attempt.number, outcome, Duration::ZERO)
    }

    /// Starts nothing more, and leaves what was not started to whoever resumes the run.
    fn stop_early(&mut self, cause: StoppedBy) {
        self.stopped_by.get_or_insert(cause);
        self.closed = true;
        self.retry_at.clear();
    }

    /// Starts nothing more. Tasks that were never started end as `unstarted` says, those that wait for
    /// another attempt as their last one did. Where the run has stopped early they stay open, so that it can be
    /// resumed.
    pub(super) fn close(&mut self, unstarted: impl Fn(usize) -> Outcome) -> Result<(), RunError> {
        self.closed = true;
        if self.stopped_by.is_some() {
            return Ok(());
        }
        for at in 0..self.record.tasks.len() {
            self.finish_unless_live(at, unstarted(at))?;
        }
        Ok(())
    }

    /// Ends a task of which no attempt is under way; says whether it did.
    fn finish_unless_live(&mut self, at: usize, unstarted: Outcome) -> Result<bool, RunError> {
        self.retry_at.remove(&at);
        let outcome = match &self.record.tasks[at].state {
            TaskState::Queued | TaskState::Blocked { .. } => unstarted,
            TaskState::AttemptOver { outcome, .. } => outcome.clone(),
            _ => return Ok(false),
        };
        self.note(EventKind::TaskFinished { task: self.specs[at].id.clone(), outcome })?;
        self.release_held_back(at);
        Ok(true)
    }

    fn obey(&mut self, order: Order) -> Result<(), RunError> {
        match order {
            Order::Stop { tasks, now } => self.stop(tasks, now),
            Order::Suspend(done) => self.suspend(done),
            Order::Continue if *self.suspended.borrow() => {
                self.suspended.send_replace(false);
                self.note(EventKind::RunContinued)
            }
            Order::Continue => Ok(()),
        }
    }

    fn suspend(&mut self, done: oneshot::Sender<()>) -> Result<(), RunError> {
        self.note(EventKind::RunSuspended)?;
        let runs = |live: &&Live| matches!(self.record.tasks[live.position].state, TaskState::Running { .. });
        let mut running: HashSet<_> = self.live.values().filter(runs).map(|live| live.attempt.clone()).collect();
        running.extend(self.starting.iter().cloned());
        if running.is_empty() {
            // Whoever asked may be gone.
            done.send(()).ok();
        } else {
            self.suspending = Some((running, done));
        }
        self.suspended.send_replace(true);
        Ok(())
    }

    /// The command of an attempt is suspended, or need not be any more.
    fn is_suspended(&mut self, attempt: &AttemptRef) {
        if let Some((waiting, _)) = &mut self.suspending {
            waiting.remove(attempt);
        }
        if let Some((_, done)) = self.suspending.take_if(|(waiting, _)| waiting.is_empty()) {
            // Whoever asked may be gone.
            done.send(()).ok();
        }
    }

    fn stop(&mut self, tasks: Vec<TaskId>, now: bool) -> Result<(), RunError> {
        self.note(EventKind::StopRequested { tasks: tasks.clone(), now })?;
        let level = if now { StopLevel::Now } else { StopLevel::WithGrace };
        if tasks.is_empty() {
            self.interrupted = true;
            self.live.values().for_each(|live| live.ask_to_stop(level));
            return self.close(|_| Outcome::Cancelled);
        }
        tasks.iter().try_for_each(|task| self.stop_task(task, level))
    }

    /// Stops one task, if it is not over.
    pub(super) fn stop_task(&mut self, task: &TaskId, level: StopLevel) -> Result<(), RunError> {
        let Some(at) = self.record.position(task) else { return Ok(()) };
        self.live.values().filter(|live| live.position == at).for_each(|live| live.ask_to_stop(level));
        if self.finish_unless_live(at, Outcome::Cancelled)? { self.skip_dependants(at) } else { Ok(()) }
    }

    /// An attempt's own task is over. One that panicked, in somebody's plug-in, is ended here.
    fn gone(&mut self, id: tokio::task::Id, panicked: bool) -> Result<(), RunError> {
        let Some(live) = self.live.remove(&id) else { return Ok(()) };
        self.agents.promised.remove(&live.attempt);
        self.starting.remove(&live.attempt);
        self.is_suspended(&live.attempt);
        if !panicked || !live.holds_slot {
            return Ok(());
        }
        let outcome = Outcome::Lost { why: "a plug-in panicked".to_owned() };
        let ended = EventKind::AttemptEnded { attempt: live.attempt, outcome: outcome.clone(), said: None };
        self.note(ended)?;
        self.task_finished(live.position, outcome)
    }
}

/// Waits for the moment of the next retry; for ever where none waits.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
