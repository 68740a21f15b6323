//! The agents that need no configuration, and those that the configuration makes of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use crate::config::agent::{AgentLayer, AgentProfile, read_agent};
use crate::parse::fields::Fields;
use crate::parse::parse_toml;
use crate::parse::{KeyIssue, ValueIssue, closest, shown};

/// The flags that let known agents act without asking. On the host they need `--unsafe-host`.
const SKIP_FLAGS: [&str; 3] =
    ["--dangerously-skip-permissions", "--dangerously-bypass-approvals-and-sandbox", "--yolo"];

/// Options with values that do the same.
const SKIP_VALUES: [(&str, &str); 4] = [
    ("--approval-mode", "yolo"),
    ("--permission-mode", "bypassPermissions"),
    ("--sandbox", "danger-full-access"),
    ("-s", "danger-full-access"),
];

/// Variables that name folders of this machine, which mean nothing where an agent is isolated from it.
pub(crate) const HOST_FOLDERS: [&str; 2] = ["CLAUDE_CONFIG_DIR", "CODEX_HOME"];

/// The agents that gadugi knows by itself.
pub(crate) fn built_in() -> &'static BTreeMap<String, AgentProfile> {
    static BUILT_IN: LazyLock<BTreeMap<String, AgentProfile>> = LazyLock::new(|| {
        let file = Path::new("<built in>");
        let entries = parse_toml(include_str!("profiles.toml"), file);
        let entries = entries.expect("cannot fail because the file is a part of the program, and tests read it");
        let mut issues = Vec::new();
        let mut fields = Fields::new(file, 1, &entries, &mut issues);
        let layers: Vec<_> = entries.iter().filter_map(|entry| read_agent(&mut fields, entry, |_| false)).collect();
        let profile = |(name, layer): (String, AgentLayer)| Some((name, layer.over(AgentProfile::default()).ok()?));
        let profiles: BTreeMap<_, _> = layers.into_iter().filter_map(profile).collect();
        assert!(issues.is_empty() && profiles.len() == entries.len(), "the file is a part of the program: {issues:?}");
        profiles
    });
    &BUILT_IN
}

/// All agents: those of the configuration, and those that it does not mention. What cannot be made of what it says is noted
/// and left out.
pub(crate) fn profiles(
    layers: &BTreeMap<String, AgentLayer>,
    issues: &mut Vec<KeyIssue>,
) -> BTreeMap<String, AgentProfile> {
    let mut profiles = built_in().clone();
    for name in layers.keys() {
        profiles.remove(name);
        match profile(name, layers, &mut Vec::new()) {
            Ok(profile) => drop(profiles.insert(name.clone(), profile)),
            // One that extends it is wrong in the same place.
            Err(issue) if issues.contains(&issue) => {}
            Err(issue) => issues.push(issue),
        }
    }
    profiles
}

fn profile<'a>(
    name: &'a str,
    layers: &'a BTreeMap<String, AgentLayer>,
    seen: &mut Vec<&'a str>,
) -> Result<AgentProfile, KeyIssue> {
    let layer = &layers[name];
    seen.push(name);
    let extended = match &layer.extends {
        None => built_in().get(name).cloned(),
        Some(other) => {
            let wrong = |issue: ValueIssue| KeyIssue::Value {
                at: other.at.clone(),
                key: "extends".to_owned(),
                issue: issue.into(),
            };
            let (other, is_own) = (other.value.as_str(), other.value == name);
            match (layers.get_key_value(other).filter(|_| !is_own), built_in().get(other)) {
                (Some((other, _)), _) if seen.contains(&other.as_str()) => {
                    return Err(wrong(ValueIssue::ExtendsItself { name: shown(other) }));
                }
                (Some((other, _)), _) => Some(profile(other, layers, seen)?),
                (None, Some(built_in)) => Some(built_in.clone()),
                (None, None) => {
                    let known = built_in().keys().chain(layers.keys()).map(String::as_str);
                    let suggestion = closest(other, known.filter(|known| *known != name)).map(str::to_owned);
                    return Err(wrong(ValueIssue::UnknownProfile { name: shown(other), suggestion }));
                }
            }
        }
    };
    let key = "command".to_owned();
    layer.over(extended.unwrap_or_default()).map_err(|issue| KeyIssue::Value {
        at: layer.at.clone(),
        key,
        issue: issue.into(),
    })
}

/// The argument of a command that lets an agent act without asking, if there is one.
pub(crate) fn skips_permissions(command: &[String]) -> Option<String> {
    let is_skip = |argument: &str| {
        let split = argument.split_once('=').is_some_and(|split| SKIP_VALUES.contains(&split));
        split || SKIP_FLAGS.contains(&argument)
    };
    let flag = command.iter().find(|argument| is_skip(argument));
    let is_pair = |pair: &&[String]| SKIP_VALUES.contains(&(pair[0].as_str(), pair[1].as_str()));
    flag.cloned().or_else(|| command.windows(2).find(is_pair).map(|pair| pair.join(" ")))
}
