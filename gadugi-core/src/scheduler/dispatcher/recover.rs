//! The start of a driver: of a new run, or of one that another driver has left.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::crash_point::crash_point;
use crate::executor::{CommandRef, ExecError, Executor, Reattached};
use crate::id::AttemptRef;
use crate::plan::{Phase, TaskSpec};
use crate::run::{AttemptRecord, EventKind, Outcome, StopReason, TaskState, WarningKind};
use crate::scheduler::attempt::worktree::make_worktrees;
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::error::RunError;
use crate::scheduler::message::{Begun, StopLevel};
use crate::time::Moment;
use crate::worktrees::Lease;

/// What is told, and done, before anything is started.
pub(crate) struct Beginning {
    /// Why the default executor is what it is.
    pub(crate) reason: String,
    pub(crate) warnings: Vec<(WarningKind, String)>,
    /// `None` for a new run.
    pub(crate) resumption: Option<Resumption>,
}

/// How a run is taken over.
pub(crate) struct Resumption {
    pub(crate) moment: Option<Moment>,
}

/// An attempt that an earlier driver has left open.
struct Open {
    position: usize,
    attempt: AttemptRef,
    executor: Arc<dyn Executor>,
    begun: Begun,
}

impl Dispatcher {
    pub(crate) async fn begin(&mut self, beginning: Beginning) -> Result<(), RunError> {
        match beginning.resumption {
            None => {
                self.note(EventKind::RunStarted)?;
                crash_point("run-started");
                self.note_executor(beginning.reason)?;
            }
            Some(resumption) => {
                self.take_over(resumption).await?;
                // The earlier driver may have ended before it was written down; then it has begun nothing.
                if self.record.executor.is_none() {
                    self.note_executor(beginning.reason)?;
                }
            }
        }
        for (kind, message) in beginning.warnings {
            self.note(EventKind::Warning { kind, task: None, message })?;
        }
        Ok(())
    }

    fn note_executor(&mut self, reason: String) -> Result<(), RunError> {
        let executor = self.default_executor().name().to_owned();
        self.note(EventKind::ExecutorChosen { executor, reason })
    }

    /// Goes on where an earlier driver has ended. Nothing is told and nothing is begun before it is known of
    /// every attempt under way what became of it.
    async fn take_over(&mut self, resumption: Resumption) -> Result<(), RunError> {
        let restarted = self.record.restarted_before(resumption.moment.as_ref()) == Some(true);
        let places = self.worktrees.leases().await.map_err(|source| RunError::Leases { source })?;
        let mut open = Vec::new();
        for position in 0..self.record.tasks.len() {
            let task = &self.record.tasks[position];
            let is_open = matches!(
                task.state,
                TaskState::Preparing { .. } | TaskState::Running { .. } | TaskState::Collecting { .. }
            );
            if let Some(record) = task.last().filter(|_| is_open) {
                let attempt = AttemptRef { task: task.task.spec.id.clone(), number: record.number };
                let executor = self.executor_of(&attempt, record)?;
                let last = match last_phase(record, &task.task.spec) {
                    Some(phase) => Some((phase, reattach(&*executor, self.command(record, &attempt, phase)).await?)),
                    None => None,
                };
                let found = places.iter().find(|lease| lease.run == self.record.header.run && lease.attempt == attempt);
                // One that is gone before anything has begun in it is made anew.
                let first = task.task.spec.phases().next();
                let unused = matches!(last, Some((last, Ok(Reattached::NeverStarted))) if Some(last) == first);
                let is_there = |lease: &Lease| lease.branch.is_none() || found.is_some() || !unused;
                let recorded = record.lease.clone().filter(is_there).map(|lease| (lease, true));
                let lease = recorded.or_else(|| Some((found?.clone(), false)));
                let runs_since =
                    record.commands.last().filter(|command| command.end.is_none()).map(|last| last.started);
                let now = Timestamp::now();
                let suspended = runs_since.map(|since| self.record.suspended_between(since, now)).unwrap_or_default();
                let (commands, work) = (record.commands.clone(), record.work.as_deref().cloned());
                let agent = record.agent.as_deref().cloned();
                // Where there is no worktree, nothing can have begun in it.
                let restarted = record.restarted || restarted && record.work.is_none();
                let restarted = restarted && lease.is_some();
                open.push(Open {
                    position,
                    attempt,
                    executor,
                    begun: Begun { lease, commands, agent, work, last, suspended, restarted },
                });
            }
        }
        let of = |position: usize| {
            self.unreleased_of(position).into_iter().map(move |(attempt, lease)| (position, attempt, lease))
        };
        let unreleased: Vec<_> = (0..self.record.tasks.len()).flat_map(of).collect();
        self.begun = self.wall_clock(resumption.moment.as_ref());
        self.note(EventKind::RunResumed { moment: resumption.moment })?;
        if self.record.stopping {
            self.stop_level = self.stop_level.max(StopLevel::WithGrace);
        }
        crash_point("run-resumed");
        for (position, attempt, lease) in unreleased {
            self.spawn_release(position, attempt, lease);
        }
        for position in 0..self.record.tasks.len() {
            if self.record.tasks[position].state.is_finished() {
                self.forget_home(position);
            }
        }
        if !self.record.stopping {
            self.remember_budget()?;
        }
        let mut batch = Vec::new();
        for Open { position, attempt, executor, begun } in open {
            let has_place = begun.lease.is_some();
            let place = self.spawn(position, attempt.clone(), executor, Some(begun));
            if !has_place {
                batch.push((self.worktree_request(position, attempt), Box::pin(async { Ok(()) }) as _, place));
            }
        }
        if !batch.is_empty() {
            tokio::spawn(make_worktrees(Arc::clone(&self.worktrees), batch));
        }
        self.settle()
    }

