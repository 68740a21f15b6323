//! Words in braces in the commands of agents, and what comes in their places.

use gadugi_core::agent::{Argument, Piece as Filled};
use gadugi_core::plan::SourceLocation;

use crate::parse::fields::Fields;
use crate::parse::{ValueIssue, closest};

/// An argument of its own that stands for the arguments of an agent's surroundings, model and budget.
pub(crate) const OPTIONS: &str = "{options}";

/// The values of the placeholders for [`fill`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placeholders<'a> {
    /// For `{task}`: the task's id.
    pub(crate) task: &'a str,
    /// For `{title}`.
    pub(crate) title: &'a str,
    /// For `{prompt_file}`.
    pub(crate) prompt_file: &'a str,
    /// For `{options}`.
    pub(crate) options: &'a [Argument],
}

const NAMES: [&str; 6] = ["prompt_file", "prompt", "title", "task", "options", "session"];

/// A command with its placeholders replaced. What is put in their place is not looked at again.
pub(crate) fn fill(command: &[String], values: Placeholders<'_>) -> Vec<Argument> {
    let fill = |argument: &String| {
        if argument == OPTIONS {
            return values.options.to_vec();
        }
        let filled = pieces(argument).map(|piece| match piece {
            Piece::Text(text) => Filled::Text(text.to_owned()),
            Piece::Braces("{prompt_file}") => Filled::Text(values.prompt_file.to_owned()),
            Piece::Braces("{prompt}") => Filled::Prompt,
            Piece::Braces("{session}") => Filled::Session,
            Piece::Braces("{title}") => Filled::Text(values.title.to_owned()),
            Piece::Braces("{task}") => Filled::Text(values.task.to_owned()),
            Piece::Braces(other) => Filled::Text(other.to_owned()),
        });
        vec![Argument(filled.collect())]
    };
    command.iter().flat_map(fill).collect()
}

/// Whether a placeholder stands somewhere in a command.
pub(crate) fn mentions(command: &[String], placeholder: &str) -> bool {
    command
        .iter()
        .flat_map(|argument| pieces(argument))
        .any(|piece| matches!(piece, Piece::Braces(braces) if braces[1..].strip_suffix('}') == Some(placeholder)))
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

/// Notes words in braces that look like a placeholder with a slip in it, and `{options}` as a part of an argument. Other
/// words are the agent's own.
pub(crate) fn check(fields: &mut Fields<'_, '_>, key: &str, argument: &str, at: &SourceLocation) {
    for piece in pieces(argument) {
        let Piece::Braces(braces) = piece else { continue };
        let name = &braces[1..braces.len() - 1];
        if braces == OPTIONS && argument != OPTIONS {
            fields.note_value(key, at.clone(), ValueIssue::OptionsInArgument);
        } else if let Some(suggestion) = closest(name, NAMES).filter(|known| *known != name) {
            fields.note_value(key, at.clone(), ValueIssue::Placeholder { name: name.to_owned(), suggestion });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once_and_other_braces_stay() {
        let command = [
            "a",
            "-t={title}/{task}",
            "{prompt_file}",
            "{}",
            "{\"x\":{task}}",
            "{other}",
            "{",
            "{{task}",
            OPTIONS,
            "-",
        ];
        let command = command.map(str::to_owned).to_vec();
        let options = ["-m", "{task}"].map(Argument::text);
        let values = Placeholders { task: "fix", title: "{prompt} é", prompt_file: "/p", options: &options };
        let filled: Vec<String> =
            fill(&command, values).iter().map(|argument| argument.fill("no", "no", "no")).collect();
        let expected =
            ["a", "-t={prompt} é/fix", "/p", "{}", "{\"x\":fix}", "{other}", "{", "{fix", "-m", "{task}", "-"];
        assert_eq!(filled, expected);
        assert!(mentions(&command, "title") && mentions(&command, "prompt_file") && mentions(&command, "options"));
        assert!(!mentions(&command, "prompt"));
    }
}
