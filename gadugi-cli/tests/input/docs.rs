//! The pages for users are true. Their tables of settings are written by
//! `GADUGI_BLESS=1 cargo test -p gadugi-cli --test input docs::`.

use std::fs;

use gadugi_cli::config::{AGENT_KEYS, CONFIG_KEYS, Config, DOCKER_KEYS, MERGE_KEYS, Setting};
use gadugi_cli::input::{BATCH_KEYS, TASK_KEYS};

use crate::fixture::Folder;

fn path(page: &str) -> String {
    format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A table of a page: the comment that stands before it, the names of its columns, and its rows.
struct Table<'a> {
    mark: &'a str,
    columns: &'a [&'a str],
    rows: Vec<Vec<String>>,
}

impl Table<'_> {
    fn text(&self) -> String {
        let row = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.columns.len()));
        let rows = self.rows.iter().map(|cells| row(cells.iter().map(String::as_str).collect()));
        [row(self.columns.to_vec()), rule].into_iter().chain(rows).collect()
    }
}

/// Compares the tables of a page with those of the settings, or writes them.
fn check(page_name: &str, tables: &[Table<'_>]) {
    let mut page = page(page_name);
    for table in tables {
        let mark = format!("<!-- settings: {} -->\n", table.mark);
        let start = page.find(&mark).unwrap_or_else(|| panic!("{page_name} has no line {mark}")) + mark.len();
        let old: String = page[start..].split_inclusive('\n').take_while(|line| line.starts_with('|')).collect();
        if std::env::var_os("GADUGI_BLESS").is_some() {
            page.replace_range(start..start + old.len(), &table.text());
            fs::write(path(page_name), &page).expect("the page can be written");
        } else {
            assert_eq!(old, table.text(), "{page_name}: GADUGI_BLESS=1 writes this table");
        }
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn default(setting: &Setting) -> String {
    let without = || setting.without.unwrap_or("not set").to_owned();
    setting.default.map_or_else(without, code)
}

fn about(setting: &Setting) -> String {
    let lines: Vec<&str> = setting.about.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

#[test]
fn the_page_on_configuration_lists_every_key_with_its_default_and_variable() {
    let config = |setting: &Setting| {
        let flag = setting.flag.map(|flag| format!(" Flag `{flag}`.")).unwrap_or_default();
        let about = about(setting) + &flag;
        vec![code(setting.name), setting.kind.to_owned(), default(setting), code(&setting.variable()), about]
    };
    let of_table =
        |setting: &Setting| vec![code(setting.name), setting.kind.to_owned(), default(setting), about(setting)];
    let columns = ["Key", "Type", "Default", "What it is"];
    check(
        "configuration.md",
        &[
            Table {
                mark: "gadugi.toml",
                columns: &["Key", "Type", "Default", "Variable", "What it is"],
                rows: CONFIG_KEYS.iter().map(config).collect(),
            },
            Table { mark: "[agents.NAME]", columns: &columns, rows: AGENT_KEYS.iter().map(of_table).collect() },
            Table { mark: "[docker]", columns: &columns, rows: DOCKER_KEYS.iter().map(of_table).collect() },
            Table { mark: "[merge]", columns: &columns, rows: MERGE_KEYS.iter().map(of_table).collect() },
        ],
    );
}

/// The code blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(opening.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap_or(rest)).collect()
}

#[test]
fn the_examples_on_configuration_are_valid() {
    let page = page("configuration.md");
    let examples = blocks(&page, "toml");
    assert_eq!(examples.len(), 5);
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
    // Texts need no quotes in YAML.
    let row = |setting: &Setting| {
        let default = setting.task.map_or_else(|| default(setting), str::to_owned);
        vec![code(setting.name), setting.kind.replace('"', ""), default, about(setting)]
    };
    let columns = ["Key", "Type", "Default", "What it is"];
    check(
        "task-files.md",
        &[
            Table { mark: "task", columns: &columns, rows: TASK_KEYS.iter().map(row).collect() },
            Table { mark: "[[task]]", columns: &columns, rows: BATCH_KEYS.iter().map(row).collect() },
        ],
    );
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
    for key in TASK_KEYS.iter().map(|setting| setting.name).filter(|key| !["run", "agent"].contains(key)) {
        assert!(everything.contains(&key), "{key} is missing from the example with everything");
    }
    for example in blocks(&page, "toml") {
        folder.write("batch.toml", example);
        assert_eq!(folder.ids(&["batch.toml"]), ["add-models", "fix-the-login"]);
    }
}
