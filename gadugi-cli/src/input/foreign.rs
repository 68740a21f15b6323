//! Keys and values of other tools, whose prompt files run as they are.

use std::path::PathBuf;

use gadugi_core::plan::SourceLocation;

use crate::config::Config;
use crate::config::setting::key_names;
use crate::input::draft::{TASK_KEYS, is_task_key};
use crate::parse::document::{Entry, Node, Value};
use crate::parse::{closest, shown, similar_key};

/// Keys that only other tools know, by which a file is recognised as one of theirs: Claude Code, Copilot, Cursor, opencode,
/// Codex, Gemini CLI, Windsurf, Continue, Kiro.
const OF_TOOLS: &[&str] = &[
    "allowed-tools",
    "allowedTools",
    "alwaysApply",
    "applyTo",
    "argument-hint",
    "arguments",
    "color",
    "context",
    "disable-model-invocation",
    "disallowedTools",
    "disallowed-tools",
    "globs",
    "handoffs",
    "hidden",
    "hooks",
    "inclusion",
    "initialPrompt",
    "invokable",
    "isolation",
    "maxTurns",
    "mcp-servers",
    "mcpServers",
    "mode",
    "permission",
    "permissionMode",
    "skills",
    "steps",
    "subtask",
    "target",
    "temperature",
    "tools",
    "top_p",
    "trigger",
    "user-invocable",
];

/// Keys that texts of any kind have. They are like none of ours, though some look so.
const OF_TEXTS: &[&str] = &[
    "author",
    "category",
    "checkout",
    "comment",
    "comments",
    "compatibility",
    "created",
    "date",
    "effort",
    "end",
    "event",
    "labels",
    "license",
    "metadata",
    "module",
    "owner",
    "parent",
    "path",
    "paths",
    "place",
    "slug",
    "space",
    "status",
    "subtitle",
    "tags",
    "type",
    "updated",
    "urgent",
    "usage",
    "version",
];

/// Words that `agent` has with Copilot, opencode and Claude Code: ways of working, and no agents of ours.
const WAYS: &[&str] = &["agent", "ask", "build", "edit", "explore", "general", "general-purpose", "plan"];

/// Values of `model` that leave it to the agent.
const NO_MODEL: &[&str] = &["auto", "default", "inherit"];

/// A key or value that is not one of ours, or a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Where it stands.
    pub at: SourceLocation,
    /// The key or value, as it is written there.
    pub what: String,
}

/// The keys of a file, sorted by their meaning.
pub(crate) struct Sifted {
    /// The keys of ours.
    pub(crate) entries: Vec<Entry>,
    /// The name that the file gives to its task.
    pub(crate) name: Option<String>,
}

/// Whether a key is one of ours, or of those that prompt files have elsewhere.
pub(crate) fn is_known(key: &str) -> bool {
    is_task_key(key) || matches!(key, "name" | "description") || OF_TOOLS.contains(&key)
}

/// Whether a key that is not ours was probably meant to be one.
pub(crate) fn is_slip(key: &str) -> bool {
    let is_other = |keys: &[&str]| keys.contains(&key);
    !is_task_key(key)
        && !is_other(OF_TOOLS)
        && !is_other(OF_TEXTS)
        && similar_key(key, key_names(&*TASK_KEYS)).is_some()
}

/// Takes out keys that are not ours. One that means the same as a key of ours becomes that one, one that looks like a slip stays
/// and is reported as one, and all others are passed over.
pub(crate) fn sift(
    entries: Vec<Entry>,
    file: impl Into<PathBuf>,
    config: &Config,
    passed: &mut Vec<PassedOver>,
) -> Sifted {
    let file = file.into();
    let is_of_tool = entries.iter().any(|entry| OF_TOOLS.contains(&entry.key.as_str()));
    let has_title = entries.iter().any(|entry| entry.key == "title");
    let mut sifted = Sifted { entries: Vec::new(), name: None };
    for mut entry in entries {
        let what = match entry.key.as_str() {
            "name" => {
                sifted.name = text(&entry.node).map(str::to_owned);
                continue;
            }
            "description" if has_title || text(&entry.node).is_none() => continue,
            "description" => {
                entry.key = "title".to_owned();
                None
            }
            "model" if names_no_model(&entry.node) => continue,
            // Copilot's list of those that an agent may start, and no slip.
            "agents" if matches!(entry.node.value, Value::List(_)) => Some("agents".to_owned()),
            key if is_task_key(key) => foreign_value(&entry, config, is_of_tool),
            key if is_slip(key) => None,
            key => Some(key.to_owned()),
        };
        match what {
            Some(what) => passed.push(PassedOver { at: SourceLocation { file: file.clone(), line: entry.line }, what }),
            None => sifted.entries.push(entry),
        }
    }
    sifted
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

fn names_no_model(node: &Node) -> bool {
    match &node.value {
        Value::Nothing => true,
        Value::Text(text) => text.trim().is_empty() || NO_MODEL.contains(&text.trim().to_lowercase().as_str()),
        _ => false,
    }
}

/// A key of ours with a value that only another tool has there.
fn foreign_value(entry: &Entry, config: &Config, is_of_tool: bool) -> Option<String> {
    let value = text(&entry.node).map(|text| (text, text.trim().to_lowercase()));
    let (key, value) = (entry.key.as_str(), value.as_ref().map(|(text, lower)| (*text, lower.as_str())));
    let is_foreign = match (key, value) {
        ("agent", Some((name, lower))) => {
            let is_ours = config.agents.contains_key(name);
            let is_slip = || closest(name, config.agents.keys().map(String::as_str)).is_some();
            !is_ours && (WAYS.contains(&lower) || (is_of_tool && !is_slip()))
        }
        ("priority", Some((text, _))) => text.trim().parse::<i32>().is_err(),
        ("memory", Some((_, lower))) => matches!(lower, "user" | "project" | "local"),
        ("model", None) => matches!(entry.node.value, Value::List(_) | Value::Table(_)),
        _ => false,
    };
    is_foreign.then(|| match value {
        Some((text, _)) => format!("{key}: {}", shown(text)),
        None => key.to_owned(),
    })
}
