//! Agents: how the text of a task becomes a command.

use std::collections::BTreeMap;
use std::time::Duration;

use gadugi_core::{AgentCall, Argument, Budget, DEFAULT_FRAME, Piece, SourceLocation, StopSignal};

use crate::config::keys::AGENT_KEYS;
use crate::config::placeholders::{self, Placeholders, fill, mentions};
use crate::parse::document::Entry;
use crate::parse::fields::{Fields, Located};
use crate::parse::parse_duration;
use crate::parse::{ValueIssue, shown};

/// Where an agent that wants a file finds its prompt. It is given on the standard input, so that no file has
/// to be made and removed.
const PROMPT_FILE: &str = "/dev/stdin";

/// How an agent is given the text of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PromptMode {
    /// On its standard input.
    #[default]
    Stdin,
    /// By a path that stands for `{prompt_file}` in its command.
    File,
    /// As an argument: where `{prompt}` stands in its command, else as the last one.
    Argument,
    /// Not at all: the text is a shell script, which is run in the place of a command.
    Script,
}

/// What surrounds an agent where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentPlace {
    /// The user's machine, with all that is on it.
    Host,
    /// The same, and the user says that it may do there what it likes.
    UnsafeHost,
    /// Something that keeps it from the machine.
    Isolated,
}

/// How one agent is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProfile {
    /// The program and its arguments, with placeholders. Never empty.
    pub command: Vec<String>,
    /// How it is given the text of a task.
    pub prompt: PromptMode,
    /// The command by which it goes on with a conversation; empty where it cannot.
    pub resume: Vec<String>,
    /// The name of the format of its output.
    pub output: String,
    /// What it is given on the user's machine, where somebody has to be asked; `None` where nothing makes it go on there.
    pub host_args: Option<Vec<String>>,
    /// What it is given where it is isolated.
    pub isolated_args: Vec<String>,
    /// Variables that are set where it is isolated.
    pub isolated_env: BTreeMap<String, String>,
    /// The model that it is to use.
    pub model: Option<String>,
    /// How it is told the model, by `{model}`.
    pub model_args: Vec<String>,
    /// Models that a task may name, `*` at the end for any rest; any where there is none.
    pub models: Vec<String>,
    /// How it is told what a task may cost, by `{max_cost}`.
    pub budget_args: Vec<String>,
    /// Names of variables that it gets from the environment of gadugi, where they are set.
    pub env: Vec<String>,
    /// Variables that are set for it.
    pub set_env: BTreeMap<String, String>,
    /// The container image for its tasks that name none; the configured one where it is `None`.
    pub image: Option<String>,
    /// The signal by which it is asked to stop first.
    pub stop_signal: StopSignal,
    /// How long its process may go on after it has said that it is done.
    pub linger: Duration,
    /// How long its tasks wait after a first refusal that names no time.
    pub backoff: Duration,
    /// What follows on the words of the task's author.
    pub frame: String,
    /// Variables any of which lets it in.
    pub keys: Vec<String>,
    /// Files of which it has one when somebody has logged in; `~/` is the home folder.
    pub login: Vec<String>,
    /// Whether it sees those of these files that are there also in a container, to read.
    pub mount_login: bool,
}

/// What is particular to one call of an agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallOf<'a> {
    pub(crate) agent: &'a str,
    pub(crate) task: &'a str,
    pub(crate) title: &'a str,
    pub(crate) prompt: &'a str,
    /// In the place of the profile's.
    pub(crate) model: Option<&'a str>,
    pub(crate) budget: Budget,
    /// What all tasks of the run may use up.
    pub(crate) run_budget: Budget,
    /// `None` as long as nobody knows.
    pub(crate) place: Option<AgentPlace>,
}

