//! The task: its commands, its limits, and its location in the input.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::agent::AgentCall;
use crate::id::TaskId;
use crate::plan::origin::Origin;
use crate::plan::phase::Phase;
use crate::plan::subject::SubjectTemplate;
use crate::plan::touches::TouchPattern;

/// A location in the user's input, for messages: `tasks/login.md:3`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceLocation {
    /// The file, or a name in angle brackets for other input, such as `<stdin>`.
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

/// A program to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// A shell script, run by `bash -e`, or by `sh -e` where there is no bash.
    Script(String),
    /// A program and its arguments, without a shell. Never empty.
    Argv(Vec<String>),
}

/// The command of a task and its input.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// A program to execute.
    pub program: Program,
    /// Standard input of the command; `None` is an empty one.
    pub stdin: Option<String>,
    /// The agent of the task, if it has one. Then [`program`](Self::program) is its command for display, and the prompt
    /// is composed when it is called.
    pub agent: Option<AgentCall>,
}

impl Action {
    /// The action that calls an agent.
    #[must_use]
    pub fn of_agent(call: AgentCall) -> Self {
        let argv = call.command.iter().map(|argument| argument.fill("{prompt}", "{session}", "{max_cost}")).collect();
        Self { program: Program::Argv(argv), stdin: None, agent: Some(call) }
    }
}

/// A script that runs in a new worktree before the task's command, in the same folder and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// A shell script, run by `bash -e`, or by `sh -e` where there is no bash.
    pub script: String,
    /// Time limit; `None` for no limit.
    pub timeout: Option<Duration>,
}

/// The time limits of one attempt. All of their clocks stand still while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time limit of an attempt, from the start of its own command, without its [`Setup`]; `None` for no limit.
    pub timeout: Option<Duration>,
    /// Time limit without output; `None` for no limit.
    pub idle_timeout: Option<Duration>,
    /// Time from the request to stop (`SIGTERM`) to the kill (`SIGKILL`).
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: None, idle_timeout: None, grace: Duration::from_secs(10) }
    }
}

/// The resources of a task in an isolating executor. An executor that cannot limit one of them says so in its
/// [`Capabilities`](crate::executor::Capabilities).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// The container image.
    pub image: Option<String>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Processors; 1.5 is one and a half.
    pub cpus: Option<f64>,
}

/// Longest wait before a further attempt.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(300);

/// The start of a further attempt. In either case the earlier attempt keeps its branch, and its worktree when that
/// holds something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RetryFrom {
    /// The base of the first attempt.
    #[default]
    Base,
    /// The end of the earlier attempt, with its uncommitted work as a commit.
    Previous,
}

/// The rule for the changes of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Changes {
    /// A task without changes can succeed.
    #[default]
    Optional,
    /// A task without changes fails.
    Required,
    /// Whatever it changes is neither collected nor kept: each attempt's worktree and branch are deleted at its end,
    /// whatever its outcome.
    Discarded,
}

/// A task as its author wrote it, without its needs.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSpec {
    /// Id within the run.
    pub id: TaskId,
    /// Title, for display.
    pub title: String,
    /// Location in the input.
    pub source: SourceLocation,
    /// Its command.
    pub action: Action,
    /// Preparation of its worktree.
    pub setup: Option<Setup>,
    /// A shell script that decides, after the command has exited with 0, whether the task succeeds.
    pub check: Option<String>,
    /// Rule for what an attempt changes.
    pub changes: Changes,
    /// Template for the subject of the commit with its uncommitted files.
    pub commit_subject: SubjectTemplate,
    /// Start of its work.
    pub origin: Origin,
    /// Patterns of the paths that it is going to change. Two tasks whose patterns overlap never run at once.
    pub touches: Vec<TouchPattern>,
    /// Name of its executor; `None` takes the default of the run.
    pub executor: Option<String>,
    /// Time limits.
    pub limits: Limits,
    /// Number of further attempts after failures.
    pub retries: u32,
    /// Wait before the first further attempt; doubled for each later one, up to [`MAX_RETRY_DELAY`].
    pub retry_delay: Duration,
    /// Start of a further attempt.
    pub retry_from: RetryFrom,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Names of variables that are passed on from the caller's environment; their values are written nowhere.
    pub secrets: Vec<String>,
    /// Priority; the higher one is started first. 0 is the default.
    pub priority: i32,
    /// Resources of its container.
    pub resources: Resources,
}

impl TaskSpec {
    /// A task with defaults for everything but its program.
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
            commit_subject: SubjectTemplate::default(),
            origin: Origin::default(),
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

    /// The phases of an attempt at it, in order.
    pub fn phases(&self) -> impl Iterator<Item = Phase> {
        Phase::ALL.into_iter().filter(|phase| match phase {
            Phase::Setup => self.setup.is_some(),
            Phase::Main => true,
            Phase::Check => self.check.is_some(),
        })
    }
}
