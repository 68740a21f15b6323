//! The start of a driver: of a new run, or of one that another driver has left.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::crash_point::crash_point;
use crate::executor::{CommandRef, ExecError, Executor, Reattached};
use crate::id::AttemptRef;
use crate::plan::{Phase, TaskSpec};
use crate::registry::Ticket;
use crate::run::{AttemptRecord, EventKind, Outcome, StopReason, TaskState, WarningKind};
use crate::scheduler::attempt::worktree::{AskedWorktree, make_worktrees};
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::dispatcher::start::NextAttempt;
use crate::scheduler::error::RunError;
use crate::scheduler::message::{Recovered, StopLevel};
use crate::time::Moment;
use crate::worktrees::Lease;

/// The first steps of a driver, before it starts anything.
pub(crate) struct DriverStart {
    /// Reason for the choice of the default executor.
    pub(crate) reason: String,
    /// Warnings that are known already.
    pub(crate) warnings: Vec<(WarningKind, String)>,
    /// `None` for a new run.
    pub(crate) resumption: Option<Resumption>,
}

/// The resumption of a run.
pub(crate) struct Resumption {
    /// The time, where the caller knows it.
    pub(crate) moment: Option<Moment>,
}

/// The state in which an earlier driver has left an attempt.
struct LeftState<'a> {
    /// State of the command that it had started last, or may have started.
    last: Option<(Phase, Result<Reattached, ExecError>)>,
    /// Lease of the worktree that exists.
    lease: Option<&'a Lease>,
    /// Whether the machine was restarted since.
    restarted: bool,
}

impl Dispatcher {
    /// Starts a new run, or resumes one.
    pub(super) async fn start_driver(&mut self, start: DriverStart) -> Result<(), RunError> {
        match start.resumption {
            None => {
                self.journal.note(EventKind::RunStarted)?;
                crash_point("run-started");
                self.note_executor(start.reason)?;
            }
            Some(resumption) => {
                self.resume(resumption).await?;
                // The earlier driver may have died before this event; then it has started nothing.
                if self.journal.record.executor.is_none() {
                    self.note_executor(start.reason)?;
                }
            }
        }
        for (kind, message) in start.warnings {
            self.journal.note(EventKind::Warning { kind, task: None, message })?;
        }
        Ok(())
    }

    fn note_executor(&mut self, reason: String) -> Result<(), RunError> {
        let executor = self.default_executor().name().to_owned();
        self.journal.note(EventKind::ExecutorChosen { executor, reason })
    }

    /// Resumes the run of an earlier driver.
    async fn resume(&mut self, resumption: Resumption) -> Result<(), RunError> {
        // First of all, without any change: a run whose attempts cannot be reached is not resumed.
        let open = self.open_attempts(resumption.moment.as_ref()).await?;
        let of = |position: usize| {
            self.unreleased_of(position).into_iter().map(move |(attempt, lease)| (position, attempt, lease))
        };
        // Before attempts of this driver add to them.
        let unreleased: Vec<_> = (0..self.specs.len()).flat_map(of).collect();
        self.started = self.wall_clock(resumption.moment.as_ref());
        self.journal.note(EventKind::RunResumed { moment: resumption.moment })?;
        if self.journal.record.stopping {
            self.stops.raise(StopLevel::WithGrace);
        }
        crash_point("run-resumed");
        for (position, attempt, lease) in unreleased {
            self.spawn_release(position, attempt, lease);
        }
        for position in 0..self.specs.len() {
            if self.journal.record.tasks[position].state.is_finished() {
                self.remove_home(position);
            }
        }
        // What a stopped run ends with is the stop, not the budget.
        if !self.journal.record.stopping {
            self.restore_budget()?;
        }
        self.spawn_recovered(open);
        self.settle()
    }

    /// The attempts that the earlier driver has left under way, with the state of their commands.
    async fn open_attempts(&mut self, now: Option<&Moment>) -> Result<Vec<NextAttempt>, RunError> {
        let restarted = self.journal.record.restarted_before(now) == Some(true);
        let leases = self.plugins.worktrees.leases().await.map_err(|source| RunError::Leases { source })?;
        let mut open = Vec::new();
        for (position, task) in self.journal.record.tasks.iter().enumerate() {
            let is_open = matches!(
                task.state,
                TaskState::Preparing { .. } | TaskState::Running { .. } | TaskState::Collecting { .. }
            );
            let Some(record) = task.last().filter(|_| is_open) else { continue };
            let attempt = AttemptRef { task: task.task.spec.id.clone(), number: record.number };
            let executor = self.executor_of(&attempt, record)?;
            let last = match last_phase(record, &task.task.spec) {
                Some(phase) => Some((phase, reattach(&*executor, self.command(record, &attempt, phase)).await?)),
                None => None,
            };
            let run = &self.journal.record.header.run;
            let lease = leases.iter().find(|lease| lease.run == *run && lease.attempt == attempt);
            let recovered = self.recovered(record, &task.task.spec, LeftState { last, lease, restarted });
            open.push(NextAttempt { position, attempt, executor, recovered: Some(recovered) });
        }
        Ok(open)
    }

