//! The end of a command: its exit status, output and usage; and the identity by which another process finds it.

use std::fmt;
use std::time::Duration;

/// The identity of a running command, for later processes: the executor's name and a token that only the executor
/// understands. The token must not match another command, also after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecIdentity {
    /// [`Executor::name`](crate::Executor::name).
    pub executor: String,
    /// Token in the executor's own format, without secrets. It may start with a hint for people, such as `pid 4711`.
    pub token: String,
}

/// The exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It failed after it, or a process that it had started, was killed at its memory limit.
    OutOfMemory,
    /// It has ended in an unknown way.
    Unknown,
}

impl ExitStatus {
    /// Whether it exited with 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::Unknown => f.write_str("unknown exit"),
        }
    }
}

/// A summary of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputSummary {
    /// Bytes printed.
    pub bytes: u64,
    /// Bytes of these that are not in the log, since it had reached its cap or could not be written.
    pub dropped: u64,
    /// Whether the output was still held open by a process that outlived the command.
    pub leaked: bool,
}

/// The resources that a command used, as far as the executor measures them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ExecUsage {
    /// Processor time, user and system, of the command and the processes that it waited for.
    pub cpu: Option<Duration>,
    /// The largest resident memory of one of its processes, in bytes.
    pub peak_memory: Option<u64>,
}

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExecEnd {
    /// Exit status.
    pub status: ExitStatus,
    /// Time from its start to its end, measured by a clock that stands still while the machine sleeps.
    pub took: Duration,
    /// Summary of its output.
    pub output: OutputSummary,
    /// Resources that it used.
    pub usage: ExecUsage,
    /// Whether it was asked to stop before it ended. An executor that cannot tell says no: stops by the run itself are
    /// recorded anyway.
    pub stopped: bool,
}

impl ExecEnd {
    /// An end with nothing else known.
    #[must_use]
    pub fn new(status: ExitStatus, took: Duration) -> Self {
        Self { status, took, output: OutputSummary::default(), usage: ExecUsage::default(), stopped: false }
    }
}
