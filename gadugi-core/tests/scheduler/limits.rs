//! Limits of agents: refusals of their vendors, and the budgets of runs and tasks.

use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_core::run::{SkipReason, StopReason, WarningKind};
use gadugi_core::scheduler::control;
use gadugi_core::{AttemptNo, AttemptRef, EventKind, Outcome, Phase, RunRecord, TaskId};
use gadugi_test_support::fakes::{Play, WorktreeCall};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::harness::{Harness, SECOND, id, outcome, set_up, task};
use crate::resuming::{drive_and_die, drive_on};
use crate::robot::{ended, robot};

pub(crate) fn exits(seconds: u32, code: i32) -> Play {
    Play::Ends(SECOND * seconds, ExitStatus::Code(code))
}

/// The starts, without checks and setups.
pub(crate) fn started(harness: &Harness) -> Vec<String> {
    let mains = harness.executor.started().into_iter().filter(|request| request.phase == Phase::Main);
    mains.map(|request| request.attempt.to_string()).collect()
}

pub(crate) fn warnings(harness: &Harness, wanted: &WarningKind) -> Vec<String> {
    let warnings = harness.log.events().into_iter().filter_map(|event| match event.kind {
        EventKind::Warning { kind, message, .. } if kind == *wanted => Some(message),
        _ => None,
    });
    warnings.collect()
}

pub(crate) fn name(task: &str, number: u32) -> String {
    let number = AttemptNo::new(number).expect("a number");
    AttemptRef { task: id(task), number }.to_string()
}

pub(crate) async fn sleep(seconds: u32) {
    tokio::time::sleep(SECOND * seconds).await;
}

/// An agent that is refused at its first attempts, this many, at once, and then does its work.
fn refused(harness: Harness, task: &str, times: u32) -> Harness {
    let harness = (1..=times).fold(harness, |harness, number| {
        harness.plays_at(task, number, exits(0, 1)).says(task, number, "fails rate-limit")
    });
    harness.says(task, times + 1, "done")
}