    /// Does what an earlier driver could not do any more: for what it was asked to stop, and for attempts and
    /// tasks that had ended.
    fn settle(&mut self) -> Result<(), RunError> {
        if self.record.stopping {
            self.interrupted = true;
            return self.close(|_| Outcome::Cancelled);
        }
        for task in self.record.stopping_tasks.clone() {
            self.stop_task(&task, StopLevel::WithGrace)?;
        }
        for position in 0..self.record.tasks.len() {
            let task = &self.record.tasks[position];
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
        Ok(())
    }

    fn executor_of(&self, attempt: &AttemptRef, record: &AttemptRecord) -> Result<Arc<dyn Executor>, RunError> {
        let executor = self.executors.get(Some(&record.executor)).map(Arc::clone);
        executor.ok_or_else(|| RunError::UnknownExecutor {
            task: attempt.task.clone(),
            executor: record.executor.clone(),
            at: self.record.task(&attempt.task).map(|task| task.task.spec.source.clone()).unwrap_or_default(),
        })
    }

    fn command(&self, record: &AttemptRecord, attempt: &AttemptRef, phase: Phase) -> CommandRef {
        CommandRef {
            run: self.record.header.run.clone(),
            attempt: attempt.clone(),
            phase,
            files: self.files_of(attempt),
            identity: record.commands.iter().rfind(|command| command.phase == phase).map(|c| c.identity.clone()),
        }
    }

    /// When the wall time of the run began, on this process's clock.
    fn wall_clock(&self, now: Option<&Moment>) -> Option<Instant> {
        let (start, now) = self.record.header.moment.as_ref().zip(now)?;
        let before: Duration = now.uptime.checked_sub(start.uptime).filter(|_| start.boot == now.boot)?;
        Instant::now().checked_sub(before)
    }
}

/// Finds out what became of a command. Only what the executor cannot tell keeps the run from being taken over:
/// nothing may be called lost that may still run.
async fn reattach(executor: &dyn Executor, command: CommandRef) -> Result<Result<Reattached, ExecError>, RunError> {
    match executor.reattach(&command).await {
        Err(source @ (ExecError::Watch { .. } | ExecError::Identity { .. })) => {
            Err(RunError::Reattach { attempt: command.attempt, source })
        }
        found => Ok(found),
    }
}

/// The command that an attempt has begun last, or may have begun; `None` when it is through with them.
fn last_phase(record: &AttemptRecord, spec: &TaskSpec) -> Option<Phase> {
    let phases: Vec<Phase> = spec.phases().collect();
    let of = |phase: Phase| record.commands.iter().rfind(|command| command.phase == phase);
    let begun = phases.iter().enumerate().rev().find_map(|(at, phase)| Some((at, of(*phase)?)));
    let next = match begun {
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
