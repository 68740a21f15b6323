//! Agents that need no configuration, and what they are given where they run.

use gadugi_cli::config::{AgentPlace, Bell, Config};
use gadugi_cli::input::complete_agent_calls;
use gadugi_core::agent::{AgentCall, Budget, DEFAULT_FRAME};
use gadugi_core::plan::{Program, RetryFrom};
use gadugi_core::{Plan, TaskSpec};
use insta::assert_snapshot;

use crate::fixture::Folder;

fn placed(folder: &Folder, place: AgentPlace) -> Result<TaskSpec, String> {
    let raw = folder.try_read(&["t.md"], &[]).expect("a valid task");
    let mut plan = Plan::try_from(raw).expect("a sound plan");
    let placed = complete_agent_calls(&mut plan, &folder.config, |_| place, |_| Vec::new());
    let issue = |issue: &gadugi_cli::input::AgentCallIssue| format!("error: {issue}\n hint: {}\n", issue.hint());
    placed.map_err(|error| error.issues.iter().map(issue).collect::<String>())?;
    Ok(plan.tasks()[0].spec.clone())
}

fn call(spec: &TaskSpec) -> &AgentCall {
    spec.action.agent.as_ref().expect("an agent")
}

fn shown(command: &[gadugi_core::agent::Argument]) -> String {
    command.iter().map(|argument| argument.fill("PROMPT", "SESSION", "MAX-COST")).collect::<Vec<_>>().join(" ")
}

/// A folder with a task for this agent, and these lines in `gadugi.toml`.
fn asking(agent: &str, config: &str) -> Folder {
    let folder = Folder::configured(config);
    folder.write("t.md", format!("---\nagent: {agent}\n---\nDo it.\n"));
    folder
}

