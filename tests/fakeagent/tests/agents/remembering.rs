//! Sessions, and the record of calls.

use std::fs;

use gadugi_core::agent::{AgentErrorClass, AgentReport, Tokens, Used};
use gadugi_fakeagent::{Call, Installed};

use crate::harness::{Agent, BOTH, Harness};

#[test]
fn a_session_is_resumed_with_what_was_kept_for_that_and_then_what_is_new() {
    let harness = Harness::new();
    for agent in BOTH {
        let log = harness.work().join(agent.name());
        let append = |word: &str| format!("run echo {word} >> {}", agent.name());
        let first = format!("fake: on-resume {}\nfake: {}", append("kept"), append("first"));
        let first = harness.ask(agent, &first);
        let (session, id) = (first.session().to_owned(), first.session());
        let second = harness.ask_with(agent, &agent.resuming(id), &format!("fake: {}", append("second")));
        assert_eq!((second.code, second.session()), (Some(0), id), "{}", second.err);
        // Once more, and by nobody else.
        harness.ask_with(agent, &agent.resuming(&session), &format!("fake: {}", append("third")));
        harness.ask(agent, &format!("fake: {}", append("other")));
        assert_eq!(fs::read_to_string(log).expect("it was made"), "first\nkept\nsecond\nkept\nthird\nother\n");
    }
}

#[test]
fn what_is_to_be_done_on_resuming_is_kept_once_and_whatever_becomes_of_the_call() {
    let harness = Harness::new();
    for agent in BOTH {
        let prompt = "fake: once refused limit 1\nfake: on-resume say Again.\nfake: on-resume once again exit 9";
        let prompt = prompt.replace("refused", &format!("refused-{}", agent.name()));
        let prompt = prompt.replace("once again", &format!("once again-{}", agent.name()));
        let first = harness.ask(agent, &prompt);
        assert_eq!(first.code, Some(1));
        let resuming = agent.resuming(first.session());
        // The same prompt again, as a caller does that knows nothing of what was kept.
        let second = harness.ask_with(agent, &resuming, &prompt);
        assert_eq!((second.code, second.report.last_message.as_deref()), (Some(9), Some("Again.")));
        let third = harness.ask_with(agent, &resuming, &prompt);
        assert_eq!((third.code, third.report.end), (Some(0), Some(Ok(()))));
        let said = String::from_utf8_lossy(&third.out).into_owned();
        let messages = said.lines().filter(|line| line.contains("Again.") && !line.contains("\"result\"")).count();
        assert_eq!(messages, 1, "{said}");
    }
}

#[test]
fn what_is_kept_may_itself_be_for_a_later_call() {
    let harness = Harness::new();
    for agent in BOTH {
        let first = harness.ask(agent, "fake: say One.\nfake: on-resume on-resume say Three.");
        let resuming = agent.resuming(first.session());
        assert_eq!(harness.ask_with(agent, &resuming, "").report.last_message, None);
        assert_eq!(harness.ask_with(agent, &resuming, "").report.last_message.as_deref(), Some("Three."));
    }
}

#[test]
fn a_session_that_is_not_known_cannot_be_resumed() {
    let harness = Harness::new();
    let of_the_other = harness.ask(Agent::Codex, "").session().to_owned();
    let prompt = "fake: run touch never";
    for unknown in ["0b5b1d0c-31f5-4b3e-a2d5-c9a0d3a0a3a5", "../once", &of_the_other] {
        let claude = harness.ask_with(Agent::Claude, &Agent::Claude.resuming(unknown), prompt);
        assert_eq!(claude.code, Some(1));
        let error = claude.report.end.and_then(Result::err).expect("it ended with an error");
        let message = format!("No conversation found with session ID: {unknown}");
        assert_eq!((error.class, error.message), (AgentErrorClass::Other, message));
    }
    let of_the_other = harness.ask(Agent::Claude, "").session().to_owned();
    for unknown in ["0b5b1d0c-31f5-4b3e-a2d5-c9a0d3a0a3a5", &of_the_other] {
        let codex = harness.ask_with(Agent::Codex, &Agent::Codex.resuming(unknown), prompt);
        assert_eq!((codex.code, codex.out.len()), (Some(1), 0));
        assert!(codex.err.contains(&format!("no rollout found for thread id {unknown}")), "{}", codex.err);
    }
    assert!(!harness.work().join("never").exists());
    let calls = harness.agents.calls().expect("they are recorded");
    let refused: Vec<_> = calls.iter().filter(|call| call.resumed.is_some()).collect();
    assert_eq!(refused.len(), 5);
    assert!(refused.iter().all(|call| call.session.is_none() && call.prompt.as_deref() == Some(prompt)));
}

