//! The settings of gadugi: where they come from, which wins, and what they are when nobody sets them.
//!
//! Four sources are merged key by key, and a later one wins: `gadugi.toml` in the root of the repository, the
//! user's own file, `GADUGI_*` variables, and the flags of the command. This module reads only what it is
//! handed: neither the environment of the process nor the user's home folder.

mod agent;
mod branch_prefix;
mod docker;
mod dockerfile;
mod keys;
mod layer;
mod placeholders;
mod profiles;
mod template;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::{Budget, Changes, KeepPolicy, Limits, RetryFrom, RunSettings};
use thiserror::Error;

pub use crate::parse::{
    FileIssue, KeyIssue, MAX_FILE_BYTES, QuantityError, TimeLimit, ValueIssue, parse_duration, parse_size,
};
use crate::parse::{parse_toml, read_text_file, write_lines};

pub(crate) use agent::CallOf;
pub use agent::{AgentLayer, AgentPlace, AgentProfile, PromptMode};
pub use branch_prefix::BranchPrefix;
pub use docker::{DockerConfig, DockerLayer, DockerNetwork, DockerSeccomp, DockerUser};
pub(crate) use dockerfile::{DOCKERFILE, DOCKERFILE_TEMPLATE, image_name};
pub use keys::{AGENT_KEYS, CONFIG_KEYS, ConfigKey, DOCKER_KEYS};
pub use layer::{Bell, ConfigLayer};
pub(crate) use layer::{CHANGES, CHANGES_WORDS, RETRY_FROM, RETRY_FROM_WORDS, TOKENS, tokens};
pub(crate) use profiles::{HOST_FOLDERS, built_in, skips_permissions};
pub(crate) use template::seed_line;
pub use template::template;

/// The variables of an environment, as `std::env::vars_os` gives them.
pub type Environment = BTreeMap<OsString, OsString>;

/// How long the first further attempt waits, unless somebody says otherwise.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How long the setup of a worktree may take, unless somebody says otherwise.
const SETUP_TIMEOUT: Duration = Duration::from_secs(600);
const WORKTREE_TIMEOUT: Duration = Duration::from_secs(600);

/// A configuration file.
#[derive(Debug, Clone, Copy)]
pub struct ConfigFile<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Whether it is an error that it does not exist.
    pub required: bool,
}

/// Where settings come from.
#[derive(Debug)]
pub struct ConfigSources<'a> {
    /// The files, the later one wins: the repository's `gadugi.toml`, the user's, one that is named by a flag.
    pub files: &'a [ConfigFile<'a>],
    /// Wins over the files.
    pub environment: &'a Environment,
    /// Wins over everything.
    pub flags: ConfigLayer,
}

/// All settings, each with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How many tasks run at once, at the most; 4 by default.
    pub jobs: NonZeroUsize,
    /// The executor by name, or `auto`, which is the default.
    pub executor: String,
    /// The agent for tasks that do not say what they run; none by default. Its name may be one that is not
    /// in [`agents`](Self::agents).
    pub agent: Option<String>,
    /// The container image for tasks that name none; none by default.
    pub image: Option<String>,
    /// What the tasks' branches start from, as git understands it; `HEAD` by default.
    pub base: String,
    /// The wall clock of an attempt; without limit by default.
    pub timeout: Option<Duration>,
    /// How long an attempt may print nothing; without limit by default.
    pub idle_timeout: Option<Duration>,
    /// How long a task gets to stop before it is killed; 10 seconds by default.
    pub grace: Duration,
    /// How many further attempts a failed task gets; 0 by default.
    pub retries: u32,
    /// How long the first further attempt waits; each later one waits twice as long. One second by default.
    pub retry_delay: Duration,
    /// What a further attempt starts from. By default what the one before left, for tasks with an agent and a check, and
    /// the base for all others.
    pub retry_from: Option<RetryFrom>,
    /// Whether tasks have to change something; if `None`, those with an agent and without a check.
    pub changes: Option<Changes>,
    /// What a task may use up that says nothing of it; not limited by default.
    pub budget: Budget,
    /// What all tasks of a run together may use up; not limited by default.
    pub run_budget: Budget,
    /// Whether keys and values of other tools in task files are errors; not by default.
    pub strict: bool,
    /// Whether nothing more is started after the first task that does not succeed; not by default.
    pub fail_fast: bool,
    /// Which worktrees stay; those of failed tasks by default.
    pub keep: KeepPolicy,
    /// Whether tasks whose `touches` overlap may run at once; not by default.
    pub allow_overlap: bool,
    /// The folder for the worktrees; by default the one that the worktrees' adapter takes.
    pub worktrees: Option<PathBuf>,
    /// How long a worktree may take to be made, with the hooks that git runs in it; 10 minutes by default.
    pub worktree_timeout: Option<Duration>,
    /// What the names of the tasks' branches begin with; `gadugi/` by default.
    pub branch_prefix: BranchPrefix,
    /// Patterns, in the syntax of `.gitignore`, of files that git ignores and that are copied into each worktree, besides
    /// those in `.worktreeinclude`. None by default.
    pub seed: Vec<String>,
    /// The script that prepares the worktrees of tasks that do not say it themselves; none by default.
    pub setup: Option<String>,
    /// How long that may take; 10 minutes by default.
    pub setup_timeout: Option<Duration>,
    /// Names of variables that every task gets, where they are set; `*` at the end stands for any rest. None by
    /// default.
    pub env: Vec<String>,
    /// A program with its arguments that is called when a run is over or needs somebody; empty by default.
    pub notify: Vec<String>,
    /// Whether the terminal rings then; not by default.
    pub bell: Bell,
    /// How many bytes of a command's output are kept; 64 MiB by default.
    pub output_cap: u64,
    /// How containers are kept from the machine.
    pub docker: DockerConfig,
    /// Agents by name: those that gadugi knows, and those of the configuration.
    pub agents: BTreeMap<String, AgentProfile>,
}

