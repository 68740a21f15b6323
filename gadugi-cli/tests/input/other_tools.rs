//! Prompt files of other tools run as they are, and files that are neither tasks nor prompts are refused.

use gadugi_core::agent::AgentCall;
use gadugi_core::plan::RawTask;
use insta::assert_snapshot;

use crate::fixture::Folder;

/// A command, an agent and a skill of Claude Code, prompts of Copilot, Codex and opencode, an agent of opencode, a rule of
/// Cursor and one of Windsurf, a ticket. Each is in the form of its tool, with what is no YAML there.
const FILES: &[(&str, &str)] = &[
    (
        "claude-command.md",
        "---\ndescription: Mend an issue: find it, test it\nargument-hint: [number] [--quick]\nallowed-tools: Read, Bash(git add:*), Bash(git status:*)\nmodel: claude-sonnet-4-5\n---\n\nMend issue $ARGUMENTS.\n",
    ),
    (
        "claude-agent.md",
        "---\nname: code-reviewer\ndescription: Use this one after changes. Examples:\n<example>\nContext: something changed\nuser: \"Look: is it good?\"\n</example>\ntools: Read, Grep\nmodel: sonnet\ncolor: green\nmemory: project\n---\n\nYou review code.\n",
    ),
    (
        "SKILL.md",
        "---\nname: pdf-forms\ndescription: \"Fills forms.\"\nlicense: MIT\nallowed-tools:\n  - Read\nmetadata:\n  version: \"1.0\"\nuser-invocable: true\nagent: Explore\n---\n# Forms\n",
    ),
    (
        "copilot.prompt.md",
        "---\nmode: 'agent'\nagent: ask\nmodel: GPT-4.1\ntools: ['codebase', 'fetch']\ndescription: 'Write the docs'\n---\nWrite docs for ${input:file}.\n",
    ),
    (
        "copilot-2.prompt.md",
        "---\nagent: plan\nmodel: ['Claude Sonnet 4.5', 'GPT-5']\nagents: ['*']\ndescription: ''\n---\nPlan it.\n",
    ),
    ("cursor.mdc", "---\ndescription:\nglobs: **/*.ts,**/*.tsx\nalwaysApply: false\n---\n- Write tests.\n"),
    (
        "opencode-command.md",
        "---\ndescription: Check the types\nagent: build\nmodel: anthropic/claude-haiku-4-5\nsubtask: true\n---\nRun tsc.\n",
    ),
    (
        "opencode-agent.md",
        "---\ndescription: Reviews\nmode: subagent\nmodel: openai/gpt-5.4-mini\ntemperature: 0.1\ntools:\n  write: false\npermission:\n  bash:\n    \"git *\": allow\n---\nReview it.\n",
    ),
    (
        "codex.md",
        "---\ndescription: Open a draft PR\nargument-hint: FILES=<paths> [PR_TITLE=\"<title>\"]\n---\nDo it for $1.\n",
    ),
    (
        "prompty.md",
        "---\nname: Basic Prompt\ndescription: Answers\nauthors:\n  - somebody\nmodel:\n  api: chat\n  configuration:\n    type: azure_openai\nsample:\n  name: Kana\n---\nAnswer {{name}}.\n",
    ),
    ("windsurf.md", "---\ntrigger: glob\nglobs: *.rs\ndescription: Rust\n---\nUse clippy.\n"),
    ("rule-with-agent.md", "---\nagent: audit-executor\nalwaysApply: false\npriority: high\n---\nAudit it.\n"),
    (
        "ticket.md",
        "---\ntitle: Login: the umlaut\npriority: P1\nlabels: [bug]\nassignee: nobody\nestimate: 3h\ncreated: 2026-11-30\n---\nMend it.\n",
    ),
];

fn all(config: &str) -> Folder {
    let folder = Folder::configured(config);
    for (name, text) in FILES {
        folder.write(&format!("p/{name}"), text);
    }
    folder
}

