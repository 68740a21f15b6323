//! The signal by which a command is asked to stop.

/// The first signal of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum StopSignal {
    /// `SIGTERM`.
    #[default]
    Terminate,
    /// `SIGINT`, and `SIGTERM` in the middle of the grace.
    Interrupt,
}
