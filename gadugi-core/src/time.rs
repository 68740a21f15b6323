//! Moments that two processes can compare, and the clocks that bound an attempt.

use std::time::Duration;

/// A moment on the machine's own clock, which can be compared with another one of the same boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Names the boot of the machine.
    pub boot: String,
    /// Since that boot, without the time that the machine slept.
    pub uptime: Duration,
}

/// A clock that can run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// Since the start of the command.
    Wall,
    /// Since its last output.
    Idle,
    /// Since the start of the command that prepares the worktree.
    Setup,
}
