//! Coding agents that need no configuration. Scripts of their names stand for them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{Answer, Going, Harness};
use crate::waiting::{gated, killed, open};

/// Says what it was called with and ends well, as Claude Code does.
const CLAUDE: &str = r#"#!/bin/sh
printf '%s\n' "$@" > arguments.txt
cat > prompt.txt
printf '%s\n' "$IS_SANDBOX$DISABLE_AUTOUPDATER" > variables.txt
printf '%s\n' '{"type":"system","subtype":"init","session_id":"s-1","model":"m"}'
printf '%s\n' '{"type":"result","subtype":"success","is_error":false,"result":"All done.","session_id":"s-1","num_turns":1,"total_cost_usd":0.25,"usage":{"input_tokens":10,"output_tokens":5}}'
"#;

impl Harness {
    /// A script in a folder that stands first on the path of [`Harness::gadugi_with_agents`].
    pub(crate) fn agent(&self, name: &str, script: &str) {
        let folder = self.repo.root().join("agents");
        std::fs::create_dir_all(&folder).expect("a folder for agents");
        let path = folder.join(name);
        std::fs::write(&path, script).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    }

    fn with_agents(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.repo.root().join("agents").display());
        command.env("PATH", path);
        command
    }

    pub(crate) fn gadugi_with_agents(&self, args: &[&str]) -> Answer {
        self.with_agents(args).output().expect("gadugi starts").into()
    }
}

#[test]
fn without_any_file_texts_go_to_the_only_agent_that_is_installed() {
    let harness = Harness::new();
    harness.agent("claude", CLAUDE);
    let args = ["run", "--executor", "subprocess", "-t", "Fix it", "-t", "Write it"];
    harness.gadugi_with_agents(&args).expect(0).says(&["tasks get `claude`, the only one that is installed here"]);
    let shown = |file: &str| harness.repo.git(&["show", &format!("gadugi/fix-it:{file}")]);
    assert_eq!(
        shown("arguments.txt").replace('\n', " "),
        "-p --output-format stream-json --verbose --permission-mode acceptEdits --allowedTools \
         Bash(git add:*),Bash(git commit:*),Bash(git status:*),Bash(git diff:*),Bash(git log:*)"
    );
    assert!(
        shown("prompt.txt")
            .starts_with("Fix it\n\n---\n\nYou work alone, in a git worktree on the branch `gadugi/fix-it`.")
    );
    assert_eq!(shown("variables.txt"), "1");
    assert_eq!(harness.outcomes().into_values().collect::<Vec<_>>(), ["succeeded", "succeeded"]);
}

/// Is denied a commit, changes nothing, and asks a question back.
const ASKS: &str = r#"#!/bin/sh
cat > /dev/null
printf '%s\n' '{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"t","name":"Bash","input":{"command":"git commit -m x"}}]}}'
printf '%s\n' '{"type":"system","subtype":"permission_denied","tool_name":"Bash","tool_use_id":"t"}'
printf '%s\n' '{"type":"result","subtype":"success","is_error":false,"result":"I see two ways.\n\nWhich of them do you want?","permission_denials":[{"tool_name":"Bash","tool_input":{"command":"git commit -m x"}}]}'
"#;

#[test]
fn an_agent_that_changes_nothing_fails_and_its_question_and_denied_tools_are_named() {
    let harness = Harness::new();
    harness.agent("claude", ASKS);
    let asks = harness.task("asks.md", "Do it\n");
    let after = harness.task("after.md", "---\nneeds: [asks]\nrun: 'true'\n---\n");
    let answer = harness.gadugi_with_agents(&["run", "--executor", "subprocess", &asks, &after]).expect(1);
    answer.says(&["failed: nothing changed", "skipped (because of asks)"]);
    let report = harness.gadugi(&["report"]).expect(0).out;
    for words in [
        "it changed nothing and ended with a question: Which of them do you want?",
        "its agent was denied a tool once: Bash: git commit -m x",
        "tools denied 1 time",
    ] {
        assert!(report.contains(words), "`{words}` is not in\n{report}");
    }
    assert_eq!(harness.report()["tasks"][0]["outcome"]["failure"]["kind"], "nothing_changed");
}

