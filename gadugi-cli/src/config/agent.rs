//! Agents: how the text of a task becomes a command.

use std::collections::BTreeMap;
use std::time::Duration;

use gadugi_core::agent::{AgentCall, Argument, Budget, DEFAULT_FRAME, Piece};
use gadugi_core::executor::StopSignal;
use gadugi_core::plan::SourceLocation;

use crate::config::placeholders::{self, Placeholders, fill, mentions};
use crate::config::setting::{key_names, settings};
use crate::parse::document::Entry;
use crate::parse::fields::{Fields, Located};
use crate::parse::kind::{ENVIRONMENT, Kind, LOCATED_TEXT, SCRIPT, SWITCH, TEXT, TEXTS, TIME, VARIABLES};
use crate::parse::{ValueIssue, shown};

/// The path of the prompt for an agent that reads a file: its standard input, so that no file has to be made and removed.
const PROMPT_FILE: &str = "/dev/stdin";

/// The way in which an agent gets the text of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PromptMode {
    /// On its standard input.
    #[default]
    Stdin,
    /// By a path that stands for `{prompt_file}` in its command.
    File,
    /// As an argument: where `{prompt}` stands in its command, else as the last one.
    Argument,
    /// None: the text is a shell script, which runs in place of a command.
    Script,
}

/// The surroundings that an agent runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentPlace {
    /// The user's machine, with all that is on it.
    Host,
    /// The same, where the user lets it act without asking.
    UnsafeHost,
    /// A container, or another boundary that keeps it from the machine.
    Isolated,
}

const PROMPT: Kind<PromptMode> =
    Kind::text("`\"stdin\"`, `\"file\"`, `\"argument\"` or `\"script\"`", |fields, key, _| {
        use PromptMode::{Argument, File, Script, Stdin};
        fields.word(key, &["stdin", "file", "argument", "script"], &[Stdin, File, Argument, Script])
    });

const OUTPUT: Kind<String> =
    Kind::text("`\"text\"`, `\"claude-stream-json\"` or `\"codex-json\"`", |fields, key, _| {
        const FORMATS: &[&str] = &["text", "claude-stream-json", "codex-json"];
        fields.word(key, FORMATS, FORMATS).map(str::to_owned)
    });

const SIGNAL: Kind<StopSignal> = Kind::text("`\"SIGTERM\"` or `\"SIGINT\"`", |fields, key, _| {
    fields.word(key, &["SIGTERM", "SIGINT"], &[StopSignal::Terminate, StopSignal::Interrupt])
});

const COMMAND: Kind<Vec<String>> = Kind::texts("list of texts", |fields, key, example| {
    let command = fields.texts(key, example)?;
    checked(command, fields, key)
});

/// A command, or an empty list for none.
const COMMAND_OR_NONE: Kind<Vec<String>> = Kind::texts("list of texts", |fields, key, example| {
    let command = fields.texts(key, example)?;
    if command.is_empty() { Some(Vec::new()) } else { checked(command, fields, key) }
});

