//! Tasks whose changes are discarded, and tasks that start from a base and tips of their own.

use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_core::plan::{Changes, Origin};
use gadugi_core::run::Clock;
use gadugi_core::worktrees::{BranchFate, NeededTip, ReleaseRequest, Work};
use gadugi_core::{CommitId, Outcome, RunRecord, Worktrees as _};
use gadugi_test_support::fakes::{BrokenWorktree, Play, WorktreeCall};

use crate::harness::{Harness, SECOND, id, outcome, task};
use crate::resuming::{drive_and_die, drive_on};

const DISCARD: ReleaseRequest = ReleaseRequest { branch: BranchFate::Delete, discard: true, dry_run: false };

fn ends(seconds: u32, code: i32) -> Play {
    Play::Ends(SECOND * seconds, ExitStatus::Code(code))
}

fn commit(digit: &str) -> CommitId {
    digit.repeat(40).parse().expect("a commit")
}

/// Tasks with all kinds of ends, whose changes are discarded.
fn harness() -> Harness {
    let names = ["good", "bad", "late", "again", "lost"];
    let harness = Harness::new(names.map(|name| task(name, &[])).to_vec())
        .jobs(5)
        .plays("good", ends(1, 0))
        .plays("bad", ends(2, 1))
        .plays("late", Play::WaitsForStop)
        .spec("late", |spec| spec.limits.timeout = Some(SECOND * 3))
        .plays("again", ends(1, 1))
        .plays_at("again", 2, ends(1, 0))
        .spec("again", |spec| spec.retries = 1)
        .plays("lost", Play::GetsLost);
    names.into_iter().fold(harness, |harness, name| harness.spec(name, |spec| spec.changes = Changes::Discarded))
}

/// Asserts that nothing of any attempt was collected, and that everything is gone.
async fn assert_nothing_left(harness: &Harness, told: &str) {
    for call in harness.worktrees.calls() {
        match call {
            WorktreeCall::Snapshot(attempt, _) => panic!("{told}: {attempt} was collected"),
            WorktreeCall::Release(attempt, request) => assert_eq!(request, DISCARD, "{told}: {attempt}"),
            WorktreeCall::Create(_) | WorktreeCall::CreateGivenUp => {}
        }
    }
    assert_eq!(harness.worktrees.leases().await.expect("the leases"), [], "{told}");
}

fn assert_outcomes(record: &RunRecord, told: &str) {
    assert_eq!(outcome(record, "good"), Outcome::Succeeded, "{told}");
    assert_eq!(outcome(record, "again"), Outcome::Succeeded, "{told}");
    assert!(matches!(outcome(record, "bad"), Outcome::Failed(_) | Outcome::Lost { .. }), "{told}");
    let late = outcome(record, "late");
    assert!(matches!(late, Outcome::TimedOut(Clock::Wall) | Outcome::Cancelled), "{told}: {late}");
    assert!(matches!(outcome(record, "lost"), Outcome::Lost { .. }), "{told}");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_outcome_nothing_of_discarded_changes_is_collected_or_kept() {
    let harness = harness();
    let record = harness.drive().await;
    assert_outcomes(&record, "driven once");
    assert_nothing_left(&harness, "driven once").await;
    let works: Vec<&Work> =
        record.tasks.iter().flat_map(|task| &task.attempts).filter_map(|attempt| attempt.work.as_deref()).collect();
    assert!(works.is_empty(), "{works:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_nothing_of_discarded_changes_either() {
    let harness = harness();
    let record = harness.drive_with(|control| async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        control.stop_all(false);
    });
    let record = record.await.expect("the run ends");
    assert_eq!(outcome(&record, "bad"), Outcome::Cancelled);
    assert_nothing_left(&harness, "stopped").await;
}

#[tokio::test(start_paused = true)]
async fn a_worktree_that_comes_after_the_stop_is_deleted_too() {
    let harness = Harness::new(vec![task("a", &[])]).spec("a", |spec| spec.changes = Changes::Discarded);
    harness.worktrees.break_for(&id("a"), BrokenWorktree::Late);
    let record = harness.drive_with(|control| async move {
        tokio::time::sleep(SECOND).await;
        control.stop_all(false);
    });
    assert_eq!(outcome(&record.await.expect("the run ends"), "a"), Outcome::Cancelled);
    // What is made for nobody is undone, or released when it is there.
    tokio::time::sleep(SECOND * 20).await;
    assert_nothing_left(&harness, "stopped while it was made").await;
}

#[tokio::test(start_paused = true)]
async fn a_plug_in_that_panics_leaves_nothing_of_discarded_changes() {
    let harness =
        Harness::new(vec![task("a", &[])]).plays("a", Play::Panics).spec("a", |spec| spec.changes = Changes::Discarded);
    assert!(matches!(outcome(&harness.drive().await, "a"), Outcome::Lost { .. }));
    assert_nothing_left(&harness, "panicked").await;
}

#[tokio::test(start_paused = true)]
async fn wherever_the_driver_dies_the_next_one_leaves_nothing_of_discarded_changes() {
    let events = {
        let harness = harness();
        harness.drive().await;
        harness.log.events().len() as u64
    };
    for dies_at in 1..=events {
        for lives_on in [Duration::ZERO, SECOND * 10] {
            let told = format!("died at {dies_at}, after {lives_on:?}");
            let mut harness = harness();
            harness.dies_at(dies_at);
            drive_and_die(&harness, false, lives_on).await;
            harness.log = harness.log.goes_on(None);
            let record = drive_on(&harness).await;
            assert_outcomes(&record, &told);
            assert_nothing_left(&harness, &told).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_starts_from_its_own_base_and_from_tips_of_an_earlier_run_before_those_of_its_needs() {
    let tip = |task: &str, digit: &str| NeededTip { task: id(task), tip: commit(digit) };
    let earlier = tip("earlier", "2");
    let origin = Origin { base: Some(commit("1")), tips: vec![earlier.clone()], ..Origin::default() };
    let harness = Harness::new(vec![task("a", &[]), task("b", &["a"])]).spec("b", |spec| spec.origin = origin);
    let record = harness.drive().await;
    let made = |name: &str| record.task(&id(name))?.last()?.work.as_ref()?.tip.clone();
    let requests = harness.worktrees.calls().into_iter().filter_map(|call| match call {
        WorktreeCall::Create(requests) => Some(requests),
        _ => None,
    });
    let requests: Vec<_> = requests.flatten().collect();
    let [a, b] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((&a.base, &a.needs[..]), (&None, &[][..]));
    assert_eq!(b.base, Some(commit("1")));
    let a = NeededTip { task: id("a"), tip: made("a").expect("a tip") };
    assert_eq!(b.needs, [earlier, a]);
}
