//! One source of settings: a file, the environment, or the flags of a command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::{Changes, KeepPolicy, RetryFrom, SourceLocation};

use crate::config::agent::{AgentLayer, read_agent};
use crate::config::branch_prefix::BranchPrefix;
use crate::config::docker::DockerLayer;
use crate::config::keys::{CONFIG_KEYS, variable};
use crate::config::profiles::built_in;
use crate::parse::document::{Entry, Node, Value};
use crate::parse::fields::{Fields, from_text};
use crate::parse::{KeyIssue, ValueIssue, closest, shown};
use crate::parse::{TimeLimit, parse_duration, parse_size};

/// The words of `keep`, in the order of [`KEEP`].
const KEEP_WORDS: &[&str] = &["failed", "always", "never"];
const KEEP: [KeepPolicy; 3] = [KeepPolicy::Failed, KeepPolicy::Always, KeepPolicy::Never];

/// The words of `retry_from`, in the order of [`RETRY_FROM`].
pub(crate) const RETRY_FROM_WORDS: &[&str] = &["base", "previous"];
pub(crate) const RETRY_FROM: [RetryFrom; 2] = [RetryFrom::Base, RetryFrom::Previous];

/// The words of `changes`, in the order of [`CHANGES`].
pub(crate) const CHANGES_WORDS: &[&str] = &["optional", "required"];
pub(crate) const CHANGES: [Changes; 2] = [Changes::Optional, Changes::Required];

/// What is expected of a number of tokens.
pub(crate) const TOKENS: &str = "a whole number from 1 on";

/// A number of tokens that can be used up.
pub(crate) fn tokens(number: i128) -> Option<u64> {
    u64::try_from(number).ok().filter(|tokens| *tokens > 0)
}

/// Whether the terminal rings when a run is over or needs somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bell {
    /// It does not.
    #[default]
    Silent,
    /// It does.
    Rings,
    /// It shows a notice of the desktop, where it knows the sequence OSC 9.
    Osc9,
}

/// The settings that one source makes. What is `None` is left to the sources before it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigLayer {
    /// How many tasks run at once, at the most.
    pub jobs: Option<NonZeroUsize>,
    /// The executor by name, or `auto`.
    pub executor: Option<String>,
    /// The agent for tasks that do not say what they run.
    pub agent: Option<String>,
    /// The container image for tasks that name none.
    pub image: Option<String>,
    /// What the tasks' branches start from, as git understands it.
    pub base: Option<String>,
    /// The wall clock of an attempt.
    pub timeout: Option<TimeLimit>,
    /// How long an attempt may print nothing.
    pub idle_timeout: Option<TimeLimit>,
    /// How long a task gets to stop before it is killed.
    pub grace: Option<Duration>,
    /// How many further attempts a failed task gets.
    pub retries: Option<u32>,
    /// How long the first further attempt waits.
    pub retry_delay: Option<Duration>,
    /// What a further attempt starts from.
    pub retry_from: Option<RetryFrom>,
    /// Whether tasks have to change something.
    pub changes: Option<Changes>,
    /// What a task may cost in US dollars.
    pub max_cost: Option<f64>,
    /// How many tokens a task may use.
    pub max_tokens: Option<u64>,
    /// What all tasks of a run together may cost in US dollars.
    pub run_max_cost: Option<f64>,
    /// How many tokens all tasks of a run together may use.
    pub run_max_tokens: Option<u64>,
    /// Whether keys and values of other tools in task files are errors.
    pub strict: Option<bool>,
    /// Whether nothing more is started after the first task that does not succeed.
    pub fail_fast: Option<bool>,
    /// Which worktrees stay.
    pub keep: Option<KeepPolicy>,
    /// Whether tasks whose `touches` overlap may run at once.
    pub allow_overlap: Option<bool>,
    /// The folder for the worktrees.
    pub worktrees: Option<PathBuf>,
    /// How long a worktree may take to be made.
    pub worktree_timeout: Option<TimeLimit>,
    /// What the names of the tasks' branches begin with.
    pub branch_prefix: Option<BranchPrefix>,
    /// Patterns of files that git ignores and that are copied into each worktree.
    pub seed: Option<Vec<String>>,
    /// The script that prepares a worktree; an empty one stands for none.
    pub setup: Option<String>,
    /// How long that may take.
    pub setup_timeout: Option<TimeLimit>,
    /// Names of variables that every task gets, where they are set; `*` at the end stands for any rest.
    pub env: Option<Vec<String>>,
    /// A program with its arguments that tells of a run.
    pub notify: Option<Vec<String>>,
    /// Whether the terminal rings.
    pub bell: Option<Bell>,
    /// How many bytes of a command's output are kept.
    pub output_cap: Option<u64>,
    /// How containers are kept from the machine.
    pub docker: DockerLayer,
    /// What is said of agents, by name.
    pub agents: BTreeMap<String, AgentLayer>,
}

