//! The step after an attempt: another attempt, or the end of its task.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use crate::crash_point::crash_point;
use crate::id::{AttemptNo, AttemptRef};
use crate::plan::{Changes, MAX_RETRY_DELAY};
use crate::run::{AttemptRecord, EventKind, Outcome, TaskState, WorktreeState};
use crate::scheduler::attempt::conversation::may_be_reused;
use crate::scheduler::attempt::worktree::is_released;
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::error::RunError;
use crate::worktrees::Lease;

impl Dispatcher {
    /// Decides after the end of an attempt, `waited` ago: another attempt, or the end of the task.
    pub(super) fn retry_or_finish(
        &mut self,
        position: usize,
        number: AttemptNo,
        outcome: Outcome,
        waited: Duration,
    ) -> Result<(), RunError> {
        let own_wait = self.agent_ended(position, number, &outcome, waited)?;
        let spec = &self.specs[position];
        if self.journal.has_failed() && outcome.retriable() {
            return Ok(());
        }
        let earlier = self.journal.record.tasks[position].attempts.iter().filter(|attempt| attempt.number <= number);
        let ends = earlier.filter_map(|attempt| attempt.ended.as_ref());
        let spends = |outcome: &Outcome| !outcome.refused() && !outcome.is_out_of_share();
        let spent = ends.filter(|(outcome, _)| spends(outcome)).count() as u64;
        let is_spent = if spends(&outcome) { spent > u64::from(spec.retries) } else { self.is_given_up(position) };
        if self.stops.is_closed() || !outcome.retriable() || is_spent || self.is_shut_out(position) {
            self.task_finished(position, outcome.clone())?;
            return self.shut_out(position, &outcome);
        }
        let doublings = spent.saturating_sub(1).min(31);
        let delay = spec.retry_delay.saturating_mul(1 << doublings).min(MAX_RETRY_DELAY).saturating_sub(waited);
        // A refused attempt waits for its agent, and one that was out of its share does not wait.
        let delay = if spends(&outcome) { delay } else { own_wait };
        debug!(task = %self.specs[position].id, ?delay, "another attempt follows");
        if !delay.is_zero() {
            self.retry_at.insert(position, Instant::now() + delay);
        }
        Ok(())
    }

    /// Ends a task, with the consequences for its dependants.
    pub(super) fn task_finished(&mut self, position: usize, outcome: Outcome) -> Result<(), RunError> {
        let task = self.specs[position].id.clone();
        let success = outcome.success();
        self.journal.note(EventKind::TaskFinished { task, outcome })?;
        self.release_held_back(position);
        self.foretell(position);
        crash_point("task-finished");
        if success { Ok(()) } else { self.did_not_succeed(position) }
    }

    /// Carries out the consequences of a task that has not succeeded.
    pub(super) fn did_not_succeed(&mut self, position: usize) -> Result<(), RunError> {
        let task = self.specs[position].id.clone();
        if self.journal.record.header.settings.fail_fast && !self.stops.is_closed() {
            return self.close(|_| Outcome::Skipped { because: task.clone().into() });
        }
        self.skip_dependants(position)
    }

    /// Skips the direct and indirect dependants of a task.
    pub(super) fn skip_dependants(&mut self, position: usize) -> Result<(), RunError> {
        let because = self.specs[position].id.clone();
        let mut open = self.journal.record.header.plan.dependants(position).to_vec();
        while let Some(at) = open.pop() {
            if !matches!(self.journal.record.tasks[at].state, TaskState::Blocked { .. }) {
                continue;
            }
            open.extend(self.journal.record.header.plan.dependants(at));
            let (task, because) = (self.specs[at].id.clone(), because.clone());
            self.journal
                .note(EventKind::TaskFinished { task, outcome: Outcome::Skipped { because: because.into() } })?;
        }
        Ok(())
    }

    /// Releases the worktrees that stayed for further attempts at a finished task, and removes the home of its agent.
    pub(super) fn release_held_back(&mut self, position: usize) {
        self.remove_home(position);
        for (attempt, lease) in self.unreleased_of(position) {
            let task = &self.journal.record.tasks[position];
            let record = task.attempts.iter().find(|record| record.number == attempt.number);
            let ended = record.and_then(|record| record.ended.as_ref());
            // Other worktrees are released by the attempts themselves.
            if ended.is_some_and(|(outcome, _)| may_be_reused(&task.task.spec, outcome)) {
                self.spawn_release(position, attempt, lease);
            }
        }
    }

    /// Releases the worktree of an attempt that has panicked, if nothing of it is kept.
    pub(super) fn release_unless_kept(&mut self, position: usize, number: AttemptNo) {
        if self.specs[position].changes != Changes::Discarded {
            return;
        }
        for (attempt, lease) in self.unreleased_of(position).into_iter().filter(|(attempt, _)| attempt.number == number)
        {
            self.spawn_release(position, attempt, lease);
        }
    }

    /// The worktrees of a task that are due to be released and were not.
    pub(super) fn unreleased_of(&self, position: usize) -> Vec<(AttemptRef, Lease)> {
        let task = &self.journal.record.tasks[position];
        let spec = &task.task.spec;
        let is_due = |record: &&Arc<AttemptRecord>| {
            let is_due = |(outcome, _): &(Outcome, _)| {
                let is_over = task.state.is_finished() || !may_be_reused(spec, outcome);
                is_over && is_released(spec, self.journal.record.header.settings.keep, outcome)
            };
            record.worktree == WorktreeState::InUse && record.ended.as_ref().is_some_and(is_due)
        };
        let due = task.attempts.iter().filter(is_due).filter_map(|record| {
            let lease = record.lease.clone().filter(|lease| lease.branch.is_some())?;
            Some((AttemptRef { task: spec.id.clone(), number: record.number }, lease))
        });
        due.collect()
    }
}