#[test]
fn a_call_is_recorded_as_it_was_made() {
    let harness = Harness::new();
    for agent in BOTH {
        let args = agent.args();
        let prompt = "Two lines,\nfake: say and “quotes”.\n";
        let first = harness.ask(agent, prompt);
        let resuming = agent.resuming(first.session());
        harness.ask_with(agent, &resuming, "");
        let mut command = harness.command(agent.name(), &["--version"]);
        command.env("A_SECRET", "of-nobody").output().expect("it starts");

        let calls = harness.agents.calls().expect("they are recorded");
        let calls: Vec<_> = calls.iter().filter(|call| call.agent == agent.name()).collect();
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let begun = Call {
            agent: agent.name().to_owned(),
            argv: texts(&args),
            cwd: harness.work().display().to_string(),
            prompt: Some(prompt.to_owned()),
            environment: texts(&["PATH"]),
            session: first.report.session.clone(),
            resumed: None,
        };
        let (session, no_prompt) = (first.report.session.clone(), Some(String::new()));
        let resumed = Call { argv: texts(&resuming), prompt: no_prompt, resumed: session, ..begun.clone() };
        let environment = texts(&["A_SECRET", "PATH"]);
        let argv = texts(&["--version"]);
        let asked = Call { argv, environment, prompt: None, session: None, ..begun.clone() };
        assert_eq!(calls, [&begun, &resumed, &asked]);
    }
    let record = fs::read_to_string(harness.agents.folder().join("fakeagent/calls.jsonl")).expect("a record");
    assert!(!record.contains("of-nobody"), "it has only the names");
}

#[test]
fn an_agent_remembers_beside_where_it_was_called_and_not_where_it_leads() {
    let harness = Harness::new();
    let elsewhere = harness.work().join("elsewhere");
    let claude = harness.agents.folder().join("claude");
    let others = Installed::new(&claude, &elsewhere).expect("they are installed");
    let by_path = others.folder().join("claude");
    let by_path = by_path.to_str().expect("UTF-8");
    let output = harness.command(by_path, &Agent::Claude.args()).output().expect("it starts");
    assert!(output.status.success());
    let output = harness.command("elsewhere/claude", &Agent::Claude.args()).output().expect("it starts");
    assert!(output.status.success());
    assert_eq!(others.calls().expect("they are recorded").len(), 2);
    assert_eq!(harness.agents.calls().expect("there is no record yet"), []);
}

#[test]
fn an_agent_that_was_not_installed_says_so() {
    let harness = Harness::new();
    let alone = harness.work().join("claude");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_gadugi-fakeagent"), &alone).expect("a link");
    let output = harness.command(alone.to_str().expect("UTF-8"), &["--version"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("work/fakeagent is not there"), "{said}");
}

#[test]
fn a_conversation_that_goes_on_counts_on_and_claude_tells_the_part_of_the_call() {
    let harness = Harness::new();
    let prompt = "fake: tokens 100 20\nfake: cost 0.5\nfake: say Done.";
    let mut reports = BOTH.map(|agent| vec![harness.ask(agent, prompt).report]);
    for (agent, reports) in BOTH.into_iter().zip(&mut reports) {
        let session = reports[0].session.clone().expect("a session");
        // Another one in between changes nothing.
        harness.ask(agent, prompt);
        reports.push(harness.ask_with(agent, &agent.resuming(&session), prompt).report);
    }
    let [claude, codex] = reports.map(|reports| {
        let figures = |report: &AgentReport| (report.cost_usd, report.tokens.map(Tokens::total), report.own.used());
        reports.iter().map(figures).collect::<Vec<_>>()
    });
    let own = Used { cost_usd: 0.5, tokens: 120 };
    assert_eq!(claude, [(Some(0.5), Some(120), own), (Some(1.0), Some(120), own)]);
    assert_eq!(codex, [(None, Some(120), Used::default()), (None, Some(240), Used::default())]);
}

#[test]
fn claude_uses_no_tool_when_the_call_has_cost_what_it_may() {
    let harness = Harness::new();
    let prompt = "fake: cost 0.3\nfake: run echo one >> made\nfake: cost 0.3\nfake: run echo two >> made";
    let args = [&Agent::Claude.args()[..], &["--max-budget-usd", "0.5"]].concat();
    let answer = harness.ask_with(Agent::Claude, &args, prompt);
    let error = answer.report.end.clone().and_then(Result::err).expect("it ended with an error");
    assert_eq!((answer.code, error.message.as_str()), (Some(1), "Reached maximum budget ($0.5)"));
    assert_eq!(answer.report.own.used().cost_usd, 0.6);
    // Each call by itself may cost so much.
    let resuming = [&Agent::Claude.resuming(answer.session())[..], &["--max-budget-usd", "0.5"]].concat();
    let again = harness.ask_with(Agent::Claude, &resuming, "fake: cost 0.4\nfake: run echo three >> made");
    assert_eq!((again.code, again.report.cost_usd), (Some(0), Some(1.0)));
    assert_eq!(fs::read_to_string(harness.work().join("made")).expect("it was made"), "one\nthree\n");
}
