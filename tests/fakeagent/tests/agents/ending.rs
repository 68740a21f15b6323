//! The ends of calls.

use gadugi_core::agent::{AgentError, AgentErrorClass, AgentReport};

use crate::harness::{Agent, BOTH, Harness};

#[track_caller]
fn error(report: &AgentReport) -> &AgentError {
    report.end.as_ref().and_then(|end| end.as_ref().err()).expect("it ended with an error")
}

#[test]
fn a_script_without_directives_ends_well_and_says_nothing() {
    let harness = Harness::new();
    for agent in BOTH {
        let answer = harness.ask(agent, "Do it.");
        assert_eq!((answer.code, answer.report.end, answer.report.last_message), (Some(0), Some(Ok(())), None));
    }
}

#[test]
fn a_request_that_fails_ends_the_call_with_its_status() {
    let harness = Harness::new();
    let prompt = |status| format!("fake: say Begun.\nfake: fail {status} no such key\nfake: run touch never");
    for agent in BOTH {
        for (status, class) in [
            (401, AgentErrorClass::Authentication),
            (429, AgentErrorClass::RateLimit),
            (502, AgentErrorClass::of_status(502)),
            (529, AgentErrorClass::of_status(529)),
        ] {
            let answer = harness.ask(agent, &prompt(status));
            let error = error(&answer.report);
            assert_eq!((answer.code, error.class), (Some(1), class), "{agent:?} {status}");
            // Codex tells no more than that of a limit.
            let says_why = agent == Agent::Claude || status != 429;
            assert_eq!(error.message.contains("no such key"), says_why, "{}", error.message);
            assert!(error.message.contains(&status.to_string()), "{}", error.message);
        }
    }
    assert!(!harness.work().join("never").exists());
}

#[test]
fn a_failed_call_of_claude_has_the_subtype_success_and_its_bill() {
    let harness = Harness::new();
    let answer =
        harness.ask(Agent::Claude, "fake: tokens 5 6\nfake: cost 0.125\nfake: say Begun.\nfake: fail 500 broken");
    let last = answer.out.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().expect("a line");
    let last: serde_json::Value = serde_json::from_slice(last).expect("JSON");
    assert_eq!((&last["subtype"], &last["is_error"]), (&"success".into(), &true.into()));
    assert_eq!((answer.report.tokens.map(|tokens| tokens.total()), answer.report.cost_usd), (Some(11), Some(0.125)));
}

#[test]
fn a_limit_is_told_before_the_end_and_in_it() {
    let harness = Harness::new();
    for agent in BOTH {
        let mut going = harness.begin(agent, "fake: say Begun.\nfake: linger 600\nfake: limit 30");
        going.until(|report| report.limit.is_some());
        going.until(|report| report.end.is_some());
        let told = going.kill();
        assert_eq!(error(&told).class, AgentErrorClass::RateLimit);
        let refusals = told.limit.map(|limit| limit.refusals);
        assert!(refusals >= Some(3), "{refusals:?}");
        let answer = harness.ask(agent, "fake: limit 30");
        assert_eq!(answer.code, Some(1));
        let pause = match agent {
            Agent::Claude => "\"retry_delay_ms\":30000",
            Agent::Codex => "Reconnecting... ",
        };
        let out = String::from_utf8_lossy(&answer.out).into_owned();
        assert_eq!(out.matches(pause).count(), 2, "{out}");
    }
}

#[test]
fn one_that_lingers_goes_on_after_its_result() {
    let harness = Harness::new();
    for agent in BOTH {
        for last in ["say Done.", "fail 500 broken"] {
            let mut going = harness.begin(agent, &format!("fake: linger 600\nfake: {last}"));
            going.until(|report| report.end.is_some());
            harness.ask(agent, &format!("fake: {last}"));
            assert!(going.is_running());
        }
    }
}