impl ConfigLayer {
    /// The settings of this layer, and where it makes none, those of an earlier one. What is said
    /// of an agent counts as a whole.
    #[must_use]
    pub fn over(mut self, earlier: Self) -> Self {
        let mut agents = earlier.agents;
        agents.append(&mut self.agents);
        Self {
            jobs: self.jobs.or(earlier.jobs),
            executor: self.executor.or(earlier.executor),
            agent: self.agent.or(earlier.agent),
            image: self.image.or(earlier.image),
            base: self.base.or(earlier.base),
            timeout: self.timeout.or(earlier.timeout),
            idle_timeout: self.idle_timeout.or(earlier.idle_timeout),
            grace: self.grace.or(earlier.grace),
            retries: self.retries.or(earlier.retries),
            retry_delay: self.retry_delay.or(earlier.retry_delay),
            retry_from: self.retry_from.or(earlier.retry_from),
            changes: self.changes.or(earlier.changes),
            max_cost: self.max_cost.or(earlier.max_cost),
            max_tokens: self.max_tokens.or(earlier.max_tokens),
            run_max_cost: self.run_max_cost.or(earlier.run_max_cost),
            run_max_tokens: self.run_max_tokens.or(earlier.run_max_tokens),
            strict: self.strict.or(earlier.strict),
            fail_fast: self.fail_fast.or(earlier.fail_fast),
            keep: self.keep.or(earlier.keep),
            allow_overlap: self.allow_overlap.or(earlier.allow_overlap),
            worktrees: self.worktrees.or(earlier.worktrees),
            worktree_timeout: self.worktree_timeout.or(earlier.worktree_timeout),
            branch_prefix: self.branch_prefix.or(earlier.branch_prefix),
            seed: self.seed.or(earlier.seed),
            setup: self.setup.or(earlier.setup),
            setup_timeout: self.setup_timeout.or(earlier.setup_timeout),
            env: self.env.or(earlier.env),
            notify: self.notify.or(earlier.notify),
            bell: self.bell.or(earlier.bell),
            output_cap: self.output_cap.or(earlier.output_cap),
            docker: self.docker.over(earlier.docker),
            agents,
        }
    }

    /// Reads the keys of a configuration file. Relative paths are taken from the folder that the file is in.
    pub(crate) fn from_file(entries: &[Entry], file: &Path, issues: &mut Vec<KeyIssue>) -> Self {
        let known: Vec<&'static str> = CONFIG_KEYS.iter().map(|key| key.name).chain(["docker", "agents"]).collect();
        let mut fields = Fields::new(file, 1, entries, issues).only(&known);
        let mut layer = Self::read(&mut fields);
        let folder = file.parent().unwrap_or(Path::new(""));
        layer.worktrees = layer.worktrees.map(|worktrees| folder.join(worktrees));
        if let Some(docker) = fields.table("docker", "[docker]") {
            let line = fields.at_key("docker").line;
            layer.docker = DockerLayer::read(&mut fields, line, docker, folder);
        }
        if let Some(agents) = fields.table("agents", "[agents.claude]") {
            let mut fields = fields.nested(1, agents);
            let is_known = |name: &str| built_in().contains_key(name);
            layer.agents = agents.iter().filter_map(|entry| read_agent(&mut fields, entry, is_known)).collect();
        }
        layer
    }