#[test]
fn the_known_agents_are_given_on_the_host_what_lets_them_work_and_no_more() {
    let commands = |agent| {
        let spec = placed(&asking(agent, ""), AgentPlace::Host).expect("it may run here");
        let call = call(&spec);
        assert_eq!(call.frame, DEFAULT_FRAME);
        assert!(!spec.env.contains_key("IS_SANDBOX"));
        let resume = call.resume.as_deref().map(shown).unwrap_or_default();
        format!("{}\n{resume}\n{}", shown(&call.command), call.output)
    };
    assert_snapshot!(commands("claude"), @"
    claude -p --output-format stream-json --verbose --permission-mode acceptEdits --allowedTools Bash(git add:*),Bash(git commit:*),Bash(git status:*),Bash(git diff:*),Bash(git log:*)
    claude -p --output-format stream-json --verbose --permission-mode acceptEdits --allowedTools Bash(git add:*),Bash(git commit:*),Bash(git status:*),Bash(git diff:*),Bash(git log:*) --resume SESSION
    claude-stream-json
    ");
    assert_snapshot!(commands("codex"), @"
    codex exec --json --sandbox workspace-write -
    codex exec --json --sandbox workspace-write resume SESSION -
    codex-json
    ");
}

#[test]
fn an_agent_that_can_only_be_let_do_everything_is_not_started_on_the_host() {
    assert_snapshot!(placed(&asking("gemini", ""), AgentPlace::Host).unwrap_err(), @"
    error: t: the agent `gemini` would run on this machine, where gadugi knows no way to let it work alone but to let it do everything unasked
     hint: run it in a container: --executor docker --image IMG; or say that it may: --unsafe-host; or set `host_args` in [agents.gemini]
    ");
    for agent in ["gemini", "qwen", "opencode", "aider"] {
        assert!(placed(&asking(agent, ""), AgentPlace::Host).is_err(), "{agent}");
        assert!(placed(&asking(agent, &format!("[agents.{agent}]\nhost_args = []\n")), AgentPlace::Host).is_ok());
    }
    let isolated = |agent| shown(&call(&placed(&asking(agent, ""), AgentPlace::Isolated).expect("it may run")).command);
    assert_snapshot!(isolated("gemini"), @"gemini --approval-mode yolo");
    assert_snapshot!(isolated("qwen"), @"qwen --approval-mode yolo");
    assert_snapshot!(isolated("opencode"), @"opencode run --auto");
    assert_snapshot!(isolated("aider"), @"aider --yes-always --message-file /dev/stdin");
}

#[test]
fn where_it_is_isolated_or_somebody_says_so_an_agent_asks_nobody() {
    for (agent, flag) in
        [("claude", "--dangerously-skip-permissions"), ("codex", "--dangerously-bypass-approvals-and-sandbox")]
    {
        let folder = asking(agent, "");
        let isolated = placed(&folder, AgentPlace::Isolated).expect("it may run in a container");
        let unsafe_host = placed(&folder, AgentPlace::UnsafeHost).expect("it may run here");
        for spec in [&isolated, &unsafe_host] {
            assert!(shown(&call(spec).command).contains(flag), "{agent}");
            assert_eq!(spec.env.get("IS_SANDBOX").map(String::as_str), (agent == "claude").then_some("1"));
            let resume = call(spec).resume.as_deref().map(shown).expect("it goes on");
            assert!(resume.contains(flag) && resume.contains("SESSION"), "{resume}");
        }
    }
}

#[test]
fn the_configuration_cannot_let_an_agent_do_everything_on_the_host() {
    for skip in [
        "host_args = ['--dangerously-skip-permissions']",
        "host_args = ['--permission-mode', 'bypassPermissions']",
        "command = ['claude', '-p', '--dangerously-skip-permissions']",
        "command = ['gemini', '--approval-mode', 'yolo']",
        "command = ['gemini', '--approval-mode=yolo']",
        "resume = ['claude', '--dangerously-skip-permissions', '--resume', '{session}']",
    ] {
        let folder = asking("claude", &format!("[agents.claude]\n{skip}\n"));
        let error = placed(&folder, AgentPlace::Host).unwrap_err();
        assert!(error.contains("do there unasked what it likes") && error.contains("--unsafe-host"), "{error}");
        assert!(placed(&folder, AgentPlace::UnsafeHost).is_ok());
    }
}

#[test]
fn a_table_changes_what_it_says_of_a_known_agent_or_of_one_that_it_extends() {
    let config = "[agents.claude]\nmodel = 'opus'\nlinger = '5s'\n[agents.fast]\nextends = 'claude'\nmodel = 'haiku'\nframe = ''\nset_env = {A = '1'}\n";
    let own = placed(&asking("claude", config), AgentPlace::Host).expect("it may run here");
    assert!(shown(&call(&own).command).ends_with(",Bash(git log:*) --model opus"));
    assert_eq!((call(&own).linger.as_secs(), call(&own).backoff.as_secs()), (5, 30));
    assert_eq!(own.env["DISABLE_AUTOUPDATER"], "1");
    let fast = placed(&asking("fast", config), AgentPlace::Host).expect("it may run here");
    assert!(shown(&call(&fast).command).ends_with(",Bash(git log:*) --model haiku"));
    assert_eq!((call(&fast).linger.as_secs(), call(&fast).frame.as_str(), call(&fast).name.as_str()), (5, "", "fast"));
    assert_eq!(fast.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(), ["A=1"]);
    let plain = placed(&asking("plain", "[agents.plain]\ncommand = ['x']\n"), AgentPlace::Host).expect("as it is told");
    assert_eq!((shown(&call(&plain).command).as_str(), call(&plain).output.as_str()), ("x", "text"));
}

#[test]
fn what_a_task_says_of_a_variable_wins_over_the_agent() {
    let mut folder = asking("claude", "");
    folder.write("t.md", "---\nagent: claude\nenv: {IS_SANDBOX: '0'}\nsecrets: [DISABLE_AUTOUPDATER]\n---\nDo it.\n");
    folder.set("DISABLE_AUTOUPDATER", "0");
    folder.set("ANTHROPIC_API_KEY", "secret");
    let spec = placed(&folder, AgentPlace::Isolated).expect("it may run");
    assert_eq!((spec.env["IS_SANDBOX"].as_str(), spec.env.get("DISABLE_AUTOUPDATER")), ("0", None));
    assert_eq!(spec.secrets, ["DISABLE_AUTOUPDATER", "ANTHROPIC_API_KEY"]);
}

#[test]
fn folders_of_this_machine_are_not_named_where_an_agent_is_isolated_from_it() {
    let mut folder = asking("codex", "");
    folder.set("CODEX_HOME", "/home/me/.codex");
    folder.set("OPENAI_API_KEY", "secret");
    let secrets = |place| placed(&folder, place).expect("it may run").secrets;
    assert_eq!(secrets(AgentPlace::Isolated), ["OPENAI_API_KEY"]);
    assert_eq!(secrets(AgentPlace::UnsafeHost), ["OPENAI_API_KEY", "CODEX_HOME"]);
}

#[test]
fn budgets_come_from_the_task_else_from_the_configuration_and_reach_the_agent() {
    let folder = asking("claude", "max_cost = 1\nmax_tokens = 5000\nrun_max_cost = 20.5\nrun_max_tokens = 9\n");
    let spec = placed(&folder, AgentPlace::Host).expect("it may run here");
    assert_eq!(call(&spec).budget, Budget { cost_usd: Some(1.0), tokens: Some(5000) });
    assert!(shown(&call(&spec).command).ends_with("--max-budget-usd MAX-COST"));
    assert_eq!(folder.config.run_settings().budget, Budget { cost_usd: Some(20.5), tokens: Some(9) });
    folder.write("t.md", "---\nagent: claude\nmax_cost: 2.5\n---\nDo it.\n");
    let spec = placed(&folder, AgentPlace::Host).expect("it may run here");
    assert_eq!(call(&spec).budget, Budget { cost_usd: Some(2.5), tokens: Some(5000) });
    assert!(shown(&call(&spec).command).ends_with("--max-budget-usd MAX-COST"));
    let mut folder = asking("codex", "");
    folder.set("GADUGI_MAX_COST", "0.5");
    folder.set("GADUGI_MAX_TOKENS", "7");
    folder.config = folder.load().expect("a valid configuration");
    let spec = placed(&folder, AgentPlace::Host).expect("it may run here");
    assert_eq!(call(&spec).budget, Budget { cost_usd: Some(0.5), tokens: Some(7) });
    folder.write("t.md", "---\nagent: codex\nmax_cost: -1\nmax_tokens: 0\n---\nDo it.\n");
    assert_snapshot!(folder.errors(&["t.md"]), @"
    error: t.md:3: `max_cost` must be a number above 0, not the number -1
     hint: write for example 2.5
    error: t.md:4: `max_tokens` must be a whole number from 1 on, not the number 0
     hint: write for example 2000000
    ");
}

#[test]
fn a_task_with_an_agent_and_a_check_goes_on_from_where_it_was() {
    let retry_from = |config: &str, front: &str| {
        let folder = Folder::configured(config);
        folder.write("t.md", format!("---\n{front}\n---\nDo it.\n"));
        folder.task("t.md").spec.retry_from
    };
    assert_eq!(retry_from("", "agent: claude\ncheck: make"), RetryFrom::Previous);
    assert_eq!(retry_from("", "agent: claude"), RetryFrom::Base);
    assert_eq!(retry_from("", "run: make\ncheck: make"), RetryFrom::Base);
    assert_eq!(retry_from("", "agent: claude\ncheck: make\nretry_from: base"), RetryFrom::Base);
    assert_eq!(retry_from("retry_from = 'base'", "agent: claude\ncheck: make"), RetryFrom::Base);
}

#[test]
fn the_agent_shell_runs_the_text_of_its_task() {
    let spec = placed(&asking("shell", ""), AgentPlace::Host).expect("a script");
    assert_eq!((spec.action.program, spec.action.agent), (Program::Script("Do it.".to_owned()), None));
}

#[test]
fn the_only_agent_that_is_installed_is_taken_where_nobody_names_one() {
    let mut folder = Folder::with("t.md", "Do it.\n");
    assert_snapshot!(folder.errors(&["t.md"]).lines().next().unwrap(), @"error: t.md: the task does not say what it runs, there is no default agent, and none is installed that gadugi knows");
    folder.installed = vec!["claude".into(), "codex".into()];
    assert_snapshot!(folder.errors(&["t.md"]).lines().next().unwrap(), @"error: t.md: the task does not say what it runs, there is no default agent, and several are installed: claude, codex");
    folder.installed = vec!["codex".into()];
    assert_eq!(call(&folder.task("t.md").spec).name, "codex");
    folder.config.agent = Some("claude".into());
    assert_eq!(call(&folder.task("t.md").spec).name, "claude");
}

#[test]
fn everything_wrong_with_agents_is_told_with_its_line() {
    let folder = Folder::with(
        "gadugi.toml",
        r#"
[agents.a]
extends = "claud"
[agents.b]
extends = "c"
[agents.c]
extends = "b"
[agents.claude]
resume = ["claude"]
[agents.codex]
command = ["codex", "--x={options}", "{sesion}"]
output = "json"
[agents.new]
model = "x"
[agents.aider]
command = ["aider"]
[agents.qwen]
command = ["qwen", "{session}"]
linger = 5
"#,
    );
    assert_snapshot!(folder.config_errors(), @r#"
    error: gadugi.toml:11: `command`: `{options}` stands for several arguments, or none
     hint: make it an argument of its own: ["program", "{options}"]
    error: gadugi.toml:11: `command`: unknown placeholder `{sesion}` (did you mean `{session}`?)
     hint: write `{session}`
    error: gadugi.toml:12: `output`: `json` is none of text, claude-stream-json, codex-json
     hint: write `text`
    error: gadugi.toml:13: `command` is missing
     hint: add for example command = ["program", "argument"]
    error: gadugi.toml:19: `linger`: `5` has no unit of time
     hint: write `5s` for seconds or `5m` for minutes
    error: gadugi.toml:3: `extends`: there is no agent `claud` (did you mean `claude`?)
     hint: write "claude"
    error: gadugi.toml:5: `extends`: `c` extends this one in turn
     hint: remove one of them, and give that agent a `command`
    error: gadugi.toml:7: `extends`: `b` extends this one in turn
     hint: remove one of them, and give that agent a `command`
    error: gadugi.toml:8: `command`: `resume` needs `{session}`
     hint: put `{session}` where it expects what names the conversation
    error: gadugi.toml:16: `command`: `prompt = "file"` needs `{prompt_file}` in the command
     hint: put `{prompt_file}` where the command expects the path of a file
    error: gadugi.toml:18: `command`: `{session}` has no meaning in `command`
     hint: write it into `resume`
    "#);
}

#[test]
fn notices_come_from_files_and_variables() {
    let folder = Folder::configured("notify = ['tell', '--loud']\nbell = 'osc9'\n");
    assert_eq!((folder.config.notify.join(" ").as_str(), folder.config.bell), ("tell --loud", Bell::Osc9));
    let mut folder = Folder::new();
    folder.set("GADUGI_BELL", "1");
    folder.set("GADUGI_NOTIFY", "tell,me");
    let config = folder.load().expect("a valid configuration");
    assert_eq!((config.notify.join(" ").as_str(), config.bell), ("tell me", Bell::Rings));
    let folder = Folder::with("gadugi.toml", "bell = 'loud'\nnotify = 'x'\n");
    assert_snapshot!(folder.config_errors(), @r#"
    error: gadugi.toml:1: `bell`: `loud` is none of osc9
     hint: write `osc9`
    error: gadugi.toml:2: `notify` must be a list of texts, not the text `x`
     hint: write for example ["notify-send", "gadugi"]
    "#);
}

#[test]
fn all_known_agents_are_there_without_configuration() {
    let known: Vec<_> = Config::default().agents.into_keys().collect();
    assert_eq!(known, ["aider", "claude", "codex", "gemini", "opencode", "qwen", "shell"]);
}