impl AgentProfile {
    /// Calls the agent.
    pub(crate) fn call(&self, of: CallOf<'_>) -> AgentCall {
        let options = self.options(of);
        let CallOf { task, title, .. } = of;
        let values = Placeholders { task, title, prompt_file: PROMPT_FILE, options: &options };
        let command = |command: &[String]| {
            let mut filled = fill(command, values);
            if self.prompt == PromptMode::Argument && !mentions(command, "prompt") {
                filled.push(Argument(vec![Piece::Prompt]));
            }
            filled
        };
        AgentCall {
            resume: (!self.resume.is_empty()).then(|| command(&self.resume)),
            frame: self.frame.clone(),
            output: self.output.clone(),
            linger: self.linger,
            backoff: self.backoff,
            model: of.model.map(str::to_owned),
            budget: of.budget,
            keys: self.keys.clone(),
            stop_signal: self.stop_signal,
            ..AgentCall::new(of.agent, command(&self.command), of.prompt)
        }
    }

    /// What stands for `{options}`.
    fn options(&self, of: CallOf<'_>) -> Vec<Argument> {
        let mode = match of.place {
            None => &[][..],
            Some(AgentPlace::Host) => self.host_args.as_deref().unwrap_or_default(),
            Some(AgentPlace::UnsafeHost | AgentPlace::Isolated) => &self.isolated_args,
        };
        let mode = mode.iter().map(Argument::text);
        let model = of.model.or(self.model.as_deref()).into_iter().flat_map(|model| {
            self.model_args.iter().map(move |argument| Argument::text(argument.replace("{model}", model)))
        });
        // How much it is, is known when a call begins: it is what earlier ones have left.
        let is_limited = of.budget.cost_usd.or(of.run_budget.cost_usd).is_some();
        let budget = self.budget_args.iter().filter(|_| is_limited).map(|argument| with_max_cost(argument));
        mode.chain(model).chain(budget).collect()
    }

    /// The model that a task names, as this agent calls it; `None` if it has none of that name, or cannot be told. Other tools
    /// write the vendor before it: `anthropic/claude-…`.
    pub(crate) fn model_named<'m>(&self, name: &'m str) -> Option<&'m str> {
        let is_known = |name: &str| {
            let matches = |known: &String| match known.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == known,
            };
            self.models.is_empty() || self.models.iter().any(matches)
        };
        if self.model_args.is_empty() || !mentions(&self.command, "options") {
            return None;
        }
        let name = name.trim();
        let without_vendor = name.rsplit('/').next().unwrap_or(name);
        [name, without_vendor].into_iter().find(|name| is_known(name))
    }

    /// Whether it can do its work on the user's machine with nobody there to be asked. A command without `{options}` says
    /// all that there is to say.
    pub(crate) fn goes_on_alone(&self) -> bool {
        self.host_args.is_some() || self.prompt == PromptMode::Script || !mentions(&self.command, "options")
    }

    /// Why the prompt would not come where the command expects it.
    fn prompt_issue(&self) -> Option<ValueIssue> {
        let misplaced = |placeholder, mode| Some(ValueIssue::PromptPlaceholder { placeholder, mode });
        let mentions = |placeholder| mentions(&self.command, placeholder);
        match self.prompt {
            PromptMode::Stdin if mentions("prompt") => misplaced("prompt", "stdin"),
            PromptMode::File if mentions("prompt") => misplaced("prompt", "file"),
            PromptMode::File if !mentions("prompt_file") => Some(ValueIssue::NoPromptFile),
            PromptMode::Argument if mentions("prompt_file") => misplaced("prompt_file", "argument"),
            _ if mentions("session") => Some(ValueIssue::SessionInCommand),
            _ if !self.resume.is_empty() && !crate::config::placeholders::mentions(&self.resume, "session") => {
                Some(ValueIssue::NoSession)
            }
            _ => None,
        }
    }
}

/// An argument that holds what a call may cost, where it says `{max_cost}`.
fn with_max_cost(argument: &str) -> Argument {
    let texts = argument.split("{max_cost}").map(|text| (!text.is_empty()).then(|| Piece::Text(text.to_owned())));
    let pieces = texts.enumerate().flat_map(|(at, text)| (at > 0).then_some(Piece::MaxCost).into_iter().chain(text));
    Argument(pieces.collect())
}

