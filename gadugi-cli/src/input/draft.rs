//! A task as its author wrote it, before the settings fill what it leaves open.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use gadugi_core::TaskId;
use gadugi_core::plan::{SourceLocation, TouchPattern};

use crate::config::setting::layer;
use crate::config::{CONFIG_KEYS, ConfigLayer, DOCKER_KEYS, Setting};
use crate::input::issue::InputIssue;
use crate::parse::ValueIssue;
use crate::parse::fields::{Fields, Located};
use crate::parse::kind::{ENVIRONMENT, INTEGER, Kind, LOCATED_TEXT, LOCATED_TEXTS, LOCATED_VARIABLES, TEXT};

const ID: Kind<TaskId> = Kind::text("text", |fields, key, _| {
    fields.parsed(key, "fix-login", |text| {
        let example = || TaskId::slug(text).to_string();
        text.parse::<TaskId>().map_err(|error| ValueIssue::Name { error, example: example() })
    })
});

const TOUCHES: Kind<Vec<TouchPattern>> = Kind::texts("list of texts", |fields, key, example| {
    let mut touches = Vec::new();
    for Located { value, at } in fields.texts(key, example)? {
        match value.parse() {
            Ok(pattern) => touches.push(pattern),
            Err(error) => fields.note_value(key, at, ValueIssue::Name { error, example: "src/auth/**".into() }),
        }
    }
    Some(touches)
});

const COMMAND: Kind<Vec<String>> = Kind::texts("list of texts", |fields, key, example| {
    let command = fields.texts(key, example)?;
    if command.first().is_none_or(|program| program.value.trim().is_empty()) {
        fields.note_value(key, fields.at_key(key), ValueIssue::Blank);
        return None;
    }
    Some(command.into_iter().map(|argument| argument.value).collect())
});

layer! {
    /// The keys of a task that are no settings of the configuration, in the order of the docs: those before `env` come before
    /// such settings, the others after them.
    table pub(crate) OWN_KEYS;

    /// The own keys of one task.
    #[derive(Debug, Clone, PartialEq, Default)]
    layer pub(crate) TaskLayer { fields pub(crate), };

    /// Name of the task in `needs`, in the branch `gadugi/<id>` and in all commands: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`,
    /// beginning with a letter or digit.
    id: TaskId = ID { without: "from the file's name", example: "fix-login" };

    /// A line for people.
    title: String = TEXT {
        without: "the first heading, else the first line of the text, else the id", example: "\"Fix the login\""
    };

    /// Ids of tasks that must have succeeded before. This task starts from their branches, merged.
    needs: Vec<Located<String>> = LOCATED_TEXTS { default: "[]", example: "[add-models, add-routes]" };

    /// Paths that the task is going to change, relative to the repository: `src/auth/**`, `docs`, `*.toml`. Two tasks whose
    /// patterns overlap do not run at once.
    touches: Vec<TouchPattern> = TOUCHES { default: "[]", example: "[\"src/auth/**\"]" };

    /// Shell script that is run by `bash -e` where there is a bash, else by `sh -e`, in the task's worktree.
    run: String = TEXT { without: "none", example: "\"cargo fmt\"" };

    /// Program and its arguments, without a shell.
    command: Vec<String> = COMMAND {
        without: "none", example: "[\"cargo\", \"test\"], or a shell script by `run`"
    };

    /// [An agent that gadugi knows](agents.md), or a table `[agents.NAME]` of the configuration.
    agent: Located<String> = LOCATED_TEXT { without: "the default agent", example: "claude" };

    /// Model of its agent. A name that the agent does not have is [passed over](#prompt-files-of-other-tools).
    model: Located<String> = LOCATED_TEXT { without: "from its agent", example: "opus" };

    /// Shell script that is run in the worktree after the task has ended well. The task has succeeded if this exits with 0.
    check: String = TEXT { without: "none", example: "\"cargo test\"" };

    /// Variables of the task's environment and their values. They are written down in the record of the run; do not put secrets
    /// here.
    env: BTreeMap<String, String> = ENVIRONMENT { default: "{}", example: "{RUST_LOG: debug}" };

    /// Names of variables that the task gets from the environment of gadugi. They must be set there; their values are written
    /// nowhere.
    secrets: Vec<Located<String>> = LOCATED_VARIABLES { default: "[]", example: "[API_KEY]" };

    /// Rank among tasks that can start: the highest starts first.
    priority: i32 = INTEGER { default: "0", example: "10" };
}

