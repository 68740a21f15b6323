//! The file that `gadugi init` writes.

use std::fmt::Write;

use crate::config::keys::CONFIG_KEYS;

const HEAD: &str = "\
# Settings of gadugi for this repository. Every line that begins with `#` and a key shows a default:
# remove the `#` to change it. Later wins: this file, your own configuration, GADUGI_* variables, flags.
";

const AGENTS: &str = "
# Agents, by name. `command` is a program with its arguments, in which {title}, {task}, {prompt} and
# {prompt_file} are replaced. `prompt` says how it gets the text of the task: \"stdin\" (the default),
# \"file\" or \"argument\". `env` names variables that it may see. Example:
#
#   [agents.claude]
#   command = [\"claude\", \"-p\"]
#   prompt = \"stdin\"
#   env = [\"ANTHROPIC_API_KEY\"]
";

/// A `gadugi.toml` in which everything is commented out. A line `#key = value` shows a default, so that
/// removing each `#` that a letter follows changes nothing; a line `# text` is an explanation.
#[must_use]
pub fn template() -> String {
    let mut text = HEAD.to_owned();
    for key in CONFIG_KEYS {
        text.push('\n');
        for line in key.about {
            push_line(&mut text, format_args!("# {line}"));
        }
        match key.default {
            Some(default) => push_line(&mut text, format_args!("#{} = {default}", key.name)),
            None => push_line(&mut text, format_args!("# Not set. Example: {} = {}", key.name, key.example)),
        }
    }
    text + AGENTS
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("cannot fail because a String takes any text");
}
