//! A task as its author wrote it, before the settings fill what it leaves open.

use std::collections::BTreeMap;
use std::time::Duration;

use gadugi_core::{Changes, RetryFrom, SourceLocation, TaskId, TouchPattern};

use crate::config::{CHANGES, CHANGES_WORDS, RETRY_FROM, RETRY_FROM_WORDS, TOKENS, tokens};
use crate::input::issue::InputIssue;
use crate::parse::fields::{Fields, Located, from_text};
use crate::parse::{TimeLimit, ValueIssue, parse_duration, parse_size};

/// The keys of a task, in its front matter or in a table `[[task]]`.
pub const TASK_KEYS: &[&str] = &[
    "id",
    "title",
    "needs",
    "touches",
    "run",
    "command",
    "agent",
    "model",
    "check",
    "setup",
    "setup_timeout",
    "executor",
    "image",
    "timeout",
    "idle_timeout",
    "grace",
    "retries",
    "retry_delay",
    "retry_from",
    "changes",
    "max_cost",
    "max_tokens",
    "memory",
    "cpus",
    "env",
    "secrets",
    "priority",
];

/// The keys that a table `[[task]]` has besides [`TASK_KEYS`]: a task file has its text below the front matter.
pub const BATCH_KEYS: &[&str] = &["prompt", "prompt_file"];

/// What a task says that it runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// `run:`
    Script(String),
    /// `command:`
    Command(Vec<String>),
    /// `agent:`
    Agent(Located<String>),
    /// Nothing, which leaves it to the default agent.
    Unsaid,
    /// Something that could not be understood; that has been noted.
    Unclear,
}

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// This; it may be empty.
    Text(String),
    /// Something that could not be read; that has been noted.
    Unclear,
}

impl Prompt {
    /// A text without the empty lines around it.
    pub(crate) fn trimmed(text: &str) -> Self {
        Self::Text(text.trim_start_matches('\n').trim_end().to_owned())
    }
}

/// What a task is called as long as it does not say so itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// For its id.
    pub(crate) plain: String,
    /// For its id when another task has the plain one: unlike that of any other task.
    pub(crate) unique: String,
}

/// One task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    /// The line of its id, else that of the task, else just the file.
    pub(crate) at: SourceLocation,
    pub(crate) names: Names,
    pub(crate) id: Option<TaskId>,
    pub(crate) title: Option<String>,
    pub(crate) prompt: Prompt,
    pub(crate) work: Work,
    /// The model that its agent is to use.
    pub(crate) model: Option<Located<String>>,
    pub(crate) needs: Vec<Located<String>>,
    pub(crate) touches: Vec<TouchPattern>,
    pub(crate) check: Option<String>,
    /// An empty one stands for none.
    pub(crate) setup: Option<String>,
    pub(crate) setup_timeout: Option<TimeLimit>,
    pub(crate) executor: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) timeout: Option<TimeLimit>,
    pub(crate) idle_timeout: Option<TimeLimit>,
    pub(crate) grace: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) retry_delay: Option<Duration>,
    pub(crate) retry_from: Option<RetryFrom>,
    pub(crate) changes: Option<Changes>,
    pub(crate) max_cost: Option<f64>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) cpus: Option<f64>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) secrets: Vec<Located<String>>,
    pub(crate) priority: i32,
}

impl Draft {
    /// A task that says nothing but what an agent is told.
    pub(crate) fn of_prompt(at: SourceLocation, names: Names, prompt: Prompt) -> Self {
        Self {
            at,
            names,
            id: None,
            title: None,
            prompt,
            work: Work::Unsaid,
            model: None,
            needs: Vec::new(),
            touches: Vec::new(),
            check: None,
            setup: None,
            setup_timeout: None,
            executor: None,
            image: None,
            timeout: None,
            idle_timeout: None,
            grace: None,
            retries: None,
            retry_delay: None,
            retry_from: None,
            changes: None,
            max_cost: None,
            max_tokens: None,
            memory: None,
            cpus: None,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            priority: 0,
        }
    }

