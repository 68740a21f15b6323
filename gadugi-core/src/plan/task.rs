//! What a task is: what is run, where it was written down, and within which limits.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::agent::AgentCall;
use crate::id::TaskId;
use crate::plan::phase::Phase;
use crate::plan::touches::TouchPattern;

/// A place in the user's input, for messages: `tasks/login.md:3`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceLocation {
    /// The file, or a name in angle brackets for what is none, such as `<stdin>`.
    pub file: PathBuf,
    /// The line, from 1; 0 where there is none.
    pub line: usize,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file's name may hold line breaks and codes for the terminal; a message stays on its line.
        for c in self.file.to_string_lossy().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        Ok(())
    }
}

/// What is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// A shell script, run by `bash -e` where bash is, else by `sh -e`.
    Script(String),
    /// A program and its arguments, without a shell. Never empty.
    Argv(Vec<String>),
}

/// A task's command and what it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// What is executed.
    pub program: Program,
    /// What the command finds on its standard input; `None` is the end of file at once.
    pub stdin: Option<String>,
    /// The agent that is called, if one is. Then [`program`](Self::program) is its command as people see it, and what it
    /// reads is composed when it is called.
    pub agent: Option<AgentCall>,
}

impl Action {
    /// Calls an agent.
    #[must_use]
    pub fn of_agent(call: AgentCall) -> Self {
        let argv = call.command.iter().map(|argument| argument.fill("{prompt}", "{session}", "{max_cost}")).collect();
        Self { program: Program::Argv(argv), stdin: None, agent: Some(call) }
    }
}

/// What is run in a new worktree before the task's command, in the same place and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// A shell script, run by `bash -e` where bash is, else by `sh -e`.
    pub script: String,
    /// How long it may take; `None` for no limit.
    pub timeout: Option<Duration>,
}

/// The clocks that bound one attempt. All of them stand still while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The wall clock of an attempt, from the start of its own command, without its [`Setup`]; `None` for no limit.
    pub timeout: Option<Duration>,
    /// How long an attempt may print nothing; `None` for no limit.
    pub idle_timeout: Option<Duration>,
    /// How long after a polite request to stop (`SIGTERM`) it is killed.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: None, idle_timeout: None, grace: Duration::from_secs(10) }
    }
}

/// What an isolating executor gives a task. An executor that cannot hold one of these says so in its
/// [`Capabilities`](crate::Capabilities).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// The container image.
    pub image: Option<String>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Processors; 1.5 is one and a half.
    pub cpus: Option<f64>,
}

/// No further attempt waits longer than this.
pub const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(300);

/// What a further attempt starts from. In either case the earlier attempt keeps its branch, and a worktree of
/// its own when it left something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RetryFrom {
    /// What the first attempt started from.
    #[default]
    Base,
    /// What the earlier attempt left, with its uncommitted work as a commit.
    Previous,
}

/// Whether a task has to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Changes {
    /// One that ends well and has changed nothing has succeeded.
    #[default]
    Optional,
    /// One that has changed nothing has failed.
    Required,
}

/// A task as its author wrote it, without its place in the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSpec {
    /// Its name within the run.
    pub id: TaskId,
    /// A line for people.
    pub title: String,
    /// Where it was written down.
    pub source: SourceLocation,
    /// What it runs.
    pub action: Action,
    /// What prepares its worktree.
    pub setup: Option<Setup>,
    /// A shell script that decides, after the command has ended well, whether the task has succeeded.
    pub check: Option<String>,
    /// Whether it has to change something.
    pub changes: Changes,
    /// What it is going to change. Two tasks whose patterns overlap never run at once.
    pub touches: Vec<TouchPattern>,
    /// The executor it asks for by name; `None` takes the run's.
    pub executor: Option<String>,
    /// Its clocks.
    pub limits: Limits,
    /// How many further attempts a failure gets.
    pub retries: u32,
    /// How long the first further attempt waits; each later one waits twice as long as the one before, up
    /// to [`LONGEST_RETRY_DELAY`].
    pub retry_delay: Duration,
    /// What a further attempt starts from.
    pub retry_from: RetryFrom,
    /// Variables of its environment.
    pub env: BTreeMap<String, String>,
    /// Names of variables that are passed on from the caller's environment; their values are written
    /// nowhere.
    pub secrets: Vec<String>,
    /// Higher is started first; 0 is the default.
    pub priority: i32,
    /// What a container gets.
    pub resources: Resources,
}

impl TaskSpec {
    /// A task with defaults for everything but what it runs.
    #[must_use]
    pub fn new(id: TaskId, program: Program) -> Self {
        Self {
            title: id.to_string(),
            id,
            source: SourceLocation::default(),
            action: Action { program, stdin: None, agent: None },
            setup: None,
            check: None,
            changes: Changes::default(),
            touches: Vec::new(),
            executor: None,
            limits: Limits::default(),
            retries: 0,
            retry_delay: Duration::from_secs(1),
            retry_from: RetryFrom::default(),
            env: BTreeMap::new(),
            secrets: Vec::new(),
            priority: 0,
            resources: Resources::default(),
        }
    }

    /// The commands of an attempt at it, in order.
    pub fn phases(&self) -> impl Iterator<Item = Phase> {
        Phase::ALL.into_iter().filter(|phase| match phase {
            Phase::Setup => self.setup.is_some(),
            Phase::Main => true,
            Phase::Check => self.check.is_some(),
        })
    }
}
