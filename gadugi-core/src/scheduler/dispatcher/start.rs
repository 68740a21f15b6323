//! The start of attempts.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, info_span};

use crate::executor::Executor;
use crate::id::{AttemptNo, AttemptRef, CommitId};
use crate::plan::RetryFrom;
use crate::run::{AttemptRecord, EventKind, TaskState};
use crate::scheduler::attempt::Attempt;
use crate::scheduler::attempt::clocks::Clocks;
use crate::scheduler::attempt::conversation::Conversation;
use crate::scheduler::attempt::worktree::{AskedWorktree, WorktreeResult, make_worktrees};
use crate::scheduler::dispatcher::{Dispatcher, Live};
use crate::scheduler::error::RunError;
use crate::scheduler::message::{Message, Recovered, StopLevel};
use crate::worktrees::{Lease, NeededTip, WorktreeRequest};

/// An attempt that this driver is about to run.
pub(super) struct NextAttempt {
    /// Position of its task.
    pub(super) position: usize,
    pub(super) attempt: AttemptRef,
    pub(super) executor: Arc<dyn Executor>,
    /// Work of an earlier driver; `None` for an attempt that starts now.
    pub(super) recovered: Option<Recovered>,
}

impl Dispatcher {
    /// Number of attempts that count against `jobs`.
    pub(super) fn slots_taken(&self) -> usize {
        self.live.values().filter(|live| live.holds_slot).count()
    }

    /// Starts all tasks that are ready, as far as `jobs` allows.
    pub(super) fn start_ready(&mut self, now: Instant) -> Result<(), RunError> {
        if self.stops.is_closed() {
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
            // Tasks that wait for a probe have given up their slots.
            if started.len() == count {
                return Ok(());
            }
        }
    }

