//! Errors in the tasks that a run is given.

use std::fmt;
use std::io;
use std::path::PathBuf;

use gadugi_core::plan::SourceLocation;
use thiserror::Error;

use crate::parse::{FileIssue, KeyIssue, did_you_mean, write_lines};

/// The most tasks that a run takes.
pub const MAX_TASKS: usize = 1000;

/// The longest prompt that is given to an agent as an argument, in bytes: 100 KiB. Linux takes 128 KiB.
pub const MAX_ARGUMENT_BYTES: usize = 100 * 1024;

/// Something that keeps the input from being tasks.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputIssue {
    /// A file, or the standard input, cannot be read as text.
    #[error(transparent)]
    File(FileIssue),
    /// A key or value is wrong.
    #[error(transparent)]
    Key(KeyIssue),
    /// The file that a task of a batch names for its text cannot be read.
    #[error("{at}: `prompt_file`: {issue}")]
    PromptFile {
        /// Where it is named.
        at: SourceLocation,
        /// Why.
        issue: FileIssue,
    },
    /// An argument names nothing that exists.
    #[error("{at}: no such file or folder")]
    Missing {
        /// As it was given.
        at: SourceLocation,
    },
    /// A folder cannot be listed.
    #[error("{at}: cannot be listed: {error}")]
    ListFolder {
        /// The folder.
        at: SourceLocation,
        /// Why.
        error: io::Error,
    },
    /// A folder holds no task files.
    #[error("{at}: the folder holds no task files")]
    EmptyFolder {
        /// The folder.
        at: SourceLocation,
    },
    /// An argument is not a pattern.
    #[error("{at}: this is not a valid pattern: {message}")]
    Pattern {
        /// The pattern.
        at: SourceLocation,
        /// The error in it.
        message: String,
    },
    /// A pattern matches nothing.
    #[error("{at}: no file matches")]
    NoMatch {
        /// The pattern.
        at: SourceLocation,
    },
    /// There are more tasks than a run takes.
    #[error("there are {found} tasks (the limit is {MAX_TASKS})")]
    TooManyTasks {
        /// The number of tasks.
        found: usize,
    },
    /// A file has nothing in it but white space.
    #[error("{at}: is empty")]
    Empty {
        /// The file.
        at: SourceLocation,
    },
    /// A file is something else than a task, and no prompt either.
    #[error("{at}: is {what}, which is no task file")]
    NoTask {
        /// The file.
        at: SourceLocation,
        /// Its kind, with an article.
        what: &'static str,
    },
    /// The front matter is not closed.
    #[error("{at}: the front matter that begins here with `---` is never closed")]
    Unclosed {
        /// The file and the line of its `---`.
        at: SourceLocation,
    },
    /// A line is nearly `---`, and keys follow on it.
    #[error("{at}: the line '{found}' begins no front matter that gadugi understands")]
    NearFence {
        /// The file and the line.
        at: SourceLocation,
        /// The line.
        found: String,
    },
    /// Keys of a task stand there without a line `---` before them.
    #[error("{at}: these are keys of a task, without the line `---` before them")]
    NoFence {
        /// The file and the line of the first.
        at: SourceLocation,
    },
    /// Front matter has text before it.
    #[error("{at}: the front matter that begins here has text before it")]
    NotFirst {
        /// The file and the line of its `---`.
        at: SourceLocation,
    },
    /// A text of the command line has front matter.
    #[error("{at}: begins with front matter, which only files have")]
    KeysInText {
        /// The text.
        at: SourceLocation,
    },
    /// A key or value is not one of gadugi's, and nothing is passed over.
    #[error("{at}: {what}: this is not one of gadugi's, which `strict` asks for")]
    NotOurs {
        /// Where it stands.
        at: SourceLocation,
        /// As it is written there.
        what: String,
    },
    /// The text between the two lines `---` is no keys and values.
    #[error("{at}: the front matter between the lines `---` must be keys with values, not {found}")]
    NotKeys {
        /// The file and the line where it begins.
        at: SourceLocation,
        /// The value in words.
        found: String,
    },
    /// A batch file has no task.
    #[error("{at}: has no [[task]]")]
    EmptyBatch {
        /// The file.
        at: SourceLocation,
    },
    /// A task says twice what it is.
    #[error("{at}: {} exclude each other", listed(.keys))]
    Several {
        /// The task.
        at: SourceLocation,
        /// The keys of which there can be one.
        keys: Vec<&'static str>,
    },
    /// A task does not say what it runs.
    #[error("{at}: the task does not say what it runs, there is no default agent, and {}", what_is_installed(.installed))]
    NoAction {
        /// The task.
        at: SourceLocation,
        /// The agents that are installed: none, or several.
        installed: Vec<String>,
    },
    /// There is no such agent.
    #[error("{at}: there is no agent `{agent}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownAgent {
        /// Where it is named, or the task that takes the default agent.
        at: SourceLocation,
        /// Its name.
        agent: String,
        /// An agent of a similar name.
        suggestion: Option<String>,
        /// All agents of the configuration.
        configured: Vec<String>,
    },
    /// A task for an agent has no text.
    #[error("{at}: there is no text for the agent `{agent}`")]
    NoPrompt {
        /// The task.
        at: SourceLocation,
        /// The agent.
        agent: String,
    },
    /// A text is too long to be an argument.
    #[error(
        "{at}: the text of {bytes} bytes is too long for the agent `{agent}`, which takes it as an argument (the limit is {MAX_ARGUMENT_BYTES} bytes)"
    )]
    LongPrompt {
        /// The task.
        at: SourceLocation,
        /// The agent.
        agent: String,
        /// The length of the text.
        bytes: usize,
    },
    /// Something is too long for any program to be given.
    #[error(
        "{at}: {what} has {bytes} bytes, more than a program can be given (the limit is {} bytes)",
        gadugi_core::agent::MAX_ARGUMENT_BYTES
    )]
    TooLong {
        /// The task.
        at: SourceLocation,
        /// The thing, in words.
        what: String,
        /// The length.
        bytes: usize,
    },
    /// A task asks for a variable that is not set.
    #[error("{at}: the task `{task}` asks for the secret `{name}`, which is not set")]
    NoSecret {
        /// Where it asks.
        at: SourceLocation,
        /// The task's id.
        task: String,
        /// The variable.
        name: String,
    },
    /// A variable is a secret and has a value in the task's file too.
    #[error("{at}: the task `{task}` has `{name}` both in `env` and in `secrets`")]
    SecretInEnv {
        /// Where it stands in `secrets`.
        at: SourceLocation,
        /// The task's id.
        task: String,
        /// The variable.
        name: String,
    },
    /// A need names several tasks at once.
    #[error("{at}: `{need}` could be any of {}", locations(.candidates))]
    AmbiguousNeed {
        /// Where it is needed.
        at: SourceLocation,
        /// As it is named.
        need: String,
        /// The tasks whose file names give that id.
        candidates: Vec<SourceLocation>,
    },
}

