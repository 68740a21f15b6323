//! Errors in the keys and values of a file.

use std::fmt;

use gadugi_core::IdError;
use gadugi_core::plan::SourceLocation;
use thiserror::Error;

use crate::parse::quantity::QuantityError;

/// Something in a TOML or YAML file, or in a `GADUGI_*` variable, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyIssue {
    /// The file follows the rules of its format only up to here.
    #[error("{at}: this is not valid {format}: {message}")]
    Syntax {
        /// Where.
        at: SourceLocation,
        /// `TOML` or `YAML`.
        format: &'static str,
        /// The message of the parser.
        message: String,
    },
    /// There is no such key.
    #[error("{at}: unknown key `{key}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownKey {
        /// Where.
        at: SourceLocation,
        /// As it was given.
        key: String,
        /// A key of a similar name.
        suggestion: Option<String>,
        /// All keys that can stand there.
        known: Vec<&'static str>,
    },
    /// There is no such variable, and its name is very like one that exists.
    #[error("{at}: unknown variable `{name}`{}", did_you_mean(Some(.suggestion)))]
    UnknownVariable {
        /// Where.
        at: SourceLocation,
        /// As it was given.
        name: String,
        /// The variable of a similar name.
        suggestion: String,
    },
    /// The value is of another type.
    #[error("{at}: `{key}` must be {expected}, not {found}")]
    WrongType {
        /// Where.
        at: SourceLocation,
        /// Its key.
        key: String,
        /// The values that can stand there.
        expected: String,
        /// The value that stands there.
        found: String,
        /// A value that could stand there.
        example: &'static str,
    },
    /// The value is of the right type and still cannot be used.
    #[error("{at}: `{key}`: {issue}")]
    Value {
        /// Where.
        at: SourceLocation,
        /// Its key.
        key: String,
        /// The error in it.
        issue: Box<ValueIssue>,
    },
    /// A key that must be there is not.
    #[error("{at}: `{key}` is missing")]
    MissingKey {
        /// Where it should be.
        at: SourceLocation,
        /// The key.
        key: &'static str,
        /// A value that could stand there.
        example: &'static str,
    },
}

/// An error in a single value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueIssue {
    /// Not a length of time or an amount of memory.
    #[error("{0}")]
    Quantity(QuantityError),
    /// A name that does not have its form.
    #[error("{error}")]
    Name {
        /// The rule that it breaks.
        error: IdError,
        /// A name of that form, as near to it as can be.
        example: String,
    },
    /// None of the few words that can stand there.
    #[error("`{found}` is none of {}", .words.join(", "))]
    NoneOf {
        /// As it was given.
        found: String,
        /// The words that can stand there.
        words: &'static [&'static str],
    },
    /// Nothing but white space.
    #[error("the text is empty")]
    Blank,
    /// A NUL character, which no program can be given.
    #[error("the text holds a NUL character")]
    Nul,
    /// A variable whose value is not UTF-8.
    #[error("the value is not UTF-8")]
    NotUtf8,
    /// Not the name of a variable.
    #[error("`{name}` cannot be the name of a variable")]
    VariableName {
        /// As it was given.
        name: String,
    },
    /// Not a name for an agent.
    #[error("`{name}` cannot be the name of an agent")]
    AgentName {
        /// As it was given.
        name: String,
    },
    /// A placeholder that does not exist and is very like one that does.
    #[error("unknown placeholder `{{{name}}}`{}", did_you_mean(Some(&format!("{{{suggestion}}}"))))]
    Placeholder {
        /// As it was given, without braces.
        name: String,
        /// The placeholder of a similar name.
        suggestion: &'static str,
    },
    /// `{options}` together with something else.
    #[error("`{{options}}` stands for several arguments, or none")]
    OptionsInArgument,
    /// `{session}` in a command that resumes no conversation.
    #[error("`{{session}}` has no meaning in `command`")]
    SessionInCommand,
    /// A command that resumes a conversation without naming it.
    #[error("`resume` needs `{{session}}`")]
    NoSession,
    /// An agent extends one that does not exist.
    #[error("there is no agent `{name}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownProfile {
        /// As it was given.
        name: String,
        /// An agent of a similar name.
        suggestion: Option<String>,
    },
    /// Agents that extend each other.
    #[error("`{name}` extends this one in turn")]
    ExtendsItself {
        /// The agent that it names.
        name: String,
    },
    /// An agent's command without the placeholder that its way of getting the prompt needs.
    #[error("`prompt = \"file\"` needs `{{prompt_file}}` in the command")]
    NoPromptFile,
    /// A placeholder that stands for nothing with the agent's way of getting the prompt.
    #[error("`{{{placeholder}}}` has no meaning with `prompt = \"{mode}\"`")]
    PromptPlaceholder {
        /// The placeholder, without braces.
        placeholder: &'static str,
        /// The agent's way of getting the prompt.
        mode: &'static str,
    },
    /// Not a user that a container can have.
    #[error("`{text}` is neither owner nor image nor UID:GID")]
    ContainerUser {
        /// As it was given.
        text: String,
        /// The number that it is, if it is one.
        uid: Option<u32>,
    },
    /// Not a place in a container.
    #[error("`{path}` cannot be the absolute path of a folder below `/`")]
    ContainerPath {
        /// As it was given.
        path: String,
    },
    /// Not a capability.
    #[error("`{name}` is not a capability{}", did_you_mean(*.suggestion))]
    Capability {
        /// As it was given.
        name: String,
        /// The capability of a similar name.
        suggestion: Option<&'static str>,
    },
    /// All capabilities at once.
    #[error("`ALL` would take no capability from a container")]
    AllCapabilities,
    /// Not the address of a daemon.
    #[error("`{text}` is not the address of a daemon")]
    DaemonAddress {
        /// As it was given.
        text: String,
    },
}