/// What a table `[agents.NAME]` says. What is `None` is left to the agent that it extends.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentLayer {
    /// Where its command stands, else the table.
    pub(crate) at: SourceLocation,
    pub(crate) extends: Option<Located<String>>,
    command: Option<Vec<String>>,
    prompt: Option<PromptMode>,
    resume: Option<Vec<String>>,
    output: Option<String>,
    host_args: Option<Vec<String>>,
    isolated_args: Option<Vec<String>>,
    isolated_env: Option<BTreeMap<String, String>>,
    model: Option<String>,
    model_args: Option<Vec<String>>,
    models: Option<Vec<String>>,
    budget_args: Option<Vec<String>>,
    env: Option<Vec<String>>,
    set_env: Option<BTreeMap<String, String>>,
    image: Option<String>,
    stop_signal: Option<StopSignal>,
    linger: Option<Duration>,
    backoff: Option<Duration>,
    frame: Option<String>,
    keys: Option<Vec<String>>,
    login: Option<Vec<String>>,
    mount_login: Option<bool>,
}

impl AgentLayer {
    /// The profile that this makes of another one; `Err` where the prompt would not come where it is expected.
    pub(crate) fn over(&self, earlier: Option<&AgentProfile>) -> Result<AgentProfile, ValueIssue> {
        let bare = AgentProfile {
            command: Vec::new(),
            prompt: PromptMode::default(),
            resume: Vec::new(),
            output: "text".to_owned(),
            host_args: None,
            isolated_args: Vec::new(),
            isolated_env: BTreeMap::new(),
            model: None,
            model_args: Vec::new(),
            models: Vec::new(),
            budget_args: Vec::new(),
            env: Vec::new(),
            set_env: BTreeMap::new(),
            image: None,
            stop_signal: StopSignal::default(),
            linger: Duration::from_secs(60),
            backoff: Duration::from_secs(30),
            frame: DEFAULT_FRAME.to_owned(),
            keys: Vec::new(),
            login: Vec::new(),
            mount_login: false,
        };
        let earlier = earlier.unwrap_or(&bare).clone();
        let own = self.clone();
        let profile = AgentProfile {
            command: own.command.unwrap_or(earlier.command),
            prompt: own.prompt.unwrap_or(earlier.prompt),
            resume: own.resume.unwrap_or(earlier.resume),
            output: own.output.unwrap_or(earlier.output),
            host_args: own.host_args.or(earlier.host_args),
            isolated_args: own.isolated_args.unwrap_or(earlier.isolated_args),
            isolated_env: own.isolated_env.unwrap_or(earlier.isolated_env),
            model: own.model.or(earlier.model),
            model_args: own.model_args.unwrap_or(earlier.model_args),
            models: own.models.unwrap_or(earlier.models),
            budget_args: own.budget_args.unwrap_or(earlier.budget_args),
            env: own.env.unwrap_or(earlier.env),
            set_env: own.set_env.unwrap_or(earlier.set_env),
            image: own.image.or(earlier.image),
            stop_signal: own.stop_signal.unwrap_or(earlier.stop_signal),
            linger: own.linger.unwrap_or(earlier.linger),
            backoff: own.backoff.unwrap_or(earlier.backoff),
            frame: own.frame.unwrap_or(earlier.frame),
            keys: own.keys.unwrap_or(earlier.keys),
            login: own.login.unwrap_or(earlier.login),
            mount_login: own.mount_login.unwrap_or(earlier.mount_login),
        };
        profile.prompt_issue().map_or(Ok(profile), Err)
    }

    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let texts = |fields: &mut Fields<'_, '_>, key, example| {
            let texts = fields.texts(key, example)?;
            Some(texts.into_iter().map(|text| text.value).collect::<Vec<_>>())
        };
        let text = |text: Located<String>| text.value;
        Self {
            at: fields.at_key("command"),
            extends: fields.text("extends", "\"claude\""),
            command: read_command(fields, "command"),
            prompt: fields.word("prompt", MODE_WORDS, &MODES),
            resume: read_command(fields, "resume"),
            output: fields.word("output", OUTPUT_WORDS, OUTPUT_WORDS).map(str::to_owned),
            host_args: texts(fields, "host_args", "[\"--sandbox\"]"),
            isolated_args: texts(fields, "isolated_args", "[\"--yes\"]"),
            isolated_env: fields.environment("isolated_env", "{ IS_SANDBOX = \"1\" }"),
            model: fields.text("model", "\"opus\"").map(text),
            model_args: texts(fields, "model_args", "[\"--model\", \"{model}\"]"),
            models: texts(fields, "models", "[\"opus\", \"claude-*\"]"),
            budget_args: texts(fields, "budget_args", "[\"--max-cost\", \"{max_cost}\"]"),
            env: fields.variables("env", "[\"API_KEY\"]").map(|names| names.into_iter().map(text).collect()),
            set_env: fields.environment("set_env", "{ NO_UPDATES = \"1\" }"),
            image: fields.text("image", "\"ubuntu:24.04\"").map(text),
            stop_signal: fields.word("stop_signal", SIGNAL_WORDS, &SIGNALS),
            linger: fields.quantity("linger", "\"60s\"", parse_duration),
            backoff: fields.quantity("backoff", "\"30s\"", parse_duration),
            frame: fields.script("frame", "\"Commit to {branch}.\""),
            keys: fields.variables("keys", "[\"API_KEY\"]").map(|names| names.into_iter().map(text).collect()),
            login: texts(fields, "login", "[\"~/.agent/login.json\"]"),
            mount_login: fields.switch("mount_login"),
        }
    }
}

