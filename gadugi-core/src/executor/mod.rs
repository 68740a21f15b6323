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
use crate::plan::TaskSpec;

/// What an executor can do, so that a plan that asks for more is told before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It keeps a task from the rest of the machine.
    pub isolates: bool,
    /// It holds [`Resources::memory`] and [`Resources::cpus`].
    pub limits_resources: bool,
    /// It runs a task in [`Resources::image`].
    pub images: bool,
    /// Of this machine it shows a command nothing but its folder and [`ExecRequest::mounts`], so that git works there only by
    /// what [`Worktrees::isolate`](crate::Worktrees::isolate) prepares.
    pub mounts: bool,
    /// It gives a command [`ExecRequest::home`]. Without it, what an agent remembers where it is
    /// [isolated](Self::isolates) counts as gone with its command.
    pub homes: bool,
}

/// Runs commands: as processes of this machine, in containers, or anywhere else.
///
/// What an implementer owes:
/// - **Start.** When [`start`](Executor::start) returns an error, nothing runs and nothing is left.
/// - **Drop.** Dropping the future of `start` before it is ready leaves nothing running either.
///   Dropping a [`RunningTask`] stops nothing: the command goes on, and its identity still names it.
/// - **Crash.** A command whose identity was recorded can be found by
///   [`reattach`](Executor::reattach) in another process, or is gone.
/// - **Cancel.** The scheduler never drops a running command; it calls [`RunningTask::stop`] and goes
///   on waiting.
#[async_trait]
pub trait Executor: Send + Sync {
    /// The name by which tasks ask for it. It stands in the registry; never change it.
    fn name(&self) -> &str;

    /// Whether it can be used now; always, unless an implementer says otherwise.
    ///
    /// # Errors
    /// [`Unusable`] with the reason and the remedy.
    async fn probe(&self) -> Result<(), Unusable> {
        Ok(())
    }

    /// What it can do; nothing of it, unless an implementer says otherwise.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Whether it can run this task now, for example because the task's image is there. Asked before a run begins, and
    /// before its [`probe`](Executor::probe), so that what a task lacks is found without asking anybody.
    ///
    /// # Errors
    /// [`Unusable`] with the reason and the remedy.
    async fn accepts(&self, task: &TaskSpec) -> Result<(), Unusable> {
        let _ = task;
        Ok(())
    }

    /// Under which terms it would run this task, as names and values for people: the image, limits, what is taken
    /// from it. Nothing, unless an implementer says otherwise.
    fn terms(&self, task: &TaskSpec) -> Vec<(String, String)> {
        let _ = task;
        Vec::new()
    }

    /// Starts a command. The output goes to `output.log` in [`ExecRequest::files`] from the first byte on,
    /// whatever bytes they are; a log that cannot be written is no error and drops what it cannot keep.
    ///
    /// # Errors
    /// [`ExecError::NotFound`] and [`ExecError::Start`].
    async fn start(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError>;

    /// Whether a command runs now, by whatever process it was started: its identity, also where nobody has recorded
    /// one. It changes nothing.
    ///
    /// # Errors
    /// [`ExecError::Identity`], and [`ExecError::Watch`] when it cannot be told, as for every executor that does not
    /// implement this.
    async fn running(&self, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
        let identity =
            command.identity.as_ref().map_or_else(|| command.attempt.to_string(), |known| known.token.clone());
        let source = format!("the executor `{}` does not tell what runs", self.name());
        Err(ExecError::Watch { identity, source: source.into() })
    }

    /// The runs of which [`collect`](Executor::collect) may find something left.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when it cannot be told what there is.
    async fn left_by(&self) -> Result<BTreeSet<RunId>, ExecError> {
        Ok(BTreeSet::new())
    }

    /// Removes what commands of runs have left behind that are over, such as a container whose starter died and that nobody
    /// was there to remove: never anything of another repository. `runs` are those that are known, and whether each is over.
    /// Gives what was removed, a line each, for people; nothing, unless an implementer leaves something behind.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when it cannot be told what there is.
    async fn collect(&self, runs: &BTreeMap<RunId, bool>) -> Result<Vec<String>, ExecError> {
        let _ = runs;
        Ok(Vec::new())
    }

    /// Finds a command again that another process has started, or was about to start when it ended. After
    /// [`Reattached::NeverStarted`] it is certain that nothing of that start will ever run, also if it is
    /// still under way; the same command can then be started anew.
    ///
    /// An executor whose commands end with the process that started them need not implement this.
    ///
    /// # Errors
    /// [`ExecError::Identity`], [`ExecError::Start`] when the start had failed, and [`ExecError::Watch`] when the
    /// command may run and cannot be taken over from here. Then nothing was changed.
    async fn reattach(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        let _ = command;
        Ok(Reattached::Gone { why: "its executor does not find commands again".to_owned() })
    }
}

/// What became of a command whose starter is gone.
#[non_exhaustive]
pub enum Reattached {
    /// It runs, or has ended in a way that is known: [`RunningTask::wait`] tells.
    Found(Box<dyn RunningTask>),
    /// It was not started and never will be.
    NeverStarted,
    /// It does not run any more, nothing of it is left, and nobody knows how it ended.
    Gone {
        /// Why nobody knows, in a few words.
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
    /// Names it for other processes.
    fn identity(&self) -> &ExecIdentity;

    /// Waits for its end and for its last output. Cancel-safe: a dropped call loses nothing, a further
    /// one waits on, and one after the end gives the same end again.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the executor can no longer see the command.
    async fn wait(&self) -> Result<ExecEnd, ExecError>;

    /// Asks everything that belongs to the command to stop, and kills it after `grace`. Returns when it
    /// was asked, or, with a `grace` of zero, killed; [`wait`](RunningTask::wait) gives the end. A second
    /// call with a shorter grace shortens it.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the executor cannot reach the command.
    async fn stop(&self, grace: Duration) -> Result<(), ExecError>;

    /// Suspends everything that belongs to the command, until [`resume`](RunningTask::resume); says whether it
    /// did. A suspended command can be stopped.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the executor cannot reach the command.
    async fn suspend(&self) -> Result<bool, ExecError> {
        Ok(false)
    }

    /// Lets a suspended command go on.
    ///
    /// # Errors
    /// [`ExecError::Watch`] when the executor cannot reach the command.
    async fn resume(&self) -> Result<(), ExecError> {
        Ok(())
    }

    /// How long it has been running, by a clock that stands still while the machine sleeps; `None` where that
    /// is not known, as for a command that was found again by an executor that does not measure it.
    fn elapsed(&self) -> Option<Duration> {
        None
    }

    /// What it has used so far, as far as that is measured.
    async fn usage(&self) -> ExecUsage {
        ExecUsage::default()
    }

    /// How many bytes it has printed; changes with each piece of output, until the output is closed. The
    /// idle clock listens to it. `None` where the output is not seen: then there is no idle clock.
    fn output(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}