#[test]
fn output_that_is_cut_has_no_result_and_no_last_line() {
    let harness = Harness::new();
    for agent in BOTH {
        let answer = harness.ask(agent, "fake: say Begun.\nfake: cut");
        assert_eq!((answer.code, answer.report.end), (Some(0), None));
        assert_eq!(answer.report.last_message.as_deref(), Some("Begun."));
        let last = answer.out.rsplit(|byte| *byte == b'\n').next().expect("there is one");
        assert!(!last.is_empty() && serde_json::from_slice::<serde_json::Value>(last).is_err());
    }
}

#[test]
fn an_exit_has_no_result_and_an_end_has_one() {
    let harness = Harness::new();
    for agent in BOTH {
        let answer = harness.ask(agent, "fake: say Begun.\nfake: exit 7\nfake: say Never.");
        assert_eq!((answer.code, answer.report.end), (Some(7), None));
        assert_eq!(answer.report.last_message.as_deref(), Some("Begun."));
        let answer = harness.ask(agent, "fake: end 7\nfake: say Never.");
        assert_eq!((answer.code, answer.report.end), (Some(7), Some(Ok(()))));
    }
}

#[test]
fn a_directive_that_is_not_known_is_named_and_none_is_done() {
    let harness = Harness::new();
    for agent in BOTH {
        for wrong in ["sing", "say", "cut it", "tokens 3", "cost -1", "exit 256", "once key", "on-resume sing", "once"]
        {
            let answer = harness.ask(agent, &format!("fake: run touch never\nfake: {wrong}"));
            assert_eq!((answer.code, answer.out.len()), (Some(64), 0), "{wrong}");
            assert!(answer.err.contains(&format!("`fake: {wrong}`")), "{}", answer.err);
        }
    }
    assert!(!harness.work().join("never").exists());
}

#[test]
fn a_command_line_that_asks_for_no_stream_is_refused() {
    let harness = Harness::new();
    let wrong: [(Agent, &[&str], &str); 6] = [
        (Agent::Claude, &["--output-format", "stream-json", "--verbose"], "-p"),
        (Agent::Claude, &["-p", "--verbose"], "--output-format stream-json"),
        (Agent::Claude, &["-p", "--output-format", "stream-json"], "--verbose"),
        (Agent::Codex, &["--json", "-"], "exec"),
        (Agent::Codex, &["exec", "-"], "--json"),
        (Agent::Codex, &["exec", "--json", "resume"], "id of a session"),
    ];
    for (agent, args, why) in wrong {
        let answer = harness.ask_with(agent, args, "");
        assert_eq!((answer.code, answer.out.len()), (Some(64), 0));
        assert!(answer.err.contains(why), "{}", answer.err);
    }
    assert_eq!(harness.agents.calls().expect("they are recorded").len(), 6);
}

#[test]
fn a_plan_that_is_used_up_names_its_time() {
    let harness = Harness::new();
    for agent in BOTH {
        let answer = harness.ask(agent, "fake: used-up 3000");
        assert_eq!((answer.code, error(&answer.report).class), (Some(1), AgentErrorClass::RateLimit));
        let until = answer.report.limit.and_then(|limit| limit.until).expect("a time");
        let left = until.as_second() - i64::try_from(now_seconds()).expect("a time");
        assert!((2900..=3001).contains(&left), "{left}");
    }
}

#[test]
fn one_that_is_refused_for_a_while_goes_on_then() {
    let harness = Harness::new();
    for agent in BOTH {
        for status in [0, 401, 503] {
            let answer = harness.ask(agent, &format!("fake: refused {status} 2 1\nfake: say Done."));
            assert_eq!((answer.code, answer.report.limit), (Some(0), None), "{agent:?} {status}");
            let mut going = harness.begin(agent, &format!("fake: refused {status} 1 600000"));
            going.until(|report| report.limit.is_some());
            going.kill();
        }
    }
}

fn now_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later").as_secs()
}
