//! Reads one source of settings: a file, the environment, or a task.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use gadugi_core::plan::SourceLocation;

use crate::config::agent::read_agent;
use crate::config::docker::{DOCKER_KEYS, DockerLayer};
use crate::config::keys::{CONFIG_KEYS, ConfigLayer};
use crate::config::merge::{MERGE_KEYS, MergeLayer};
use crate::config::profiles::built_in;
use crate::config::setting::{Setting, key_names, variable};
use crate::parse::document::{Entry, Node};
use crate::parse::fields::Fields;
use crate::parse::{KeyIssue, ValueIssue, closest, shown};

impl ConfigLayer {
    /// Reads the keys of a configuration file. Relative paths are taken from the folder that the file is in.
    pub(crate) fn from_file(entries: &[Entry], file: &Path, issues: &mut Vec<KeyIssue>) -> Self {
        let mut known = key_names(CONFIG_KEYS);
        known.extend(["docker", "merge", "agents"]);
        let mut fields = Fields::new(file, 1, entries, issues).only(&known);
        let mut layer = Self::read(&mut fields, in_config);
        let folder = file.parent().unwrap_or(Path::new(""));
        layer.worktrees = layer.worktrees.map(|worktrees| folder.join(worktrees));
        if let Some(docker) = fields.table("docker", "[docker]") {
            let line = fields.at_key("docker").line;
            let mut fields = fields.nested(line, docker).only(&key_names(DOCKER_KEYS));
            layer.docker = DockerLayer::read(&mut fields, in_config).in_folder(folder);
        }
        if let Some(merge) = fields.table("merge", "[merge]") {
            let line = fields.at_key("merge").line;
            let mut fields = fields.nested(line, merge).only(&key_names(MERGE_KEYS));
            layer.merge = MergeLayer::read(&mut fields, in_config);
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
            let setting = CONFIG_KEYS.iter().find(|setting| setting.variable() == name);
            match (setting, text.to_str().map(str::trim)) {
                (Some(_), Some("")) => {}
                (Some(setting), Some(text)) => {
                    let node = Node { line: 0, value: (setting.of_variable)(text), bare: None };
                    entries.push(Entry { key: setting.name.to_owned(), line: 0, node });
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
        Self::read(&mut Fields::new(&at.file, 0, &entries, issues).called(variable), in_config)
    }

    /// Reads what a task says in place of the configuration.
    pub(crate) fn from_task(fields: &mut Fields<'_, '_>) -> Self {
        let docker = DockerLayer::read(fields, in_task);
        Self { docker, ..Self::read(fields, in_task) }
    }
}

fn in_config(setting: &Setting) -> Option<&'static str> {
    Some(setting.hint())
}

/// A task's keys show an example: its default is that of the configuration.
fn in_task(setting: &Setting) -> Option<&'static str> {
    setting.task.map(|_| setting.example)
}

/// A known variable that `name` must have been meant to be.
fn similar_variable(name: &str) -> Option<String> {
    let lower = name.strip_prefix("GADUGI_")?.to_lowercase();
    closest(&lower, key_names(CONFIG_KEYS)).map(variable)
}