    /// The positions of tasks to start now.
    fn pick_ready(&self, now: Instant) -> Vec<usize> {
        let room = self.journal.record.header.settings.jobs.get().saturating_sub(self.slots_taken());
        if room == 0 {
            return Vec::new();
        }
        let running: Vec<usize> = self.live.values().filter(|live| live.holds_slot).map(|live| live.position).collect();
        let ready = |at: usize| {
            let state = &self.journal.record.tasks[at].state;
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

    /// Starts an attempt at each of these tasks, with one request for all their worktrees.
    fn start(&mut self, positions: &[usize]) -> Result<(), RunError> {
        let mut batch = Vec::with_capacity(positions.len());
        for &position in positions {
            let spec = Arc::clone(&self.specs[position]);
            let last = self.journal.record.tasks[position].last().map(|attempt| attempt.number);
            let attempt = AttemptRef { task: spec.id.clone(), number: last.map_or(AttemptNo::FIRST, AttemptNo::next) };
            let executor = self.plugins.executors.get(spec.executor.as_deref()).map(Arc::clone);
            let executor = executor.expect("cannot fail because Run::drive has looked up all executors");
            self.retry_at.remove(&position);
            // The intent comes first: without it, a crash would leave a worktree that no record explains.
            let intent = self
                .journal
                .emit(EventKind::AttemptIntended { attempt: attempt.clone(), executor: executor.name().to_owned() })?;
            self.note_probe(position, &attempt);
            let worktree = self.spawn(NextAttempt { position, attempt: attempt.clone(), executor, recovered: None });
            batch.push(AskedWorktree { request: self.worktree_request(position, attempt), spec, intent, worktree });
        }
        tokio::spawn(make_worktrees(Arc::clone(&self.plugins.worktrees), batch));
        Ok(())
    }

    /// Spawns the task of an attempt. Unless it has a worktree, it waits for one from the sender.
    pub(super) fn spawn(&mut self, next: NextAttempt) -> oneshot::Sender<WorktreeResult> {
        let (sender, worktree) = oneshot::channel();
        let (stop, stop_receiver) = watch::channel(self.stops.level());
        let (position, attempt) = (next.position, next.attempt.clone());
        let unit = self.unit(next, worktree, stop_receiver);
        // A final report of an earlier driver counts as used, not as promised.
        let conversation = unit.conversation.as_ref().filter(|conversation| conversation.recorded.is_none());
        if let Some(cost) = conversation.and_then(|conversation| conversation.max_cost) {
            self.agents.promised.insert(attempt.clone(), cost);
        }
        let id = self.units.spawn(unit.run().instrument(attempt_span(&attempt))).id();
        self.live.insert(id, Live { position, attempt, stop, holds_slot: true });
        sender
    }

    /// Releases the worktree of an attempt that an earlier driver has ended.
    pub(super) fn spawn_release(&mut self, position: usize, attempt: AttemptRef, lease: Lease) {
        // It runs no command, so any executor will do.
        let executor = self.default_executor();
        let (_, worktree) = oneshot::channel();
        let (stop, stop_receiver) = watch::channel(StopLevel::Not);
        let next = NextAttempt { position, attempt: attempt.clone(), executor, recovered: None };
        let mut unit = self.unit(next, worktree, stop_receiver);
        let release = async move { unit.release(&lease).await };
        let id = self.units.spawn(release.instrument(attempt_span(&attempt))).id();
        self.live.insert(id, Live { position, attempt, stop, holds_slot: false });
    }

    /// Spawns work that has to end before the run does, and records the event that it may result in.
    pub(super) fn spawn_work(&mut self, work: impl Future<Output = Option<EventKind>> + Send + 'static) {
        let messages = self.messages.clone();
        self.units.spawn(async move {
            if let Some(kind) = work.await {
                // A dispatcher that is gone does not wait for it.
                drop(messages.send(Message::Event(Box::new(kind), oneshot::channel().0)));
            }
        });
    }

    /// Puts together everything that an attempt needs.
    fn unit(
        &self,
        next: NextAttempt,
        worktree: oneshot::Receiver<WorktreeResult>,
        stop: watch::Receiver<StopLevel>,
    ) -> Attempt {
        let NextAttempt { position, attempt, executor, recovered } = next;
        let is_isolated = executor.capabilities().isolates;
        let conversation = self.conversation(position, &attempt, recovered.as_ref());
        Attempt {
            run: self.journal.record.header.run.clone(),
            files: self.journal.attempt_folder(&attempt),
            spec: Arc::clone(&self.specs[position]),
            keep: self.journal.record.header.settings.keep,
            executor,
            worktrees: Arc::clone(&self.plugins.worktrees),
            worktree,
            recovered,
            earlier: self.earlier(position, &attempt),
            may_start: true,
            conversation: conversation.map(|conversation| Conversation { is_isolated, ..conversation }),
            home: None,
            attempt,
            clocks: Clocks::default(),
            stop,
            suspended: self.suspension.subscribe(),
            dispatcher: self.messages.clone(),
        }
    }

    /// The attempts at a task before this one.
    pub(super) fn earlier(&self, position: usize, attempt: &AttemptRef) -> Vec<Arc<AttemptRecord>> {
        let attempts = &self.journal.record.tasks[position].attempts;
        attempts.iter().filter(|before| before.number < attempt.number).cloned().collect()
    }

    /// The request for the worktree of an attempt.
    pub(super) fn worktree_request(&self, position: usize, attempt: AttemptRef) -> WorktreeRequest {
        let from = self.start_of_retry(position, &attempt).or_else(|| self.end_of_earlier_run(position));
        let reuse = self.lease_to_reuse(position, &attempt);
        let (run, base) = (self.journal.record.header.run.clone(), self.specs[position].origin.base.clone());
        let needs = self.needed_tips(position);
        WorktreeRequest { run, attempt, base, needs, from, reuse }
    }

    /// The tip of the attempt before this one, if this one starts there.
    fn start_of_retry(&self, position: usize, attempt: &AttemptRef) -> Option<CommitId> {
        if self.specs[position].retry_from != RetryFrom::Previous {
            return None;
        }
        let attempts = self.journal.record.tasks[position].attempts.iter().rev();
        let mut earlier = attempts.filter(|before| before.number < attempt.number);
        earlier.find_map(|before| before.work.as_ref()?.tip.clone())
    }

    /// The end of the attempt of an earlier run that this run continues.
    fn end_of_earlier_run(&self, position: usize) -> Option<CommitId> {
        self.specs[position].origin.earlier.as_ref()?.tip.clone()
    }

    /// The tips of the branches that this task needs, those of an earlier run first.
    fn needed_tips(&self, position: usize) -> Vec<NeededTip> {
        let needs = self.journal.record.header.plan.needs(position).iter();
        let tip = |need: &usize| {
            let need = &self.journal.record.tasks[*need];
            let tip = need.last()?.work.as_ref()?.tip.clone()?;
            Some(NeededTip { task: need.task.spec.id.clone(), tip })
        };
        self.specs[position].origin.tips.iter().cloned().chain(needs.filter_map(tip)).collect()
    }
}

/// The span of an attempt, in that of its task.
fn attempt_span(attempt: &AttemptRef) -> Span {
    let task = info_span!("task", id = %attempt.task);
    info_span!(parent: &task, "attempt", number = attempt.number.get())
}
