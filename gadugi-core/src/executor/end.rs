//! The end of a command: its exit status, output and usage; and the identity by which another process finds it.

use std::fmt;
use std::time::Duration;

/// Says to a later process which running command is meant: the executor's name and a token that only
/// it understands. The token must not match another command, also after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecIdentity {
    /// [`Executor::name`].
    pub executor: String,
    /// The executor's own words, without secrets. For people it may begin with what they look for, such
    /// as `pid 4711`.
    pub token: String,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It did not end well, and it, or something that it had started, was killed for needing more memory than it
    /// may have.
    OutOfMemory,
    /// It has ended, and nobody can say how.
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

/// What became of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputSummary {
    /// Bytes that it printed.
    pub bytes: u64,
    /// Bytes of these that are not in the file, since it was over its cap or could not be written.
    pub dropped: u64,
    /// Whether the output was still held open by a process that outlived the command.
    pub leaked: bool,
}

/// What a command used, as far as the executor measures it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ExecUsage {
    /// Processor time, user and system, of the command and what it waited for.
    pub cpu: Option<Duration>,
    /// The largest resident memory of one of its processes, in bytes.
    pub peak_memory: Option<u64>,
}

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExecEnd {
    /// How it ended.
    pub status: ExitStatus,
    /// From its start to its end, measured by a clock that stands still while the machine sleeps.
    pub took: Duration,
    /// Its output.
    pub output: OutputSummary,
    /// What it used.
    pub usage: ExecUsage,
    /// Whether it was asked to stop before it ended. An executor that cannot tell says no: what the run
    /// itself has asked for is recorded anyway.
    pub stopped: bool,
}

impl ExecEnd {
    /// An end of which nothing else is known.
    #[must_use]
    pub fn new(status: ExitStatus, took: Duration) -> Self {
        Self { status, took, output: OutputSummary::default(), usage: ExecUsage::default(), stopped: false }
    }
}
