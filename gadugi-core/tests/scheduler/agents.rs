//! Attempts with an agent: its prompt, and the outcomes that its report decides.

use std::time::Duration;

use gadugi_core::agent::{AgentErrorClass, Argument, Piece};
use gadugi_core::executor::ExitStatus;
use gadugi_core::plan::Program;
use gadugi_core::run::{Clock, Failure, StopReason};
use gadugi_core::scheduler::control;
use gadugi_core::{EventKind, Outcome, Phase};
use gadugi_test_support::fakes::Play;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::harness::{Harness, SECOND, id, outcome, task};
use crate::resuming::{drive_and_die, drive_on};
use crate::robot::{attempt, ended, error, reports, robot};

fn exits(seconds: u32, code: i32) -> Play {
    Play::Ends(SECOND * seconds, ExitStatus::Code(code))
}

fn one() -> Harness {
    Harness::with_robots(vec![robot("a", &[])])
}

fn stop_reasons(harness: &Harness) -> Vec<StopReason> {
    let reasons = harness.log.events().into_iter().filter_map(|event| match event.kind {
        EventKind::StopSent { reason, .. } => Some(reason),
        _ => None,
    });
    reasons.collect()
}

#[tokio::test(start_paused = true)]
async fn the_prompt_comes_on_the_standard_input_with_its_frame_and_what_was_done_before() {
    let harness = Harness::with_robots(vec![robot("models", &[]), robot("a", &["models"])])
        .says("models", 1, "says Three models.\ndone")
        .spec("a", |spec| spec.check = Some("cargo test".to_owned()))
        .call("a", |call| call.frame = "On {branch}.\n\nBefore:\n{needs}\n\nCheck:\n{check}".to_owned());
    harness.drive().await;
    let started = harness.executor.started();
    let main = started.iter().find(|request| request.attempt.task == id("a")).expect("it was started");
    assert_eq!(main.program, Program::Argv(vec!["robot".to_owned(), "-p".to_owned()]));
    let needs = "Before:\n- `models`: models. It said: Three models.";
    let expected = format!("Do a.\n\n---\n\nOn `gadugi/a`.\n\n{needs}\n\nCheck:\n```\ncargo test\n```\n");
    assert_eq!(main.stdin, Some(expected));
    let check = started.iter().find(|request| request.phase == Phase::Check).expect("it was checked");
    assert_eq!(check.stdin, None);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_an_argument_is_not_on_the_standard_input() {
    let harness = one().call("a", |call| {
        call.command = vec![Argument::text("robot"), Argument(vec![Piece::Text("--do=".into()), Piece::Prompt])];
    });
    harness.drive().await;
    let started = harness.executor.started();
    assert_eq!(started[0].program, Program::Argv(vec!["robot".to_owned(), "--do=Do a.".to_owned()]));
    assert_eq!(started[0].stdin, None);
}

#[tokio::test(start_paused = true)]
async fn what_it_tells_is_recorded_once_when_it_has_ended_and_what_is_unknown_is_passed_over() {
    let harness = one().plays("a", exits(10, 0)).says_at(
        "a",
        1,
        &[(0, "session s1\n{\"new\":\nsays Begun."), (3, "costs 0.25\n\n\0\u{fffd}"), (9, "says All done.\ndone")],
    );
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "succeeded");
    let events = harness.log.events();
    let [(of, report)] = &reports(&events)[..] else { panic!("one report") };
    assert_eq!(*of, attempt("a", 1));
    assert_eq!((report.session.as_deref(), report.cost_usd), (Some("s1"), Some(0.25)));
    assert_eq!((report.last_message.as_deref(), &report.end), (Some("All done."), &Some(Ok(()))));
    let at = |wanted: fn(&EventKind) -> bool| events.iter().position(|event| wanted(&event.kind));
    let order = [
        at(|kind| matches!(kind, EventKind::CommandEnded { .. })),
        at(|kind| matches!(kind, EventKind::AgentReported { .. })),
        at(|kind| matches!(kind, EventKind::AttemptEnded { .. })),
    ];
    assert!(order.is_sorted() && order[0].is_some(), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_it_tells_of_fails_it_also_with_exit_code_0() {
    for (seconds, code) in [(0, 0), (5, 0), (5, 1)] {
        let harness = one().plays("a", exits(seconds, code)).says("a", 1, "fails badly");
        let failure = Failure::Agent(error(AgentErrorClass::Other, "badly"));
        assert_eq!(outcome(&harness.drive().await, "a"), Outcome::Failed(failure), "{seconds} {code}");
        assert_eq!(reports(&harness.log.events()).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_result_its_exit_code_decides_and_a_good_result_does_not_mend_a_bad_code() {
    for (words, code, expected) in [
        ("says Hm.", 0, "succeeded"),
        ("says Hm.", 3, "failed (exit code 3)"),
        ("done", 0, "succeeded"),
        ("done", 3, "failed (exit code 3)"),
        ("done", 127, "failed (exit code 127)"),
    ] {
        let harness = one().plays("a", exits(1, code)).says("a", 1, words);
        assert_eq!(ended(&harness.drive().await, "a"), expected, "{words} {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_tried_again_but_for_a_key_that_is_wrong() {
    for (words, attempts) in [("fails badly", 2), ("fails authentication", 1)] {
        let harness = one().spec("a", |spec| spec.retries = 1).says("a", 1, words).says("a", 2, "done");
        assert_eq!(harness.drive().await.tasks[0].attempts.len(), attempts, "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_changes_nothing() {
    let harness = one().plays("a", exits(5, 0));
    let folder = harness.registry.as_ref().expect("a registry").path().join(attempt("a", 1).to_string());
    std::fs::create_dir_all(folder.join("output.log")).expect("a folder in the place of the log");
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "succeeded");
    assert_eq!(record.tasks[0].attempts[0].agent, Some(Default::default()));
}

#[tokio::test(start_paused = true)]
async fn one_that_has_said_that_it_is_done_and_lingers_is_ended_and_counts_as_finished() {
    for play in [Play::WaitsForStop, Play::IgnoresStop] {
        let harness = one()
            .plays("a", play)
            .says_at("a", 1, &[(10, "done")])
            .spec("a", |spec| spec.check = Some("true".to_owned()))
            .call("a", |call| call.linger = SECOND * 5);
        assert_eq!(ended(&harness.drive().await, "a"), "succeeded", "{play:?}");
        assert_eq!(stop_reasons(&harness), [StopReason::Lingered]);
        assert_eq!(harness.executor.started().len(), 2, "the check follows");
    }
    let harness = one().plays("a", Play::WaitsForStop).says("a", 1, "fails badly");
    assert_eq!(ended(&harness.drive().await, "a"), "failed (agent error: badly)", "an error is also a result");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_done_does_not_run_out_of_time() {
    let harness = one().plays("a", Play::WaitsForStop).says_at("a", 1, &[(10, "done")]).spec("a", |spec| {
        spec.limits.idle_timeout = Some(SECOND * 20);
        spec.limits.timeout = Some(SECOND * 25);
    });
    assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
    let silent = one().plays("a", Play::WaitsForStop).says_at("a", 1, &[(10, "says Hm.")]).spec("a", |spec| {
        spec.limits.idle_timeout = Some(SECOND * 20);
    });
    assert_eq!(outcome(&silent.drive().await, "a"), Outcome::TimedOut(Clock::Idle));
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_one_that_lingers_stands_still_while_the_run_is_suspended() {
    let harness = one().plays("a", Play::WaitsForStop).says("a", 1, "done").call("a", |call| call.linger = SECOND * 50);
    let since = Instant::now();
    let record = harness.drive_with(async |control| {
        harness.running("a").await;
        tokio::time::sleep(SECOND * 20).await;
        control.suspend().await;
        tokio::time::sleep(SECOND * 1000).await;
        assert_eq!(stop_reasons(&harness), [], "a suspended run stops nothing");
        control.resume();
    });
    assert_eq!(ended(&record.await.expect("the run ends"), "a"), "succeeded");
    assert!(since.elapsed() >= SECOND * 1050, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_check_is_not_stopped_for_what_its_agent_was_stopped_for() {
    // The first driver dies while the check runs, or before anybody knows of it.
    for dies_at in [9, 10] {
        let mut harness = one()
            .plays("a", Play::WaitsForStop)
            .says("a", 1, "done")
            .spec("a", |spec| spec.check = Some("true".to_owned()))
            .plays_check("a", 1, exits(200, 0))
            .call("a", |call| call.linger = SECOND * 5);
        harness.dies_at(dies_at);
        let (_control, receiver) = control();
        tokio::time::timeout(SECOND * 100, harness.new_run().drive(receiver)).await.expect_err("it dies");
        let last = harness.log.events().pop().expect("an event").kind;
        let is_there = |kind: &EventKind| match kind {
            EventKind::AgentReported { .. } => dies_at == 9,
            EventKind::CommandStarted { phase, .. } => dies_at == 10 && *phase == Phase::Check,
            _ => false,
        };
        assert!(is_there(&last), "{dies_at}: {last:?}");
        harness.log = harness.log.goes_on(None);
        let record = drive_on(&harness).await;
        assert_eq!(ended(&record, "a"), "succeeded", "{dies_at}");
        assert_eq!(stop_reasons(&harness), [StopReason::Lingered]);
        assert_eq!(harness.executor.started().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_was_stopped_has_an_end_that_is_not_that_of_its_agent() {
    let harness = one()
        .plays("a", Play::WaitsForStop)
        .says("a", 1, "done")
        .spec("a", |spec| {
            spec.check = Some("true".to_owned());
            spec.limits.timeout = Some(SECOND * 100);
        })
        .plays_check("a", 1, Play::WaitsForStop);
    assert_eq!(outcome(&harness.drive().await, "a"), Outcome::TimedOut(Clock::Wall));
    assert_eq!(stop_reasons(&harness), [StopReason::Lingered, StopReason::TimedOut(Clock::Wall)]);
}

/// A plan with a bit of everything that agents do.
fn all_kinds() -> Harness {
    let names = ["good", "bad", "lingers", "refused", "unchecked", "dear"];
    let tasks = names.map(|name| robot(name, &[])).into_iter().chain([robot("after", &["good"]), task("plain", &[])]);
    Harness::with_robots(tasks.collect())
        .jobs(4)
        .plays("good", exits(3, 0))
        .says("good", 1, "session s\ncosts 0.5\ndone")
        .plays("bad", exits(2, 0))
        .says_at("bad", 1, &[(1, "fails badly")])
        .plays("lingers", Play::WaitsForStop)
        .says_at("lingers", 1, &[(2, "done")])
        .spec("lingers", |spec| spec.check = Some("true".to_owned()))
        .call("refused", |call| call.name = "other".to_owned())
        .plays("refused", exits(1, 1))
        .says("refused", 1, "session r\nrefused")
        .plays_at("refused", 2, exits(2, 0))
        .says("refused", 2, "session r\ndone")
        .plays("unchecked", exits(1, 0))
        .says("unchecked", 1, "session u\ndone")
        .says("unchecked", 2, "session u\ndone")
        .plays_check("unchecked", 1, exits(2, 1))
        .spec("unchecked", |spec| {
            spec.check = Some("true".to_owned());
            spec.retries = 1;
        })
        .plays("dear", Play::WaitsForStop)
        .says_at("dear", 1, &[(4, "costs 2.0")])
        .call("dear", |call| call.budget.cost_usd = Some(1.0))
}

#[tokio::test(start_paused = true)]
async fn a_driver_may_die_at_every_step_and_each_agent_is_called_and_reported_once() {
    let undisturbed = all_kinds();
    let expected = undisturbed.drive().await;
    let steps = undisturbed.log.events().len() as u64;
    assert!(steps > 60, "there is something to be disturbed: {steps} steps");
    let told = reports(&undisturbed.log.events());
    for dies_at in 1..=steps {
        let mut harness = all_kinds();
        harness.dies_at(dies_at);
        drive_and_die(&harness, false, Duration::ZERO).await;
        harness.log = harness.log.goes_on(None);
        let record = drive_on(&harness).await;
        for task in &expected.tasks {
            let name = task.task.spec.id.as_str();
            let (got, wanted) = (ended(&record, name), ended(&expected, name));
            // Of a stop whose reason could not be written down, only that it was one is known.
            let unknown_reason = matches!(name, "lingers" | "dear") && got == "cancelled";
            assert!(got == wanted || unknown_reason, "dies at {dies_at}: {name} {got}, not {wanted}");
        }
        let events = harness.log.events();
        let mut again = reports(&events);
        again.sort_by_key(|(attempt, _)| attempt.to_string());
        let mut told = told.clone();
        told.sort_by_key(|(attempt, _)| attempt.to_string());
        assert_eq!(again, told, "dies at {dies_at}");
        let mut started: Vec<_> =
            harness.executor.started().iter().map(|call| format!("{} {:?}", call.attempt, call.phase)).collect();
        let all = started.len();
        started.sort();
        started.dedup();
        assert_eq!(started.len(), all, "dies at {dies_at}: nothing is started twice");
        let ends = events.iter().filter(|event| matches!(event.kind, EventKind::AttemptEnded { .. })).count();
        assert_eq!(ends, record.tasks.iter().map(|task| task.attempts.len()).sum::<usize>(), "dies at {dies_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_start_was_not_recorded_and_that_has_ended_is_heard_out() {
    let mut harness = one().says("a", 1, "session s\nfails badly");
    // The start of the command is the fifth event.
    harness.dies_at(5);
    drive_and_die(&harness, false, Duration::ZERO).await;
    harness.log = harness.log.goes_on(None);
    assert_eq!(ended(&drive_on(&harness).await, "a"), "failed (agent error: badly)");
    assert_eq!(reports(&harness.log.events()).len(), 1);
    assert_eq!(harness.executor.started().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_prints_without_end_can_be_stopped_and_runs_out_of_time() {
    let flood: Vec<String> = vec!["noise\n".repeat(200_000); 1];
    let words: Vec<(Duration, String)> =
        (0..300_u32).map(|at| (Duration::from_millis(100) * at, flood[0].clone())).take(60).collect();
    let timed = one().plays("a", Play::WaitsForStop).spec("a", |spec| spec.limits.timeout = Some(SECOND * 3));
    timed.executor.says(&id("a"), 1, Phase::Main, words.clone());
    assert_eq!(outcome(&timed.drive().await, "a"), Outcome::TimedOut(Clock::Wall));
    let stopped = one().plays("a", Play::WaitsForStop);
    stopped.executor.says(&id("a"), 1, Phase::Main, words);
    let record = stopped.drive_with(async |control| {
        stopped.running("a").await;
        control.stop_all(false);
    });
    assert_eq!(outcome(&record.await.expect("the run ends"), "a"), Outcome::Cancelled);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The report does not depend on the pieces in which the output comes, nor on the lines between.
    #[test]
    fn what_is_heard_does_not_depend_on_the_pieces_in_which_it_comes(
        noise in prop::collection::vec("[^\n]{0,20}", 0..6),
        cuts in prop::collection::vec(0_usize..200, 0..6),
    ) {
        let mut text = String::from("session s\n");
        for line in &noise {
            text += &format!("# {line}\n");
        }
        text += "costs 0.5\nsays Done.\ndone";
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|at| text.is_char_boundary(*at)).collect();
        cuts.sort_unstable();
        let mut words = Vec::new();
        let mut from = 0;
        for (at, seconds) in cuts.into_iter().zip(0_u32..) {
            words.push((SECOND * seconds, text[from..at].to_owned()));
            from = at;
        }
        words.push((SECOND * 8, text[from..].to_owned()));
        let harness = one().plays("a", exits(10, 0));
        harness.executor.says(&id("a"), 1, Phase::Main, words);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let record = runtime.block_on(harness.drive());
        let report = record.tasks[0].attempts[0].agent.clone().expect("a report");
        prop_assert_eq!((report.session.as_deref(), report.cost_usd), (Some("s"), Some(0.5)));
        prop_assert_eq!((report.last_message.as_deref(), report.end), (Some("Done."), Some(Ok(()))));
    }
}
