//! Moments that two processes can compare, and the clocks that bound an attempt.

use std::time::Duration;

/// A moment on the machine's monotonic clock, comparable with others of the same boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Id of the boot.
    pub boot: String,
    /// Time since that boot, without the time that the machine slept.
    pub uptime: Duration,
}

/// A clock that bounds an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// Runs from the start of the command.
    Wall,
    /// Runs from the last output.
    Idle,
    /// Runs from the start of the [`Setup`](crate::plan::Setup).
    Setup,
}