    /// Reads the keys of a task whose names and text are known.
    pub(crate) fn read(
        fields: &mut Fields<'_, '_>,
        at: SourceLocation,
        names: Names,
        prompt: Prompt,
        issues: &mut Vec<InputIssue>,
    ) -> Self {
        let text = |text: Located<String>| text.value;
        let id = fields.parsed("id", "fix-login", |text| {
            let example = || TaskId::slug(text).to_string();
            text.parse::<TaskId>().map_err(|error| ValueIssue::Name { error, example: example() })
        });
        let at = if fields.has("id") { fields.at_key("id") } else { at };
        let retries = |number: i128| u32::try_from(number).ok();
        let priority = |number: i128| i32::try_from(number).ok();
        Self {
            id,
            title: fields.text("title", "\"Fix the login\"").map(text),
            work: read_work(fields, &at, issues),
            model: fields.text("model", "opus"),
            needs: fields.texts("needs", "[add-models, add-routes]").unwrap_or_default(),
            touches: read_touches(fields),
            check: fields.text("check", "\"cargo test\"").map(text),
            setup: fields.script("setup", "\"npm ci\""),
            setup_timeout: fields.quantity("setup_timeout", "10m", from_text),
            executor: fields.text("executor", "docker").map(text),
            image: fields.text("image", "\"ubuntu:24.04\"").map(text),
            timeout: fields.quantity("timeout", "30m", from_text),
            idle_timeout: fields.quantity("idle_timeout", "10m", from_text),
            grace: fields.quantity("grace", "10s", parse_duration),
            retries: fields.integer("retries", "a whole number from 0 on", "1", retries),
            retry_delay: fields.quantity("retry_delay", "30s", parse_duration),
            retry_from: fields.word("retry_from", RETRY_FROM_WORDS, &RETRY_FROM),
            changes: fields.word("changes", CHANGES_WORDS, &CHANGES),
            max_cost: fields.positive("max_cost", "2.5"),
            max_tokens: fields.integer("max_tokens", TOKENS, "2000000", tokens),
            memory: fields.quantity("memory", "2GiB", parse_size),
            cpus: fields.positive("cpus", "1.5"),
            env: fields.environment("env", "{RUST_LOG: debug}").unwrap_or_default(),
            secrets: fields.variables("secrets", "[API_KEY]").unwrap_or_default(),
            priority: fields.integer("priority", "a whole number", "10", priority).unwrap_or(0),
            at,
            names,
            prompt,
        }
    }
}

fn read_work(fields: &mut Fields<'_, '_>, at: &SourceLocation, issues: &mut Vec<InputIssue>) -> Work {
    const COMMAND: &str = "[\"cargo\", \"test\"], or a shell script by `run`";
    let said: Vec<&'static str> = ["run", "command", "agent"].into_iter().filter(|key| fields.has(key)).collect();
    if said.len() > 1 {
        let last = said.iter().map(|key| fields.at_key(key)).max_by_key(|at| at.line);
        issues.push(InputIssue::Several { at: last.unwrap_or_else(|| at.clone()), keys: said.clone() });
    }
    let script = fields.text("run", "\"cargo fmt\"").map(|script| Work::Script(script.value));
    let command = fields.texts("command", COMMAND).and_then(|command| match command.first() {
        Some(program) if !program.value.trim().is_empty() => {
            Some(Work::Command(command.into_iter().map(|argument| argument.value).collect()))
        }
        _ => {
            let at = fields.at_key("command");
            fields.note_value("command", at, ValueIssue::Blank);
            None
        }
    });
    let agent = fields.text("agent", "claude").map(Work::Agent);
    match (said.is_empty(), script.or(command).or(agent)) {
        (true, _) if !fields.has_unknown() => Work::Unsaid,
        (_, Some(work)) => work,
        _ => Work::Unclear,
    }
}

fn read_touches(fields: &mut Fields<'_, '_>) -> Vec<TouchPattern> {
    let patterns = fields.texts("touches", "[\"src/auth/**\"]").unwrap_or_default();
    let mut touches = Vec::new();
    for Located { value, at } in patterns {
        match value.parse() {
            Ok(pattern) => touches.push(pattern),
            Err(error) => {
                fields.note_value("touches", at, ValueIssue::Name { error, example: "src/auth/**".into() });
            }
        }
    }
    touches
}