impl From<QuantityError> for ValueIssue {
    fn from(error: QuantityError) -> Self {
        Self::Quantity(error)
    }
}

impl KeyIssue {
    /// Where it is.
    #[must_use]
    pub fn at(&self) -> &SourceLocation {
        match self {
            Self::Syntax { at, .. }
            | Self::UnknownKey { at, .. }
            | Self::UnknownVariable { at, .. }
            | Self::WrongType { at, .. }
            | Self::Value { at, .. }
            | Self::MissingKey { at, .. } => at,
        }
    }

    /// A remedy.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Syntax { format: "YAML", .. } => {
                "write one `key: value` a line; put a value that holds `: `, `#`, or begins with one of \
                 `{[*&!|>'\"%@` and a backtick, into quotes"
                    .into()
            }
            Self::Syntax { .. } => "write one `key = value` a line, with texts in \"quotes\"".into(),
            Self::UnknownKey { suggestion: Some(suggestion), .. } => format!("write `{suggestion}`, or remove it"),
            Self::UnknownKey { known, .. } => format!("the keys are {}", known.join(", ")),
            Self::UnknownVariable { suggestion, .. } => format!("set `{suggestion}`, or unset it"),
            Self::WrongType { example, .. } => format!("write for example {example}"),
            Self::MissingKey { key, example, .. } => format!("add for example {key} = {example}"),
            Self::Value { issue, .. } => issue.hint(),
        }
    }
}

impl ValueIssue {
    /// A remedy.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Quantity(error) => error.hint(),
            Self::Name { example, .. } => format!("write for example `{example}`"),
            Self::NoneOf { found, words } => match closest(found, words.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("write `{}`", words[0]),
            },
            Self::Blank => "write something, or remove the key".into(),
            Self::Nul => "remove it".into(),
            Self::NotUtf8 => "set it to a text in UTF-8, or unset it".into(),
            Self::VariableName { .. } => "name a variable, without `=` and without its value".into(),
            Self::AgentName { .. } => "use letters, digits, `.`, `_` and `-`, at most 64".into(),
            Self::Placeholder { suggestion, .. } => format!("write `{{{suggestion}}}`"),
            Self::OptionsInArgument => "make it an argument of its own: [\"program\", \"{options}\"]".into(),
            Self::SessionInCommand => "write it into `resume`".into(),
            Self::NoSession => "put `{session}` where it expects what names the conversation".into(),
            Self::UnknownProfile { suggestion: Some(suggestion), .. } => format!("write \"{suggestion}\""),
            Self::UnknownProfile { .. } => "name another table [agents.NAME], or an agent that gadugi knows".into(),
            Self::ExtendsItself { .. } => "remove one of them, and give that agent a `command`".into(),
            Self::NoPromptFile => "put `{prompt_file}` where the command expects the path of a file".into(),
            Self::PromptPlaceholder { placeholder: "prompt", .. } => "write `prompt = \"argument\"`".into(),
            Self::PromptPlaceholder { .. } => "write `prompt = \"file\"`".into(),
            Self::ContainerUser { uid, .. } => {
                let uid = uid.unwrap_or(1000);
                format!("write \"owner\", \"image\", or both numbers, such as \"{uid}:{uid}\"")
            }
            Self::ContainerPath { .. } => "write for example \"/tmp\", without `..`, `:` and `,`".into(),
            Self::Capability { suggestion: Some(suggestion), .. } => format!("write \"{suggestion}\""),
            Self::Capability { .. } => "capabilities(7) lists them, such as \"NET_BIND_SERVICE\"".into(),
            Self::AllCapabilities => "name those that the tasks need, such as \"NET_BIND_SERVICE\"".into(),
            Self::DaemonAddress { text } if text.starts_with('/') => format!("write \"unix://{text}\""),
            Self::DaemonAddress { .. } => {
                "write it with its scheme, such as \"unix:///run/docker.sock\" or \"ssh://me@host\"".into()
            }
        }
    }
}

pub(crate) fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// The candidate that is most like `name`, if one is: at most a third of its letters differ.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    gadugi_core::closest(name, candidates, name.chars().count() / 3)
}

/// The key that is most like `name`, if one is: two fifths of its letters differ at most.
pub(crate) fn similar_key<'a>(name: &str, keys: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    gadugi_core::closest(&name, keys, name.chars().count() * 2 / 5)
}

/// A text for a message: on one line, without control characters, and not longer than 60 characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(61).flat_map(char::escape_debug).collect();
    if shown.chars().count() > 60 {
        shown = shown.chars().take(59).collect::<String>() + "…";
    }
    // Quotes need no escape where everything stands between backticks.
    shown.replace("\\\"", "\"").replace("\\'", "'")
}

/// Writes each item on a line of its own.
pub(crate) fn write_lines<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            f.write_str("\n")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