impl Default for Config {
    fn default() -> Self {
        Self::from(ConfigLayer::default())
    }
}

impl From<ConfigLayer> for Config {
    /// Fills what the layer leaves open with the defaults. An agent that cannot be made of what is said of it is left out;
    /// [`Config::load`] tells why.
    fn from(layer: ConfigLayer) -> Self {
        let run = RunSettings::default();
        Self {
            jobs: layer.jobs.unwrap_or(run.jobs),
            executor: layer.executor.unwrap_or_else(|| "auto".into()),
            agent: layer.agent,
            image: layer.image,
            base: layer.base.unwrap_or_else(|| "HEAD".into()),
            timeout: layer.timeout.and_then(TimeLimit::duration),
            idle_timeout: layer.idle_timeout.and_then(TimeLimit::duration),
            grace: layer.grace.unwrap_or(Limits::default().grace),
            retries: layer.retries.unwrap_or(0),
            retry_delay: layer.retry_delay.unwrap_or(RETRY_DELAY),
            retry_from: layer.retry_from,
            changes: layer.changes,
            budget: Budget { cost_usd: layer.max_cost, tokens: layer.max_tokens },
            run_budget: Budget { cost_usd: layer.run_max_cost, tokens: layer.run_max_tokens },
            strict: layer.strict.unwrap_or(false),
            fail_fast: layer.fail_fast.unwrap_or(run.fail_fast),
            keep: layer.keep.unwrap_or(run.keep),
            allow_overlap: layer.allow_overlap.unwrap_or(run.allow_overlap),
            worktrees: layer.worktrees,
            worktree_timeout: layer.worktree_timeout.map_or(Some(WORKTREE_TIMEOUT), TimeLimit::duration),
            branch_prefix: layer.branch_prefix.unwrap_or_default(),
            seed: layer.seed.unwrap_or_default(),
            setup: layer.setup.filter(|script| !script.is_empty()),
            setup_timeout: layer.setup_timeout.map_or(Some(SETUP_TIMEOUT), TimeLimit::duration),
            env: layer.env.unwrap_or_default(),
            notify: layer.notify.unwrap_or_default(),
            bell: layer.bell.unwrap_or_default(),
            output_cap: layer.output_cap.unwrap_or(64 << 20),
            docker: layer.docker.into(),
            agents: profiles::profiles(&layer.agents, &mut Vec::new()),
        }
    }
}

impl Config {
    /// Reads and merges all sources.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong in any of them.
    pub fn load(sources: ConfigSources<'_>) -> Result<Self, ConfigError> {
        let mut issues = Vec::new();
        let mut layer = ConfigLayer::default();
        for file in sources.files {
            layer = read_file(*file, &mut issues).over(layer);
        }
        let mut wrong = Vec::new();
        profiles::profiles(&layer.agents, &mut wrong);
        wrong.sort_by_key(|issue| issue.at().line);
        issues.extend(wrong.drain(..).map(ConfigIssue::Key));
        layer = ConfigLayer::from_environment(sources.environment, &mut wrong).over(layer);
        issues.extend(wrong.into_iter().map(ConfigIssue::Key));
        if issues.is_empty() { Ok(sources.flags.over(layer).into()) } else { Err(ConfigError { issues }) }
    }

    /// The settings that the scheduler takes.
    #[must_use]
    pub fn run_settings(&self) -> RunSettings {
        RunSettings {
            jobs: self.jobs,
            fail_fast: self.fail_fast,
            keep: self.keep,
            allow_overlap: self.allow_overlap,
            budget: self.run_budget,
        }
    }
}

fn read_file(file: ConfigFile<'_>, issues: &mut Vec<ConfigIssue>) -> ConfigLayer {
    let text = match read_text_file(file.path, file.path) {
        Ok(text) => text,
        Err(FileIssue::Read { error, .. }) if !file.required && error.kind() == std::io::ErrorKind::NotFound => {
            return ConfigLayer::default();
        }
        Err(issue) => {
            issues.push(ConfigIssue::File(issue));
            return ConfigLayer::default();
        }
    };
    let mut wrong = Vec::new();
    let layer = match parse_toml(&text, file.path) {
        Ok(entries) => ConfigLayer::from_file(&entries, file.path, &mut wrong),
        Err(syntax) => {
            wrong = syntax;
            ConfigLayer::default()
        }
    };
    wrong.sort_by_key(|issue| issue.at().line);
    issues.extend(wrong.into_iter().map(ConfigIssue::Key));
    layer
}

/// Something in the configuration that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigIssue {
    /// A file cannot be read.
    #[error(transparent)]
    File(FileIssue),
    /// A key or value is wrong.
    #[error(transparent)]
    Key(KeyIssue),
}

impl ConfigIssue {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File(issue) => issue.hint(),
            Self::Key(issue) => issue.hint(),
        }
    }
}

/// Everything that is wrong with the configuration, so that it can be mended at one go.
#[derive(Debug, Error)]
pub struct ConfigError {
    /// One or more.
    pub issues: Vec<ConfigIssue>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(f, &self.issues)
    }
}