fn call(task: &RawTask) -> &AgentCall {
    task.spec.action.agent.as_ref().expect("an agent")
}

#[test]
fn prompt_files_of_other_tools_run_as_they_are() {
    let folder = all("agent = 'claude'\n");
    let shown = |task: &RawTask| {
        let call = call(task);
        let prompt = call.prompt.lines().next().unwrap_or_default();
        format!("{} | {} | {} | {:?} | {prompt}", task.spec.id, task.spec.title, call.name, call.model)
    };
    let tasks = folder.read(&["p"]);
    assert_snapshot!(tasks.iter().map(shown).collect::<Vec<_>>().join("\n"), @r#"
    pdf-forms | Fills forms. | claude | None | # Forms
    code-reviewer | Use this one after changes. Examples: <example> | claude | Some("sonnet") | You review code.
    claude-command | Mend an issue: find it, test it | claude | Some("claude-sonnet-4-5") | Mend issue $ARGUMENTS.
    codex | Open a draft PR | claude | None | Do it for $1.
    copilot-2.prompt | Plan it. | claude | None | Plan it.
    copilot.prompt | Write the docs | claude | None | Write docs for ${input:file}.
    cursor | - Write tests. | claude | None | - Write tests.
    opencode-agent | Reviews | claude | None | Review it.
    opencode-command | Check the types | claude | Some("claude-haiku-4-5") | Run tsc.
    basic-prompt | Answers | claude | None | Answer {{name}}.
    rule-with-agent | Audit it. | claude | None | Audit it.
    ticket | Login: the umlaut | claude | None | Mend it.
    windsurf | Rust | claude | None | Use clippy.
    "#);
    assert_snapshot!(folder.passed_over(&["p"]), @"
    p/SKILL.md:4: license
    p/SKILL.md:5: allowed-tools
    p/SKILL.md:7: metadata
    p/SKILL.md:9: user-invocable
    p/SKILL.md:10: agent: Explore
    p/claude-agent.md:5: Context
    p/claude-agent.md:6: user
    p/claude-agent.md:8: tools
    p/claude-agent.md:10: color
    p/claude-agent.md:11: memory: project
    p/claude-command.md:3: argument-hint
    p/claude-command.md:4: allowed-tools
    p/claude-command.md: $ARGUMENTS (it stays in the text as it is)
    p/codex.md:3: argument-hint
    p/copilot-2.prompt.md:2: agent: plan
    p/copilot-2.prompt.md:3: model
    p/copilot-2.prompt.md:4: agents
    p/copilot.prompt.md:2: mode
    p/copilot.prompt.md:3: agent: ask
    p/copilot.prompt.md:5: tools
    p/copilot.prompt.md: ${input: (it stays in the text as it is)
    p/cursor.mdc:3: globs
    p/cursor.mdc:4: alwaysApply
    p/opencode-agent.md:3: mode
    p/opencode-agent.md:5: temperature
    p/opencode-agent.md:6: tools
    p/opencode-agent.md:8: permission
    p/opencode-command.md:3: agent: build
    p/opencode-command.md:5: subtask
    p/prompty.md:4: authors
    p/prompty.md:6: model
    p/prompty.md:10: sample
    p/rule-with-agent.md:2: agent: audit-executor
    p/rule-with-agent.md:3: alwaysApply
    p/rule-with-agent.md:4: priority: high
    p/ticket.md:3: priority: P1
    p/ticket.md:4: labels
    p/ticket.md:5: assignee
    p/ticket.md:6: estimate
    p/ticket.md:7: created
    p/windsurf.md:2: trigger
    p/windsurf.md:3: globs
    p/copilot.prompt.md:4: model: GPT-4.1 (no model of claude)
    p/opencode-agent.md:4: model: openai/gpt-5.4-mini (no model of claude)
    ");
}

#[test]
fn a_model_is_given_only_to_an_agent_that_has_one_of_that_name() {
    let model = |agent: &str, model: &str| {
        let config = "[agents.own]\ncommand = ['own', '{options}']\nmodel = 'large'\nmodel_args = ['--model={model}']\n[agents.none]\ncommand = ['none']\n";
        let folder = Folder::configured(config);
        folder.write("a.md", format!("---\nagent: {agent}\nmodel: {model}\n---\nText\n"));
        let task = folder.task("a.md");
        let command =
            call(&task).command.iter().map(|argument| argument.fill("", "", "")).collect::<Vec<_>>().join(" ");
        format!("{command} | {}", folder.passed_over(&["a.md"]).trim_end())
    };
    assert!(model("claude", "sonnet").ends_with("--verbose --model sonnet | "));
    assert!(model("claude", "anthropic/claude-x").ends_with("--verbose --model claude-x | "));
    assert_eq!(model("codex", "gpt-5"), "codex exec --json -m gpt-5 - | ");
    assert_eq!(model("codex", "sonnet"), "codex exec --json - | a.md:3: model: sonnet (no model of codex)");
    assert_eq!(model("claude", "inherit"), model("claude", ""));
    assert_eq!(model("own", "vendor/small"), "own --model=vendor/small | ");
    assert_eq!(model("own", "auto"), "own --model=large | ");
    assert_eq!(model("none", "small"), "none | a.md:3: model: small (no model of none)");
}

#[test]
fn what_looks_like_a_slip_stays_an_error_and_so_does_all_if_that_is_asked_for() {
    let folder = Folder::configured("agent = 'claude'\n");
    folder.write(
        "a.md",
        "---\ndescription: x: y\nagents: claude\ncheks: make\nmax-cost: 2\nagent: cluade\ntools: [x]\n---\nText\n",
    );
    folder.write("b.md", "---\ntitle: a: b\ncheck: echo a: b\n---\nText\n");
    assert_snapshot!(folder.errors(&["."]), @r#"
    error: a.md:3: unknown key `agents` (did you mean `agent`?)
     hint: write `agent`, or remove it
    error: a.md:4: unknown key `cheks` (did you mean `check`?)
     hint: write `check`, or remove it
    error: a.md:5: unknown key `max-cost` (did you mean `max_cost`?)
     hint: write `max_cost`, or remove it
    error: a.md:6: there is no agent `cluade` (did you mean `claude`?)
     hint: configured: aider, claude, codex, gemini, opencode, qwen, shell; to add it, write [agents.cluade] with `command = ["program", …]` into gadugi.toml
    error: b.md:3: this is not valid YAML: mapping values are not allowed in this context (column 14)
     hint: write one `key: value` a line; put a value that holds `: `, `#`, or begins with one of `{[*&!|>'"%@` and a backtick, into quotes
    "#);
    let strict = all("agent = 'claude'\nstrict = true\n");
    assert_snapshot!(strict.errors(&["p/ticket.md", "p/claude-agent.md", "p/copilot.prompt.md", "p/opencode-agent.md"]), @r#"
    error: p/ticket.md:2: this is not valid YAML: mapping values are not allowed in this context (column 13)
     hint: write one `key: value` a line; put a value that holds `: `, `#`, or begins with one of `{[*&!|>'"%@` and a backtick, into quotes
    error: p/claude-agent.md:3: this is not valid YAML: mapping values are not allowed in this context (column 50)
     hint: write one `key: value` a line; put a value that holds `: `, `#`, or begins with one of `{[*&!|>'"%@` and a backtick, into quotes
    error: p/copilot.prompt.md:2: unknown key `mode` (did you mean `model`?)
     hint: write `model`, or remove it
    error: p/copilot.prompt.md:3: there is no agent `ask`
     hint: configured: aider, claude, codex, gemini, opencode, qwen, shell; to add it, write [agents.ask] with `command = ["program", …]` into gadugi.toml
    error: p/copilot.prompt.md:5: unknown key `tools`
     hint: the keys are id, title, needs, touches, run, command, agent, model, check, setup, setup_timeout, executor, image, timeout, idle_timeout, grace, retries, retry_delay, retry_from, changes, max_cost, max_tokens, commit_subject, memory, cpus, env, secrets, priority
    error: p/copilot.prompt.md:6: unknown key `description`
     hint: the keys are id, title, needs, touches, run, command, agent, model, check, setup, setup_timeout, executor, image, timeout, idle_timeout, grace, retries, retry_delay, retry_from, changes, max_cost, max_tokens, commit_subject, memory, cpus, env, secrets, priority
    error: p/opencode-agent.md:2: unknown key `description`
     hint: the keys are id, title, needs, touches, run, command, agent, model, check, setup, setup_timeout, executor, image, timeout, idle_timeout, grace, retries, retry_delay, retry_from, changes, max_cost, max_tokens, commit_subject, memory, cpus, env, secrets, priority
    error: p/opencode-agent.md:3: unknown key `mode` (did you mean `model`?)
     hint: write `model`, or remove it
    error: p/opencode-agent.md:5: unknown key `temperature`
     hint: the keys are id, title, needs, touches, run, command, agent, model, check, setup, setup_timeout, executor, image, timeout, idle_timeout, grace, retries, retry_delay, retry_from, changes, max_cost, max_tokens, commit_subject, memory, cpus, env, secrets, priority
    error: p/opencode-agent.md:6: unknown key `tools`
     hint: the keys are id, title, needs, touches, run, command, agent, model, check, setup, setup_timeout, executor, image, timeout, idle_timeout, grace, retries, retry_delay, retry_from, changes, max_cost, max_tokens, commit_subject, memory, cpus, env, secrets, priority
    error: p/opencode-agent.md:8: unknown key `permission`
     hint: the keys are id, title, needs, touches, run, command, agent, model, check, setup, setup_timeout, executor, image, timeout, idle_timeout, grace, retries, retry_delay, retry_from, changes, max_cost, max_tokens, commit_subject, memory, cpus, env, secrets, priority
    "#);
    let strict = Folder::configured("agent = 'codex'\nstrict = true\n");
    strict.write("a.md", "---\nmodel: sonnet\n---\nText\n");
    assert_snapshot!(strict.errors(&["a.md"]), @"
    error: a.md:2: model: sonnet (no model of codex): this is not one of gadugi's, which `strict` asks for
     hint: remove it; without `strict` it is passed over
    ");
}

#[test]
fn files_that_are_neither_tasks_nor_prompts_are_refused() {
    let mut folder = Folder::configured("agent = 'claude'\n");
    for (name, text) in [
        ("tasks.json", "[{\"prompt\": \"x\"}]\n"),
        ("plan.yaml", "tasks:\n  - id: a\n    run: make\n"),
        ("documents.yml", "---\ntasks: [a]\n"),
        ("two.yml", "---\na: 1\n---\nb: 2\n"),
        ("data", "{\"prompt\": \"x\"}"),
        ("list.csv", "id,prompt\n"),
        ("build.sh", "make\n"),
        ("build", "#!/bin/sh\nmake\n"),
        ("page.txt", "<!DOCTYPE html>\n<html></html>\n"),
        ("batch", "# all of it\n[[task]]\nrun = 'x'\n"),
        ("hugo.md", "+++\ntitle = 'x'\n+++\nText\n"),
        ("spaces.md", "  ---\nrun: x\n  ---\n"),
        ("many.md", "-----\nagent: claude\n-----\nText\n"),
        ("dash.md", "—\nid: a\n—\nText\n"),
        ("code.md", "```yaml\n---\nrun: x\n---\n```\n"),
        ("open.md", "id: a\nagent: claude\n---\nText\n"),
        ("late.md", "# Title\n\n---\nagent: claude\n---\nText\n"),
        ("comment.md", "<!-- say here what is to be done -->\n"),
    ] {
        folder.write(&format!("d/{name}"), text);
    }
    assert_snapshot!(folder.errors(&["d/*"]), @r#"
    error: d/batch: is a batch whose name does not end in .toml, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/build: is a script, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/build.sh: is a script, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/code.md:1: the line '```yaml' begins no front matter that gadugi understands
     hint: write `---` on the first line and after the last key, and YAML between them: `key: value`
    error: d/comment.md: is empty
     hint: write the task into it, or leave it out
    error: d/dash.md:1: the line '—' begins no front matter that gadugi understands
     hint: write `---` on the first line and after the last key, and YAML between them: `key: value`
    error: d/data: is JSON, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/documents.yml: is YAML, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/hugo.md:1: the line '+++' begins no front matter that gadugi understands
     hint: write `---` on the first line and after the last key, and YAML between them: `key: value`
    error: d/late.md:3: the front matter that begins here has text before it
     hint: move it to the top of the file; if these are no keys of the task, put them into a block of code
    error: d/list.csv: is a table, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/many.md:1: the line '-----' begins no front matter that gadugi understands
     hint: write `---` on the first line and after the last key, and YAML between them: `key: value`
    error: d/open.md:1: these are keys of a task, without the line `---` before them
     hint: write `---` on the first line and after the last key, and YAML between them: `key: value`
    error: d/page.txt: is XML or HTML, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/plan.yaml: is YAML, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/spaces.md:1: the line '  ---' begins no front matter that gadugi understands
     hint: write `---` on the first line and after the last key, and YAML between them: `key: value`
    error: d/tasks.json: is JSON, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    error: d/two.yml: is YAML, which is no task file
     hint: a task is a Markdown file, with front matter between two lines `---` or without; many at once stand in a file that ends in .toml, in tables [[task]]; if it is a prompt as it is, hand it in as a text: -t "$(cat FILE)"
    "#);
    folder.stdin = b"[{\"run\": \"x\"}]".to_vec();
    assert!(folder.errors(&["-"]).starts_with("error: <stdin>: is JSON, which is no task file\n"));
    let error = folder.try_read(&[], &["---\nrun: make\n---\n"]).unwrap_err();
    assert_snapshot!(error, @"<text 1>: begins with front matter, which only files have");
}

#[test]
fn front_matter_is_found_after_empty_lines_marks_and_comments_and_with_old_line_ends() {
    let folder = Folder::new();
    for text in [
        "\n\n---\nrun: make\n---\n",
        "\u{feff}\u{feff}---\r\nrun: make\r\n---\r\n",
        "<!-- a license -->\n\n---\nrun: make\n---\n",
        "---\rrun: make\r---\r# Title\r",
    ] {
        folder.write("a.md", text);
        let program = folder.task("a.md").spec.action.program;
        assert_eq!(program, gadugi_core::plan::Program::Script("make".into()), "{text:?}");
    }
    folder.write("a.md", "\n\n---\nrun: make\nnedds: [a]\n---\n");
    assert!(folder.errors(&["a.md"]).starts_with("error: a.md:5: unknown key `nedds` (did you mean `needs`?)"));
}

#[test]
fn front_matter_of_the_prompt_of_a_batch_is_passed_over() {
    let folder = Folder::configured("agent = 'claude'\n");
    folder.write("prompts/a.md", "---\ndescription: x\n---\nDo it.\n");
    folder.write("batch.toml", "[[task]]\nprompt_file = 'prompts/a.md'\nmodel = 'opus'\n");
    let task = folder.task("batch.toml");
    assert_eq!((call(&task).prompt.as_str(), call(&task).model.as_deref()), ("Do it.", Some("opus")));
    assert_eq!(folder.passed_over(&["batch.toml"]), "prompts/a.md: its front matter\n");
    folder.write("prompts/a.md", "[{\"run\": \"x\"}]\n");
    assert!(folder.errors(&["batch.toml"]).starts_with("error: prompts/a.md: is JSON"));
}
