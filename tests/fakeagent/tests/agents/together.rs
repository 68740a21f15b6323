//! Many calls at once.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Barrier;
use std::thread;

use crate::harness::{Agent, Answer, BOTH, Harness};

const CALLS: usize = 8;

/// Asks all of them, by turns the one and the other agent, so that they begin when all have been started.
fn at_once(harness: &Harness, prompts: &[String]) -> Vec<Answer> {
    let asked = prompts.iter().zip(BOTH.iter().cycle()).map(|(prompt, agent)| (*agent, agent.args(), prompt.as_str()));
    all_at_once(harness, asked.collect())
}

fn all_at_once(harness: &Harness, asked: Vec<(Agent, Vec<&str>, &str)>) -> Vec<Answer> {
    let started = &Barrier::new(asked.len());
    thread::scope(|scope| {
        let wait = || {
            started.wait();
        };
        let ask = |(agent, args, prompt): (Agent, Vec<_>, _)| {
            scope.spawn(move || harness.ask_together(agent, &args, prompt, wait))
        };
        let calls: Vec<_> = asked.into_iter().map(ask).collect();
        calls.into_iter().map(|call| call.join().expect("it was asked")).collect()
    })
}

#[test]
fn what_is_to_be_done_once_is_done_by_one_of_many() {
    let harness = Harness::new();
    let script = (0..300).fold(String::new(), |mut script, key| {
        writeln!(script, "fake: once key/{key} say Key {key}.").expect("memory takes it");
        script
    });
    let answers = at_once(&harness, &vec![script; CALLS]);
    let said: Vec<String> = answers.iter().map(|answer| String::from_utf8_lossy(&answer.out).into_owned()).collect();
    for key in 0..300 {
        // The result repeats what was said last.
        let text = format!("\"text\":\"Key {key}.\"");
        let times: usize = said.iter().map(|said| said.matches(&text).count()).sum();
        assert_eq!(times, 1, "{text}");
    }
    assert!(answers.iter().all(|answer| answer.code == Some(0)));
}

#[test]
fn the_record_has_each_of_many_calls_on_a_whole_line() {
    let harness = Harness::new();
    let mut all_prompts = BTreeSet::new();
    let mut all_sessions = BTreeSet::new();
    for round in 0..5 {
        let prompts: Vec<_> = (0..CALLS).map(|number| format!("{round}.{number} ").repeat(100_000)).collect();
        let answers = at_once(&harness, &prompts);
        all_sessions.extend(answers.iter().map(|answer| answer.session().to_owned()));
        all_prompts.extend(prompts);
    }
    // A line that is not whole is an error.
    let calls = harness.agents.calls().expect("they are recorded");
    assert_eq!((calls.len(), all_sessions.len()), (5 * CALLS, 5 * CALLS), "each has a session of its own");
    let prompts: BTreeSet<_> = calls.iter().filter_map(|call| call.prompt.clone()).collect();
    let sessions: BTreeSet<_> = calls.iter().filter_map(|call| call.session.clone()).collect();
    // Without printing them: they are long.
    assert!(prompts == all_prompts && sessions == all_sessions, "the record has the calls that were made");
}

#[test]
fn many_resume_one_session_at_once() {
    let harness = Harness::new();
    let session = harness.ask(Agent::Codex, "fake: on-resume say Again.").session().to_owned();
    let answers = all_at_once(&harness, vec![(Agent::Codex, Agent::Codex.resuming(&session), ""); CALLS]);
    assert!(answers.iter().all(|answer| answer.report.last_message.as_deref() == Some("Again.")));
}
