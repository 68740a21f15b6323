//! Many calls at once.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use crate::scene::{Agent, Answer, BOTH, Scene};

const CALLS: usize = 8;

/// As many calls at once as there are, each with its number.
fn at_once(ask: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    let barrier = Barrier::new(CALLS);
    thread::scope(|scope| {
        let (ask, barrier) = (&ask, &barrier);
        let begin = |number| {
            scope.spawn(move || {
                barrier.wait();
                ask(number)
            })
        };
        let calls: Vec<_> = (0..CALLS).map(begin).collect();
        calls.into_iter().map(|call| call.join().expect("it was asked")).collect()
    })
}

#[test]
fn what_is_to_be_done_once_is_done_by_one_of_many() {
    let scene = Scene::new();
    for round in 0..5 {
        let script = format!("fake: once key/{round} run echo {round} >> done\nfake: once other-{round} say First.");
        let answers = at_once(|number| scene.ask(BOTH[number % 2], &script));
        let first = answers.iter().filter(|answer| answer.report.last_message.is_some()).count();
        assert_eq!(first, 1, "in round {round}");
        assert!(answers.iter().all(|answer| answer.code == Some(0)));
    }
    let done = std::fs::read_to_string(scene.work().join("done")).expect("it was done");
    assert_eq!(done, "0\n1\n2\n3\n4\n");
}

#[test]
fn the_record_has_each_of_many_calls_on_a_whole_line() {
    let scene = Scene::new();
    let prompt = |number: usize| format!("fake: say {number}\n{}", number.to_string().repeat(300_000));
    let answers = at_once(|number| scene.ask(BOTH[number % 2], &prompt(number)));
    // A line that is not whole is an error.
    let calls = scene.agents.calls().expect("they are recorded");
    let told: BTreeSet<_> = calls.iter().filter_map(|call| call.prompt.clone()).collect();
    assert_eq!(told, (0..CALLS).map(prompt).collect());
    let sessions: BTreeSet<_> = calls.iter().filter_map(|call| call.session.as_deref()).collect();
    assert_eq!(sessions, answers.iter().map(Answer::session).collect(), "each has one of its own");
    assert_eq!((calls.len(), sessions.len()), (CALLS, CALLS));
}

#[test]
fn many_resume_one_session_at_once() {
    let scene = Scene::new();
    let session = scene.ask(Agent::Codex, "fake: on-resume say Again.").session().to_owned();
    let answers = at_once(|_| scene.ask_with(Agent::Codex, &Agent::Codex.resuming(&session), ""));
    assert!(answers.iter().all(|answer| answer.report.last_message.as_deref() == Some("Again.")));
}
