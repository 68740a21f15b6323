//! Agents: how the text of a task becomes a command.

use gadugi_core::{Argument, Piece as Filled, SourceLocation};

use crate::config::document::Entry;
use crate::config::fields::Fields;
use crate::config::key_issue::{ValueIssue, closest, shown};
use crate::config::keys::AGENT_KEYS;

/// How an agent is given the text of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PromptMode {
    /// On its standard input.
    #[default]
    Stdin,
    /// By a path that stands for `{prompt_file}` in its command.
    File,
    /// As an argument: where `{prompt}` stands in its command, else as the last one.
    Argument,
}

/// How one agent is started: a table `[agents.NAME]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProfile {
    /// The program and its arguments, with placeholders. Never empty.
    pub command: Vec<String>,
    /// How it is given the text of a task.
    pub prompt: PromptMode,
    /// The container image for its tasks that name none; the configured one where it is `None`.
    pub image: Option<String>,
    /// Names of variables that it gets from the environment of gadugi, where they are set.
    pub env: Vec<String>,
}

/// What [`AgentProfile::fill`] puts in the place of the placeholders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placeholders<'a> {
    /// For `{task}`: the task's id.
    pub(crate) task: &'a str,
    /// For `{title}`.
    pub(crate) title: &'a str,
    /// For `{prompt_file}`.
    pub(crate) prompt_file: &'a str,
}

const PLACEHOLDERS: [&str; 4] = ["prompt_file", "prompt", "title", "task"];

impl AgentProfile {
    /// The command with its placeholders replaced. What is put in their place is not looked at again.
    pub(crate) fn fill(&self, values: Placeholders<'_>) -> Vec<Argument> {
        let fill = |argument: &String| {
            let filled = pieces(argument).map(|piece| match piece {
                Piece::Text(text) => Filled::Text(text.to_owned()),
                Piece::Braces("{prompt_file}") => Filled::Text(values.prompt_file.to_owned()),
                Piece::Braces("{prompt}") => Filled::Prompt,
                Piece::Braces("{title}") => Filled::Text(values.title.to_owned()),
                Piece::Braces("{task}") => Filled::Text(values.task.to_owned()),
                Piece::Braces(other) => Filled::Text(other.to_owned()),
            });
            Argument(filled.collect())
        };
        self.command.iter().map(fill).collect()
    }

    /// Why the prompt would not come where the command expects it.
    fn prompt_issue(&self) -> Option<ValueIssue> {
        let misplaced = |placeholder, mode| Some(ValueIssue::PromptPlaceholder { placeholder, mode });
        match self.prompt {
            PromptMode::Stdin if self.mentions("prompt") => misplaced("prompt", "stdin"),
            PromptMode::File if self.mentions("prompt") => misplaced("prompt", "file"),
            PromptMode::File if !self.mentions("prompt_file") => Some(ValueIssue::NoPromptFile),
            PromptMode::Argument if self.mentions("prompt_file") => misplaced("prompt_file", "argument"),
            _ => None,
        }
    }

    /// Whether a placeholder stands somewhere in the command.
    pub(crate) fn mentions(&self, placeholder: &str) -> bool {
        self.command
            .iter()
            .flat_map(|argument| pieces(argument))
            .any(|piece| matches!(piece, Piece::Braces(braces) if braces[1..].strip_suffix('}') == Some(placeholder)))
    }
}

/// A part of an argument: a word in braces, or what is between those.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Braces(&'a str),
}

/// Cuts an argument into words in braces, such as `{title}`, and the rest. Other braces are just text.
fn pieces(argument: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = argument;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let piece = match next_braces(rest) {
            Some((0, end)) => Piece::Braces(&rest[..end]),
            Some((start, _)) => Piece::Text(&rest[..start]),
            None => Piece::Text(rest),
        };
        let (Piece::Text(text) | Piece::Braces(text)) = piece;
        rest = &rest[text.len()..];
        Some(piece)
    })
}

/// The first `{word}` in a text: where it begins and where it ends.
fn next_braces(text: &str) -> Option<(usize, usize)> {
    text.match_indices('{').find_map(|(start, _)| {
        let inside = &text[start + 1..];
        let letters = inside.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
        (letters > 0 && inside[letters..].starts_with('}')).then_some((start, start + letters + 2))
    })
}

const MODE_WORDS: &[&str] = &["stdin", "file", "argument"];
const COMMAND: &str = "[\"program\", \"argument\"]";

/// Reads a table `[agents.NAME]`; `None`, with a note, if it has no usable command.
pub(crate) fn read_profile<'a>(agents: &mut Fields<'a, '_>, entry: &'a Entry) -> Option<(String, AgentProfile)> {
    let name = &entry.key;
    if !valid_name(name) {
        let at = agents.at_key(name);
        agents.note_value("agents", at, ValueIssue::AgentName { name: shown(name) });
        return None;
    }
    let table = agents.table(name, "[agents.NAME] with a line command = [\"program\"]")?;
    let mut fields = agents.nested(entry.line, table).only(AGENT_KEYS);
    let command = fields.texts("command", COMMAND);
    if !fields.has("command") {
        fields.note_missing("command", COMMAND);
    }
    let modes = [PromptMode::Stdin, PromptMode::File, PromptMode::Argument];
    let prompt = fields.word("prompt", MODE_WORDS, &modes).unwrap_or_default();
    let image = fields.text("image", "\"ubuntu:24.04\"").map(|image| image.value);
    let env = fields.variables("env", "[\"API_KEY\"]").unwrap_or_default();
    let command = command?;
    let at = command.first().map_or_else(|| fields.at_key("command"), |program| program.at.clone());
    if command.first().is_none_or(|program| program.value.trim().is_empty()) {
        fields.note_value("command", at, ValueIssue::Blank);
        return None;
    }
    for argument in &command {
        check_placeholders(&mut fields, &argument.value, &argument.at);
    }
    let profile = AgentProfile {
        command: command.into_iter().map(|argument| argument.value).collect(),
        prompt,
        image,
        env: env.into_iter().map(|name| name.value).collect(),
    };
    if let Some(issue) = profile.prompt_issue() {
        fields.note_value("command", at, issue);
    }
    Some((name.clone(), profile))
}

fn valid_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Notes words in braces that look like a placeholder with a slip in it. Others are the agent's own.
fn check_placeholders(fields: &mut Fields<'_, '_>, argument: &str, at: &SourceLocation) {
    for piece in pieces(argument) {
        let Piece::Braces(braces) = piece else { continue };
        let name = &braces[1..braces.len() - 1];
        if let Some(suggestion) = closest(name, PLACEHOLDERS).filter(|known| *known != name) {
            fields.note_value("command", at.clone(), ValueIssue::Placeholder { name: name.to_owned(), suggestion });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once_and_other_braces_stay() {
        let command = ["a", "-t={title}/{task}", "{prompt_file}", "{}", "{\"x\":{task}}", "{other}", "{", "{{task}"];
        let command = command.map(str::to_owned).to_vec();
        let profile = AgentProfile { command, prompt: PromptMode::Stdin, image: None, env: Vec::new() };
        let values = Placeholders { task: "fix", title: "{prompt} é", prompt_file: "/p" };
        let filled: Vec<String> = profile.fill(values).iter().map(|argument| argument.fill("no", "no")).collect();
        assert_eq!(filled, ["a", "-t={prompt} é/fix", "/p", "{}", "{\"x\":fix}", "{other}", "{", "{fix"]);
        assert!(profile.mentions("title") && profile.mentions("prompt_file"));
        assert!(!profile.mentions("prompt"));
    }
}
