//! The output of agents while they work.

use std::fs;
use std::process::Stdio;

use gadugi_core::agent::{AgentReport, Denials, Figure, OwnPart, Tokens};
use serde_json::Value;

use crate::harness::{Agent, BOTH, Harness};

#[test]
fn an_agent_tells_all_that_its_script_says() {
    let harness = Harness::new();
    let prompt = "# A task\n\
        fake: tokens 100 20\n\
        fake: run echo \"it's done\" | tee made.txt\n\
        Words for the model, which are passed over.\n\
        \tfake: say Half of it.\n\
        fake: cost 0.5\n\
        fake: tokens 200 30\n\
        fake: cost 0.25\n\
        fake: say All of it.\n";
    let claude = harness.ask(Agent::Claude, prompt);
    let tokens = Some(Tokens { input: 300, cached: 0, output: 50 });
    assert_eq!(
        claude.report,
        AgentReport {
            session: claude.report.session.clone(),
            model: Some("claude-opus-5-5".to_owned()),
            turns: Some(3),
            tokens,
            cost_usd: Some(0.75),
            own: OwnPart { cost_usd: Some(Figure::reported(0.75)), tokens: tokens.map(Figure::reported) },
            last_tool: Some("Bash: echo \"it's done\" | tee made.txt".to_owned()),
            last_message: Some("All of it.".to_owned()),
            denials: Denials::default(),
            limit: None,
            end: Some(Ok(())),
        }
    );
    let codex = harness.ask(Agent::Codex, prompt);
    assert_eq!(
        codex.report,
        AgentReport {
            session: codex.report.session.clone(),
            turns: Some(1),
            tokens,
            last_tool: Some(r#"command_execution: sh -c 'echo "it'\''s done" | tee made.txt'"#.to_owned()),
            last_message: Some("All of it.".to_owned()),
            end: Some(Ok(())),
            ..AgentReport::default()
        }
    );
    for answer in [claude, codex] {
        assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
        assert_eq!(answer.session().len(), 36, "{}", answer.session());
    }
    assert_eq!(fs::read_to_string(harness.work().join("made.txt")).expect("it was made"), "it's done\n");
}

#[test]
fn what_a_command_gave_is_told_to_the_model() {
    let harness = Harness::new();
    for agent in BOTH {
        let answer = harness.ask(agent, "fake: run echo out; echo err >&2; exit 3");
        let events: Vec<Value> =
            answer.out.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        match agent {
            Agent::Claude => {
                let used = &events[1]["message"]["content"][0];
                let gave = &events[2]["message"]["content"][0];
                assert_eq!((&gave["content"], &gave["is_error"]), (&"out\nerr\n".into(), &true.into()));
                assert_eq!(used["id"], gave["tool_use_id"]);
            }
            Agent::Codex => {
                let (used, gave) = (&events[2]["item"], &events[3]["item"]);
                assert_eq!((&gave["aggregated_output"], &gave["exit_code"]), (&"out\nerr\n".into(), &3.into()));
                assert_eq!(used["id"], gave["id"]);
            }
        }
        assert_eq!(answer.report.end, Some(Ok(())), "that a command failed is no failure of {agent:?}");
    }
}

#[test]
fn what_is_charged_is_told_with_the_next_message_already() {
    let harness = Harness::new();
    let mut going =
        harness.begin(Agent::Claude, "fake: tokens 7 5\nfake: say So far.\nfake: linger 600\nfake: endless");
    going.until(|report| report.last_message.is_some());
    let told = going.kill();
    assert_eq!((told.tokens, told.end), (Some(Tokens { input: 7, cached: 0, output: 5 }), None));
}

#[test]
fn garbage_tells_nothing_and_hides_nothing() {
    let harness = Harness::new();
    for agent in BOTH {
        let script = "fake: tokens 3 4\nfake: say Before.\nfake: garbage\n";
        let answer = harness.ask(agent, script);
        let clean = harness.ask(agent, &script.replace("garbage", "slow 0"));
        let longest = answer.out.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
        assert!(longest > Some(1 << 20), "{longest:?}");
        assert!(std::str::from_utf8(&answer.out).is_err());
        assert_eq!(answer.code, Some(0));
        let of_one_session = |report: &AgentReport| AgentReport { session: None, ..report.clone() };
        assert_eq!(of_one_session(&answer.report), of_one_session(&clean.report));
    }
}

#[test]
fn one_that_never_ends_uses_tools_until_it_is_killed() {
    let harness = Harness::new();
    for agent in BOTH {
        let mut going = harness.begin(agent, "fake: endless");
        for _ in 0..30 {
            assert!(going.line());
        }
        assert!(going.is_running());
        let told = going.kill();
        assert!(told.last_tool.is_some_and(|tool| tool.contains("true")));
        assert_eq!(told.end, None);
    }
}

#[test]
fn a_slow_one_has_said_no_more_when_another_has_ended() {
    let harness = Harness::new();
    for agent in BOTH {
        let mut going = harness.begin(agent, "fake: say First.\nfake: slow 600000\nfake: say Second.");
        going.until(|report| report.last_message.is_some());
        harness.ask(agent, "fake: say First.\nfake: say Second.");
        assert!(going.is_running());
        assert_eq!(going.kill().last_message.as_deref(), Some("First."));
    }
}

#[test]
fn a_prompt_comes_as_the_last_argument_too() {
    let harness = Harness::new();
    let claude =
        &["-p", "--verbose", "--dangerously-skip-permissions", "--output-format=stream-json", "fake: say Yes."];
    let codex =
        &["-a", "never", "exec", "--json", "--dangerously-bypass-approvals-and-sandbox", "-m", "o9", "fake: say Yes."];
    for (agent, args) in [(Agent::Claude, &claude[..]), (Agent::Codex, &codex[..])] {
        let answer = harness.ask_with(agent, args, "");
        assert_eq!(answer.report.last_message.as_deref(), Some("Yes."), "{}", answer.err);
    }
    // What is on standard input is not for a codex that was given its prompt.
    let answer = harness.ask_with(Agent::Codex, codex, "fake: say No.");
    assert_eq!(answer.report.last_message.as_deref(), Some("Yes."));
}

#[test]
fn the_model_that_is_asked_for_is_the_one_that_answers() {
    let harness = Harness::new();
    let args = [&Agent::Claude.args()[..], &["--model", "sonnet", "--max-budget-usd", "3"]].concat();
    assert_eq!(harness.ask_with(Agent::Claude, &args, "").report.model.as_deref(), Some("sonnet"));
}

#[test]
fn each_agent_tells_its_version() {
    let harness = Harness::new();
    for (agent, version) in [(Agent::Claude, "2.1.330 (Claude Code)\n"), (Agent::Codex, "codex-cli 0.163.0\n")] {
        let mut command = harness.command(agent.name(), &["--version"]);
        let output = command.stdin(Stdio::null()).output().expect("it starts");
        assert_eq!(String::from_utf8_lossy(&output.stdout), version);
    }
}
