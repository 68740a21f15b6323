//! Every way that a task can go.

use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_core::run::{Clock, Failure, KeepPolicy, StopReason};
use gadugi_core::scheduler::control;
use gadugi_core::{AttemptNo, Outcome, Phase, RunError, TaskId};
use gadugi_test_support::fakes::{BrokenWorktree, FakeLog, FakeWorktrees, Play, WorktreeCall};

use crate::harness::{Harness, SECOND, id, outcome, plan, task};

/// Waits for a request for worktrees.
async fn asked(worktrees: &FakeWorktrees) {
    while worktrees.calls().is_empty() {
        tokio::task::yield_now().await;
    }
}

fn ends(seconds: u64, code: i32) -> Play {
    Play::Ends(Duration::from_secs(seconds), ExitStatus::Code(code))
}

fn started(harness: &Harness) -> Vec<TaskId> {
    harness.executor.started().into_iter().map(|request| request.attempt.task).collect()
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_command_exits_with_0_succeeds_and_its_worktree_goes() {
    let harness = Harness::new(vec![task("a", &[])]);
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "a"), Outcome::Succeeded);
    let kinds: Vec<_> = harness.log.events().iter().map(|event| format!("{:?}", event.kind)).collect();
    let names: Vec<_> = kinds.iter().map(|kind| kind.split([' ', '{']).next().unwrap_or_default()).collect();
    assert_eq!(
        names,
        [
            "RunStarted",
            "ExecutorChosen",
            "AttemptIntended",
            "WorktreeReady",
            "CommandStarted",
            "CommandEnded",
            "WorkCollected",
            "AttemptEnded",
            "TaskFinished",
            "WorktreeReleased",
            "RunEnded"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_code_a_signal_and_a_failed_check_stay_different() {
    let harness = Harness::new(vec![task("code", &[]), task("signal", &[]), task("check", &[])])
        .plays("code", ends(1, 3))
        .plays("signal", Play::Ends(SECOND, ExitStatus::Signal(11)))
        .spec("check", |spec| spec.check = Some("test -f done".to_owned()));
    harness.executor.play(&id("check"), 1, Phase::Check, ends(1, 1));
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "code"), Outcome::Failed(Failure::ExitCode(3)));
    assert_eq!(outcome(&record, "signal"), Outcome::Failed(Failure::Signal(11)));
    assert_eq!(outcome(&record, "check"), Outcome::Failed(Failure::Check(ExitStatus::Code(1))));
    let released = harness.worktrees.calls().into_iter().any(|call| matches!(call, WorktreeCall::Release(..)));
    assert!(!released, "the worktrees of failed tasks stay");
}

#[tokio::test(start_paused = true)]
async fn a_check_runs_only_after_a_command_that_ended_well() {
    let harness = Harness::new(vec![task("good", &[]), task("bad", &[])])
        .plays("bad", ends(0, 1))
        .spec("good", |spec| spec.check = Some("true".to_owned()))
        .spec("bad", |spec| spec.check = Some("true".to_owned()));
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "good"), Outcome::Succeeded);
    assert_eq!(outcome(&record, "bad"), Outcome::Failed(Failure::ExitCode(1)));
    let checked: Vec<_> =
        harness.executor.started().into_iter().filter(|request| request.phase == Phase::Check).collect();
    assert_eq!(checked.iter().map(|request| &request.attempt.task).collect::<Vec<_>>(), [&id("good")]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_skips_all_that_need_it_and_no_others() {
    let harness = Harness::new(vec![
        task("a", &[]),
        task("b", &["a"]),
        task("c", &["b"]),
        task("other", &[]),
        task("after-other", &["other"]),
    ])
    .plays("a", ends(1, 1))
    .plays("other", ends(5, 0));
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "b"), Outcome::Skipped { because: id("a").into() });
    assert_eq!(outcome(&record, "c"), Outcome::Skipped { because: id("a").into() });
    assert_eq!(outcome(&record, "after-other"), Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn fail_fast_starts_nothing_more_and_lets_run_what_runs() {
    let mut harness = Harness::new(vec![task("bad", &[]), task("long", &[]), task("never", &[])])
        .jobs(2)
        .plays("bad", ends(1, 1))
        .plays("long", ends(9, 0));
    harness.settings.fail_fast = true;
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "long"), Outcome::Succeeded);
    assert_eq!(outcome(&record, "never"), Outcome::Skipped { because: id("bad").into() });
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_a_new_attempt_with_a_worktree_of_its_own() {
    let harness = Harness::new(vec![task("a", &[])])
        .spec("a", |spec| spec.retries = 2)
        .plays_at("a", 1, ends(1, 1))
        .plays_at("a", 2, ends(1, 0));
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "a"), Outcome::Succeeded);
    let attempts = &record.tasks[0].attempts;
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0].ended.as_ref().map(|end| &end.0), Some(&Outcome::Failed(Failure::ExitCode(1))));
    assert_ne!(attempts[0].lease, attempts[1].lease);
    assert_eq!(attempts[1].number, AttemptNo::FIRST.next());
}