settings! {
    /// The keys of a table `[agents.NAME]`, in the order of the docs.
    table pub AGENT_KEYS;

    /// A table `[agents.NAME]`. `None` leaves a setting to the agent that it extends.
    #[derive(Debug, Clone, PartialEq, Default)]
    layer pub AgentLayer {
        fields pub(crate),
        /// The line of its command, else that of the table.
        at: SourceLocation,
    };

    /// All settings of an agent.
    #[derive(Debug, Clone, PartialEq, Eq)]
    settings AgentProfile {};

    only {
        /// Another agent, from which comes all that is not set here.
        extends: Located<String> = LOCATED_TEXT {
            without: "the agent of that name that gadugi knows", example: "\"claude\""
        };
    }

    /// Program and its arguments, with placeholders. There is no shell in between.
    command: Vec<String> = COMMAND {
        without: "must be set for a new agent", example: "[\"program\", \"argument\"]"
    };

    /// Way in which the agent gets the text of the task. With `"script"` it does not: the text is run as a shell script.
    prompt: PromptMode = PROMPT { default: "\"stdin\"", example: "\"file\"" };

    /// Format of its output.
    output: String = OUTPUT { default: "\"text\"", example: "\"codex-json\"" };

    /// Command that resumes a conversation, with `{session}` in it. `[]` is none.
    resume: Vec<String> = COMMAND_OR_NONE { default: "[]", example: "[\"program\", \"--resume\", \"{session}\"]" };

    /// Arguments in place of `{options}` on your machine. Without them, an agent with `{options}` in its command is not
    /// started there.
    host_args: Vec<String> => Option<Vec<String>> = TEXTS { example: "[\"--sandbox\"]" };

    /// Arguments in place of `{options}` in a container, and on your machine with `--unsafe-host`.
    isolated_args: Vec<String> = TEXTS { default: "[]", example: "[\"--yes\"]" };

    /// Variables that are set there.
    isolated_env: BTreeMap<String, String> = ENVIRONMENT { default: "{}", example: "{ IS_SANDBOX = \"1\" }" };

    /// Model of the agent.
    model: String => Option<String> = TEXT { without: "its own default", example: "\"opus\"" };

    /// Arguments that name the model: they follow in `{options}`, with `{model}` replaced.
    model_args: Vec<String> = TEXTS { default: "[]", example: "[\"--model\", \"{model}\"]" };

    /// Models that a task may name (`model:`), with `*` at the end for any rest; `[]` is any. Only an agent with `model_args`
    /// and `{options}` takes one.
    models: Vec<String> = TEXTS { default: "[]", example: "[\"opus\", \"claude-*\"]" };

    /// Arguments that limit the cost of a call, where its task or the run has a budget in US dollars. They follow in
    /// `{options}` too, with `{max_cost}` replaced by what is left of the budget when the call begins.
    budget_args: Vec<String> = TEXTS { default: "[]", example: "[\"--max-cost\", \"{max_cost}\"]" };

    /// First signal that asks it to stop. `SIGTERM` follows on `SIGINT` in the middle of the `grace`.
    stop_signal: StopSignal = SIGNAL { default: "\"SIGTERM\"", example: "\"SIGINT\"" };

    /// Container image of this agent's tasks that name none. Not set, it is the configured `image`.
    image: String => Option<String> = TEXT { example: "\"ubuntu:24.04\"" };

    /// Names of variables that this agent gets from the environment of gadugi, where they are set, such as its API key. Their
    /// values are written nowhere.
    env: Vec<String> = VARIABLES { default: "[]", example: "[\"API_KEY\"]" };

    /// Variables that are set for it; `env` and `secrets` of a task win. They are written down in the record of the run.
    set_env: BTreeMap<String, String> = ENVIRONMENT { default: "{}", example: "{ NO_UPDATES = \"1\" }" };

    /// Time that its process may live after it has reported its end.
    linger: Duration = TIME { default: "\"60s\"", example: "\"5s\"" };

    /// Wait of its tasks after a rate limit that names no time. It doubles with each further one in a row.
    backoff: Duration = TIME { default: "\"30s\"", example: "\"1m\"" };

    /// Text that follows on that of the task. `""` is nothing.
    frame: String = SCRIPT {
        without: "[the frame](agents.md#what-an-agent-is-told)", example: "\"Commit to {branch}.\""
    };

    /// Variables any of which logs it in; for `gadugi doctor`.
    keys: Vec<String> = VARIABLES { default: "[]", example: "[\"API_KEY\"]" };

    /// Files any of which shows a login; for `gadugi doctor` and `mount_login`.
    login: Vec<String> = TEXTS { default: "[]", example: "[\"~/.agent/login.json\"]" };

    /// Whether a container of this agent sees those of these files that exist below `~/`, at the same path in its home folder,
    /// read-only.
    mount_login: bool = SWITCH { default: "false", example: "true" };
}