    /// The work of the earlier driver for an attempt.
    fn recovered(&self, record: &AttemptRecord, spec: &TaskSpec, state: LeftState<'_>) -> Recovered {
        let LeftState { last, lease: found, restarted } = state;
        // A worktree that is gone before any command has started in it is made anew.
        let first = spec.phases().next();
        let unused = matches!(last, Some((last, Ok(Reattached::NeverStarted))) if Some(last) == first);
        let is_there = |lease: &Lease| lease.branch.is_none() || found.is_some() || !unused;
        let recorded = record.lease.clone().filter(is_there).map(|lease| (lease, true));
        let lease = recorded.or_else(|| Some((found?.clone(), false)));
        let runs_since = record.commands.last().filter(|command| command.end.is_none()).map(|last| last.started);
        let suspended = runs_since.map(|since| self.journal.record.suspended_between(since, Timestamp::now()));
        // Without a worktree, nothing can have started in it.
        let restarted = (record.restarted || restarted && record.work.is_none()) && lease.is_some();
        Recovered {
            lease,
            commands: record.commands.clone(),
            agent: record.agent.as_deref().cloned(),
            work: record.work.as_deref().cloned(),
            last,
            suspended: suspended.unwrap_or_default(),
            restarted,
        }
    }

    /// Spawns the attempts of the earlier driver, and asks for the worktrees of those that have none.
    fn spawn_recovered(&mut self, open: Vec<NextAttempt>) {
        let mut batch = Vec::new();
        for next in open {
            let (position, attempt) = (next.position, next.attempt.clone());
            let has_worktree = next.recovered.as_ref().is_some_and(|recovered| recovered.lease.is_some());
            let worktree = self.spawn(next);
            if !has_worktree {
                // Its intent is on disk already.
                let intent: Ticket = Box::pin(async { Ok(()) });
                let spec = Arc::clone(&self.specs[position]);
                batch.push(AskedWorktree { request: self.worktree_request(position, attempt), spec, intent, worktree });
            }
        }
        if !batch.is_empty() {
            tokio::spawn(make_worktrees(Arc::clone(&self.plugins.worktrees), batch));
        }
    }

    /// Completes what the earlier driver had left: stops that were requested, and the consequences of attempts and tasks that
    /// had ended.
    fn settle(&mut self) -> Result<(), RunError> {
        if self.journal.record.stopping {
            self.stops.interrupt();
            return self.close(|_| Outcome::Cancelled);
        }
        for task in self.journal.record.stopping_tasks.clone() {
            self.stop_task(&task, StopLevel::WithGrace)?;
        }
        for position in 0..self.journal.record.tasks.len() {
            let task = &self.journal.record.tasks[position];
            match task.state.clone() {
                TaskState::AttemptOver { attempt, outcome } => {
                    let ended = task.last().and_then(|attempt| attempt.ended.as_ref()).map(|(_, at)| *at);
                    let waited = ended.and_then(|at| Duration::try_from(Timestamp::now().duration_since(at)).ok());
                    self.retry_or_finish(position, attempt, outcome, waited.unwrap_or_default())?;
                }
                TaskState::Finished(outcome) if !outcome.success() => self.did_not_succeed(position)?,
                _ => {}
            }
        }
        self.foretell_past();
        Ok(())
    }

    fn executor_of(&self, attempt: &AttemptRef, record: &AttemptRecord) -> Result<Arc<dyn Executor>, RunError> {
        let executor = self.plugins.executors.get(Some(&record.executor)).map(Arc::clone);
        executor.ok_or_else(|| RunError::UnknownExecutor {
            task: attempt.task.clone(),
            executor: record.executor.clone(),
            at: self.journal.record.task(&attempt.task).map(|task| task.task.spec.source.clone()).unwrap_or_default(),
        })
    }

    fn command(&self, record: &AttemptRecord, attempt: &AttemptRef, phase: Phase) -> CommandRef {
        CommandRef {
            run: self.journal.record.header.run.clone(),
            attempt: attempt.clone(),
            phase,
            files: self.journal.attempt_folder(attempt),
            identity: record.commands.iter().rfind(|command| command.phase == phase).map(|c| c.identity.clone()),
        }
    }

    /// The start of the run's wall time, on this process's clock.
    fn wall_clock(&self, now: Option<&Moment>) -> Option<Instant> {
        let (start, now) = self.journal.record.header.moment.as_ref().zip(now)?;
        let before: Duration = now.uptime.checked_sub(start.uptime).filter(|_| start.boot == now.boot)?;
        Instant::now().checked_sub(before)
    }
}

/// Reattaches to a command. Only an executor that cannot tell keeps the run from being resumed: a command that may still run
/// must not count as lost.
async fn reattach(executor: &dyn Executor, command: CommandRef) -> Result<Result<Reattached, ExecError>, RunError> {
    match executor.reattach(&command).await {
        Err(source @ (ExecError::Watch { .. } | ExecError::Identity { .. })) => {
            Err(RunError::Reattach { attempt: command.attempt, source })
        }
        found => Ok(found),
    }
}

/// The phase that an attempt has started last, or may have started; `None` when all its commands are over.
fn last_phase(record: &AttemptRecord, spec: &TaskSpec) -> Option<Phase> {
    let phases: Vec<Phase> = spec.phases().collect();
    let of = |phase: Phase| record.commands.iter().rfind(|command| command.phase == phase);
    let started = phases.iter().enumerate().rev().find_map(|(at, phase)| Some((at, of(*phase)?)));
    let next = match started {
        None => 0,
        Some((at, command)) => match command.end {
            None => at,
            // An agent that is done may have to be ended.
            Some(end) if end.status.success() || command.stopped == Some(StopReason::Lingered) => at + 1,
            Some(_) => return None,
        },
    };
    phases.get(next).copied()
}