#[tokio::test(start_paused = true)]
async fn retries_come_to_an_end_and_what_cannot_change_is_not_retried() {
    let harness = Harness::new(vec![task("bad", &[]), task("absent", &[]), task("torn", &[])])
        .spec("bad", |spec| spec.retries = 1)
        .spec("absent", |spec| spec.retries = 5)
        .spec("torn", |spec| spec.retries = 5)
        .plays_at("bad", 1, ends(0, 1))
        .plays_at("bad", 2, ends(0, 2))
        .plays("absent", Play::CannotStart);
    harness.worktrees.break_for(&id("torn"), BrokenWorktree::Conflict);
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "bad"), Outcome::Failed(Failure::ExitCode(2)));
    assert!(matches!(outcome(&record, "absent"), Outcome::Failed(Failure::Start { .. })));
    let files = vec!["file".to_owned()];
    assert_eq!(outcome(&record, "torn"), Outcome::Conflict { tasks: vec![id("torn")], files });
    let attempts: Vec<_> = record.tasks.iter().map(|task| task.attempts.len()).collect();
    assert_eq!(attempts, [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_stops_a_task_that_prints_and_the_idle_clock_one_that_does_not() {
    let minute = Duration::from_secs(60);
    let harness = Harness::new(vec![task("wall", &[]), task("idle", &[]), task("chatty", &[])])
        .plays("wall", Play::WaitsForStop)
        .plays("idle", Play::WaitsForStop)
        .plays("chatty", Play::Prints(Duration::from_secs(50), 10))
        .spec("wall", |spec| spec.limits.timeout = Some(minute))
        .spec("idle", |spec| spec.limits.idle_timeout = Some(minute))
        .spec("chatty", |spec| spec.limits.idle_timeout = Some(minute));
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "wall"), Outcome::TimedOut(Clock::Wall));
    assert_eq!(outcome(&record, "idle"), Outcome::TimedOut(Clock::Idle));
    assert_eq!(outcome(&record, "chatty"), Outcome::Succeeded);
    assert_eq!(record.tasks[0].attempts[0].command_time(), minute);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ignores_the_request_to_stop_is_killed_after_its_grace() {
    let harness = Harness::new(vec![task("deaf", &[])]).plays("deaf", Play::IgnoresStop).spec("deaf", |spec| {
        spec.limits.timeout = Some(SECOND);
        spec.limits.grace = 7 * SECOND;
    });
    let record = harness.drive().await;
    let end = record.tasks[0].attempts[0].commands[0].end.expect("it ended");
    assert_eq!((end.status, end.took), (ExitStatus::Signal(9), 8 * SECOND));
    assert_eq!(outcome(&record, "deaf"), Outcome::TimedOut(Clock::Wall));
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_the_run_cancels_what_runs_and_what_has_not_started() {
    let harness = Harness::new(vec![task("runs", &[]), task("waits", &[]), task("needs", &["runs"])])
        .jobs(1)
        .plays("runs", Play::WaitsForStop);
    let on = &harness;
    let record = harness
        .drive_with(|control| async move {
            on.running("runs").await;
            control.stop_all(false);
        })
        .await
        .expect("the run ends");
    for name in ["runs", "waits", "needs"] {
        assert_eq!(outcome(&record, name), Outcome::Cancelled, "{name}");
    }
    assert_eq!(record.tasks[0].attempts[0].commands[0].stopped, Some(StopReason::Cancelled));
    assert!(record.ended.is_some_and(|(_, interrupted)| interrupted));
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_takes_the_grace_away() {
    let harness = Harness::new(vec![task("deaf", &[])])
        .plays("deaf", Play::IgnoresStop)
        .spec("deaf", |spec| spec.limits.grace = 3600 * SECOND);
    let on = &harness;
    let record = harness
        .drive_with(|control| async move {
            on.running("deaf").await;
            control.stop_all(false);
            tokio::time::sleep(SECOND).await;
            control.stop_all(true);
        })
        .await
        .expect("the run ends");
    assert_eq!(record.tasks[0].attempts[0].command_time(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_a_worktree_ends_when_it_is_stopped_and_gives_the_worktree_up() {
    let harness = Harness::new(vec![task("a", &[])]);
    harness.worktrees.break_for(&id("a"), BrokenWorktree::Hangs);
    let on = &harness;
    let record = harness
        .drive_with(|control| async move {
            asked(&on.worktrees).await;
            control.stop_all(false);
        })
        .await
        .expect("the run ends");
    assert_eq!(outcome(&record, "a"), Outcome::Cancelled);
    assert!(harness.executor.started().is_empty());
    for _ in 0..100 {
        // The run does not wait for it.
        tokio::task::yield_now().await;
    }
    assert_eq!(harness.worktrees.calls().last(), Some(&WorktreeCall::CreateGivenUp));
}

#[tokio::test(start_paused = true)]
async fn the_worktree_of_a_task_that_was_stopped_while_it_was_made_with_others_is_given_back() {
    let harness = Harness::new(vec![task("a", &[]), task("b", &[])]).jobs(2);
    harness.worktrees.break_for(&id("a"), BrokenWorktree::Late);
    let on = &harness;
    let record = harness
        .drive_with(|control| async move {
            asked(&on.worktrees).await;
            control.stop(vec![id("a")], false);
        })
        .await
        .expect("the run ends");
    assert_eq!((outcome(&record, "a"), outcome(&record, "b")), (Outcome::Cancelled, Outcome::Succeeded));
    let calls = harness.worktrees.calls();
    let [WorktreeCall::Create(requests), ..] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(requests.len(), 2);
    let is_release =
        |call: &&WorktreeCall| matches!(call, WorktreeCall::Release(attempt, _) if attempt.task == id("a"));
    let releases: Vec<_> = calls.iter().filter(is_release).collect();
    let [WorktreeCall::Release(_, request)] = releases[..] else { panic!("{calls:?}") };
    assert!(!request.discard && !request.dry_run);
    assert!(!calls.contains(&WorktreeCall::CreateGivenUp));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_stopped_before_it_began_starts_nothing() {
    let harness = Harness::new(vec![task("a", &[]), task("b", &["a"])]);
    let record = harness
        .drive_with(|control| {
            control.stop_all(false);
            async {}
        })
        .await
        .expect("the run ends");
    assert_eq!((outcome(&record, "a"), outcome(&record, "b")), (Outcome::Cancelled, Outcome::Cancelled));
    assert!(harness.worktrees.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_known_before_a_run_stands_in_its_log_and_report() {
    use gadugi_core::run::WarningKind;
    use gadugi_core::scheduler::control;
    use gadugi_core::worktrees::InPlace;
    use gadugi_core::{Executors, Report, Run, RunHeader, RunSettings};
    use gadugi_test_support::fakes::FakeExecutor;
    let header = RunHeader::new(plan(vec![task("a", &[])]).expect("a plan"), RunSettings::default());
    let executors = Executors::new(std::sync::Arc::new(FakeExecutor::default()));
    let log = FakeLog::default();
    let run = Run::new(header, executors, std::sync::Arc::new(InPlace::new(".")), Box::new(log));
    let run = run.warning(WarningKind::Fallback, "no containers here");
    let report = Report::from(run.drive(control().1).await.expect("the run ends"));
    assert_eq!(report.warnings[0].message, "no containers here");
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_one_task_skips_those_that_need_it_and_leaves_the_others() {
    let harness = Harness::new(vec![task("one", &[]), task("two", &["one"]), task("three", &[])])
        .plays("one", Play::WaitsForStop)
        .plays("three", ends(100, 0));
    let on = &harness;
    let record = harness
        .drive_with(|control| async move {
            on.running("one").await;
            control.stop(vec![id("one"), id("not-there")], false);
        })
        .await
        .expect("the run ends");
    assert_eq!(outcome(&record, "one"), Outcome::Cancelled);
    assert_eq!(outcome(&record, "two"), Outcome::Skipped { because: id("one").into() });
    assert_eq!(outcome(&record, "three"), Outcome::Succeeded);
    assert!(record.ended.is_some_and(|(_, interrupted)| !interrupted));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_touch_the_same_files_take_turns() {
    let touch = |pattern: &str| vec![pattern.parse().expect("a pattern")];
    let harness = Harness::new(vec![task("a", &[]), task("b", &[]), task("c", &[])])
        .spec("a", |spec| spec.touches = touch("src/**"))
        .spec("b", |spec| spec.touches = touch("src/lib.rs"))
        .spec("c", |spec| spec.touches = touch("docs/**"))
        .plays("a", ends(10, 0))
        .plays("b", ends(10, 0))
        .plays("c", ends(10, 0));
    let record = harness.drive().await;
    assert_eq!(record.peak_parallelism, 2);
    assert_eq!(started(&harness), [id("a"), id("c"), id("b")]);
    let first = |harness: &Harness| {
        let plan = plan(harness.tasks.clone()).expect("a plan");
        gadugi_core::scheduler::first_started(&plan, &std::collections::HashMap::new(), &harness.settings)
    };
    assert_eq!(first(&harness), [0, 2]);
    let mut free = harness;
    free.log = FakeLog::default();
    free.settings.allow_overlap = true;
    assert_eq!(first(&free), [0, 1, 2]);
    assert_eq!(free.drive().await.peak_parallelism, 3);
}

#[tokio::test(start_paused = true)]
async fn priority_comes_first_then_the_longer_chain_then_the_users_order() {
    let harness =
        Harness::new(vec![task("plain", &[]), task("head", &[]), task("urgent", &[]), task("tail", &["head"])])
            .jobs(1)
            .spec("urgent", |spec| spec.priority = 1);
    harness.drive().await;
    let expected = [id("urgent"), id("head"), id("plain"), id("tail")];
    assert_eq!(started(&harness), expected);
    let plan = plan(harness.tasks.clone()).expect("a plan");
    let foretold = gadugi_core::scheduler::start_order(&plan, &std::collections::HashMap::new());
    assert_eq!(foretold.iter().map(|at| plan.tasks()[*at].spec.id.clone()).collect::<Vec<_>>(), expected);
    let longer = [(id("plain"), 60 * SECOND), (id("head"), SECOND), (id("tail"), SECOND)].into();
    let foretold = gadugi_core::scheduler::start_order(&plan, &longer);
    assert_eq!(plan.tasks()[foretold[1]].spec.id, id("plain"), "what took long before comes first");
}

#[tokio::test(start_paused = true)]
async fn a_task_starts_from_the_tips_of_what_it_needs() {
    let harness = Harness::new(vec![task("a", &[]), task("b", &[]), task("c", &["b", "a"])]);
    harness.drive().await;
    let calls = harness.worktrees.calls();
    let needs = calls.iter().find_map(|call| match call {
        WorktreeCall::Create(requests) if requests[0].attempt.task == id("c") => Some(requests[0].needs.clone()),
        _ => None,
    });
    let tasks: Vec<_> = needs.expect("c was created").into_iter().map(|need| need.task).collect();
    assert_eq!(tasks, [id("b"), id("a")]);
}

#[tokio::test(start_paused = true)]
async fn the_first_worktrees_are_asked_for_in_one_bulk() {
    let harness = Harness::new(vec![task("a", &[]), task("b", &[]), task("c", &[]), task("d", &[])]).jobs(3);
    harness.drive().await;
    let calls = harness.worktrees.calls();
    let sizes = calls.iter().filter_map(|call| match call {
        WorktreeCall::Create(requests) => Some(requests.len()),
        _ => None,
    });
    let sizes: Vec<_> = sizes.collect();
    assert_eq!(sizes, [3, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_worktree_that_cannot_be_made_and_work_that_cannot_be_kept_are_failures() {
    let harness = Harness::new(vec![task("nowhere", &[]), task("unkept", &[])]);
    harness.worktrees.break_for(&id("nowhere"), BrokenWorktree::Create);
    harness.worktrees.break_for(&id("unkept"), BrokenWorktree::Snapshot);
    let record = harness.drive().await;
    assert!(matches!(outcome(&record, "nowhere"), Outcome::Failed(Failure::Worktree { .. })));
    assert!(matches!(outcome(&record, "unkept"), Outcome::Failed(Failure::Snapshot { .. })));
    let released = harness.worktrees.calls().into_iter().any(|call| matches!(call, WorktreeCall::Release(..)));
    assert!(!released);
}

#[tokio::test(start_paused = true)]
async fn keep_decides_which_worktrees_are_committed_and_released() {
    for (keep, commits, releases) in [
        (KeepPolicy::Failed, [true, false], 1),
        (KeepPolicy::Always, [true, false], 0),
        (KeepPolicy::Never, [true, true], 2),
    ] {
        let mut harness = Harness::new(vec![task("good", &[]), task("bad", &[])]).jobs(1).plays("bad", ends(0, 1));
        harness.settings.keep = keep;
        harness.drive().await;
        let calls = harness.worktrees.calls();
        let snapshots = calls.iter().filter_map(|call| match call {
            WorktreeCall::Snapshot(_, request) => Some(request.commit),
            _ => None,
        });
        let snapshots: Vec<_> = snapshots.collect();
        assert_eq!(snapshots, commits, "{keep:?}");
        let released = calls.iter().filter(|call| matches!(call, WorktreeCall::Release(..))).count();
        assert_eq!(released, releases, "{keep:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_executor_loses_or_panics_over_is_lost_and_the_run_goes_on() {
    let harness =
        Harness::new(vec![task("lost", &[]), task("panic", &[]), task("good", &[]), task("after", &["panic"])])
            .plays("lost", Play::GetsLost)
            .plays("panic", Play::Panics);
    let record = harness.drive().await;
    assert!(matches!(outcome(&record, "lost"), Outcome::Lost { .. }));
    assert!(matches!(outcome(&record, "panic"), Outcome::Lost { .. }));
    assert_eq!(outcome(&record, "good"), Outcome::Succeeded);
    assert_eq!(outcome(&record, "after"), Outcome::Skipped { because: id("panic").into() });
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_fails_stops_new_starts_and_not_what_runs_and_leaves_the_rest_to_be_resumed() {
    let mut harness = Harness::new(vec![task("a", &[]), task("b", &[])]).jobs(1).plays("a", ends(1, 0));
    // The end of the first command cannot be kept.
    harness.log = FakeLog::failing_from(6);
    let error = harness.drive_with(|_| async {}).await.expect_err("the registry failed");
    let RunError::Registry { record, .. } = error else { panic!("not what was expected: {error:?}") };
    assert_eq!(outcome(&record, "a"), Outcome::Succeeded);
    assert_eq!(record.task(&id("b")).and_then(|task| task.outcome()), None);
    assert_eq!(started(&harness), [id("a")]);
    harness.log = harness.log.goes_on(None);
    let (_control, receiver) = control();
    let record = harness.resumed(None).drive(receiver).await.expect("the run ends");
    assert_eq!(outcome(&record, "b"), Outcome::Succeeded);
    assert_eq!(started(&harness), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_whose_intent_could_not_be_kept() {
    let mut harness = Harness::new(vec![task("a", &[])]);
    harness.log = FakeLog::failing_from(3);
    let error = harness.drive_with(|_| async {}).await.expect_err("the registry failed");
    assert!(matches!(error, RunError::Registry { .. }));
    assert!(harness.worktrees.calls().is_empty());
    assert!(harness.executor.started().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_asks_for_an_unknown_executor_keeps_the_run_from_starting() {
    let harness = Harness::new(vec![task("a", &[])]).spec("a", |spec| spec.executor = Some("slurm".to_owned()));
    let error = harness.drive_with(|_| async {}).await.expect_err("there is no slurm");
    assert!(matches!(error, RunError::UnknownExecutor { .. }), "{error:?}");
    assert!(harness.log.events().is_empty());
}

#[test]
fn a_circle_is_spelled_out_and_unknown_needs_get_a_suggestion() {
    let error = plan(vec![
        task("a", &["c"]),
        task("b", &["a"]),
        task("c", &["b"]),
        task("add-models", &[]),
        task("login", &["add-model"]),
        task("login", &[]),
    ]);
    let text = error.expect_err("it is no plan").to_string();
    assert!(text.contains("a -> c -> b -> a"), "{text}");
    assert!(text.contains("needs `add-model`, which does not exist (did you mean `add-models`?)"), "{text}");
    assert!(text.contains("the task id `login` is taken"), "{text}");
    let nothing = plan(vec![]).expect_err("nothing is no plan");
    assert_eq!(nothing.to_string(), "there is no task");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_is_not_called_again_and_the_report_says_so() {
    use gadugi_core::run::WarningKind;
    use gadugi_core::scheduler::control;
    use gadugi_core::{Executors, Run, RunHeader, RunSettings};
    use gadugi_test_support::fakes::{FakeExecutor, FakeWorktrees};
    use std::sync::Arc;
    let header = RunHeader {
        run: "20261122-083355-k7q".parse().expect("a run id"),
        created: jiff::Timestamp::UNIX_EPOCH,
        moment: None,
        base: None,
        executor: None,
        base_name: None,
        link: None,
        settings: RunSettings::default(),
        plan: plan(vec![task("a", &[])]).expect("a plan"),
    };
    let executors = Executors::new(Arc::new(FakeExecutor::default()));
    let (calls, seen) = std::sync::mpsc::channel();
    let sink = move |event: &gadugi_core::Event| {
        calls.send(event.seq)?;
        if event.seq == 2 { Err("it is full".into()) } else { Ok(()) }
    };
    let run = Run::new(header, executors, Arc::new(FakeWorktrees::default()), Box::new(FakeLog::default()));
    let record = run.sink(Box::new(sink)).drive(control().1).await.expect("the run ends");
    assert_eq!(seen.iter().collect::<Vec<_>>(), [1, 2]);
    let warning = &record.warnings[0];
    assert_eq!((&warning.kind, warning.message.as_str()), (&WarningKind::Observer, "it is full"));
    assert!(record.task(&id("a")).is_some_and(|task| task.outcome() == Some(&Outcome::Succeeded)));
}
