//! The trait that runs commands, and the trait of a command that runs.

mod end;
mod error;
mod request;
mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::end::{ExecEnd, ExecIdentity, ExecUsage, ExitStatus, OutputSummary};
pub use self::error::{ExecError, Unusable};
pub use self::request::{CommandRef, ExecRequest};
pub use self::set::Executors;
use crate::id::RunId;
pub use crate::mount::Mount;
use crate::plan::TaskSpec;
pub use crate::signal::StopSignal;

/// The capabilities of an executor, so that a plan that asks for more is refused before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Whether it isolates a task from the rest of the machine.
    pub isolates: bool,
    /// Whether it enforces [`Resources::memory`](crate::plan::Resources::memory) and
    /// [`Resources::cpus`](crate::plan::Resources::cpus).
    pub limits_resources: bool,
    /// Whether it runs a task in [`Resources::image`](crate::plan::Resources::image).
    pub images: bool,
    /// Whether a command sees nothing of this machine but its folder and [`ExecRequest::mounts`], so that git works
    /// there only after [`Worktrees::isolate`](crate::Worktrees::isolate).
    pub mounts: bool,
    /// Whether a command gets [`ExecRequest::home`]. Without it, the memory of an [isolated](Self::isolates) agent
    /// counts as lost with its command.
    pub homes: bool,
}

/// Runs commands: as processes of this machine, in containers, or anywhere else.
///
/// What an implementer owes:
/// - **Start.** When [`start`](Executor::start) returns an error, nothing runs and nothing is left.
/// - **Drop.** Dropping the future of `start` before it is ready leaves nothing running either.
///   Dropping a [`RunningTask`] stops nothing: the command runs on, and its identity still names it.
/// - **Crash.** A command whose identity was recorded can be found by
///   [`reattach`](Executor::reattach) in another process, or is gone.
/// - **Cancel.** The scheduler never drops a running command; it calls [`RunningTask::stop`] and goes
///   on waiting.
#[async_trait]
pub trait Executor: Send + Sync {
    /// The name by which tasks refer to it. It stands in the registry; never change it.
    fn name(&self) -> &str;

    /// Checks that it can be used now. The default always can.
    ///
    /// # Errors
    /// [`Unusable`] with the reason and the remedy.
    async fn probe(&self) -> Result<(), Unusable> {
        Ok(())
    }

    /// Its capabilities. The default has none.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Checks that it can run this task now, for example that the task's image exists. Called before a run starts, and
    /// before [`probe`](Executor::probe), so that a mistake in a task is reported first.
    ///
    /// # Errors
    /// [`Unusable`] with the reason and the remedy.
    async fn accepts(&self, task: &TaskSpec) -> Result<(), Unusable> {
        let _ = task;
        Ok(())
    }

    /// The terms of running this task, as names and values for display: the image, limits, privileges that are dropped.
    /// The default has none.
    fn terms(&self, task: &TaskSpec) -> Vec<(String, String)> {
        let _ = task;
        Vec::new()
    }

    /// Starts a command. Its output goes to [`Phase::output_file`](crate::Phase::output_file) in [`ExecRequest::files`]
    /// from the first byte on, text or not; a log that cannot be written is no error and drops output.
    ///
    /// # Errors
    /// [`ExecError::NotFound`] and [`ExecError::Start`].
    async fn start(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError>;

    /// Returns the identity of a command that runs now, whichever process started it, also where no identity is
    /// recorded. It changes nothing.
    ///
    /// # Errors
    /// [`ExecError::Identity`], and [`ExecError::Watch`] when that is unknown, as for every executor that does not
    /// implement this.
    async fn running(&self, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
        let identity =
            command.identity.as_ref().map_or_else(|| command.attempt.to_string(), |known| known.token.clone());
        let source = format!("the executor `{}` does not tell what runs", self.name());
        Err(ExecError::Watch { identity, source: source.into() })
    }

    /// The runs that may have leftovers for [`collect`](Executor::collect).
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the leftovers cannot be listed.
    async fn left_by(&self) -> Result<BTreeSet<RunId>, ExecError> {
        Ok(BTreeSet::new())
    }

    /// Removes leftovers of runs that are over, such as a container whose starter died: never anything of another
    /// repository. `runs` are the known runs, each with whether it is over. Returns a line for display for each thing
    /// that was removed. The default has no leftovers.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the leftovers cannot be listed.
    async fn collect(&self, runs: &BTreeMap<RunId, bool>) -> Result<Vec<String>, ExecError> {
        let _ = runs;
        Ok(Vec::new())
    }

    /// Reattaches to a command that another process has started, or was about to start when it died. After
    /// [`Reattached::NeverStarted`] it is certain that nothing of that start will ever run, even if it is still under
    /// way; the same command can then be started anew.
    ///
    /// An executor whose commands end with the process that started them need not implement this.
    ///
    /// # Errors
    /// [`ExecError::Identity`], [`ExecError::Start`] when the start had failed, and [`ExecError::Watch`] when the
    /// command may run and cannot be reattached from here. Then nothing was changed.
    async fn reattach(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        let _ = command;
        Ok(Reattached::Gone { why: "its executor does not find commands again".to_owned() })
    }
}

/// The state of a command whose starter is gone.
#[non_exhaustive]
pub enum Reattached {
    /// It runs, or has ended in a known way: [`RunningTask::wait`] returns the end.
    Found(Box<dyn RunningTask>),
    /// It was not started and never will be.
    NeverStarted,
    /// It no longer runs, nothing of it is left, and its end is unknown.
    Gone {
        /// Why the end is unknown, in a few words.
        why: String,
    },
}

impl fmt::Debug for Reattached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(task) => f.debug_tuple("Found").field(task.identity()).finish(),
            Self::NeverStarted => f.write_str("NeverStarted"),
            Self::Gone { why } => f.debug_struct("Gone").field("why", why).finish(),
        }
    }
}

/// A command that runs.
#[async_trait]
pub trait RunningTask: Send + Sync {
    /// Its identity for other processes.
    fn identity(&self) -> &ExecIdentity;

    /// Waits for its end and its last output. Cancel-safe: a dropped call loses nothing, and a call after the end
    /// returns the same end again.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the executor can no longer see the command.
    async fn wait(&self) -> Result<ExecEnd, ExecError>;

    /// Asks all processes of the command to stop, and kills them after `grace`. Returns once they were asked, or, with
    /// a `grace` of zero, killed; [`wait`](RunningTask::wait) returns the end. A second call with a shorter grace
    /// shortens it.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the executor cannot reach the command.
    async fn stop(&self, grace: Duration) -> Result<(), ExecError>;

    /// Suspends all processes of the command, until [`resume`](RunningTask::resume); returns whether it did. A
    /// suspended command can be stopped.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the executor cannot reach the command.
    async fn suspend(&self) -> Result<bool, ExecError> {
        Ok(false)
    }

    /// Resumes a suspended command.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the executor cannot reach the command.
    async fn resume(&self) -> Result<(), ExecError> {
        Ok(())
    }

    /// Time since its start, by a clock that stands still while the machine sleeps; `None` where that is unknown, as
    /// for a reattached command of an executor that does not measure it.
    fn elapsed(&self) -> Option<Duration> {
        None
    }

    /// Resources that it has used so far, as far as the executor measures them.
    async fn usage(&self) -> ExecUsage {
        ExecUsage::default()
    }

    /// Number of bytes that it has printed; changes with each piece of output, until the output is closed. The idle
    /// clock watches it. `None` where the executor does not see the output: then there is no idle clock.
    fn output(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}