const MODE_WORDS: &[&str] = &["stdin", "file", "argument", "script"];
const MODES: [PromptMode; 4] = [PromptMode::Stdin, PromptMode::File, PromptMode::Argument, PromptMode::Script];
const SIGNAL_WORDS: &[&str] = &["SIGTERM", "SIGINT"];
const SIGNALS: [StopSignal; 2] = [StopSignal::Terminate, StopSignal::Interrupt];
const OUTPUT_WORDS: &[&str] = &["text", "claude-stream-json", "codex-json"];
const COMMAND: &str = "[\"program\", \"argument\"]";

/// Reads a table `[agents.NAME]`; `None`, with a note, if it has no usable command. `is_known` says whether the command may be
/// left to a profile of that name.
pub(crate) fn read_agent<'a>(
    agents: &mut Fields<'a, '_>,
    entry: &'a Entry,
    is_known: impl Fn(&str) -> bool,
) -> Option<(String, AgentLayer)> {
    let name = &entry.key;
    if !valid_name(name) {
        let at = agents.at_key(name);
        agents.note_value("agents", at, ValueIssue::AgentName { name: shown(name) });
        return None;
    }
    let table = agents.table(name, "[agents.NAME] with a line command = [\"program\"]")?;
    let mut fields = agents.nested(entry.line, table).only(AGENT_KEYS);
    let layer = AgentLayer::read(&mut fields);
    if !fields.has("command") && !fields.has("extends") && !is_known(name) {
        fields.note_missing("command", COMMAND);
    }
    let is_left = !fields.has("command") && (fields.has("extends") || is_known(name));
    (layer.command.is_some() || is_left).then(|| (name.clone(), layer))
}

/// Reads a program and its arguments. An empty list is no command, which only `resume` may say.
fn read_command(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Vec<String>> {
    let command = fields.texts(key, COMMAND)?;
    let is_none = key == "resume" && command.is_empty();
    if !is_none && command.first().is_none_or(|program| program.value.trim().is_empty()) {
        let at = command.first().map_or_else(|| fields.at_key(key), |program| program.at.clone());
        fields.note_value(key, at, ValueIssue::Blank);
        return None;
    }
    for argument in &command {
        placeholders::check(fields, key, &argument.value, &argument.at);
    }
    Some(command.into_iter().map(|argument| argument.value).collect())
}

fn valid_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
