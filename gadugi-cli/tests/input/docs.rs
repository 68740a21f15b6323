//! The pages for users are true.

use std::fs;

use gadugi_cli::config::{AGENT_KEYS, CONFIG_KEYS, Config, DOCKER_KEYS};
use gadugi_cli::input::{BATCH_KEYS, TASK_KEYS};

use crate::fixture::Folder;

fn page(name: &str) -> String {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of the rows of all tables, without the row's outer bars.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    rows.map(|row| row.split(" | ").map(str::trim).collect()).collect()
}

/// The code blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(opening.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap_or(rest)).collect()
}

#[test]
fn the_page_on_configuration_lists_every_key_with_its_default_and_variable() {
    let page = page("configuration.md");
    let rows = rows(&page);
    let listed: Vec<_> = rows.iter().filter(|row| row.len() == 5).skip(1).collect();
    assert_eq!(listed.len(), CONFIG_KEYS.len());
    for (row, key) in listed.iter().zip(CONFIG_KEYS) {
        let default = key.default.map_or("not set".to_owned(), |default| format!("`{default}`"));
        assert_eq!(row[0], format!("`{}`", key.name));
        assert_eq!((row[2], row[3]), (default.as_str(), format!("`{}`", key.variable()).as_str()));
    }
    let of_tables: Vec<_> = rows.iter().filter(|row| row.len() == 4 && row[0] != "Key").collect();
    let (agents, docker) = of_tables.split_at(AGENT_KEYS.len());
    assert_eq!(docker.len(), DOCKER_KEYS.len());
    for (row, key) in docker.iter().zip(DOCKER_KEYS) {
        let default = key.default.map_or("not set".to_owned(), |default| format!("`{default}`"));
        assert_eq!((row[0], row[2]), (format!("`{}`", key.name).as_str(), default.as_str()));
    }
    let agents: Vec<&str> = agents.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(agents, AGENT_KEYS);
}

#[test]
fn the_examples_on_configuration_are_valid() {
    let page = page("configuration.md");
    let examples = blocks(&page, "toml");
    assert_eq!(examples.len(), 4);
    for example in examples {
        assert_ne!(Folder::configured(example).config, Config::default());
    }
}

#[test]
fn the_page_on_agents_names_all_that_are_known_and_its_examples_are_valid() {
    let page = page("agents.md");
    for (name, profile) in Config::default().agents {
        assert!(page.contains(&format!("| `{name}`")), "{name}");
        let flags = profile.host_args.iter().flatten().chain(&profile.isolated_args);
        for flag in flags.filter(|flag| flag.starts_with('-')) {
            assert!(page.contains(flag.as_str()), "{name}: {flag}");
        }
    }
    let examples = blocks(&page, "toml");
    assert_eq!(examples.len(), 2);
    let robin = &Folder::configured(examples[0]).config.agents["robin"];
    assert_eq!(robin.host_args.as_deref(), Some(&["--edits-only".to_owned()][..]));
    let wren = &Folder::configured(examples[1]).config.agents["wren"];
    assert_eq!((wren.model.as_deref(), &wren.command), (Some("small"), &robin.command));
}

#[test]
fn the_page_on_task_files_lists_every_key() {
    let page = page("task-files.md");
    let rows = rows(&page);
    let listed: Vec<&str> = rows.iter().filter(|row| row.len() == 4 && row[0] != "Key").map(|row| row[0]).collect();
    let keys: Vec<String> = TASK_KEYS.iter().chain(BATCH_KEYS).map(|key| format!("`{key}`")).collect();
    assert_eq!(listed, keys);
}

#[test]
fn the_examples_on_task_files_are_valid() {
    let page = page("task-files.md");
    let mut folder = Folder::configured("[agents.claude]\ncommand = ['claude', '-p']\n");
    folder.set("API_KEY", "");
    let examples = blocks(&page, "markdown");
    assert_eq!(examples.len(), 3);
    for example in &examples {
        folder.write("task.md", example);
        folder.task("task.md");
    }
    let everything: Vec<&str> =
        examples[2].lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key).collect();
    for key in TASK_KEYS.iter().filter(|key| !["run", "agent"].contains(key)) {
        assert!(everything.contains(key), "{key} is missing from the example with everything");
    }
    for example in blocks(&page, "toml") {
        folder.write("batch.toml", example);
        assert_eq!(folder.ids(&["batch.toml"]), ["add-models", "fix-the-login"]);
    }
}
