//! The settings of gadugi: their sources, the order of these, and the defaults.
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
mod merge;
mod placeholders;
mod profiles;
pub(crate) mod setting;
mod template;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use gadugi_core::RunSettings;
use gadugi_core::agent::Budget;
use thiserror::Error;

pub use crate::parse::{
    FileIssue, KeyIssue, MAX_FILE_BYTES, QuantityError, TimeLimit, ValueIssue, parse_duration, parse_size,
};
use crate::parse::{parse_toml, read_text_file, write_lines};

pub(crate) use agent::CallOf;
pub use agent::{AGENT_KEYS, AgentLayer, AgentPlace, AgentProfile, PromptMode};
pub use branch_prefix::BranchPrefix;
pub use docker::{DOCKER_KEYS, DockerConfig, DockerLayer, DockerNetwork, DockerSeccomp, DockerUser};
pub(crate) use dockerfile::{DOCKERFILE, DOCKERFILE_TEMPLATE, image_name};
pub use keys::{Bell, CONFIG_KEYS, Config, ConfigLayer};
pub use merge::{MERGE_KEYS, MergeConfig, MergeLayer};
pub(crate) use profiles::{HOST_FOLDERS, built_in, skips_permissions};
pub use setting::Setting;
pub(crate) use template::seed_line;
pub use template::template;

/// The variables of an environment, as `std::env::vars_os` gives them.
pub type Environment = BTreeMap<OsString, OsString>;

/// A configuration file.
#[derive(Debug, Clone, Copy)]
pub struct ConfigFile<'a> {
    /// The path.
    pub path: &'a Path,
    /// Whether the file must exist.
    pub required: bool,
}

/// The sources of settings.
#[derive(Debug)]
pub struct ConfigSources<'a> {
    /// The files, the later one wins: the repository's `gadugi.toml`, the user's, one that is named by a flag.
    pub files: &'a [ConfigFile<'a>],
    /// Wins over the files.
    pub environment: &'a Environment,
    /// Wins over everything.
    pub flags: ConfigLayer,
}

impl Default for Config {
    fn default() -> Self {
        Self { agents: built_in().clone(), ..Self::settle(ConfigLayer::defaults()) }
    }
}

impl Config {
    /// Reads and merges all sources.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong in any of them.
    pub fn load(sources: ConfigSources<'_>) -> Result<Self, ConfigError> {
        let (mut config, mut agents) = (Self::default(), BTreeMap::new());
        let mut issues = Vec::new();
        for file in sources.files {
            let mut layer = read_file(*file, &mut issues);
            // What a file says of an agent counts as a whole: what one lets through is not meant for the command of another.
            agents.append(&mut layer.agents);
            config.take_over(layer);
        }
        let mut wrong = Vec::new();
        config.agents = profiles::profiles(&agents, &mut wrong);
        wrong.sort_by_key(|issue| issue.at().line);
        issues.extend(wrong.drain(..).map(ConfigIssue::Key));
        config.take_over(ConfigLayer::from_environment(sources.environment, &mut wrong));
        issues.extend(wrong.into_iter().map(ConfigIssue::Key));
        config.take_over(sources.flags);
        if issues.is_empty() { Ok(config) } else { Err(ConfigError { issues }) }
    }

    /// Takes over all settings of a layer but those of agents.
    fn take_over(&mut self, mut layer: ConfigLayer) {
        self.docker.set(std::mem::take(&mut layer.docker));
        self.merge.set(std::mem::take(&mut layer.merge));
        self.set(layer);
        self.setup.take_if(|script| script.is_empty());
    }

    /// The budget of all tasks of a run together.
    #[must_use]
    pub fn run_budget(&self) -> Budget {
        Budget { cost_usd: self.run_max_cost, tokens: self.run_max_tokens }
    }

    /// The settings that the scheduler takes.
    #[must_use]
    pub fn run_settings(&self) -> RunSettings {
        RunSettings {
            jobs: self.jobs,
            fail_fast: self.fail_fast,
            keep: self.keep,
            allow_overlap: self.allow_overlap,
            budget: self.run_budget(),
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
    /// A remedy.
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
