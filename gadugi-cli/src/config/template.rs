//! The file that `gadugi init` writes.

use std::fmt::Write;

use crate::config::docker::DOCKER_KEYS;
use crate::config::keys::CONFIG_KEYS;
use crate::config::merge::MERGE_KEYS;
use crate::config::setting::Setting;

const HEAD: &str = "\
# Settings of gadugi for this repository. Every line that begins with `#` and a key shows a default:
# remove the `#` to change it. Later wins: this file, your own configuration, GADUGI_* variables, flags.
";

const AGENTS: &str = "
# Agents, by name. claude, codex, gemini, opencode, qwen, aider and shell are known; a table of such a name changes
# what it says, and one of another name makes a new agent. `command` is a program with its arguments, in which
# {title}, {task}, {prompt}, {prompt_file} and {options} are replaced. `prompt` says how it gets the text of the
# task: \"stdin\" (the default), \"file\" or \"argument\". `env` names variables that it may see. Example:
#
#   [agents.claude]
#   model = \"opus\"
#
#   [agents.mine]
#   command = [\"my-agent\", \"--yes\"]
#   env = [\"MY_AGENT_KEY\"]
";

const DOCKER: &str = "
# How containers are kept from this machine. These lines belong to the table: keys of the above stand above.
[docker]
";

const MERGE: &str = "
# How `gadugi merge` brings the work of tasks into your branch. These lines belong to the table, too.
[merge]
";

/// A `gadugi.toml` in which everything is commented out but the name of an image, where there is one that
/// `gadugi image build` builds. `left_out` are patterns of files for agents that git ignores, which are offered. A line `#key = value` shows a default, so that removing each `#` that a letter follows
/// changes nothing; a line `# text` is an explanation.
#[must_use]
pub fn template(image: Option<&str>, left_out: &[String]) -> String {
    let mut text = HEAD.to_owned();
    for key in CONFIG_KEYS {
        match image.filter(|_| key.name == "image") {
            Some(image) => {
                push_about(&mut text, key);
                push_line(&mut text, format_args!("# `gadugi image build` builds it from .gadugi/Dockerfile."));
                push_line(&mut text, format_args!("image = \"{image}\""));
            }
            None => push_key(&mut text, key),
        }
        if key.name == "seed" && !left_out.is_empty() {
            push_line(&mut text, format_args!("# Agents read these files, which git ignores here. To copy them:"));
            push_line(&mut text, format_args!("# {}", seed_line(left_out)));
        }
    }
    text.push_str(AGENTS);
    text.push_str(DOCKER);
    DOCKER_KEYS.iter().for_each(|key| push_key(&mut text, key));
    text.push_str(MERGE);
    MERGE_KEYS.iter().for_each(|key| push_key(&mut text, key));
    text
}

/// The line of the configuration that names files to copy.
pub(crate) fn seed_line(patterns: &[String]) -> String {
    let patterns: Vec<String> = patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect();
    format!("seed = [{}]", patterns.join(", "))
}

fn push_key(text: &mut String, key: &Setting) {
    push_about(text, key);
    match key.default {
        Some(default) => push_line(text, format_args!("#{} = {default}", key.name)),
        None => push_line(text, format_args!("# Not set. Example: {} = {}", key.name, key.example)),
    }
}

fn push_about(text: &mut String, key: &Setting) {
    text.push('\n');
    for line in key.about.iter().take_while(|line| !line.is_empty()) {
        push_line(text, format_args!("#{line}"));
    }
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("cannot fail because a String takes any text");
}
