use std::time::Duration;

use gadugi_core::Plan;
use gadugi_core::plan::{Program, RetryFrom, Setup};
use insta::{assert_debug_snapshot, assert_snapshot};

use crate::fixture::{Folder, called};

const AGENTS: &str = r#"
agent = "claude"
[agents.claude]
command = ["claude", "-p", "--name={task}: {title}"]
env = ["CLAUDE_KEY", "NOT_SET"]
[agents.aider]
command = ["aider", "--message-file", "{prompt_file}"]
prompt = "file"
[agents.echo]
command = ["echo", "--"]
prompt = "argument"
[agents.quote]
command = ["sh", "-c", "echo '{prompt}'"]
prompt = "argument"
"#;

#[test]
fn a_task_file_can_say_everything() {
    let mut folder = Folder::with(
        "tasks/login.md",
        r#"---
id: fix-login             # a comment
title: "Fix: the login"
needs: [add-models, add-routes]
touches: ["src/auth/**", tests]
run: |
  cargo fmt
  echo done
setup: make deps
setup_timeout: 5m
check: cargo test -p auth
executor: docker
image: rust:1.90
timeout: 1h30m
idle_timeout: 10m
grace: 30s
retries: 2
retry_delay: 30s
retry_from: previous
memory: 2GiB
cpus: 1.5
env:
  RUST_LOG: debug
  PORT: 8080
  RATIO: 1.10
  ON: true
secrets: [API_KEY]
priority: -3
---
# Another title

Documentation.
"#,
    );
    folder.set("API_KEY", "not looked at");
    assert_debug_snapshot!(folder.task("tasks/login.md"), @r#"
    RawTask {
        spec: TaskSpec {
            id: TaskId(
                "fix-login",
            ),
            title: "Fix: the login",
            source: SourceLocation {
                file: "tasks/login.md",
                line: 2,
            },
            action: Action {
                program: Script(
                    "cargo fmt\necho done\n",
                ),
                stdin: None,
                agent: None,
            },
            setup: Some(
                Setup {
                    script: "make deps",
                    timeout: Some(
                        300s,
                    ),
                },
            ),
            check: Some(
                "cargo test -p auth",
            ),
            changes: Optional,
            commit_subject: SubjectTemplate(
                "{title}",
            ),
            origin: Origin {
                base: None,
                tips: [],
                done: [],
                earlier: None,
            },
            touches: [
                TouchPattern(
                    "src/auth/**",
                ),
                TouchPattern(
                    "tests",
                ),
            ],
            executor: Some(
                "docker",
            ),
            limits: Limits {
                timeout: Some(
                    5400s,
                ),
                idle_timeout: Some(
                    600s,
                ),
                grace: 30s,
            },
            retries: 2,
            retry_delay: 30s,
            retry_from: Previous,
            env: {
                "ON": "true",
                "PORT": "8080",
                "RATIO": "1.10",
                "RUST_LOG": "debug",
            },
            secrets: [
                "API_KEY",
            ],
            priority: -3,
            resources: Resources {
                image: Some(
                    "rust:1.90",
                ),
                memory: Some(
                    2147483648,
                ),
                cpus: Some(
                    1.5,
                ),
            },
        },
        needs: [
            (
                "add-models",
                SourceLocation {
                    file: "tasks/login.md",
                    line: 4,
                },
            ),
            (
                "add-routes",
                SourceLocation {
                    file: "tasks/login.md",
                    line: 4,
                },
            ),
        ],
    }
    "#);
}

#[test]
fn settings_fill_what_a_task_leaves_open() {
    let folder = Folder::configured(
        "timeout = '1h'\nidle_timeout = '5m'\ngrace = '3s'\nretries = 4\nretry_delay = '2m'\nretry_from = 'previous'\nimage = 'alpine'\n",
    );
    folder.write("a.md", "---\nrun: 'true'\n---\n");
    folder.write(
        "b.md",
        "---\nrun: 'true'\ntimeout: none\nidle_timeout: 1s\ngrace: 0s\nretries: 0\nretry_delay: 0s\nretry_from: base\nimage: debian\n---\n",
    );
    let task = folder.task("a.md").spec;
    assert_eq!(
        (task.limits.timeout, task.limits.idle_timeout),
        (Some(Duration::from_secs(3600)), Some(Duration::from_secs(300)))
    );
    assert_eq!(
        (task.limits.grace, task.retries, task.resources.image.as_deref()),
        (Duration::from_secs(3), 4, Some("alpine"))
    );
    assert_eq!((task.retry_delay, task.retry_from), (Duration::from_secs(120), RetryFrom::Previous));
    let task = folder.task("b.md").spec;
    assert_eq!((task.limits.timeout, task.limits.idle_timeout), (None, Some(Duration::from_secs(1))));
    assert_eq!((task.limits.grace, task.retries, task.resources.image.as_deref()), (Duration::ZERO, 0, Some("debian")));
    assert_eq!((task.retry_delay, task.retry_from), (Duration::ZERO, RetryFrom::Base));
}

#[test]
fn the_image_is_that_of_the_task_else_of_its_agent_else_the_configured_one() {
    let folder = Folder::configured(
        "image = 'alpine'\n[agents.own]\ncommand = ['x']\nimage = 'node'\n[agents.plain]\ncommand = ['x']\n",
    );
    let image = |front_matter: &str| {
        folder.write("t.md", format!("---\n{front_matter}\n---\nText\n"));
        folder.task("t.md").spec.resources.image
    };
    assert_eq!(image("agent: own\nimage: debian").as_deref(), Some("debian"));
    assert_eq!(image("agent: own").as_deref(), Some("node"));
    assert_eq!(image("agent: plain").as_deref(), Some("alpine"));
    assert_eq!(image("run: 'true'").as_deref(), Some("alpine"));
}

#[test]
fn a_plain_prompt_file_runs_as_it_is() {
    let mut folder = Folder::configured(AGENTS);
    folder.set("CLAUDE_KEY", "not looked at");
    folder.write("Fix the Login!.md", "\n\nSome words.\n\n## Fix the *login* ##\n\n    code\n\n");
    let task = folder.task("Fix the Login!.md").spec;
    assert_eq!(task.id.as_str(), "fix-the-login");
    assert_eq!(task.title, "Fix the *login*");
    let (command, stdin) = called(&task.action);
    assert_eq!(command, ["claude", "-p", "--name=fix-the-login: Fix the *login*"]);
    assert_eq!(stdin.as_deref(), Some("Some words.\n\n## Fix the *login* ##\n\n    code\n"));
    assert_eq!(task.action.agent.map(|agent| agent.name).as_deref(), Some("claude"));
    assert_eq!(task.secrets, ["CLAUDE_KEY"]);
    assert_eq!(task.source.to_string(), "Fix the Login!.md");
}

#[test]
fn an_agent_gets_its_prompt_as_its_profile_says() {
    let folder = Folder::configured(AGENTS);
    let action = |agent: &str| {
        folder.write("task.md", format!("---\nagent: {agent}\n---\nIt's {{title}}.\n"));
        called(&folder.task("task.md").spec.action)
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        action("aider"),
        (words(&["aider", "--message-file", "/dev/stdin"]), Some("It's {title}.\n".to_owned()))
    );
    assert_eq!(action("echo"), (words(&["echo", "--", "It's {title}."]), None));
    assert_eq!(action("quote"), (words(&["sh", "-c", "echo 'It's {title}.'"]), None));
}

/// The path that stands for `{prompt_file}` is no file of ours; a real process must be able to read it.
#[cfg(unix)]
#[test]
fn an_agent_can_read_its_prompt_from_the_path_of_its_file() {
    use std::io::Write;
    use std::process::{Command, Stdio};

    let folder = Folder::configured("agent = 'x'\n[agents.x]\ncommand = ['cat', '{prompt_file}']\nprompt = 'file'\n");
    let text = "é\n".repeat(100_000);
    folder.write("task.md", &text);
    let (command, stdin) = called(&folder.task("task.md").spec.action);
    let mut child =
        Command::new(&command[0]).args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(stdin.unwrap().as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == text.into_bytes());
}

#[test]
fn an_agent_gets_its_own_variables_unless_the_task_sets_them() {
    let mut folder = Folder::configured("agent = 'x'\n[agents.x]\ncommand = ['x']\nenv = ['A', 'B', 'NOT_SET']\n");
    folder.set("A", "");
    folder.set("B", "");
    folder.write("t.md", "---\nenv: {A: own}\nsecrets: [B]\n---\nText\n");
    assert_eq!(folder.task("t.md").spec.secrets, ["B"]);
}

#[test]
fn a_run_task_needs_neither_text_nor_agent() {
    let folder = Folder::with("t.md", "---\nrun: |\n  a\n  b\n---\n");
    let task = folder.task("t.md").spec;
    assert_eq!(task.action.program, Program::Script("a\nb\n".into()));
    assert_eq!((task.action.stdin, task.action.agent, task.title.as_str()), (None, None, "t"));
}

#[test]
fn a_command_is_a_list_of_words() {
    let folder = Folder::with("t.md", "---\ncommand: [sleep, 0.10, 'true', yes, 010]\n---\n# Title\n");
    let task = folder.task("t.md").spec;
    let words = ["sleep", "0.10", "true", "yes", "010"].map(str::to_owned).to_vec();
    assert_eq!(task.action.program, Program::Argv(words));
    assert_eq!(task.title, "Title");
}

#[test]
fn windows_files_are_read_too() {
    let folder = Folder::with("t.md", "\u{feff}---\r\nrun: |\r\n  a\r\n  b\r\n---\r\n# Title\r\nText\r\n");
    let task = folder.task("t.md").spec;
    assert_eq!(task.action.program, Program::Script("a\nb\n".into()));
    assert_eq!(task.title, "Title");
}

#[test]
fn keys_that_are_wrong_are_told_with_their_lines() {
    let folder = Folder::with(
        "tasks/login.md",
        r#"---
nedds: [a]
id: Fix Login
title:
needs: add-models
touches: [/etc, ok/**]
command: cargo test
timeout: 90
idle_timeout: never
grace: fast
retries: many
memory: 512
cpus: 0
env: [A]
secrets: [A=b]
priority: [high]
check: ""
executor: 3.5
Unrelated: x
---
"#,
    );
    assert_snapshot!(folder.errors(&["tasks/login.md"]), @r#"
    error: tasks/login.md:2: unknown key `nedds` (did you mean `needs`?)
     hint: write `needs`, or remove it
    error: tasks/login.md:3: `id`: `Fix Login` is not a valid task id: only a-z, 0-9, `.`, `_` and `-` are allowed
     hint: write for example `fix-login`
    error: tasks/login.md:4: `title` must be a text, not nothing
     hint: write for example "Fix the login"
    error: tasks/login.md:5: `needs` must be a list of texts, not the text `add-models`
     hint: write for example [add-models, add-routes]
    error: tasks/login.md:6: `touches`: `/etc` is not a valid pattern of `touches`: it is relative to the repository and stays in it
     hint: write for example `src/auth/**`
    error: tasks/login.md:7: `command` must be a list of texts, not the text `cargo test`
     hint: write for example ["cargo", "test"], or a shell script by `run`
    error: tasks/login.md:8: `timeout`: `90` has no unit of time
     hint: write `90s` for seconds or `90m` for minutes
    error: tasks/login.md:9: `idle_timeout`: `never` is not a length of time
     hint: write for example `90s`, `30m`, `1h30m` or `1.5h`
    error: tasks/login.md:10: `grace`: `fast` is not a length of time
     hint: write for example `90s`, `30m`, `1h30m` or `1.5h`
    error: tasks/login.md:11: `retries` must be a whole number from 0 on, not the text `many`
     hint: write for example 1
    error: tasks/login.md:12: `memory`: `512` has no unit of memory
     hint: write `512MiB` for megabytes or `512GiB` for gigabytes
    error: tasks/login.md:13: `cpus` must be a number above 0, not the number 0
     hint: write for example 1.5
    error: tasks/login.md:14: `env` must be a table, not a list
     hint: write for example {RUST_LOG: debug}
    error: tasks/login.md:15: `secrets`: `A=b` cannot be the name of a variable
     hint: name a variable, without `=` and without its value
    error: tasks/login.md:16: `priority` must be a whole number, not a list
     hint: write for example 10
    error: tasks/login.md:17: `check`: the text is empty
     hint: write something, or remove the key
    "#);
}

#[test]
fn a_task_says_once_what_it_runs() {
    let folder = Folder::new();
    folder.write("two.md", "---\nrun: x\n\nagent: y\n---\nText\n");
    folder.write("three.md", "---\nrun: x\ncommand: [y]\nagent: z\n---\n");
    folder.write("empty.md", "---\nrun: ' '\n---\n");
    folder.write("no-words.md", "---\ncommand: []\n---\n");
    folder.write("no-program.md", "---\ncommand: ['', x]\n---\n");
    folder.write("nothing.md", "---\ntitle: x\n---\n");
    folder.write("prompt.md", "# Just a prompt\n");
    folder.write("typo.md", "---\nrnu: make\n---\n");
    folder.write("nul.md", "---\nrun: \"a\\0b\"\n---\n");
    assert_snapshot!(folder.errors(&["."]), @r#"
    error: empty.md:2: `run`: the text is empty
     hint: write something, or remove the key
    error: no-program.md:2: `command`: the text is empty
     hint: write something, or remove the key
    error: no-words.md:2: `command`: the text is empty
     hint: write something, or remove the key
    error: nothing.md: the task does not say what it runs, there is no default agent, and none is installed that gadugi knows
     hint: say `run:` (a shell script), `command:` (a program and its arguments) or `agent:` in its front matter, between two lines `---` at its top; or name a default agent by --agent NAME, or by `agent = "NAME"` in gadugi.toml
    error: nul.md:2: `run`: the text holds a NUL character
     hint: remove it
    error: prompt.md: the task does not say what it runs, there is no default agent, and none is installed that gadugi knows
     hint: say `run:` (a shell script), `command:` (a program and its arguments) or `agent:` in its front matter, between two lines `---` at its top; or name a default agent by --agent NAME, or by `agent = "NAME"` in gadugi.toml
    error: three.md:4: `run` and `command` and `agent` exclude each other
     hint: keep one of them
    error: two.md:4: `run` and `agent` exclude each other
     hint: keep one of them
    error: typo.md:2: unknown key `rnu` (did you mean `run`?)
     hint: write `run`, or remove it
    "#);
}

#[test]
fn an_agent_must_be_configured_and_have_something_to_do() {
    let folder = Folder::configured(AGENTS);
    folder.write("a.md", "---\ntitle: x\nagent: cluade\n---\nText\n");
    folder.write("b.md", "---\nagent: other\n---\nText\n");
    folder.write("c.md", "---\nagent: claude\n---\n \n");
    folder.write("d.md", format!("---\nagent: echo\n---\n{}\n", "x".repeat(102_401)));
    assert_snapshot!(folder.errors(&["."]), @r#"
    error: a.md:3: there is no agent `cluade` (did you mean `claude`?)
     hint: configured: aider, claude, codex, echo, gemini, opencode, quote, qwen, shell; to add it, write [agents.cluade] with `command = ["program", …]` into gadugi.toml
    error: b.md:2: there is no agent `other`
     hint: configured: aider, claude, codex, echo, gemini, opencode, quote, qwen, shell; to add it, write [agents.other] with `command = ["program", …]` into gadugi.toml
    error: c.md: there is no text for the agent `claude`
     hint: write what it is to do below the front matter
    error: d.md: the text of 102401 bytes is too long for the agent `echo`, which takes it as an argument (the limit is 102400 bytes)
     hint: write `prompt = "stdin"` in [agents.echo], or shorten the text
    "#);
    let mut folder = Folder::with("a.md", "Text");
    folder.config.agent = Some("robin".into());
    assert_snapshot!(folder.errors(&["a.md"]), @r#"
    error: a.md: there is no agent `robin`
     hint: configured: aider, claude, codex, gemini, opencode, qwen, shell; to add it, write [agents.robin] with `command = ["program", …]` into gadugi.toml
    "#);
}

#[test]
fn secrets_must_be_set() {
    let mut folder = Folder::with("a.md", "---\nrun: x\nenv: {B: b}\nsecrets:\n  - A\n  - B\n  - C\n---\n");
    folder.set("A", "");
    folder.set("B", "");
    assert_snapshot!(folder.errors(&["a.md"]), @"
    error: a.md:6: the task `a` has `B` both in `env` and in `secrets`
     hint: remove it from `env`: its value comes from the environment of gadugi
    error: a.md:7: the task `a` asks for the secret `C`, which is not set
     hint: set it (`export C=…`), or remove it from `secrets`
    ");
}

#[test]
fn front_matter_that_is_none_is_explained() {
    let folder = Folder::new();
    folder.write("open.md", "---\nrun: x\n\n# Title\n");
    folder.write("ruler.md", "---\n\nSome text below a ruler.\n");
    folder.write("two-rulers.md", "---\nSome text between rulers.\n---\nMore.\n");
    folder.write("list.md", "---\n- a\n---\n");
    folder.write("prose.md", "---\nNote: this: that\n---\n");
    folder.write("twice.md", "---\nrun: a\nrun: b\n---\n");
    assert_snapshot!(folder.errors(&["."]), @r#"
    error: list.md:1: the front matter between the lines `---` must be keys with values, not a list
     hint: write `key: value` lines there; if the first line is meant as a ruler, write `***` instead
    error: open.md:1: the front matter that begins here with `---` is never closed
     hint: put a line `---` after its last key; if the first line is meant as a ruler, write `***` instead
    error: prose.md: the task does not say what it runs, there is no default agent, and none is installed that gadugi knows
     hint: say `run:` (a shell script), `command:` (a program and its arguments) or `agent:` in its front matter, between two lines `---` at its top; or name a default agent by --agent NAME, or by `agent = "NAME"` in gadugi.toml
    error: ruler.md:1: the front matter that begins here with `---` is never closed
     hint: put a line `---` after its last key; if the first line is meant as a ruler, write `***` instead
    error: twice.md:3: this is not valid YAML: duplicate mapping key `run` is not allowed here (column 1)
     hint: write one `key: value` a line; put a value that holds `: `, `#`, or begins with one of `{[*&!|>'"%@` and a backtick, into quotes
    error: two-rulers.md:1: the front matter between the lines `---` must be keys with values, not the text `Some text between rulers.`
     hint: write `key: value` lines there; if the first line is meant as a ruler, write `***` instead
    "#);
}

#[test]
fn needs_have_their_lines_in_the_messages_of_the_plan() {
    let folder = Folder::new();
    folder.write("a.md", "---\nrun: x\nneeds:\n  - b\n  - bb\n---\n");
    folder.write("b.md", "---\nrun: x\nneeds: [a]\n---\n");
    folder.write("c.md", "---\nrun: x\nid: own\n---\n");
    folder.write("d.md", "---\nid: own\nrun: x\n---\n");
    let plan = folder.try_read(&["."], &[]).unwrap();
    let error = Plan::try_from(plan).unwrap_err();
    assert_snapshot!(error, @"
    d.md:2: the task id `own` is taken by c.md:3
    a.md:5: the task `a` needs `bb`, which does not exist (did you mean `b`?)
    a.md:4: the tasks need each other in a circle: a -> b -> a
    ");
}

#[test]
fn a_need_must_not_be_one_of_several_files_of_a_name() {
    let folder = Folder::new();
    folder.write("x/fix.md", "---\nrun: x\n---\n");
    folder.write("y/fix.md", "---\nrun: x\n---\n");
    folder.write("z.md", "---\nrun: x\nneeds: [fix]\n---\n");
    assert_snapshot!(folder.errors(&["**/*.md"]), @"
    error: z.md:3: `fix` could be any of x/fix.md or y/fix.md
     hint: give each of them an `id:` of its own
    ");
    folder.write("own.md", "---\nid: fix\nrun: x\n---\n");
    assert_eq!(folder.ids(&["**/*.md"]), ["fix", "x-fix", "y-fix", "z"]);
}

#[test]
fn the_setup_of_a_task_takes_the_place_of_that_of_the_configuration() {
    let folder = Folder::configured("setup = 'npm ci'\nsetup_timeout = '5m'\n");
    let setup = |keys: &str| {
        folder.write("a.md", format!("---\nrun: make\n{keys}---\n"));
        folder.task("a.md").spec.setup
    };
    let of = |script: &str, minutes: Option<u64>| {
        Some(Setup { script: script.to_owned(), timeout: minutes.map(|minutes| Duration::from_secs(60 * minutes)) })
    };
    assert_eq!(setup(""), of("npm ci", Some(5)));
    assert_eq!(setup("setup_timeout: none\n"), of("npm ci", None));
    assert_eq!(setup("setup: make deps\nsetup_timeout: 1m\n"), of("make deps", Some(1)));
    assert_eq!(setup("setup: [make deps, make more]\n"), of("make deps\nmake more", Some(5)));
    assert_eq!(setup("setup: |\n  cd sub\n  make\n"), of("cd sub\nmake", Some(5)));
    assert_eq!(setup("setup: \"\"\n"), None);
    assert_eq!(setup("setup: []\n"), None);
}
