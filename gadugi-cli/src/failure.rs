//! Failures of commands: exit code, message and hint. The only file where errors become exit codes.

use std::process::ExitCode;

use gadugi_core::plan::PlanError;
use gadugi_core::registry::RegistryError;
use gadugi_core::worktrees::WorktreeError;
use gadugi_core::{RunError, error_chain};

use crate::config::{ConfigError, ConfigIssue};
use crate::input::{AgentCallError, AgentCallIssue, InputError, InputIssue};
use crate::terminal::{Terminal, Tone};

/// The exit code of the process. The table in `--help` lists the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Success = 0,
    TaskFailed = 1,
    Usage = 2,
    Environment = 3,
    Registry = 4,
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

/// The failure of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: String,
    hint: Option<String>,
}

impl Failure {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// A wrong usage, configuration or plan.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// An environment that does not fit.
    pub(crate) fn environment(message: impl Into<String>) -> Self {
        Self::new(Code::Environment, message)
    }

    /// A command that could not do all of its work.
    pub(crate) fn undone(message: impl Into<String>) -> Self {
        Self::new(Code::TaskFailed, message)
    }

    /// A registry that is busy or damaged.
    pub(crate) fn registry(message: impl Into<String>) -> Self {
        Self::new(Code::Registry, message)
    }

    /// Puts the consequence before the message.
    pub(crate) fn about(mut self, what: impl std::fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Adds a hint: what the user can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint: &String| !hint.is_empty());
        self
    }

    /// Returns the message and the hint, which may be empty, on a line each.
    pub(crate) fn texts(&self) -> (String, String) {
        (one_line(&self.message), self.hint.as_deref().map(one_line).unwrap_or_default())
    }

    /// Prints the failure, a line for each thing to mend.
    pub(crate) fn print(&self, terminal: &Terminal) {
        let label = terminal.toned_err(Tone::Bad, "error:");
        for line in self.message.lines() {
            terminal.insist(&format!("{label} {line}"));
        }
        for line in self.hint.iter().flat_map(|hint| hint.lines()) {
            terminal.insist(&format!("{} {line}", terminal.toned_err(Tone::Notice, "hint:")));
        }
    }
}

/// Joins the lines of a text that is one fact, and has line breaks from a file's name or from git.
fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("; ")
}

/// Joins the hints of several problems; a shared hint stands once.
fn hints(hints: impl Iterator<Item = String>) -> String {
    let mut said: Vec<String> = Vec::new();
    for hint in hints.filter(|hint| !hint.is_empty()) {
        if !said.contains(&hint) {
            said.push(hint);
        }
    }
    said.join("\n")
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string()).hint(hints(error.issues.iter().map(ConfigIssue::hint)))
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::usage(error.to_string()).hint(hints(error.issues.iter().map(InputIssue::hint)))
    }
}

impl From<AgentCallError> for Failure {
    fn from(error: AgentCallError) -> Self {
        // What the configuration says wrongly has to be mended in any case.
        let is_wrong = error.issues.iter().any(|issue| !matches!(issue, AgentCallIssue::NotAlone { .. }));
        let failure = if is_wrong { Self::usage } else { Self::environment };
        failure(error.to_string()).hint(hints(error.issues.iter().map(AgentCallIssue::hint)))
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::usage(error.to_string()).hint("`gadugi plan` shows the tasks and their needs")
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let message = one_line(&error_chain(&error));
        match error {
            RegistryError::NoSuchRun { .. } => Self::usage(message).hint("`gadugi ps --all` lists the runs"),
            RegistryError::Held { .. } => Self::registry(message).hint("`gadugi ps` shows the runs and the processes that drive them"),
            RegistryError::TooNew { .. } => {
                Self::registry(message).hint("use the version of gadugi that wrote it, or a newer one")
            }
            RegistryError::Damaged { .. } => {
                Self::registry(message).hint("the other runs and all branches are not affected")
            }
            RegistryError::Write { .. } => Self::environment(message)
                .hint("the registry is in the repository's git folder: check that it is writable, that its disk is not full, and that `ulimit -f` is not too low"),
            _ => Self::registry(message),
        }
    }
}

impl From<WorktreeError> for Failure {
    fn from(error: WorktreeError) -> Self {
        Self::environment(one_line(&error_chain(&error))).hint("`gadugi doctor` checks this machine and repository")
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let message = one_line(&error_chain(&error));
        match error {
            RunError::UnknownExecutor { .. } => Self::environment(message).hint("`gadugi doctor` lists the executors"),
            RunError::Registry { .. } | RunError::NoRoom { .. } => {
                Self::registry(message).hint("free disk space, or raise `ulimit -f` if a file is too large, then `gadugi resume` continues the run; the work is on the tasks' branches and in their worktrees, which `gadugi ps` and `git worktree list` name")
            }
            _ => Self::registry(message),
        }
    }
}

/// A result that could not be printed. A reader that went away is no failure to report.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let silent = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self::environment(if silent { String::new() } else { format!("cannot write to the standard output: {error}") })
    }
}
