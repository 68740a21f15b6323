//! The trait that runs a command somewhere, and what comes back from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::watch;

use crate::id::{AttemptRef, RunId};
use crate::mount::Mount;
use crate::plan::{Phase, Program, Resources, TaskSpec};
use crate::signal::StopSignal;

/// Everything that an executor needs to run one command of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecRequest {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRef,
    /// Which of the attempt's commands this is.
    pub phase: Phase,
    /// What is executed.
    pub program: Program,
    /// What the command reads; `None` is the end of file at once.
    pub stdin: Option<String>,
    /// The folder that it works in.
    pub folder: PathBuf,
    /// Variables that the task names, beside those that the executor lets through.
    pub env: BTreeMap<String, String>,
    /// Names of variables that the executor passes on from its caller and keeps out of everything it
    /// writes itself.
    pub secrets: Vec<String>,
    /// A folder that exists, for the executor's own files of this attempt; the output goes to
    /// [`Phase::output_file`] in it, appended as it comes.
    pub files: PathBuf,
    /// What a container gets.
    pub resources: Resources,
    /// What an executor with [`Capabilities::mounts`] shows the command of this machine, besides [`folder`](Self::folder),
    /// which it may always write, at the same path. Others need not look at it.
    pub mounts: Vec<Mount>,
    /// A folder of this machine that an executor with [`Capabilities::homes`] gives the command as its home folder, to write
    /// in; `None` for an empty one that goes with the command. Others need not look at it.
    pub home: Option<PathBuf>,
    /// The signal by which it is asked to stop first.
    pub stop_signal: StopSignal,
}

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

/// A command that some process has started, or was about to start: what [`Executor::reattach`] looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRef {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRef,
    /// Which of the attempt's commands.
    pub phase: Phase,
    /// [`ExecRequest::files`] of its start.
    pub files: PathBuf,
    /// Its identity; `None` when nobody has recorded one, so that it may never have been started.
    pub identity: Option<ExecIdentity>,
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

/// Why a command could not be started, watched or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The program does not exist, or not on the task's `PATH`.
    #[error("the command `{program}` was not found")]
    NotFound {
        /// As it was asked for.
        program: String,
    },
    /// It exists and cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        /// As it was asked for.
        program: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The executor lost sight of a command that it had started.
    #[error("cannot follow {identity}")]
    Watch {
        /// Which command.
        identity: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The identity was not made by this executor, or by a newer version of it.
    #[error("`{token}` does not name a command of the executor `{executor}`")]
    Identity {
        /// The executor that was asked.
        executor: String,
        /// The token that it was given.
        token: String,
    },
}

/// Why an executor cannot be used now, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Unusable {
    /// What is wrong.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}

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

/// The executors of a run, by name, and the one that is taken by a task that names none.
#[derive(Clone)]
pub struct Executors {
    default: Arc<dyn Executor>,
    others: Vec<Arc<dyn Executor>>,
}

impl Executors {
    /// Tasks that name no executor get this one.
    #[must_use]
    pub fn new(default: Arc<dyn Executor>) -> Self {
        Self { default, others: Vec::new() }
    }

    /// Adds one that tasks can name.
    #[must_use]
    pub fn with(mut self, executor: Arc<dyn Executor>) -> Self {
        self.others.push(executor);
        self
    }

    /// The executor of that name, or the default one for `None`.
    #[must_use]
    pub fn get(&self, name: Option<&str>) -> Option<&Arc<dyn Executor>> {
        match name {
            None => Some(&self.default),
            Some(name) => self.iter().find(|executor| executor.name() == name),
        }
    }

    /// All of them, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Executor>> {
        std::iter::once(&self.default).chain(&self.others)
    }
}

impl fmt::Debug for Executors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|executor| executor.name())).finish()
    }
}
