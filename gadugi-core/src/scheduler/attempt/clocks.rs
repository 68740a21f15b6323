//! The clocks of an attempt.

use std::time::Duration;

use tokio::time::Instant;

use crate::plan::Phase;
use crate::run::{CommandRecord, StopReason};
use crate::scheduler::attempt::Attempt;
use crate::time::Clock;

/// The clocks of an attempt. All of them stand still while the run is suspended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clocks {
    /// End of the time limit of its commands together, or of its setup; known from the first of them on.
    pub(super) deadline: Option<Instant>,
    /// End of the time limit without output.
    pub(super) idle: Option<Instant>,
    /// End of the time for which an agent that has reported its end may run on.
    pub(super) linger: Option<Instant>,
    suspended_since: Option<Instant>,
}

impl Clocks {
    /// Resets the clocks that each command has for itself.
    pub(super) fn start_command(&mut self) {
        *self = Self { deadline: self.deadline, ..Self::default() };
    }

    /// Starts the idle clock, or starts it anew after output.
    pub(super) fn restart_idle(&mut self, timeout: Option<Duration>) {
        self.idle = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    }

    /// Starts the clock of an agent that has reported its end, unless it runs already.
    pub(super) fn start_linger(&mut self, linger: Option<Duration>) {
        if self.linger.is_none() {
            self.linger = linger.and_then(|linger| Instant::now().checked_add(linger));
        }
    }

    /// Stops all clocks; the first of two suspensions counts.
    pub(super) fn suspend(&mut self) {
        self.suspended_since.get_or_insert_with(Instant::now);
    }

    /// Lets all clocks run again.
    pub(super) fn resume(&mut self) {
        let Some(since) = self.suspended_since.take() else { return };
        let pause = since.elapsed();
        for clock in [&mut self.deadline, &mut self.idle, &mut self.linger] {
            *clock = clock.map(|end| end + pause);
        }
    }

    /// Whether the clocks stand still.
    pub(super) fn is_suspended(&self) -> bool {
        self.suspended_since.is_some()
    }

    /// The reason to stop a command when a clock runs out: an agent that has reported its end has not timed out.
    pub(super) fn run_out(&self, clock: Clock) -> StopReason {
        match self.linger {
            Some(_) => StopReason::Lingered,
            None => StopReason::TimedOut(clock),
        }
    }
}

impl Attempt {
    /// The time limit of a command, together with those before it that share its clock.
    pub(super) fn timeout(&self, phase: Phase) -> Option<Duration> {
        match (phase, &self.spec.setup) {
            (Phase::Setup, Some(setup)) => setup.timeout,
            _ => self.spec.limits.timeout,
        }
    }

    /// Starts the clock of the attempt's commands, unless an earlier one has.
    pub(super) fn start_clock(&mut self, phase: Phase, elapsed: Duration) {
        if self.clocks.deadline.is_none() {
            let shares_clock = |command: &&CommandRecord| wall_clock(command.phase) == wall_clock(phase);
            let commands = self.recovered.iter().flat_map(|recovered| &recovered.commands);
            let ended = commands.filter(shares_clock).filter_map(|command| command.end);
            let spent = elapsed + ended.map(|end| end.took).sum::<Duration>();
            let left = self.timeout(phase).map(|timeout| timeout.saturating_sub(spent));
            self.clocks.deadline = left.and_then(|left| Instant::now().checked_add(left));
        }
    }
}

/// The clock that bounds a command, however much it prints.
pub(super) fn wall_clock(phase: Phase) -> Clock {
    match phase {
        Phase::Setup => Clock::Setup,
        Phase::Main | Phase::Check => Clock::Wall,
    }
}
