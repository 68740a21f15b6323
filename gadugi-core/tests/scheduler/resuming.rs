//! The resumption of a run whose driver died.

use std::collections::HashSet;
use std::time::Duration;

use gadugi_core::executor::{ExecEnd, ExecIdentity, ExecUsage, ExitStatus, OutputSummary};
use gadugi_core::plan::RetryFrom;
use gadugi_core::run::{Clock, Failure, Moment, StopReason};
use gadugi_core::scheduler::control;
use gadugi_core::worktrees::Work;
use gadugi_core::{AttemptNo, Event, EventKind, Outcome, Phase, RunError, RunRecord};
use gadugi_test_support::fakes::{FakeLog, Play, WorktreeCall, lease};

use crate::harness::{Harness, SECOND, id, outcome, set_up, task};

fn ends(seconds: u32, code: i32) -> Play {
    Play::Ends(SECOND * seconds, ExitStatus::Code(code))
}

/// A plan with a bit of everything: needs, a check, a retry, a failure that skips others, a clock that runs out.
fn harness() -> Harness {
    let names = ["a", "retried", "checked", "late", "set-up", "unset"].map(|name| task(name, &[]));
    let needing = [task("b", &["a"]), task("broken", &["a"]), task("skipped", &["broken"])];
    Harness::new(names.into_iter().chain(needing).collect())
        .jobs(3)
        .plays("a", ends(3, 0))
        .plays("broken", ends(1, 7))
        .plays("late", Play::WaitsForStop)
        .spec("late", |spec| spec.limits.timeout = Some(SECOND * 5))
        .spec("retried", |spec| spec.retries = 1)
        .plays_at("retried", 1, ends(2, 1))
        .plays_at("retried", 2, ends(2, 0))
        .spec("checked", |spec| spec.check = Some("true".to_owned()))
        .plays("checked", ends(4, 0))
        .spec("set-up", |spec| spec.setup = Some(set_up()))
        .plays_setup("set-up", ends(2, 0))
        .plays("set-up", ends(3, 0))
        .spec("unset", |spec| spec.setup = Some(set_up()))
        .plays_setup("unset", ends(2, 4))
}

/// Drives until the log hangs, continues for a while without it, and dies.
pub(crate) async fn drive_and_die(harness: &Harness, resumed: bool, lives_on: Duration) {
    let (_control, receiver) = control();
    let run = if resumed { harness.resumed(None) } else { harness.new_run() };
    // A driver whose log hangs never comes to an end.
    tokio::time::timeout(SECOND * 60 + lives_on, run.drive(receiver)).await.ok();
}

pub(crate) async fn drive_on(harness: &Harness) -> RunRecord {
    let (_control, receiver) = control();
    harness.resumed(None).drive(receiver).await.expect("the run ends")
}

/// Asserts the invariants of every run, however often its driver died.
fn assert_sound(harness: &Harness, record: &RunRecord, expected: &RunRecord, told: &str) {
    for task in &expected.tasks {
        let name = task.task.spec.id.as_str();
        let (outcome, expected) = (outcome(record, name), outcome(expected, name));
        // Of a stop whose reason could not be written down, only that it was one is known.
        let unknown_reason = matches!(expected, Outcome::TimedOut(_)) && outcome == Outcome::Cancelled;
        assert!(outcome == expected || unknown_reason, "{told}: {name} {outcome}, not {expected}");
    }
    let mut seen = HashSet::new();
    for request in harness.executor.started() {
        assert!(seen.insert((request.attempt.clone(), request.phase)), "{told}: {} starts twice", request.attempt);
    }
    let events = harness.log.events();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "{told}: numbers without gaps");
    let mut ended = HashSet::new();
    for event in &events {
        if let EventKind::AttemptEnded { attempt, .. } = &event.kind {
            assert!(ended.insert(attempt.clone()), "{told}: {attempt} ends twice");
        }
    }
    assert_eq!(RunRecord::fold(harness.header(), &events).as_ref(), Ok(record), "{told}: the log tells the same");
}