fn listed(keys: &[&str]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    keys.join(" and ")
}

fn what_is_installed(agents: &[String]) -> String {
    if agents.is_empty() {
        return "none is installed that gadugi knows".to_owned();
    }
    format!("several are installed: {}", agents.join(", "))
}

fn locations(locations: &[SourceLocation]) -> String {
    let texts: Vec<_> = locations.iter().map(SourceLocation::to_string).collect();
    texts.join(" or ")
}

impl InputIssue {
    /// Where it is; `None` for what concerns the input as a whole.
    #[must_use]
    pub fn at(&self) -> Option<&SourceLocation> {
        match self {
            Self::File(issue) => Some(issue.at()),
            Self::Key(issue) => Some(issue.at()),
            Self::TooManyTasks { .. } => None,
            Self::PromptFile { at, .. }
            | Self::Missing { at }
            | Self::ListFolder { at, .. }
            | Self::EmptyFolder { at }
            | Self::Pattern { at, .. }
            | Self::NoMatch { at }
            | Self::Empty { at }
            | Self::NoTask { at, .. }
            | Self::Unclosed { at }
            | Self::NearFence { at, .. }
            | Self::NoFence { at }
            | Self::NotFirst { at }
            | Self::KeysInText { at }
            | Self::NotOurs { at, .. }
            | Self::NotKeys { at, .. }
            | Self::EmptyBatch { at }
            | Self::Several { at, .. }
            | Self::NoAction { at, .. }
            | Self::UnknownAgent { at, .. }
            | Self::NoPrompt { at, .. }
            | Self::LongPrompt { at, .. }
            | Self::TooLong { at, .. }
            | Self::NoSecret { at, .. }
            | Self::SecretInEnv { at, .. }
            | Self::AmbiguousNeed { at, .. } => Some(at),
        }
    }