layer! {
    /// The keys that a table `[[task]]` has besides [`TASK_KEYS`]: a task file has its text below the front matter.
    table pub BATCH_KEYS;

    /// The prompt of one task of a batch.
    #[derive(Debug, Clone, PartialEq, Default)]
    layer pub(crate) BatchLayer { fields pub(crate), };

    /// Text for the agent.
    prompt: Located<String> = LOCATED_TEXT { without: "none", example: "\"What is to be done.\"" };

    /// File that holds the text, relative to the folder of the batch. Keep such files in a folder of their own: those beside a
    /// `tasks.toml` are tasks themselves when the folder is named.
    prompt_file: Located<String> = LOCATED_TEXT { without: "none", example: "\"prompts/login.md\"" };
}

/// The keys of a task, in its front matter or in a table `[[task]]`, in the order of the docs.
pub static TASK_KEYS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let mut shared: Vec<_> = CONFIG_KEYS.iter().chain(DOCKER_KEYS).filter(|setting| setting.task.is_some()).collect();
    // What prepares the work of a task stands beside what checks it.
    shared.sort_by_key(|setting| !setting.name.starts_with("setup"));
    let before = OWN_KEYS.iter().take_while(|setting| setting.name != "env");
    let after = OWN_KEYS.iter().skip_while(|setting| setting.name != "env");
    before.chain(shared).chain(after).copied().collect()
});

/// Whether a key is one of [`TASK_KEYS`].
pub(crate) fn is_task_key(key: &str) -> bool {
    TASK_KEYS.iter().any(|setting| setting.name == key)
}

/// The action of a task, as its file states it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TaskAction {
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

/// The text for an agent.
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

/// The names of a task without an id of its own.
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
    pub(crate) prompt: Prompt,
    pub(crate) action: TaskAction,
    /// Its own keys, without those of its action.
    pub(crate) keys: TaskLayer,
    /// Its settings in place of the configuration's.
    pub(crate) settings: ConfigLayer,
}

impl Draft {
    /// A task that has no keys.
    pub(crate) fn of_prompt(at: SourceLocation, names: Names, prompt: Prompt) -> Self {
        let (keys, settings) = (TaskLayer::default(), ConfigLayer::default());
        Self { at, names, prompt, action: TaskAction::Unsaid, keys, settings }
    }

    /// Reads the keys of a task whose names and text are known.
    pub(crate) fn read(
        fields: &mut Fields<'_, '_>,
        at: SourceLocation,
        names: Names,
        prompt: Prompt,
        issues: &mut Vec<InputIssue>,
    ) -> Self {
        let mut keys = TaskLayer::read(fields, |setting| Some(setting.example));
        let at = if fields.has("id") { fields.at_key("id") } else { at };
        let action = take_action(&mut keys, fields, &at, issues);
        Self { at, names, prompt, action, keys, settings: ConfigLayer::from_task(fields) }
    }
}

/// Takes the action of a task out of its keys.
fn take_action(
    keys: &mut TaskLayer,
    fields: &Fields<'_, '_>,
    at: &SourceLocation,
    issues: &mut Vec<InputIssue>,
) -> TaskAction {
    let said: Vec<&'static str> = ["run", "command", "agent"].into_iter().filter(|key| fields.has(key)).collect();
    if said.len() > 1 {
        let last = said.iter().map(|key| fields.at_key(key)).max_by_key(|at| at.line);
        issues.push(InputIssue::Several { at: last.unwrap_or_else(|| at.clone()), keys: said.clone() });
    }
    let (script, command) = (keys.run.take().map(TaskAction::Script), keys.command.take().map(TaskAction::Command));
    let agent = keys.agent.take().map(TaskAction::Agent);
    match (said.is_empty(), script.or(command).or(agent)) {
        (true, _) if !fields.has_unknown() => TaskAction::Unsaid,
        (_, Some(action)) => action,
        _ => TaskAction::Unclear,
    }
}