#[test]
fn a_task_may_say_that_it_need_not_change_anything_and_all_views_say_that_it_has_not() {
    let harness = Harness::new();
    harness.agent("claude", ASKS);
    let tasks = [
        harness.task("optional.md", "---\nagent: claude\nchanges: optional\n---\nLook at it\n"),
        harness.task("checked.md", "---\nagent: claude\ncheck: 'true'\n---\nLook at it\n"),
        harness.script("script", "true"),
        harness.script("changes", "echo x > x.txt"),
        harness.task("after.md", "---\nneeds: [script]\nrun: echo y > y.txt\n---\n"),
    ];
    let args: Vec<&str> =
        ["run", "--executor", "subprocess"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
    harness.gadugi_with_agents(&args).expect(0).says(&["succeeded, nothing changed after"]);
    let report = harness.gadugi(&["report"]).expect(0).out;
    assert!(report.contains("5 tasks: 5 succeeded (3 with nothing changed)."), "{report}");
    assert!(report.contains("| succeeded, nothing changed | `script` |"), "{report}");
    let json = harness.report();
    assert_eq!((&json["totals"]["succeeded"], &json["totals"]["unchanged"]), (&5.into(), &3.into()));
    assert_eq!(json["tasks"][2]["outcome"]["nothing_changed"], true);
    assert_eq!(json["tasks"][3]["outcome"].get("nothing_changed"), None);
    let junit = harness.gadugi(&["report", "--format", "junit"]).expect(0).out;
    assert_eq!(junit.matches(r#"<property name="outcome" value="succeeded, nothing changed"/>"#).count(), 3, "{junit}");
    let ps = harness.gadugi(&["ps", "latest"]).expect(0).out;
    assert_eq!(ps.matches("succeeded, nothing changed").count(), 3, "{ps}");
    // A run may ask for changes of all its tasks but those that say otherwise.
    let answer =
        harness.gadugi_with_agents(&["run", "--executor", "subprocess", "--require-changes", &tasks[0], &tasks[2]]);
    answer.expect(1).says(&["failed: nothing changed", "succeeded, nothing changed"]);
}

#[test]
fn with_several_or_no_agents_and_none_named_nothing_begins() {
    let harness = Harness::new();
    harness.gadugi_with_agents(&["run", "-t", "Fix it"]).expect(2).says(&["none is installed", "--agent NAME"]);
    harness.agent("claude", CLAUDE);
    harness.agent("codex", CLAUDE);
    let answer = harness.gadugi_with_agents(&["run", "-t", "Fix it"]).expect(2);
    answer.says(&["several are installed: claude, codex", "--agent NAME"]);
    assert!(!harness.repo.path().join(".git/gadugi/runs").exists());
}

#[test]
fn an_agent_asks_nobody_on_the_host_only_if_the_caller_says_so() {
    let harness = Harness::new();
    harness.agent("claude", CLAUDE);
    harness.agent("gemini", CLAUDE);
    let run = ["run", "--executor", "subprocess", "-t", "Fix it", "--agent"];
    let answer = harness.gadugi_with_agents(&[&run[..], &["gemini"]].concat()).expect(3);
    answer.says(&["the agent `gemini` would run on this machine", "--executor docker --image IMG", "--unsafe-host"]);
    assert!(!harness.repo.path().join(".git/gadugi/runs").exists());
    harness.gadugi_with_agents(&[&run[..], &["claude", "--unsafe-host"]].concat()).expect(0);
    let shown = |file: &str| harness.repo.git(&["show", &format!("gadugi/fix-it:{file}")]);
    assert!(shown("arguments.txt").ends_with("--dangerously-skip-permissions"));
    assert_eq!(shown("variables.txt"), "11");
    harness.repo.write("gadugi.toml", "[agents.claude]\nhost_args = ['--dangerously-skip-permissions']\n");
    let answer = harness.gadugi_with_agents(&[&run[..], &["claude"]].concat()).expect(2);
    answer.says(&["with `--dangerously-skip-permissions`", "isolated_args"]);
    harness.repo.write("gadugi.toml", "unsafe_host = true\n");
    harness.gadugi_with_agents(&[&run[..], &["claude"]].concat()).expect(2).says(&["unknown key `unsafe_host`"]);
}

#[test]
fn plan_shows_what_an_agent_will_read() {
    let harness = Harness::new();
    let first = harness.task("first.md", "---\nrun: 'true'\n---\n# Add models\n");
    let file = harness.task("fix.md", "---\nagent: claude\nneeds: [first]\ncheck: make\n---\nFix it.\n");
    let answer = harness.gadugi(&["plan", "--prompt", "fix", &first, &file]).expect(0);
    insta::assert_snapshot!(answer.out, @"
    Fix it.

    ---

    You work alone, in a git worktree on the branch `gadugi/fix`. Nobody answers questions: decide, and go on.

    These tasks are done, and what they made is in your worktree:
    - `first`: Add models.

    Commit your work to that branch when you are done.

    It is accepted when this check passes:
    ```
    make
    ```
    ");
    harness.gadugi(&["plan", "--prompt", "first", &first, &file]).expect(2).says(&["`first` is for no agent"]);
    harness.gadugi(&["plan", "--prompt", "other", &first, &file]).expect(2).says(&["the tasks are: first, fix"]);
}

#[test]
fn doctor_names_the_agents_that_are_installed_and_what_they_lack() {
    let harness = Harness::new();
    let answer = harness.gadugi_with_agents(&["doctor"]);
    assert!(answer.out.contains("none is installed that gadugi knows (aider, claude, codex"), "{}", answer.out);
    harness.agent("claude", "#!/bin/sh\n[ \"$1\" = --version ] && echo '2.1.330 (Claude Code)'\n");
    harness.agent("codex", "#!/bin/sh\nexit 3\n");
    let answer = harness.gadugi_with_agents(&["doctor"]);
    for said in ["2.1.330 (Claude Code); whether it is let in is not known", "--version ended with exit status: 3"] {
        assert!(answer.out.contains(said), "{said} is not in {}", answer.out);
    }
    let mut command = harness.with_agents(&["doctor"]);
    let answer: Answer = command.env("ANTHROPIC_API_KEY", "sk-secret").output().expect("gadugi starts").into();
    assert!(answer.out.contains("2.1.330 (Claude Code); ANTHROPIC_API_KEY is set"), "{}", answer.out);
    assert!(!answer.out.contains("sk-secret"));
    harness.repo.write("../home/.claude/.credentials.json", "{}");
    let answer = harness.gadugi_with_agents(&["doctor"]);
    assert!(answer.out.contains("logged in, by ~/.claude/.credentials.json"), "{}", answer.out);
}

#[test]
fn whoever_is_to_be_told_hears_how_a_run_has_ended() {
    let harness = Harness::new();
    let heard = harness.repo.root().join("heard.txt");
    let tell = format!(
        "#!/bin/sh\nread -r line\necho \"$1: $line; $GADUGI_EXIT; $([ \"$GADUGI_SUMMARY\" = \"$line\" ] && echo same)\" > '{}'\nexit 4\n",
        heard.display()
    );
    harness.agent("tell", &tell);
    let (good, bad) = (harness.script("good", "true"), harness.script("bad", "false"));
    let mut command = harness.with_agents(&["run", "--executor", "subprocess", &good, &bad]);
    let answer: Answer = command.env("GADUGI_NOTIFY", "tell,me").output().expect("gadugi starts").into();
    answer.expect(1).says(&["warning: `notify`: tell: it ended with exit status: 4"]);
    let run = harness.latest_run().file_name().expect("a run").to_string_lossy().into_owned();
    let heard = std::fs::read_to_string(heard).expect("it was told");
    assert_eq!(heard, format!("me: run {run}: 1 of 2 tasks succeeded; 1; same\n"));
}

#[test]
fn a_run_that_has_cost_what_it_may_starts_nothing_more() {
    let harness = Harness::new();
    harness.agent("claude", CLAUDE);
    let texts = ["-t", "One", "-t", "Two", "-t", "Three"];
    let run = [&["run", "--executor", "subprocess", "-j", "1", "--max-cost", "0.2"][..], &texts].concat();
    harness.gadugi_with_agents(&run).expect(1).says(&["0.20 US dollars are used"]);
    let outcomes = harness.outcomes();
    assert_eq!(
        (&*outcomes["one"], &*outcomes["two"], &*outcomes["three"]),
        ("succeeded", "skipped", "skipped"),
        "{outcomes:?}"
    );
    harness.gadugi_with_agents(&["run", "--max-cost", "0", "-t", "One"]).expect(2).says(&["--max-cost"]);
}

#[test]
fn an_agent_that_is_not_installed_is_refused_before_anything_is_made() {
    let harness = Harness::new();
    let unmade = || !harness.repo.path().join(".git/gadugi/runs").exists() && !harness.worktrees().exists();
    harness.agent("codex", CLAUDE);
    let texts: Vec<String> = (1..=5).map(|n| format!("-tDo {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for command in ["run", "plan"] {
        let args = [&[command, "--executor", "subprocess", "--agent", "claude"][..], &texts].concat();
        let answer = harness.gadugi_with_agents(&args).expect(3);
        answer.says(&[
            "the agent `claude` is not installed: `claude` was not found on PATH (do-1, do-2, do-3 and 2 more)",
            "[agents.claude]",
            "installed here, for --agent NAME: codex",
        ]);
        assert!(unmade());
    }
    // A file that cannot be executed is none either.
    harness.repo.write("../agents/claude", CLAUDE);
    let args = ["run", "--executor", "subprocess", "--agent", "claude", "-t", "Do it"];
    harness.gadugi_with_agents(&args).expect(3).says(&["agents/claude` cannot be executed", "chmod +x "]);
    harness.repo.write("gadugi.toml", "[agents.mine]\ncommand = ['/no/such/agent']\n");
    let args = ["run", "--executor", "subprocess", "--agent", "mine", "-t", "Do it"];
    harness.gadugi_with_agents(&args).expect(3).says(&["`/no/such/agent` does not exist"]);
    assert!(unmade());
}

#[test]
fn a_run_is_not_resumed_without_the_agents_of_the_tasks_that_are_left() {
    let harness = Harness::new();
    harness.agent("claude", CLAUDE);
    let first = gated(&harness, "first", "true");
    let second = harness.task("second.md", "---\nagent: claude\nneeds: [first]\n---\nDo it\n");
    let run = harness.with_agents(&["run", "--executor", "subprocess", &first, &second]);
    killed(&harness, Going::start(run), &["first"]);
    open(&harness, "first");
    let agent = harness.repo.root().join("agents/claude");
    std::fs::rename(&agent, agent.with_extension("off")).expect("it goes away");
    let answer = harness.gadugi_with_agents(&["resume"]).expect(3);
    answer.says(&["the agent `claude` is not installed: `claude` was not found on PATH (second)", "install it"]);
    std::fs::rename(agent.with_extension("off"), &agent).expect("it comes back");
    harness.gadugi_with_agents(&["resume"]).expect(0);
    // What is over needs no agent.
    std::fs::remove_file(&agent).expect("it goes away");
    harness.gadugi_with_agents(&["resume"]).expect(0).says(&["is over: all of its tasks succeeded"]);
}

#[test]
fn an_agent_that_a_task_brings_itself_is_not_refused() {
    let harness = Harness::new();
    harness.agent("claude", CLAUDE);
    let places = harness.repo.root().join("agents").display().to_string();
    let own = format!("---\nagent: claude\nenv: {{PATH: '{places}:/usr/bin:/bin'}}\n---\nDo it\n");
    let own = harness.task("own.md", own);
    harness.gadugi(&["run", "--executor", "subprocess", &own]).expect(0);
    // A setup may put it where it is looked for, and a folder of the worktree may hold it.
    let brought = harness.repo.root().join("brought");
    std::fs::create_dir_all(&brought).expect("a folder");
    let setup = format!("cp '{places}/claude' '{}/claude'", brought.display());
    let later = harness.task("later.md", format!("---\nagent: claude\nsetup: \"{setup}\"\n---\nDo it\n"));
    let mut command = harness.command(&["run", "--executor", "subprocess", &later]);
    command.env("PATH", format!("{}:/usr/bin:/bin", brought.display()));
    let answer: Answer = command.output().expect("gadugi starts").into();
    answer.expect(0).says(&["warning: the agent `claude` is not installed", "their setup has to bring it"]);
    let setup = format!("mkdir -p bin; cp '{places}/claude' bin/claude; echo bin >> .git_ignored");
    let keys = "env: {PATH: 'bin:/usr/bin:/bin'}";
    let inside = harness.task("inside.md", format!("---\nagent: claude\n{keys}\nsetup: \"{setup}\"\n---\nDo it\n"));
    harness.gadugi(&["run", "--executor", "subprocess", &inside]).expect(0);
}

#[test]
fn doctor_and_plan_agree_on_what_is_not_installed() {
    let harness = Harness::new();
    harness.repo.write("gadugi.toml", "agent = 'claude'\nexecutor = 'subprocess'\n");
    let answer = harness.gadugi_with_agents(&["doctor"]).expect(3);
    let line = answer.out.lines().find(|line| line.contains("agent claude")).expect("a line on the agent");
    assert!(line.starts_with("BAD") && line.contains("`claude` was not found"), "{line}");
    harness.gadugi_with_agents(&["plan", "-t", "Do it"]).expect(3);
    let file = harness.task("a.md", "---\ncommand: [no-such-program]\n---\n");
    let answer = harness.gadugi_with_agents(&["plan", &file]).expect(0);
    answer.says(&["warning: `no-such-program` was not found on PATH (a)"]);
}

/// Works for ever, and tells what it has used when it is interrupted, as Claude Code does.
const INTERRUPTED: &str = r#"#!/bin/sh
cat > /dev/null
trap 'printf "%s\n" "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,\"errors\":[\"aborted\"],\"total_cost_usd\":0.016,\"usage\":{\"input_tokens\":2000,\"output_tokens\":400}}"; exit 0' INT
printf '%s\n' '{"type":"system","subtype":"init","session_id":"s-1","model":"m"}'
while :; do sleep 0.1; done
"#;

#[test]
fn what_claude_tells_when_it_is_interrupted_is_counted() {
    let harness = Harness::new();
    harness.agent("claude", INTERRUPTED);
    let file = harness.task("slow.md", "---\nagent: claude\ntimeout: 1s\ngrace: 20s\n---\nNever end\n");
    harness.gadugi_with_agents(&["run", "--executor", "subprocess", &file]).expect(1);
    assert_eq!(harness.outcomes()["slow"], "timed_out");
    assert_eq!(harness.report()["tasks"][0]["attempts"][0]["agent"]["cost_usd"], 0.016);
}

#[test]
fn doctor_knows_which_keys_codex_reads() {
    let harness = Harness::new();
    harness.agent("codex", "#!/bin/sh\necho codex-cli 0.163.0\n");
    let doctor = |name: &str| {
        let mut command = harness.with_agents(&["doctor"]);
        Answer::from(command.env(name, "sk-secret").output().expect("gadugi starts")).out
    };
    let said = doctor("OPENAI_API_KEY");
    assert!(said.contains("note  agent codex") && said.contains("which it does not read"), "{said}");
    let said = doctor("CODEX_API_KEY");
    assert!(said.contains("codex-cli 0.163.0; CODEX_API_KEY is set"), "{said}");
    let config = "model_provider = 'mine'\n[model_providers.mine]\nname = 'mine'\nenv_key = 'OPENAI_API_KEY'\n";
    harness.repo.write("../home/.codex/config.toml", config);
    let said = doctor("OPENAI_API_KEY");
    assert!(said.contains("OPENAI_API_KEY is set, which its config.toml names"), "{said}");
    let said = doctor("OTHER");
    assert!(said.contains("OPENAI_API_KEY is not set, which its config.toml names"), "{said}");
}
