//! The command lines of the agents.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use crate::fault::Fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    Claude,
    Codex,
}

pub(crate) enum Invocation {
    ForVersion,
    ToWork(Request),
}

pub(crate) struct Request {
    pub(crate) prompt: Prompt,
    pub(crate) resume: Option<String>,
    pub(crate) model: Option<String>,
    /// The limit for the cost of the call, in US dollars.
    pub(crate) max_cost: Option<f64>,
}

/// Where the prompt is.
pub(crate) enum Prompt {
    Stdin,
    /// On standard input, or, where that says nothing, here.
    StdinOr(String),
    Argument(String),
}

/// Flags of Claude Code that are followed by a value.
const OF_CLAUDE: [&str; 18] = [
    "--add-dir",
    "--allowedTools",
    "--append-system-prompt",
    "--disallowedTools",
    "--fallback-model",
    "--input-format",
    "--max-budget-usd",
    "--max-turns",
    "--mcp-config",
    "--model",
    "--output-format",
    "--permission-mode",
    "--resume",
    "--session-id",
    "--settings",
    "--system-prompt",
    "--tools",
    "-r",
];

/// Flags of Codex that are followed by a value.
const OF_CODEX: [&str; 20] = [
    "--add-dir",
    "--ask-for-approval",
    "--cd",
    "--color",
    "--config",
    "--disable",
    "--enable",
    "--image",
    "--model",
    "--output-last-message",
    "--output-schema",
    "--profile",
    "--sandbox",
    "-C",
    "-a",
    "-c",
    "-i",
    "-m",
    "-o",
    "-s",
];

impl Agent {
    /// The agent of the name that this process is called by, or by the path that ends in it.
    pub(crate) fn called(called: &OsStr) -> Result<Self, Fault> {
        match Path::new(called).file_name().and_then(OsStr::to_str) {
            Some("claude") => Ok(Self::Claude),
            Some("codex") => Ok(Self::Codex),
            _ => Err(Fault::Name(called.to_string_lossy().into_owned())),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }

    /// The answer to `--version`.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Claude => "2.1.330 (Claude Code)",
            Self::Codex => "codex-cli 0.163.0",
        }
    }
}

impl Prompt {
    pub(crate) fn read(&self) -> Result<String, Fault> {
        match self {
            Self::Argument(text) => Ok(text.clone()),
            Self::Stdin => stdin(),
            Self::StdinOr(text) => {
                let said = stdin()?;
                Ok(if said.trim().is_empty() { text.clone() } else { said })
            }
        }
    }
}

fn stdin() -> Result<String, Fault> {
    let (mut stdin, mut bytes) = (io::stdin().lock(), Vec::new());
    if !stdin.is_terminal() {
        stdin.read_to_end(&mut bytes).map_err(Fault::Prompt)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a command line as the agent does. What is needed to be told in a stream must be asked for, as it must of the real
/// ones.
pub(crate) fn read(agent: Agent, argv: &[String]) -> Result<Invocation, Fault> {
    let words = match agent {
        Agent::Claude => Words::of(argv, &OF_CLAUDE),
        Agent::Codex => Words::of(argv, &OF_CODEX),
    };
    if words.has("--version") || words.has("-v") || words.has("-V") {
        return Ok(Invocation::ForVersion);
    }
    match agent {
        Agent::Claude => claude(&words),
        Agent::Codex => codex(&words),
    }
    .map(Invocation::ToWork)
}

fn claude(words: &Words) -> Result<Request, Fault> {
    if !words.has("-p") && !words.has("--print") {
        return Err(Fault::CommandLine("without -p, claude talks to people, which the fake one cannot"));
    }
    if words.value(&["--output-format"]).as_deref() != Some("stream-json") {
        return Err(Fault::CommandLine("the fake claude answers only with --output-format stream-json"));
    }
    if !words.has("--verbose") {
        return Err(Fault::CommandLine("with --print, --output-format stream-json requires --verbose"));
    }
    let prompt = words.free.last().map_or(Prompt::Stdin, |text| Prompt::StdinOr(text.clone()));
    let max_cost = words.value(&["--max-budget-usd"]);
    let max_cost = max_cost.map(|cost| cost.parse().map_err(|_| Fault::CommandLine("--max-budget-usd takes a number")));
    Ok(Request {
        prompt,
        resume: words.value(&["--resume", "-r"]),
        model: words.value(&["--model"]),
        max_cost: max_cost.transpose()?,
    })
}

fn codex(words: &Words) -> Result<Request, Fault> {
    let ("exec" | "e", mut free) =
        words.free.split_first().map(|(first, rest)| (first.as_str(), rest)).unwrap_or_default()
    else {
        return Err(Fault::CommandLine("without exec, codex talks to people, which the fake one cannot"));
    };
    if !words.has("--json") {
        return Err(Fault::CommandLine("the fake codex answers only with --json"));
    }
    let mut resume = None;
    if let Some((_, rest)) = free.split_first().filter(|(first, _)| *first == "resume") {
        let (id, rest) = rest.split_first().ok_or(Fault::CommandLine("codex exec resume needs the id of a session"))?;
        (resume, free) = (Some(id.clone()), rest);
    }
    let prompt = match free.last().map(String::as_str) {
        Some("-") => Prompt::Stdin,
        Some(text) => Prompt::Argument(text.to_owned()),
        None => return Err(Fault::CommandLine("codex exec needs a prompt, or - and a prompt on its standard input")),
    };
    Ok(Request { prompt, resume, model: words.value(&["--model", "-m"]), max_cost: None })
}

/// A command line, cut into flags and what stands for itself.
struct Words {
    flags: Vec<(String, Option<String>)>,
    free: Vec<String>,
}

impl Words {
    fn of(argv: &[String], with_value: &[&str]) -> Self {
        let (mut flags, mut free) = (Vec::new(), Vec::new());
        let mut words = argv.iter().cloned();
        while let Some(word) = words.next() {
            if word == "--" {
                free.extend(words.by_ref());
            } else if word == "-" || !word.starts_with('-') {
                free.push(word);
            } else if let Some((flag, value)) = word.split_once('=') {
                flags.push((flag.to_owned(), Some(value.to_owned())));
            } else {
                let value = if with_value.contains(&word.as_str()) { words.next() } else { None };
                flags.push((word, value));
            }
        }
        Self { flags, free }
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|(name, _)| name == flag)
    }

    /// The last value that one of these names of a flag was given.
    fn value(&self, names: &[&str]) -> Option<String> {
        self.flags.iter().rev().find(|(name, _)| names.contains(&name.as_str())).and_then(|(_, value)| value.clone())
    }
}
