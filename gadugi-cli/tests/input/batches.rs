//! Files with many tasks.

use gadugi_core::plan::Program;
use insta::assert_snapshot;

use crate::fixture::Folder;

const AGENT: &str = "[agents.a]\ncommand = ['a']\n";

#[test]
fn a_batch_holds_tasks_with_the_keys_of_task_files() {
    let mut folder = Folder::configured(AGENT);
    folder.set("API_KEY", "");
    folder.write("prompts/login.md", "# The login\n\nFix it.\n");
    folder.write(
        "batch.toml",
        r#"
[[task]]
id = "models"
run = """
make
"""
env = { RUST_LOG = "debug" }
secrets = ["API_KEY"]
cpus = 2

[[task]]
title = "Fix the Login"
agent = "a"
prompt_file = "prompts/login.md"
needs = [
  "models",
]

[[task]]
agent = "a"
prompt = "Do it."

[[task]]
agent = "a"
prompt_file = "prompts/login.md"
"#,
    );
    let tasks = folder.read(&["batch.toml"]);
    let shown: Vec<_> = tasks
        .iter()
        .map(|task| {
            let needs: Vec<_> = task.needs.iter().map(|(need, at)| format!("{need} ({at})")).collect();
            let spec = &task.spec;
            let prompt = spec.action.agent.as_ref().map(|agent| &agent.prompt);
            format!("{} | {} | {} | {prompt:?} | {needs:?}", spec.id, spec.title, spec.source)
        })
        .collect();
    assert_snapshot!(shown.join("\n"), @r##"
    models | models | batch.toml:3 | None | []
    fix-the-login | Fix the Login | batch.toml:11 | Some("# The login\n\nFix it.") | ["models (batch.toml:16)"]
    batch-3 | Do it. | batch.toml:19 | Some("Do it.") | []
    login | The login | batch.toml:23 | Some("# The login\n\nFix it.") | []
    "##);
    assert_eq!(tasks[0].spec.action.program, Program::Script("make\n".into()));
    assert_eq!(
        (tasks[0].spec.env["RUST_LOG"].as_str(), &tasks[0].spec.secrets[..]),
        ("debug", &["API_KEY".to_owned()][..])
    );
    assert_eq!(tasks[0].spec.resources.cpus, Some(2.0));
}

#[test]
fn what_is_wrong_in_a_batch_is_told_with_its_lines() {
    let folder = Folder::configured(AGENT);
    folder.write(
        "batch.toml",
        r#"jobs = 4

[[task]]
id = "x y"
run = 3

[[task]]
titel = "x"

[[task]]
title = "Nothing to do"

[[task]]
agent = "a"

[[task]]
agent = "a"
prompt = "x"
prompt_file = "y.md"

[[task]]
run = "x"
prompt = "y"

[[task]]
agent = "a"
prompt_file = "missing.md"

[[task]]
run = "x"
id = "same"
env = { PORT = 8080 }
"#,
    );
    assert_snapshot!(folder.errors(&["batch.toml"]), @r#"
    error: batch.toml:1: unknown key `jobs`
     hint: the keys are task
    error: batch.toml:4: `id`: `x y` is not a valid task id: only a-z, 0-9, `.`, `_` and `-` are allowed
     hint: write for example `x-y`
    error: batch.toml:5: `run` must be a text, not the number 3
     hint: write for example "cargo fmt"
    error: batch.toml:8: unknown key `titel` (did you mean `title`?)
     hint: write `title`, or remove it
    error: batch.toml:10: the task does not say what it runs, there is no default agent, and none is installed that gadugi knows
     hint: say `run:` (a shell script), `command:` (a program and its arguments) or `agent:` in its front matter, between two lines `---` at its top; or name a default agent by --agent NAME, or by `agent = "NAME"` in gadugi.toml
    error: batch.toml:13: there is no text for the agent `a`
     hint: write what it is to do below the front matter
    error: batch.toml:19: `prompt` and `prompt_file` exclude each other
     hint: keep one of them
    error: batch.toml:23: `run` and `prompt` exclude each other
     hint: keep one of them
    error: batch.toml:27: `prompt_file`: missing.md: cannot be read: No such file or directory (os error 2)
     hint: check the path, or leave it out
    error: batch.toml:32: `env.PORT` must be a text, not the number 8080
     hint: write for example "a text in quotes"
    "#);
}

#[test]
fn what_is_no_batch_is_told() {
    let folder = Folder::new();
    folder.write("a-none.toml", "# nothing\n");
    folder.write("b-table.toml", "[task]\nrun = 'x'\n");
    folder.write("c-list.toml", "task = ['x']\n");
    folder.write("d-tasks.toml", "[[tasks]]\nrun = 'x'\n");
    folder.write("e-syntax.toml", "[[task]]\nrun = x\nid 4\n");
    assert_snapshot!(folder.errors(&["*.toml"]), @r#"
    error: a-none.toml: has no [[task]]
     hint: write a table [[task]] for each task
    error: b-table.toml:1: `task` must be a list of tables, not a table
     hint: write for example [[task]]
    error: c-list.toml:1: `task` must be a list of tables, not the text `x`
     hint: write for example [[task]]
    error: d-tasks.toml:1: unknown key `tasks` (did you mean `task`?)
     hint: write `task`, or remove it
    error: e-syntax.toml:2: this is not valid TOML: string values must be quoted, expected literal string
     hint: write one `key = value` a line, with texts in "quotes"
    error: e-syntax.toml:3: this is not valid TOML: key with no value, expected `=`
     hint: write one `key = value` a line, with texts in "quotes"
    "#);
}