    /// Reads the variables whose names are those of the keys after `GADUGI_`. Others are left alone, unless
    /// one is so like a known one that it must be a slip.
    pub(crate) fn from_environment(environment: &BTreeMap<OsString, OsString>, issues: &mut Vec<KeyIssue>) -> Self {
        let at = SourceLocation { file: "<environment>".into(), line: 0 };
        let mut entries = Vec::new();
        for (name, text) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with("GADUGI_")) else { continue };
            let key = CONFIG_KEYS.iter().find(|key| key.variable() == name);
            match (key, text.to_str().map(str::trim)) {
                (Some(_), Some("")) => {}
                (Some(key), Some(text)) => {
                    entries.push(Entry { key: key.name.to_owned(), line: 0, node: node_of_variable(key.name, text) });
                }
                (Some(_), None) => {
                    issues.push(KeyIssue::Value {
                        at: at.clone(),
                        key: name.to_owned(),
                        issue: ValueIssue::NotUtf8.into(),
                    });
                }
                (None, _) => {
                    if let Some(suggestion) = similar_variable(name) {
                        issues.push(KeyIssue::UnknownVariable { at: at.clone(), name: shown(name), suggestion });
                    }
                }
            }
        }
        Self::read(&mut Fields::new(&at.file, 0, &entries, issues).called(variable))
    }

    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let jobs = |number: i128| NonZeroUsize::new(usize::try_from(number).ok()?);
        let retries = |number: i128| u32::try_from(number).ok();
        Self {
            jobs: fields.integer("jobs", "a whole number from 1 on", "4", jobs),
            executor: fields.text("executor", "\"auto\"").map(|text| text.value),
            agent: fields.text("agent", "\"claude\"").map(|text| text.value),
            image: fields.text("image", "\"ubuntu:24.04\"").map(|text| text.value),
            base: fields.text("base", "\"HEAD\"").map(|text| text.value),
            timeout: fields.quantity("timeout", "\"30m\"", from_text),
            idle_timeout: fields.quantity("idle_timeout", "\"10m\"", from_text),
            grace: fields.quantity("grace", "\"10s\"", parse_duration),
            retries: fields.integer("retries", "a whole number from 0 on", "1", retries),
            retry_delay: fields.quantity("retry_delay", "\"30s\"", parse_duration),
            retry_from: fields.word("retry_from", RETRY_FROM_WORDS, &RETRY_FROM),
            changes: fields.word("changes", CHANGES_WORDS, &CHANGES),
            max_cost: fields.positive("max_cost", "2.5"),
            max_tokens: fields.integer("max_tokens", TOKENS, "2000000", tokens),
            run_max_cost: fields.positive("run_max_cost", "20"),
            run_max_tokens: fields.integer("run_max_tokens", TOKENS, "20000000", tokens),
            strict: fields.switch("strict"),
            fail_fast: fields.switch("fail_fast"),
            keep: fields.word("keep", KEEP_WORDS, &KEEP),
            allow_overlap: fields.switch("allow_overlap"),
            worktrees: fields.text("worktrees", "\"../worktrees\"").map(|text| text.value.into()),
            worktree_timeout: fields.quantity("worktree_timeout", "\"10m\"", from_text),
            branch_prefix: fields.parsed("branch_prefix", "\"gadugi/\"", |text| {
                text.parse().map_err(|error| ValueIssue::Name { error, example: "gadugi/".into() })
            }),
            seed: fields
                .texts("seed", "[\".env\"]")
                .map(|patterns| patterns.into_iter().map(|pattern| pattern.value).collect()),
            setup: fields.script("setup", "\"npm ci\""),
            setup_timeout: fields.quantity("setup_timeout", "\"10m\"", from_text),
            env: fields
                .variable_patterns("env", "[\"CARGO_HOME\"]")
                .map(|names| names.into_iter().map(|name| name.value).collect()),
            notify: fields
                .texts("notify", "[\"notify-send\", \"gadugi\"]")
                .map(|command| command.into_iter().map(|argument| argument.value).collect()),
            bell: read_bell(fields),
            output_cap: fields.quantity("output_cap", "\"64MiB\"", parse_size),
            docker: DockerLayer::default(),
            agents: BTreeMap::new(),
        }
    }
}

fn read_bell(fields: &mut Fields<'_, '_>) -> Option<Bell> {
    if fields.peek_text("bell").is_some() {
        return fields.word("bell", &["osc9"], &[Bell::Osc9]);
    }
    fields.switch("bell").map(|rings| if rings { Bell::Rings } else { Bell::Silent })
}

/// A known variable that `name` must have been meant to be.
fn similar_variable(name: &str) -> Option<String> {
    let lower = name.strip_prefix("GADUGI_")?.to_lowercase();
    closest(&lower, CONFIG_KEYS.iter().map(|key| key.name)).map(variable)
}

/// The value of a variable as if it stood in a file: numbers and switches without quotes, lists with commas.
fn node_of_variable(key: &str, text: &str) -> Node {
    let value = match key {
        "fail_fast" | "allow_overlap" | "bell" | "strict" if matches!(text, "true" | "1") => Value::Switch(true),
        "fail_fast" | "allow_overlap" | "bell" | "strict" if matches!(text, "false" | "0") => Value::Switch(false),
        "env" | "seed" | "notify" => {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            let node = |name: &str| Node { line: 0, value: Value::Text(name.to_owned()), bare: None };
            Value::List(names.map(node).collect())
        }
        "max_cost" | "run_max_cost" => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Float),
        "jobs" | "retries" | "max_tokens" | "run_max_tokens" => {
            text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Integer)
        }
        _ => Value::Text(text.to_owned()),
    };
    Node { line: 0, value, bare: None }
}
