//! What follows on an attempt that has ended: another one, or the end of its task.

use std::time::Duration;

use tokio::time::Instant;

use crate::id::AttemptNo;
use crate::scheduler::RunError;
use crate::scheduler::dispatcher::Dispatcher;
use crate::state::Outcome;
use crate::task::LONGEST_RETRY_DELAY;

impl Dispatcher {
    /// What follows on an attempt that has ended, and after which so much time has passed.
    pub(super) fn retry_or_finish(
        &mut self,
        position: usize,
        number: AttemptNo,
        outcome: Outcome,
        waited: Duration,
    ) -> Result<(), RunError> {
        self.agent_ended(position, number, &outcome, waited)?;
        let spec = &self.specs[position];
        if self.registry_failure.is_some() && outcome.retriable() {
            return Ok(());
        }
        let earlier = self.record.tasks[position].attempts.iter().filter(|attempt| attempt.number <= number);
        let ends = earlier.filter_map(|attempt| attempt.ended.as_ref());
        let spent = ends.filter(|(outcome, _)| !outcome.refused()).count() as u64;
        let is_spent = if outcome.refused() { self.is_given_up(position) } else { spent > u64::from(spec.retries) };
        if self.closed || !outcome.retriable() || is_spent {
            return self.task_finished(position, outcome);
        }
        let doublings = spent.saturating_sub(1).min(31);
        let delay = spec.retry_delay.saturating_mul(1 << doublings).min(LONGEST_RETRY_DELAY).saturating_sub(waited);
        // One that was refused waits for its agent.
        if !outcome.refused() && !delay.is_zero() {
            self.retry_at.insert(position, Instant::now() + delay);
        }
        Ok(())
    }
}