impl Default for AgentProfile {
    /// An agent without a command.
    fn default() -> Self {
        let (command, frame) = (Some(Vec::new()), Some(DEFAULT_FRAME.to_owned()));
        Self::settle(AgentLayer { command, frame, ..AgentLayer::defaults() })
    }
}

/// The parts of a call that are not those of the agent's profile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallOf<'a> {
    pub(crate) agent: &'a str,
    pub(crate) task: &'a str,
    pub(crate) title: &'a str,
    pub(crate) prompt: &'a str,
    /// A model in place of the profile's.
    pub(crate) model: Option<&'a str>,
    pub(crate) budget: Budget,
    /// The budget of all tasks of the run together.
    pub(crate) run_budget: Budget,
    /// `None` until the executor of the task is chosen.
    pub(crate) place: Option<AgentPlace>,
}

impl AgentProfile {
    /// Returns the call of the agent.
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

    /// The arguments in place of `{options}`.
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

    /// The model that a task names, as this agent calls it; `None` if the agent has none of that name or takes none. Other tools
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

    /// Whether it works on the user's machine without asking questions. A command without `{options}` is taken as it is.
    pub(crate) fn works_unattended(&self) -> bool {
        self.host_args.is_some() || self.prompt == PromptMode::Script || !mentions(&self.command, "options")
    }

    /// The reason why the command would not get its prompt, if there is one.
    fn prompt_issue(&self) -> Option<ValueIssue> {
        let misplaced = |placeholder, mode| Some(ValueIssue::PromptPlaceholder { placeholder, mode });
        let mentions = |placeholder| mentions(&self.command, placeholder);
        match self.prompt {
            PromptMode::Stdin if mentions("prompt") => misplaced("prompt", "stdin"),
            PromptMode::File if mentions("prompt") => misplaced("prompt", "file"),
            PromptMode::File if !mentions("prompt_file") => Some(ValueIssue::NoPromptFile),
            PromptMode::Argument if mentions("prompt_file") => misplaced("prompt_file", "argument"),
            _ if mentions("session") => Some(ValueIssue::SessionInCommand),
            _ if !self.resume.is_empty() && !placeholders::mentions(&self.resume, "session") => {
                Some(ValueIssue::NoSession)
            }
            _ => None,
        }
    }
}

/// An argument with the budget of a call in place of `{max_cost}`.
fn with_max_cost(argument: &str) -> Argument {
    let texts = argument.split("{max_cost}").map(|text| (!text.is_empty()).then(|| Piece::Text(text.to_owned())));
    let pieces = texts.enumerate().flat_map(|(at, text)| (at > 0).then_some(Piece::MaxCost).into_iter().chain(text));
    Argument(pieces.collect())
}

impl AgentLayer {
    /// Returns another profile with the settings of this layer.
    ///
    /// # Errors
    /// [`ValueIssue`] where the command would not get its prompt.
    pub(crate) fn over(&self, earlier: AgentProfile) -> Result<AgentProfile, ValueIssue> {
        let mut profile = earlier;
        profile.set(self.clone());
        profile.prompt_issue().map_or(Ok(profile), Err)
    }
}

/// Reads a table `[agents.NAME]`; `None`, with a note, if it has no usable command. The command may be left out where `is_known`
/// holds for the name.
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
    let mut fields = agents.nested(entry.line, table).only(&key_names(AGENT_KEYS));
    let at = fields.at_key("command");
    let layer = AgentLayer { at, ..AgentLayer::read(&mut fields, |setting| Some(setting.hint())) };
    if !fields.has("command") && !fields.has("extends") && !is_known(name) {
        fields.note_missing("command", "[\"program\", \"argument\"]");
    }
    let is_left = !fields.has("command") && (fields.has("extends") || is_known(name));
    (layer.command.is_some() || is_left).then(|| (name.clone(), layer))
}

/// The program and the arguments of a command. A blank program, and slips in placeholders, are noted.
fn checked(command: Vec<Located<String>>, fields: &mut Fields<'_, '_>, key: &str) -> Option<Vec<String>> {
    if command.first().is_none_or(|program| program.value.trim().is_empty()) {
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
