//! The clocks of an attempt.

use std::time::Duration;

use tokio::time::Instant;

use crate::plan::Phase;
use crate::run::CommandRecord;
use crate::scheduler::attempt::Attempt;
use crate::time::Clock;

impl Attempt {
    /// How long a command may take, together with those before it that share its clock.
    pub(super) fn timeout(&self, phase: Phase) -> Option<Duration> {
        match (phase, &self.spec.setup) {
            (Phase::Setup, Some(setup)) => setup.timeout,
            _ => self.spec.limits.timeout,
        }
    }

    /// Begins the clock of the attempt's commands, unless an earlier one has.
    pub(super) fn begin_clock(&mut self, phase: Phase, elapsed: Duration) {
        if self.deadline.is_none() {
            let shares_clock = |command: &&CommandRecord| wall_clock(command.phase) == wall_clock(phase);
            let before = self.begun.iter().flat_map(|begun| &begun.commands).filter(shares_clock);
            let ended = before.filter_map(|command| command.end);
            let spent = elapsed + ended.map(|end| end.took).sum::<Duration>();
            let left = self.timeout(phase).map(|timeout| timeout.saturating_sub(spent));
            self.deadline = left.and_then(|left| Instant::now().checked_add(left));
        }
    }
}

/// The clock that bounds a command, however much it prints.
pub(crate) fn wall_clock(phase: Phase) -> Clock {
    match phase {
        Phase::Setup => Clock::Setup,
        Phase::Main | Phase::Check => Clock::Wall,
    }
}