    /// A remedy.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File(issue) => issue.hint(),
            Self::Key(issue) => issue.hint(),
            Self::PromptFile { issue, .. } => issue.hint(),
            Self::Missing { .. } => {
                "name a file, a folder, a pattern in quotes such as 'tasks/*.md', or `-` for the standard input".into()
            }
            Self::ListFolder { .. } => "check the permissions of the folder, or name the files".into(),
            Self::EmptyFolder { .. } => {
                "a folder gives its *.md files (without README.md) and its tasks.toml; for folders in it, use a \
                 pattern such as 'tasks/**/*.md'"
                    .into()
            }
            Self::Pattern { .. } => "`*`, `?`, `[a-z]`, `{a,b}` and `**` are understood".into(),
            Self::NoMatch { .. } => "check the pattern; `*` stays within a folder, `**` goes through all".into(),
            Self::TooManyTasks { .. } => "split them into several runs".into(),
            Self::Empty { .. } => "write the task into it, or leave it out".into(),
            Self::NoTask { .. } => "a task is a Markdown file, with front matter between two lines `---` or without; many \
                 at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in \
                 as a text: -t \"$(cat FILE)\""
                .into(),
            Self::NearFence { .. } | Self::NoFence { .. } => {
                "write `---` on the first line and after the last key, and YAML between them: `key: value`".into()
            }
            Self::NotFirst { .. } => {
                "move it to the top of the file; if these are no keys of the task, put them into a block of code".into()
            }
            Self::KeysInText { .. } => "write it into a file, or pipe it in and name `-`".into(),
            Self::NotOurs { .. } => "remove it; without `strict` it is passed over".into(),
            Self::Unclosed { .. } => {
                "put a line `---` after its last key; if the first line is meant as a ruler, write `***` instead".into()
            }
            Self::NotKeys { .. } => {
                "write `key: value` lines there; if the first line is meant as a ruler, write `***` instead".into()
            }
            Self::EmptyBatch { .. } => "write a table [[task]] for each task".into(),
            Self::Several { .. } => "keep one of them".into(),
            Self::NoAction { .. } => {
                "say `run:` (a shell script), `command:` (a program and its arguments) or `agent:` in its front matter, \
                 between two lines `---` at its top; or name a default agent by --agent NAME, or by \
                 `agent = \"NAME\"` in gadugi.toml"
                    .into()
            }
            Self::UnknownAgent { agent, configured, .. } => unknown_agent(agent, configured),
            Self::NoPrompt { .. } => "write what it is to do below the front matter".into(),
            Self::LongPrompt { agent, .. } => {
                format!("write `prompt = \"stdin\"` in [agents.{agent}], or shorten the text")
            }
            Self::TooLong { .. } => "write it into a file, and name that; a script (`run`) may be longer".into(),
            Self::NoSecret { name, .. } => format!("set it (`export {name}=…`), or remove it from `secrets`"),
            Self::SecretInEnv { .. } => "remove it from `env`: its value comes from the environment of gadugi".into(),
            Self::AmbiguousNeed { .. } => "give each of them an `id:` of its own".into(),
        }
    }
}

fn unknown_agent(agent: &str, configured: &[String]) -> String {
    let known = if configured.is_empty() { "none".to_owned() } else { configured.join(", ") };
    format!("configured: {known}; to add it, write [agents.{agent}] with `command = [\"program\", …]` into gadugi.toml")
}

/// Everything that is wrong with the input, so that it can be mended at one go.
#[derive(Debug, Error)]
pub struct InputError {
    /// One or more, in the order of the input.
    pub issues: Vec<InputIssue>,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(f, &self.issues)
    }
}

/// The place of a whole file, or of an argument.
pub(crate) fn whole(file: impl Into<PathBuf>) -> SourceLocation {
    SourceLocation { file: file.into(), line: 0 }
}