#[tokio::test(start_paused = true)]
async fn a_refusal_holds_up_the_tasks_of_its_agent_and_no_others_and_spends_no_retry() {
    let other = |name: &str| robot(name, &[]);
    let harness = Harness::with_robots(vec![robot("a", &[]), other("b"), other("c"), task("plain", &[])])
        .jobs(1)
        .call("c", |call| call.name = "other".to_owned());
    let harness = refused(harness, "a", 1);
    let record = harness.drive_with(async |_| {
        sleep(29).await;
        assert_eq!(started(&harness), [name("a", 1), name("c", 1), name("plain", 1)]);
    });
    let since = Instant::now();
    let record = record.await.expect("the run ends");
    assert!(record.tasks.iter().all(|task| task.outcome() == Some(&Outcome::Succeeded)));
    assert_eq!(record.tasks[0].attempts.len(), 2, "no retries are allowed, and none is spent");
    assert_eq!(since.elapsed().as_secs(), 30);
    let told = warnings(&harness, &WarningKind::RateLimit);
    assert!(told.len() == 1 && told[0].starts_with("the requests of robot are refused"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn each_further_refusal_in_a_row_waits_twice_as_long_and_a_success_ends_the_row() {
    let harness = refused(Harness::with_robots(vec![robot("a", &[])]), "a", 3);
    let since = Instant::now();
    assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
    assert_eq!(since.elapsed().as_secs(), 30 + 60 + 120);

    let harness = Harness::with_robots(vec![robot("a", &[]), robot("b", &["a"])]);
    let harness = refused(refused(harness, "a", 2), "b", 1);
    let since = Instant::now();
    assert_eq!(ended(&harness.drive().await, "b"), "succeeded");
    assert_eq!(since.elapsed().as_secs(), 30 + 60 + 30);
}

#[tokio::test(start_paused = true)]
async fn refusals_side_by_side_are_one_and_no_wait_is_longer_than_a_quarter_of_an_hour() {
    let names = ["a", "b", "c", "d"];
    let harness = Harness::with_robots(names.iter().map(|name| robot(name, &[])).collect());
    let harness =
        names.iter().fold(harness, |harness, name| harness.plays(name, exits(5, 1)).says(name, 1, "fails overloaded"));
    let since = Instant::now();
    let record = harness.drive().await;
    assert!(names.iter().all(|name| outcome(&record, name) == Outcome::Succeeded));
    assert_eq!(since.elapsed().as_secs(), 35);
    assert_eq!(warnings(&harness, &WarningKind::RateLimit).len(), 1);

    let harness = refused(Harness::with_robots(vec![robot("a", &[])]), "a", 8);
    let since = Instant::now();
    harness.drive().await;
    assert_eq!(since.elapsed().as_secs(), 30 + 60 + 120 + 240 + 480 + 3 * 900);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_the_vendor_names_is_obeyed() {
    let until = Timestamp::now() + SignedDuration::from_secs(5000);
    let harness = Harness::with_robots(vec![robot("a", &[])]).plays("a", exits(1, 1)).says(
        "a",
        1,
        &format!("refused-until {until}\nfails rate-limit"),
    );
    let since = Instant::now();
    assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
    let waited = since.elapsed();
    assert!((SECOND * 4900..SECOND * 5100).contains(&waited), "{waited:?}");
    let told = warnings(&harness, &WarningKind::RateLimit);
    assert!(told.len() == 1 && told[0].contains(" until "), "{told:?}");

    // One that is over by now names no time any more.
    let past = stage_with_limit("refused-until 2020-01-01T00:00:00Z\nfails rate-limit");
    let since = Instant::now();
    past.drive().await;
    assert_eq!(since.elapsed().as_secs(), 31);
}

fn stage_with_limit(words: &str) -> Harness {
    Harness::with_robots(vec![robot("a", &[])]).plays("a", exits(1, 1)).says("a", 1, words)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_the_middle_of_the_work_holds_up_others_and_the_agent_goes_on_by_itself() {
    let harness = Harness::with_robots(vec![robot("a", &[]), robot("b", &[])])
        .plays("a", exits(100, 0))
        // What it prints besides does not make the wait longer.
        .says_at("a", 1, &[(0, "refused-for 20"), (10, "says Hm."), (15, "says Hm."), (22, "answered"), (90, "done")])
        .jobs(2);
    // The other one is ready only after that has been heard.
    let harness = harness.spec("b", |spec| spec.priority = -1);
    let mut harness = harness;
    harness.tasks.push(task("first", &[]));
    harness.tasks[1] = robot("b", &["first"]);
    let harness = harness.plays("first", exits(5, 0));
    let record = harness.drive_with(async |_| {
        // It asks again after 20 seconds, and nobody else does meanwhile.
        sleep(21).await;
        assert!(!started(&harness).contains(&name("b", 1)));
        sleep(2).await;
        assert!(started(&harness).contains(&name("b", 1)));
    });
    let record = record.await.expect("the run ends");
    assert_eq!((ended(&record, "a"), ended(&record, "b")), ("succeeded".into(), "succeeded".into()));
    assert_eq!(record.tasks[0].attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_badly_while_it_is_refused_was_refused() {
    let harness = stage_with_limit("session s\nrefused");
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "succeeded");
    let first = &record.tasks[0].attempts[0].ended.as_ref().expect("it has ended").0;
    assert!(first.refused(), "{first}");
    let answered = stage_with_limit("refused\nanswered");
    assert_eq!(ended(&answered.drive().await, "a"), "failed (exit code 1)");
}

#[tokio::test(start_paused = true)]
async fn one_that_prints_nothing_for_too_long_since_it_is_refused_spends_no_retry() {
    for (words, attempts) in [("session s\nrefused", 2), ("session s\nrefused\nanswered", 1)] {
        let harness = Harness::with_robots(vec![robot("a", &[])]).plays("a", Play::WaitsForStop).says("a", 1, words);
        let harness = harness.spec("a", |spec| spec.limits.idle_timeout = Some(SECOND * 60));
        let record = harness.drive().await;
        assert_eq!(record.tasks[0].attempts.len(), attempts, "{words}");
        let first = &record.tasks[0].attempts[0].ended.as_ref().expect("it has ended").0;
        assert_eq!(first.refused(), attempts == 2, "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_agent_can_be_stopped() {
    for tasks in [Vec::new(), vec![id("a"), id("b")]] {
        let harness = refused(Harness::with_robots(vec![robot("a", &[]), robot("b", &[])]).jobs(1), "a", 1);
        let since = Instant::now();
        let record = harness.drive_with(async |control| {
            sleep(3).await;
            if tasks.is_empty() { control.stop_all(false) } else { control.stop(tasks.clone(), false) }
        });
        let record = record.await.expect("the run ends");
        assert!(outcome(&record, "a").refused());
        assert_eq!(outcome(&record, "b"), Outcome::Cancelled);
        assert_eq!(since.elapsed().as_secs(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_is_resumed_with_its_wait() {
    let mut harness = refused(Harness::with_robots(vec![robot("a", &[]), robot("b", &[])]).jobs(1), "a", 2);
    // It is refused once, waits 30 seconds, is refused again, and the driver dies while it waits.
    let undisturbed = harness.drive().await;
    let refusals = harness.log.events().into_iter().filter_map(|event| match event.kind {
        EventKind::AttemptEnded { attempt, .. } if attempt.number.get() == 2 => Some(event.seq),
        _ => None,
    });
    let dies_at = refusals.min().expect("a second refusal") + 1;
    harness = refused(Harness::with_robots(vec![robot("a", &[]), robot("b", &[])]).jobs(1), "a", 2);
    harness.dies_at(dies_at);
    drive_and_die(&harness, false, Duration::ZERO).await;
    harness.log = harness.log.goes_on(None);
    let since = Instant::now();
    let record = drive_on(&harness).await;
    assert_eq!(started(&harness).len(), 4);
    assert_eq!((ended(&record, "a"), ended(&record, "b")), (ended(&undisturbed, "a"), ended(&undisturbed, "b")));
    // The second refusal in a row. The clocks on the wall have hardly moved.
    assert_eq!(since.elapsed().as_secs().div_ceil(10), 6);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_refused_for_ever_is_given_up() {
    let harness = refused(Harness::with_robots(vec![robot("a", &[])]), "a", 200);
    let harness = harness.call("a", |call| call.backoff = SECOND);
    let record = harness.drive().await;
    assert!(outcome(&record, "a").refused());
    assert_eq!(record.tasks[0].attempts.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_were_refused_before_they_did_anything_share_one_worktree() {
    for (untouched, places) in [(true, 1), (false, 3)] {
        let harness = refused(Harness::with_robots(vec![robot("a", &[])]), "a", 2);
        if untouched {
            harness.worktrees.stay_untouched(&id("a"));
        }
        let record = harness.drive().await;
        let mut paths: Vec<_> =
            record.tasks[0].attempts.iter().filter_map(|at| Some(&at.lease.as_ref()?.path)).collect();
        paths.dedup();
        assert_eq!(paths.len(), places, "{untouched}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_used_up_what_it_may_is_stopped_and_not_tried_again() {
    let harness = Harness::with_robots(vec![robot("a", &[])])
        .plays("a", Play::WaitsForStop)
        .says_at("a", 1, &[(5, "costs 0.6"), (9, "costs 1.25")])
        .spec("a", |spec| spec.retries = 3)
        .call("a", |call| call.budget.cost_usd = Some(1.0));
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "failed (budget: 1.25 of 1.00 US dollars are used)");
    assert_eq!(started(&harness).len(), 1);
    let reasons = harness.log.events().into_iter().filter_map(|event| match event.kind {
        EventKind::StopSent { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [StopReason::Budget]);
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_task_share_its_budget() {
    let harness = Harness::with_robots(vec![robot("a", &[])])
        .plays("a", exits(1, 1))
        .says("a", 1, "tokens 600")
        .plays_at("a", 2, Play::WaitsForStop)
        .says_at("a", 2, &[(2, "tokens 100"), (4, "tokens 400")])
        .spec("a", |spec| spec.retries = 3)
        .call("a", |call| call.budget.tokens = Some(1000));
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "failed (budget: 1000 of 1000 tokens are used)");
    assert_eq!(started(&harness).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_not_stopped_for_what_it_took_but_nothing_is_started_any_more() {
    let harness = || {
        Harness::with_robots(vec![robot("a", &[])])
            .plays("a", exits(3, 0))
            .says("a", 1, "costs 5\ndone")
            .call("a", |call| call.budget.cost_usd = Some(1.0))
            .spec("a", |spec| {
                spec.check = Some("true".to_owned());
                spec.setup = Some(set_up());
                spec.retries = 3;
            })
    };
    assert_eq!(ended(&harness().drive().await, "a"), "succeeded");
    let unchecked = harness().plays_check("a", 1, exits(0, 1));
    assert_eq!(ended(&unchecked.drive().await, "a"), "failed (budget: 5.00 of 1.00 US dollars are used)");
    let phases: Vec<Phase> = unchecked.executor.started().iter().map(|request| request.phase).collect();
    assert_eq!(phases, [Phase::Setup, Phase::Main, Phase::Check]);
}

fn of_run() -> Harness {
    let mut harness = Harness::with_robots(vec![
        robot("spends", &[]),
        robot("lives", &[]),
        robot("done", &[]),
        robot("checked", &[]),
        robot("queued", &[]),
        task("plain", &["lives"]),
    ]);
    harness.settings.budget.cost_usd = Some(3.0);
    harness
        .jobs(4)
        .plays("spends", Play::WaitsForStop)
        .says_at("spends", 1, &[(1, "costs 0.5"), (10, "costs 2.5")])
        .plays("lives", Play::WaitsForStop)
        .says_at("lives", 1, &[(1, "costs 0.5")])
        .plays("done", Play::WaitsForStop)
        .says_at("done", 1, &[(2, "done")])
        .plays("checked", exits(1, 0))
        .says("checked", 1, "done")
        .spec("checked", |spec| spec.check = Some("true".to_owned()))
        .plays_check("checked", 1, exits(100, 0))
}

fn assert_over_budget(record: &RunRecord, spent: &str, told: &str) {
    assert_eq!(ended(record, "spends"), spent, "{told}");
    assert!(ended(record, "lives").starts_with("failed (budget: of the run: "), "{told}: {}", ended(record, "lives"));
    assert_eq!(ended(record, "done"), "succeeded", "{told}");
    assert_eq!(ended(record, "checked"), "succeeded", "{told}");
    for name in ["queued", "plain"] {
        let skipped = outcome(record, name);
        assert!(matches!(skipped, Outcome::Skipped { .. }), "{told}: {name} {skipped}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_used_up_what_it_may_stops_its_agents_and_starts_nothing_more() {
    let harness = of_run();
    let record = harness.drive().await;
    let spent = "failed (budget: of the run: 3.00 of 3.00 US dollars are used)";
    assert_over_budget(&record, spent, "undisturbed");
    assert_eq!(started(&harness).len(), 4);
    let told = warnings(&harness, &WarningKind::Budget);
    assert_eq!(told, ["the run has reached its budget (3.00 of 3.00 US dollars are used), and starts nothing more"]);
    assert_eq!(record.ended.map(|(_, interrupted)| interrupted), Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_was_reached_stays_so_under_the_next_driver() {
    let undisturbed = of_run();
    undisturbed.drive().await;
    let warned = undisturbed.log.events().into_iter().find_map(|event| match event.kind {
        EventKind::Warning { kind: WarningKind::Budget, .. } => Some(event.seq),
        _ => None,
    });
    let warned = warned.expect("a warning");
    for dies_at in warned..warned + 8 {
        let mut harness = of_run();
        harness.dies_at(dies_at);
        // It dies before its stops are through.
        let (_control, receiver) = control();
        let driver = harness.new_run().drive(receiver);
        tokio::time::timeout(Duration::from_millis(10_500), driver).await.expect_err("it dies");
        harness.log = harness.log.goes_on(None);
        let record = drive_on(&harness).await;
        let spent = ended(&record, "spends");
        assert!(spent.starts_with("failed (budget: of the run: "), "{dies_at}: {spent}");
        assert_over_budget(&record, &spent, &format!("dies at {dies_at}"));
        assert_eq!(started(&harness).len(), 4, "{dies_at}");
        assert_eq!(warnings(&harness, &WarningKind::Budget).len(), 1, "{dies_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_reported_before_a_driver_died_counts_for_the_next_one() {
    let harness = || {
        let mut harness = Harness::with_robots(vec![robot("a", &[]), robot("b", &[])]).jobs(1);
        harness.settings.budget.tokens = Some(10);
        harness.plays("a", exits(1, 0)).says_at("a", 1, &[(0, "tokens 3")]).says("b", 1, "done")
    };
    // The agent ends before anybody has heard of its tokens in time, so that its report is the first to tell.
    let whole = |harness: Harness| harness.says("a", 1, "tokens 30\ndone").plays("a", exits(0, 0));
    let undisturbed = whole(harness());
    let record = undisturbed.drive().await;
    assert_eq!(outcome(&record, "a"), Outcome::Succeeded);
    let message = "30 of 10 tokens are used".to_owned();
    let because = SkipReason::Budget { task: id("a"), message };
    assert_eq!(outcome(&record, "b"), Outcome::Skipped { because: because.clone() });
    let reported = undisturbed.log.events().into_iter().find_map(|event| match event.kind {
        EventKind::AgentReported { .. } => Some(event.seq),
        _ => None,
    });
    let mut harness = whole(harness());
    harness.dies_at(reported.expect("a report") + 1);
    drive_and_die(&harness, false, Duration::ZERO).await;
    harness.log = harness.log.goes_on(None);
    let record = drive_on(&harness).await;
    assert_eq!(outcome(&record, "b"), Outcome::Skipped { because });
    assert_eq!(started(&harness), [name("a", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_for_the_budget_that_was_recorded_decides_the_outcome() {
    let mut harness = Harness::with_robots(vec![robot("a", &[])])
        .plays("a", Play::WaitsForStop)
        .says_at("a", 1, &[(5, "costs 2")])
        .call("a", |call| call.budget.cost_usd = Some(1.0));
    // The stop is the sixth event, and the end of the command the seventh.
    harness.dies_at(7);
    drive_and_die(&harness, false, Duration::ZERO).await;
    harness.log = harness.log.goes_on(None);
    let record = drive_on(&harness).await;
    assert_eq!(ended(&record, "a"), "failed (budget: 2.00 of 1.00 US dollars are used)");
    let creates = harness.worktrees.calls().into_iter().filter(|call| matches!(call, WorktreeCall::Create(_))).count();
    assert_eq!((creates, started(&harness).len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn agents_that_tell_no_figures_are_held_to_no_budget() {
    let mut harness = Harness::with_robots(vec![robot("a", &[]), robot("b", &["a"])]);
    (harness.settings.budget.cost_usd, harness.settings.budget.tokens) = (Some(0.01), Some(1));
    let record = harness.drive().await;
    let all: Vec<TaskId> = vec![id("a"), id("b")];
    assert!(all.iter().all(|name| outcome(&record, name.as_str()) == Outcome::Succeeded));
}
