//! The setup of an attempt.

use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_core::plan::{Limits, Program, Setup};
use gadugi_core::run::{Clock, Failure, StopReason};
use gadugi_core::scheduler::control;
use gadugi_core::{Event, EventKind, Outcome, Phase, Report, RunRecord};
use gadugi_test_support::fakes::{FakeLog, Play};

use crate::harness::{Harness, SECOND, id, outcome, set_up, task};

fn ends(seconds: u32, code: i32) -> Play {
    Play::Ends(SECOND * seconds, ExitStatus::Code(code))
}

/// One task, `a`, with a setup.
fn harness() -> Harness {
    Harness::new(vec![task("a", &[])]).spec("a", |spec| spec.setup = Some(set_up()))
}

fn timed(limit: Duration) -> Setup {
    Setup { timeout: Some(limit), ..set_up() }
}

fn phases(harness: &Harness) -> Vec<Phase> {
    harness.executor.started().iter().map(|request| request.phase).collect()
}

/// Drives until the event with this number is recorded, or until the time is over.
async fn drive_and_die(harness: &mut Harness, dies_at: u64, after: Duration) {
    harness.log = FakeLog::hanging_from(dies_at);
    let (_control, receiver) = control();
    tokio::time::timeout(after, harness.new_run().drive(receiver)).await.expect_err("it dies");
    harness.log = harness.log.goes_on(None);
}

async fn drive_on(harness: &Harness) -> RunRecord {
    let (_control, receiver) = control();
    harness.resumed(None).drive(receiver).await.expect("the run ends")
}