#[tokio::test(start_paused = true)]
async fn a_driver_may_die_at_every_step_and_the_run_ends_as_if_it_had_not() {
    let undisturbed = harness();
    let expected = undisturbed.drive().await;
    let steps = undisturbed.log.events().len() as u64;
    assert!(steps > 40, "there is something to be disturbed: {steps} steps");
    for dies_at in 1..=steps {
        for lives_on in [Duration::ZERO, SECOND * 1000] {
            let told = format!("dies at step {dies_at} and after {lives_on:?}");
            let mut harness = harness();
            harness.log = FakeLog::hanging_from(dies_at);
            drive_and_die(&harness, false, lives_on).await;
            harness.log = harness.log.goes_on(None);
            let record = drive_on(&harness).await;
            assert_sound(&harness, &record, &expected, &told);
            assert_eq!(record.interruptions.len(), 1, "{told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn drivers_may_die_one_after_the_other() {
    let expected = harness().drive().await;
    for stride in [1, 2, 3, 7] {
        let mut harness = harness();
        let mut dies_at = 1;
        harness.log = FakeLog::hanging_from(dies_at);
        drive_and_die(&harness, false, Duration::ZERO).await;
        let mut deaths = 1;
        while harness.log.events().last().is_none_or(|event| !matches!(event.kind, EventKind::RunEnded { .. })) {
            dies_at = harness.log.events().len() as u64 + 2 + stride;
            harness.log = harness.log.goes_on(Some(dies_at));
            drive_and_die(&harness, true, Duration::ZERO).await;
            deaths += 1;
            assert!(deaths < 500, "each driver gets a step further");
        }
        let record = RunRecord::fold(harness.header(), &harness.log.events()).expect("a sound log");
        assert_sound(&harness, &record, &expected, &format!("a death every {stride} steps, {deaths} in all"));
    }
}

/// A run whose first driver has recorded these events.
fn left(harness: Harness, kinds: Vec<EventKind>) -> Harness {
    let at = jiff::Timestamp::UNIX_EPOCH;
    let events = kinds.into_iter().zip(1..).map(|(kind, seq)| Event { seq, at, kind });
    let log = FakeLog::default();
    for event in events {
        log.put(event);
    }
    Harness { log, ..harness }
}

fn first(name: &str) -> gadugi_core::AttemptRef {
    gadugi_core::AttemptRef { task: id(name), number: AttemptNo::FIRST }
}

fn intended(name: &str) -> Vec<EventKind> {
    let executor = "fake".to_owned();
    vec![EventKind::RunStarted, EventKind::AttemptIntended { attempt: first(name), executor }]
}

#[tokio::test(start_paused = true)]
async fn a_command_that_runs_keeps_the_clock_that_it_was_started_with() {
    let mut harness = Harness::new(vec![task("a", &[])])
        .spec("a", |spec| spec.limits.timeout = Some(SECOND * 10))
        .plays("a", Play::WaitsForStop);
    // Its start is kept, and then the driver is gone for six seconds.
    harness.log = FakeLog::hanging_from(6);
    let (_control, receiver) = control();
    tokio::time::timeout(SECOND * 6, harness.new_run().drive(receiver)).await.expect_err("it dies");
    harness.log = harness.log.goes_on(None);
    let since = tokio::time::Instant::now();
    let record = drive_on(&harness).await;
    assert_eq!(outcome(&record, "a"), Outcome::TimedOut(Clock::Wall));
    assert_eq!(since.elapsed(), SECOND * 4);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_was_recorded_is_repeated_and_decides_the_outcome() {
    let mut harness = Harness::new(vec![task("a", &[])]).plays("a", Play::WaitsForStop);
    harness.log = FakeLog::hanging_from(6);
    let (_control, receiver) = control();
    tokio::time::timeout(SECOND, harness.new_run().drive(receiver)).await.expect_err("it dies");
    let events = harness.log.events();
    let seq = events.len() as u64 + 1;
    let reason = StopReason::TimedOut(Clock::Idle);
    let kind = EventKind::StopSent { attempt: first("a"), reason };
    harness.log = harness.log.goes_on(None);
    harness.log.put(Event { seq, at: jiff::Timestamp::UNIX_EPOCH, kind });
    assert_eq!(outcome(&drive_on(&harness).await, "a"), Outcome::TimedOut(Clock::Idle));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_of_the_machine_what_may_have_begun_is_lost_and_what_cannot_have_is_started() {
    let moment = |boot: &str| Some(Moment { boot: boot.to_owned(), uptime: SECOND });
    let harness = Harness::new(vec![task("made", &[]), task("unmade", &[])]);
    let mut kinds = intended("made");
    kinds.push(EventKind::AttemptIntended { attempt: first("unmade"), executor: "fake".to_owned() });
    kinds.insert(1, EventKind::RunResumed { moment: moment("before") });
    let harness = left(harness, kinds);
    harness.worktrees.made_for(&harness.header().run, &first("made"));
    let (_control, receiver) = control();
    let record = harness.resumed(moment("after")).drive(receiver).await.expect("the run ends");
    assert!(matches!(outcome(&record, "made"), Outcome::Lost { .. }));
    assert_eq!(outcome(&record, "unmade"), Outcome::Succeeded);
    assert_eq!(record.interruptions.last().expect("one").restarted, Some(true));
    assert_eq!(record.ended.expect("it has ended").0, None, "nobody has measured how long it took");
}

/// An attempt in a worktree, in the boot called `before`, whose command has exited with this code.
fn ended_before(name: &str, code: i32) -> Harness {
    let harness = Harness::new(vec![task(name, &[])]);
    let run = harness.header().run;
    let identity = ExecIdentity { executor: "fake".to_owned(), token: "a token".to_owned() };
    let (status, output, usage) = (ExitStatus::Code(code), OutputSummary::default(), ExecUsage::default());
    let end = ExecEnd { status, took: SECOND, output, usage, stopped: false };
    let mut kinds = intended(name);
    kinds.insert(1, EventKind::RunResumed { moment: boot("before") });
    kinds.extend([
        EventKind::WorktreeReady { lease: lease(run.clone(), first(name)), seeded: None, took: None },
        EventKind::CommandStarted { attempt: first(name), phase: Phase::Main, identity, took: None },
        EventKind::CommandEnded { attempt: first(name), phase: Phase::Main, end },
    ]);
    let harness = left(harness, kinds);
    harness.worktrees.made_for(&run, &first(name));
    harness
}

fn boot(name: &str) -> Option<Moment> {
    Some(Moment { boot: name.to_owned(), uptime: SECOND })
}

async fn drive_on_in(harness: &Harness, name: &str) -> RunRecord {
    let (_control, receiver) = control();
    harness.resumed(boot(name)).drive(receiver).await.expect("the run ends")
}

#[tokio::test(start_paused = true)]
async fn a_success_whose_work_was_not_collected_before_a_restart_of_the_machine_is_lost_and_its_worktree_stays() {
    let harness = ended_before("a", 0);
    let record = drive_on_in(&harness, "after").await;
    assert!(matches!(outcome(&record, "a"), Outcome::Lost { why } if why.contains("was restarted before")));
    let calls = harness.worktrees.calls();
    assert!(!calls.iter().any(|call| matches!(call, WorktreeCall::Release(..))), "{calls:?}");
    assert_eq!(outcome(&drive_on_in(&ended_before("a", 0), "before").await, "a"), Outcome::Succeeded);
    assert_eq!(outcome(&drive_on_in(&ended_before("a", 3), "after").await, "a"), Outcome::Failed(Failure::ExitCode(3)));
    let harness = ended_before("a", 0);
    let seq = harness.log.events().len() as u64 + 1;
    let kind = EventKind::WorkCollected { attempt: first("a"), work: Work { commits: 1, ..Work::default() } };
    harness.log.put(Event { seq, at: jiff::Timestamp::UNIX_EPOCH, kind });
    assert_eq!(outcome(&drive_on_in(&harness, "after").await, "a"), Outcome::Succeeded, "it was on the disk");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_dies_while_it_takes_over_a_restarted_run_leaves_no_success_of_what_was_lost() {
    let resumed = ended_before("a", 0).log.events().len() as u64 + 1;
    let mut died_at = Vec::new();
    // After that it is resumed, its executor is told, and its work is collected.
    for last in resumed..resumed + 3 {
        let mut harness = ended_before("a", 0);
        harness.log = harness.log.goes_on(Some(last + 1));
        let (_control, receiver) = control();
        tokio::time::timeout(SECOND, harness.resumed(boot("after")).drive(receiver)).await.expect_err("it dies");
        died_at.extend(harness.log.events().pop().map(|event| event.kind));
        harness.log = harness.log.goes_on(None);
        assert!(matches!(outcome(&drive_on_in(&harness, "after").await, "a"), Outcome::Lost { .. }), "{last}");
    }
    assert!(matches!(died_at[..], [EventKind::RunResumed { .. }, _, EventKind::WorkCollected { .. }]), "{died_at:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_made_anew_after_a_restart_of_the_machine_succeeds_also_by_another_driver() {
    let mut harness = Harness::new(vec![task("a", &[])]);
    let run = harness.header().run;
    let mut kinds = intended("a");
    kinds.insert(1, EventKind::RunResumed { moment: boot("before") });
    kinds.push(EventKind::WorktreeReady { lease: lease(run, first("a")), seeded: None, took: None });
    harness = left(harness, kinds);
    // Its worktree has gone with the power. The next driver makes another one, starts, and dies.
    let before = harness.log.events().len() as u64;
    harness.log = harness.log.goes_on(Some(before + 6));
    let (_control, receiver) = control();
    tokio::time::timeout(SECOND, harness.resumed(boot("after")).drive(receiver)).await.expect_err("it dies");
    assert!(matches!(harness.log.events().last().expect("one").kind, EventKind::CommandEnded { .. }));
    harness.log = harness.log.goes_on(None);
    assert_eq!(outcome(&drive_on_in(&harness, "after").await, "a"), Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_run_with_a_command_that_cannot_be_reached_is_left_as_it_is() {
    let harness = left(Harness::new(vec![task("a", &[]), task("b", &[])]), intended("a"));
    harness.executor.loses(&id("a"));
    let (_control, receiver) = control();
    let before = harness.log.events();
    let failed = harness.resumed(None).drive(receiver).await;
    assert!(matches!(failed, Err(RunError::Reattach { attempt, .. }) if attempt == first("a")));
    assert_eq!(harness.log.events(), before);
    assert!(harness.executor.started().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_before_it_is_taken_over_is_not_started_even_for_a_moment() {
    for _ in 0..50 {
        let harness = left(Harness::new(vec![task("a", &[])]), intended("a"));
        let (control, receiver) = control();
        control.stop_all(false);
        let record = harness.resumed(None).drive(receiver).await.expect("the run ends");
        assert_eq!(outcome(&record, "a"), Outcome::Cancelled);
        assert!(harness.executor.started().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_run_starts_nothing() {
    let harness = Harness::new(vec![task("a", &[]), task("b", &[])]).jobs(1).plays("a", ends(1, 0));
    let record = harness.drive_with(async |control| {
        harness.running("a").await;
        control.suspend().await;
        tokio::time::sleep(SECOND * 20).await;
        assert_eq!(harness.executor.started().len(), 1, "what ended in spite of it is followed by nothing");
        control.resume();
    });
    assert_eq!(outcome(&record.await.expect("the run ends"), "b"), Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn while_a_run_is_suspended_its_clocks_stand_still() {
    let harness = Harness::new(vec![task("a", &[])])
        .spec("a", |spec| spec.limits.timeout = Some(SECOND * 10))
        .plays("a", Play::WaitsForStop);
    let since = tokio::time::Instant::now();
    let record = harness.drive_with(async |control| {
        harness.running("a").await;
        tokio::time::sleep(SECOND * 4).await;
        control.suspend().await;
        assert_eq!(harness.executor.suspended(), 1);
        tokio::time::sleep(SECOND * 20).await;
        control.resume();
    });
    let record = record.await.expect("the run ends");
    assert_eq!(harness.executor.suspended(), 0);
    assert_eq!(outcome(&record, "a"), Outcome::TimedOut(Clock::Wall));
    assert_eq!(since.elapsed(), SECOND * 30);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_suspended_when_its_driver_died_goes_on_when_the_run_is_resumed() {
    let mut harness = Harness::new(vec![task("a", &[])]).plays("a", ends(5, 0));
    harness.log = FakeLog::hanging_from(7);
    let (control, receiver) = control();
    let dies = async {
        harness.running("a").await;
        control.suspend().await;
    };
    tokio::select! {
        () = dies => {}
        _ = harness.new_run().drive(receiver) => panic!("it waits for the command"),
    }
    assert_eq!(harness.executor.suspended(), 1);
    harness.log = harness.log.goes_on(None);
    drive_on(&harness).await;
    assert_eq!(harness.executor.suspended(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_run_was_suspended_does_not_count_for_its_next_driver() {
    let mut harness = Harness::new(vec![task("a", &[])])
        .spec("a", |spec| spec.limits.timeout = Some(SECOND * 100))
        .plays("a", ends(200, 0));
    harness.log = FakeLog::hanging_from(6);
    let (_control, receiver) = control();
    tokio::time::timeout(SECOND * 90, harness.new_run().drive(receiver)).await.expect_err("it dies");
    tokio::time::sleep(SECOND * 60).await;
    // All of that was an hour ago, and for most of the time the run was suspended.
    let hour = jiff::SignedDuration::from_hours(1);
    let mut events = harness.log.events();
    events.iter_mut().for_each(|event| event.at -= hour);
    let begun = events.last().expect("its start").at;
    for (seq, kind, after) in [(6, EventKind::RunSuspended, 1), (7, EventKind::RunContinued, 141)] {
        events.push(Event { seq, at: begun + jiff::SignedDuration::from_secs(after), kind });
    }
    harness.log = FakeLog::default();
    events.into_iter().for_each(|event| harness.log.put(event));
    let record = drive_on(&harness).await;
    assert_eq!(record.suspended_between(begun, begun + hour), SECOND * 140);
    assert_eq!(outcome(&record, "a"), Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_hangs_ends_with_the_timeout_or_with_a_stop() {
    let harness = || Harness::new(vec![task("a", &[])]).plays("a", Play::HangsAtStart);
    let timed = harness().spec("a", |spec| spec.limits.timeout = Some(SECOND * 10));
    assert_eq!(outcome(&timed.drive().await, "a"), Outcome::TimedOut(Clock::Wall));
    let stopped = harness();
    let record = stopped.drive_with(async |control| control.stop_all(true));
    assert_eq!(outcome(&record.await.expect("the run ends"), "a"), Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_being_stopped_is_stopped_by_its_next_driver() {
    let mut kinds = intended("a");
    kinds.push(EventKind::StopRequested { tasks: Vec::new(), now: false });
    let harness = left(Harness::new(vec![task("a", &[]), task("b", &["a"])]), kinds);
    let record = drive_on(&harness).await;
    assert_eq!((outcome(&record, "a"), outcome(&record, "b")), (Outcome::Cancelled, Outcome::Cancelled));
    assert!(record.ended.expect("it has ended").1, "it was interrupted");
    assert!(harness.executor.started().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_being_stopped_is_stopped_by_its_next_driver() {
    let mut kinds = intended("a");
    kinds.push(EventKind::StopRequested { tasks: vec![id("a"), id("c")], now: false });
    let harness = left(Harness::new(vec![task("a", &[]), task("b", &["a"]), task("c", &[]), task("d", &[])]), kinds);
    let record = drive_on(&harness).await;
    assert_eq!((outcome(&record, "a"), outcome(&record, "c")), (Outcome::Cancelled, Outcome::Cancelled));
    assert_eq!(outcome(&record, "b"), Outcome::Skipped { because: id("a").into() });
    assert_eq!(outcome(&record, "d"), Outcome::Succeeded);
    assert!(!record.ended.expect("it has ended").1, "the run itself was not stopped");
}

#[tokio::test(start_paused = true)]
async fn a_worktree_that_is_gone_before_anything_began_in_it_is_made_anew() {
    let harness = Harness::new(vec![task("a", &[])]);
    let run = harness.header().run;
    let mut kinds = intended("a");
    let lease = gadugi_test_support::fakes::lease(run, first("a"));
    kinds.push(EventKind::WorktreeReady { lease, seeded: None, took: None });
    let harness = left(harness, kinds);
    assert_eq!(outcome(&drive_on(&harness).await, "a"), Outcome::Succeeded);
    assert!(matches!(harness.worktrees.calls().first(), Some(WorktreeCall::Create(requests)) if requests.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_due_while_nobody_drove_the_run_does_not_wait_again() {
    let harness = Harness::new(vec![task("a", &[])]).spec("a", |spec| {
        spec.retries = 1;
        spec.retry_delay = SECOND * 100;
    });
    let mut kinds = intended("a");
    let outcome = Outcome::Failed(Failure::ExitCode(1));
    kinds.push(EventKind::AttemptEnded { attempt: first("a"), outcome, said: None });
    // It ended in 1970.
    let harness = left(harness, kinds);
    let since = tokio::time::Instant::now();
    drive_on(&harness).await;
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_and_each_further_one_waits_twice_as_long() {
    let harness = Harness::new(vec![task("a", &[])]).spec("a", |spec| {
        spec.retries = 3;
        spec.retry_delay = SECOND * 5;
    });
    let harness = (1..=4).fold(harness, |harness, attempt| harness.plays_at("a", attempt, ends(0, 1)));
    let since = tokio::time::Instant::now();
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "a"), Outcome::Failed(Failure::ExitCode(1)));
    assert_eq!(since.elapsed(), SECOND * (5 + 10 + 20));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_retry_can_be_stopped_and_holds_up_no_other() {
    let harness = Harness::new(vec![task("a", &[]), task("b", &[])])
        .jobs(1)
        .spec("a", |spec| {
            spec.retries = 1;
            spec.retry_delay = SECOND * 100;
        })
        .plays("a", ends(0, 1))
        .plays("b", ends(3, 0));
    let since = tokio::time::Instant::now();
    let record = harness.drive_with(async |control| {
        harness.running("b").await;
        control.stop(vec![id("a")], false);
    });
    let record = record.await.expect("the run ends");
    assert_eq!(outcome(&record, "a"), Outcome::Failed(Failure::ExitCode(1)));
    assert_eq!(outcome(&record, "b"), Outcome::Succeeded);
    assert_eq!(since.elapsed(), SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_starts_from_the_base_or_from_what_the_earlier_attempt_left() {
    for (from, committed) in [(RetryFrom::Base, false), (RetryFrom::Previous, true)] {
        let harness = Harness::new(vec![task("a", &[])]).plays("a", ends(0, 1)).spec("a", |spec| {
            spec.retries = 1;
            spec.retry_from = from;
        });
        harness.drive().await;
        let calls = harness.worktrees.calls();
        let starts = calls.iter().filter_map(|call| match call {
            WorktreeCall::Create(requests) => Some(requests[0].from.is_some()),
            _ => None,
        });
        assert_eq!(starts.collect::<Vec<_>>(), [false, committed], "{from:?}");
        let commits = calls.iter().find_map(|call| match call {
            WorktreeCall::Snapshot(_, request) => Some(request.commit),
            _ => None,
        });
        assert_eq!(commits, Some(committed), "what is left uncommitted is committed where it is the start: {from:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_was_under_way_is_taken_over_too() {
    let mut harness = Harness::new(vec![task("a", &[])]).spec("a", |spec| spec.check = Some("true".to_owned()));
    harness.executor.play(&id("a"), 1, Phase::Check, ends(5, 3));
    harness.log = FakeLog::hanging_from(8);
    let (_control, receiver) = control();
    tokio::time::timeout(SECOND, harness.new_run().drive(receiver)).await.expect_err("it dies");
    harness.log = harness.log.goes_on(None);
    let record = drive_on(&harness).await;
    assert_eq!(outcome(&record, "a"), Outcome::Failed(Failure::Check(ExitStatus::Code(3))));
    assert_eq!(harness.executor.started().len(), 2);
}
