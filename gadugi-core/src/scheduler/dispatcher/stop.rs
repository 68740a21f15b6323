//! Stops: of the whole run, of some of its tasks, and before its end.

use tokio::sync::oneshot;
use tracing::debug;

use crate::id::TaskId;
use crate::run::{EventKind, Outcome, TaskState};
use crate::scheduler::control::Order;
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::dispatcher::journal::StopCause;
use crate::scheduler::error::RunError;
use crate::scheduler::message::StopLevel;

/// The stops that were requested of a run.
pub(crate) struct Stops {
    /// Level for attempts that start from now on.
    level: StopLevel,
    /// Whether nothing may be started any more.
    closed: bool,
    /// Whether the whole run was asked to stop.
    interrupted: bool,
}

impl Stops {
    /// The stops of a run that gets these orders before its start: nothing of it may start only to be stopped.
    pub(super) fn before_start(orders: &[Order]) -> Self {
        let of_all = orders.iter().filter_map(|order| match order {
            Order::Stop { tasks, now } if tasks.is_empty() => Some(StopLevel::of(*now)),
            _ => None,
        });
        Self { level: of_all.max().unwrap_or(StopLevel::Not), closed: false, interrupted: false }
    }

    /// Level for an attempt that starts now.
    pub(super) fn level(&self) -> StopLevel {
        self.level
    }

    /// Raises the level for attempts that start from now on.
    pub(super) fn raise(&mut self, level: StopLevel) {
        self.level = self.level.max(level);
    }

    /// Lets nothing start any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether nothing may be started any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Notes that the whole run was asked to stop.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Whether the whole run was asked to stop.
    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted
    }
}

impl Dispatcher {
    /// Carries out an order of the run's [`Control`](crate::scheduler::Control).
    pub(super) fn execute(&mut self, order: Order) -> Result<(), RunError> {
        match order {
            Order::Stop { tasks, now } => self.stop(tasks, StopLevel::of(now)),
            Order::Suspend(done) => self.suspend(done),
            Order::Continue => {
                if self.suspension.resume() {
                    self.journal.note(EventKind::RunContinued)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn suspend(&mut self, done: oneshot::Sender<()>) -> Result<(), RunError> {
        self.journal.note(EventKind::RunSuspended)?;
        let tasks = &self.journal.record.tasks;
        let running = self.live.values().filter(|live| matches!(tasks[live.position].state, TaskState::Running { .. }));
        let running = running.map(|live| live.attempt.clone()).collect();
        self.suspension.suspend(running, done);
        Ok(())
    }

    /// Stops these tasks; none means all.
    fn stop(&mut self, tasks: Vec<TaskId>, level: StopLevel) -> Result<(), RunError> {
        debug!(?level, of = tasks.len(), "stop requested");
        self.journal.note(EventKind::StopRequested { tasks: tasks.clone(), now: level == StopLevel::Now })?;
        if tasks.is_empty() {
            self.stops.interrupt();
            self.drop_forecasts();
            self.live.values().for_each(|live| live.ask_to_stop(level));
            return self.close(|_| Outcome::Cancelled);
        }
        tasks.iter().try_for_each(|task| self.stop_task(task, level))
    }

    /// Stops one task, if it is not over.
    pub(super) fn stop_task(&mut self, task: &TaskId, level: StopLevel) -> Result<(), RunError> {
        let Some(at) = self.journal.record.position(task) else { return Ok(()) };
        self.live.values().filter(|live| live.position == at).for_each(|live| live.ask_to_stop(level));
        if self.finish_unless_live(at, Outcome::Cancelled)? { self.skip_dependants(at) } else { Ok(()) }
    }

    /// Starts nothing more, and leaves everything that was not started to the driver that resumes the run.
    pub(super) fn stop_early(&mut self, cause: StopCause) {
        debug!(cause = cause.word(), "the run stops early");
        self.journal.fail(cause);
        self.stops.close();
        self.retry_at.clear();
    }

    /// Starts nothing more. Tasks that were never started end with the outcome that `unstarted` gives them, those that wait for
    /// another attempt with that of their last one. Where the run has failed they stay open, so that it can be resumed.
    pub(super) fn close(&mut self, unstarted: impl Fn(usize) -> Outcome) -> Result<(), RunError> {
        self.stops.close();
        if self.journal.has_failed() {
            return Ok(());
        }
        for at in 0..self.specs.len() {
            self.finish_unless_live(at, unstarted(at))?;
        }
        Ok(())
    }

    /// Ends a task without an attempt under way; returns whether it did.
    fn finish_unless_live(&mut self, at: usize, unstarted: Outcome) -> Result<bool, RunError> {
        self.retry_at.remove(&at);
        let outcome = match &self.journal.record.tasks[at].state {
            TaskState::Queued | TaskState::Blocked { .. } => unstarted,
            TaskState::AttemptOver { outcome, .. } => outcome.clone(),
            _ => return Ok(false),
        };
        self.journal.note(EventKind::TaskFinished { task: self.specs[at].id.clone(), outcome })?;
        self.release_held_back(at);
        self.foretell(at);
        Ok(true)
    }
}