#[tokio::test(start_paused = true)]
async fn the_setup_runs_first_in_the_place_and_the_environment_of_the_task() {
    let harness = harness().spec("a", |spec| {
        spec.check = Some("true".to_owned());
        spec.env.insert("COLOUR".to_owned(), "blue".to_owned());
        spec.secrets.push("KEY".to_owned());
        spec.action.stdin = Some("the prompt".to_owned());
    });
    assert_eq!(outcome(&harness.drive().await, "a"), Outcome::Succeeded);
    assert_eq!(phases(&harness), [Phase::Setup, Phase::Main, Phase::Check]);
    let started = harness.executor.started();
    let [setup, main, _] = &started[..] else { panic!("three commands") };
    assert_eq!(setup.program, Program::Script("npm ci".to_owned()));
    assert_eq!(setup.stdin, None);
    assert_eq!((&setup.folder, &setup.env, &setup.secrets), (&main.folder, &main.env, &main.secrets));
    assert_eq!((&setup.files, &setup.resources, &setup.mounts), (&main.files, &main.resources, &main.mounts));
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_fails_ends_the_attempt_and_is_told_apart() {
    for status in [ExitStatus::Code(1), ExitStatus::Signal(9), ExitStatus::OutOfMemory] {
        let harness = harness().plays_setup("a", Play::Ends(SECOND, status));
        let outcome = outcome(&harness.drive().await, "a");
        assert_eq!(outcome, Outcome::Failed(Failure::Setup(status)));
        assert_eq!(outcome.to_string(), format!("failed (setup: {status})"));
        assert_eq!(phases(&harness), [Phase::Setup], "the task itself is not started");
    }
    let unknown = harness().plays_setup("a", Play::Ends(SECOND, ExitStatus::Unknown));
    assert!(matches!(outcome(&unknown.drive().await, "a"), Outcome::Lost { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_failed_or_ran_out_of_time_is_tried_again() {
    for play in [ends(1, 3), Play::WaitsForStop] {
        let harness = harness().plays_setup("a", play).spec("a", |spec| {
            spec.setup = Some(timed(SECOND * 5));
            spec.retries = 1;
        });
        let record = harness.drive().await;
        assert_eq!(outcome(&record, "a"), Outcome::Succeeded, "{play:?}");
        assert_eq!(phases(&harness), [Phase::Setup, Phase::Setup, Phase::Main], "{play:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_setup_has_a_clock_of_its_own_which_is_not_that_of_the_task() {
    let timed_out =
        harness().plays_setup("a", Play::WaitsForStop).spec("a", |spec| spec.setup = Some(timed(SECOND * 5)));
    let since = tokio::time::Instant::now();
    let outcome_of_setup = outcome(&timed_out.drive().await, "a");
    assert_eq!(outcome_of_setup, Outcome::TimedOut(Clock::Setup));
    assert_eq!(outcome_of_setup.to_string(), "timed out (setup)");
    assert_eq!(since.elapsed(), SECOND * 5);
    let reasons = timed_out.log.events().into_iter().filter_map(|event| match event.kind {
        EventKind::StopSent { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [StopReason::TimedOut(Clock::Setup)]);

    let limits = Limits { timeout: Some(SECOND * 10), ..Limits::default() };
    let long_setup =
        harness().plays_setup("a", ends(60, 0)).plays("a", ends(9, 0)).spec("a", |spec| spec.limits = limits);
    assert_eq!(outcome(&long_setup.drive().await, "a"), Outcome::Succeeded);
    let long_task = harness().plays_setup("a", ends(8, 0)).plays("a", ends(11, 0)).spec("a", |spec| {
        spec.setup = Some(timed(SECOND * 100));
        spec.limits = limits;
    });
    assert_eq!(outcome(&long_task.drive().await, "a"), Outcome::TimedOut(Clock::Wall));
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_prints_nothing_runs_into_the_idle_clock() {
    let idle = |spec: &mut gadugi_core::TaskSpec| spec.limits.idle_timeout = Some(SECOND * 5);
    let silent = harness().plays_setup("a", Play::WaitsForStop).spec("a", idle);
    assert_eq!(outcome(&silent.drive().await, "a"), Outcome::TimedOut(Clock::Idle));
    let talkative = harness().plays_setup("a", Play::Prints(SECOND * 4, 5)).spec("a", idle);
    assert_eq!(outcome(&talkative.drive().await, "a"), Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_start_of_a_setup_that_hangs_ends_with_its_own_timeout() {
    let harness = harness().plays_setup("a", Play::HangsAtStart).spec("a", |spec| spec.setup = Some(timed(SECOND * 5)));
    assert_eq!(outcome(&harness.drive().await, "a"), Outcome::TimedOut(Clock::Setup));
    let harness = self::harness().plays_setup("a", Play::CannotStart);
    assert!(matches!(outcome(&harness.drive().await, "a"), Outcome::Failed(Failure::Start { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_stopped_during_its_setup_is_cancelled_and_never_started() {
    let harness = harness().plays_setup("a", Play::WaitsForStop).spec("a", |spec| spec.retries = 1);
    let record = harness.drive_with(async |control| {
        harness.running("a").await;
        control.stop(vec![id("a")], false);
    });
    assert_eq!(outcome(&record.await.expect("the run ends"), "a"), Outcome::Cancelled);
    assert_eq!(phases(&harness), [Phase::Setup]);
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_runs_is_taken_over_with_its_clock_and_the_task_follows_on_it() {
    // The start of the setup is the fifth event. Then the driver is gone for six seconds.
    let mut taken_over =
        harness().plays_setup("a", Play::WaitsForStop).spec("a", |spec| spec.setup = Some(timed(SECOND * 10)));
    drive_and_die(&mut taken_over, 6, SECOND * 6).await;
    let since = tokio::time::Instant::now();
    assert_eq!(outcome(&drive_on(&taken_over).await, "a"), Outcome::TimedOut(Clock::Setup));
    assert_eq!(since.elapsed(), SECOND * 4);

    let mut followed = harness().plays_setup("a", ends(60, 0)).plays("a", ends(9, 0)).spec("a", |spec| {
        spec.limits.timeout = Some(SECOND * 10);
    });
    drive_and_die(&mut followed, 6, SECOND * 6).await;
    assert_eq!(outcome(&drive_on(&followed).await, "a"), Outcome::Succeeded);
    assert_eq!(phases(&followed), [Phase::Setup, Phase::Main]);
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_had_ended_is_not_repeated_and_its_time_does_not_count_for_the_task() {
    let setup_ends = |code| {
        harness().plays_setup("a", ends(20, code)).plays("a", ends(9, 0)).spec("a", |spec| {
            spec.limits.timeout = Some(SECOND * 10);
        })
    };
    // The end of the setup is the sixth event, and the start of the task the seventh.
    for dies_at in [7, 8] {
        let mut harness = setup_ends(0);
        drive_and_die(&mut harness, dies_at, SECOND * 21).await;
        assert_eq!(outcome(&drive_on(&harness).await, "a"), Outcome::Succeeded, "{dies_at}");
        assert_eq!(phases(&harness), [Phase::Setup, Phase::Main], "{dies_at}");
    }
    let mut failed = setup_ends(5);
    drive_and_die(&mut failed, 7, SECOND * 21).await;
    assert_eq!(outcome(&drive_on(&failed).await, "a"), Outcome::Failed(Failure::Setup(ExitStatus::Code(5))));
    assert_eq!(phases(&failed), [Phase::Setup]);
}

#[tokio::test(start_paused = true)]
async fn a_setup_whose_record_is_lost_is_not_repeated_beside_the_task() {
    let mut harness = harness().plays_setup("a", ends(1, 0)).plays("a", ends(9, 0));
    drive_and_die(&mut harness, 8, SECOND * 4).await;
    let is_of_setup = |event: &Event| {
        let (EventKind::CommandStarted { phase, .. } | EventKind::CommandEnded { phase, .. }) = &event.kind else {
            return false;
        };
        *phase == Phase::Setup
    };
    let events = harness.log.events();
    let kept = events.iter().filter(|event| !is_of_setup(event)).zip(1..);
    harness.log = FakeLog::default();
    kept.for_each(|(event, seq)| harness.log.put(Event { seq, ..event.clone() }));
    assert_eq!(events.len() - harness.log.events().len(), 2);
    assert_eq!(outcome(&drive_on(&harness).await, "a"), Outcome::Succeeded);
    assert_eq!(phases(&harness), [Phase::Setup, Phase::Main]);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_setups_is_a_figure_of_its_own() {
    let harness = Harness::new(vec![task("a", &[]), task("b", &["a"])])
        .spec("a", |spec| spec.setup = Some(set_up()))
        .spec("b", |spec| spec.setup = Some(set_up()))
        .plays_setup("a", ends(6, 0))
        .plays("a", ends(10, 0))
        .plays_setup("b", ends(4, 1));
    let record = harness.drive().await;
    let attempt = &record.tasks[0].attempts[0];
    assert_eq!((attempt.setup_time(), attempt.command_time()), (SECOND * 6, SECOND * 10));
    let figures = Report::from(record).performance;
    assert_eq!(figures.task_time, SECOND * 10, "setups are no task time");
    assert_eq!(figures.setup_time, SECOND * 10, "also those that failed");
    assert_eq!(figures.wall, Some(SECOND * 20));
    assert_eq!(figures.speedup, Some(0.5));
    assert_eq!(figures.setup_share, Some(0.5));
    assert_eq!(figures.critical_path, (vec![id("a"), id("b")], SECOND * 20));
}
