//! The checks of `gadugi doctor` for coding agents.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::finding::{Finding, Health};
use crate::config::{AgentProfile, Config, PromptMode, built_in};
use crate::context::Context;
use crate::parse::document::{Entry, Node, Value, parse_toml};
use crate::terminal::harmless;

/// Time for an agent to print its version. Some are slow to start.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks the agents that are installed or configured, and their logins. With `may_isolate`, tasks may run in a container that
/// has agents of its own.
pub(super) async fn check(context: &Context, config: &Config, may_isolate: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut absent = Vec::new();
    for (name, profile) in &config.agents {
        let (subject, program) = (format!("agent {name}"), &profile.command[0]);
        let is_wanted = built_in().get(name) != Some(profile) || config.agent.as_ref() == Some(name);
        match context.surroundings.program(program) {
            Some(path) if profile.prompt != PromptMode::Script => {
                findings.push(installed(context, &subject, profile, &path).await);
            }
            None if is_wanted => {
                let remedy = "install it, or correct its `command` in gadugi.toml";
                let is_default = config.agent.as_ref() == Some(name);
                let health = if is_default && !may_isolate { Health::Bad } else { Health::Limited };
                let where_else = if may_isolate { ": its tasks need a container whose image has it" } else { "" };
                findings.push(Finding::new(&subject, health, format!("`{program}` was not found{where_else}"), remedy));
            }
            None => absent.push(name.as_str()),
            Some(_) => {}
        }
    }
    if config.agent.as_ref().is_some_and(|agent| !config.agents.contains_key(agent)) {
        let text = format!("there is no agent `{}`", config.agent.as_deref().unwrap_or_default());
        findings.push(Finding::new("agents", Health::Limited, text, "correct `agent` in gadugi.toml"));
    }
    if findings.is_empty() {
        let text = format!("none is installed that gadugi knows ({})", absent.join(", "));
        findings.push(Finding::new(
            "agents",
            Health::Limited,
            text,
            "install one, or write [agents.NAME] into gadugi.toml",
        ));
    }
    findings
}

/// Checks an installed agent: its version and its login.
async fn installed(context: &Context, subject: &str, profile: &AgentProfile, path: &Path) -> Finding {
    let version = match version(context, path).await {
        Ok(version) => version,
        Err(why) => {
            return Finding::new(subject, Health::Limited, format!("{}: {why}", path.display()), "see what it prints");
        }
    };
    let variables = &context.surroundings.env;
    let is_set = |name: &&String| variables.get(OsStr::new(name.as_str())).is_some_and(|value| !value.is_empty());
    let login = |file: &&String| context.surroundings.in_home(file).is_some_and(|path| path.exists());
    if let Some(key) = profile.keys.iter().find(is_set) {
        return Finding::new(subject, Health::Good, format!("{version}; {key} is set"), "");
    }
    if let Some(file) = profile.login.iter().find(login) {
        return Finding::new(subject, Health::Good, format!("{version}; logged in, by {file}"), "");
    }
    if profile.output == "codex-json" {
        match provider_key(context) {
            Some(key) if is_set(&&key) => {
                return Finding::new(
                    subject,
                    Health::Good,
                    format!("{version}; {key} is set, which its config.toml names"),
                    "",
                );
            }
            Some(key) => {
                let text = format!("{version}; {key} is not set, which its config.toml names");
                return Finding::new(subject, Health::Limited, text, format!("set {key}"));
            }
            None if is_set(&&"OPENAI_API_KEY".to_owned()) => {
                let text = format!("{version}; OPENAI_API_KEY is set, which it does not read, and there is no login");
                return Finding::new(subject, Health::Limited, text, "set CODEX_API_KEY, or log in with it");
            }
            None => {}
        }
    }
    if profile.keys.is_empty() && profile.login.is_empty() {
        return Finding::good(subject, version);
    }
    let ways = [&profile.keys[..], &profile.login[..]].concat().join(", ");
    let text = format!("{version}; whether it is let in is not known: there is none of {ways}");
    Finding::new(subject, Health::Limited, text, "log in with it, or set one of these variables")
}

/// The variable with the key of the provider that Codex's own configuration names. Without a provider it reads only
/// `CODEX_API_KEY`.
fn provider_key(context: &Context) -> Option<String> {
    let home = context.surroundings.env.get(OsStr::new("CODEX_HOME")).map(PathBuf::from);
    let file = home.or_else(|| context.surroundings.in_home("~/.codex"))?.join("config.toml");
    let entries = parse_toml(&std::fs::read_to_string(&file).ok()?, &file).ok()?;
    let of =
        |entries: &[Entry], key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.node.clone());
    let table = |node: Node| if let Value::Table(entries) = node.value { Some(entries) } else { None };
    let text = |node: Node| if let Value::Text(text) = node.value { Some(text) } else { None };
    let provider = text(of(&entries, "model_provider")?)?;
    let provider = table(of(&table(of(&entries, "model_providers")?)?, &provider)?)?;
    text(of(&provider, "env_key")?)
}

/// The first line that an agent prints for `--version`.
async fn version(context: &Context, path: &Path) -> Result<String, String> {
    let mut command = Command::new(path);
    command.arg("--version").current_dir(&context.surroundings.folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(VERSION_TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("it cannot be started: {error}")),
        Err(_) => return Err(format!("it has not told its version for {} s", VERSION_TIMEOUT.as_secs())),
    };
    if !output.status.success() {
        return Err(format!("--version ended with {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it tells no version");
    Ok(harmless(line).chars().take(80).collect())
}
