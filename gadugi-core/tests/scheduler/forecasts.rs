//! Conflicts that are foreseen while a run goes on.

use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_core::run::{Counterpart, WarningKind};
use gadugi_core::{EventKind, Outcome, RunRecord};
use gadugi_test_support::fakes::{FakeForecast, FakeLog, Play};

use tokio::time::sleep;

use crate::harness::{Harness, SECOND, id, outcome, task};
use crate::resuming::{drive_and_die, drive_on};

fn ends(seconds: u32, code: i32) -> Play {
    Play::Ends(SECOND * seconds, ExitStatus::Code(code))
}

/// Three tasks that end one after the other, of which the first is in conflict with both others.
fn harness() -> Harness {
    let harness = Harness::new(["a", "b", "c"].map(|name| task(name, &[])).to_vec());
    harness.worktrees.foretell(FakeForecast::Conflicts(vec![("a", "b"), ("a", "c")]));
    harness.plays("a", ends(1, 0)).plays("b", ends(2, 0)).plays("c", ends(3, 1))
}

/// The conflicts that were recorded, in order.
fn foreseen(harness: &Harness) -> Vec<(String, String)> {
    let events = harness.log.events().into_iter();
    let conflicts = events.filter_map(|event| match event.kind {
        EventKind::ConflictForeseen(conflict) => Some((conflict.task.to_string(), conflict.other.to_string())),
        _ => None,
    });
    conflicts.collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

fn warnings(record: &RunRecord) -> Vec<&str> {
    let of_forecasts = record.warnings.iter().filter(|warning| warning.kind == WarningKind::Forecast);
    of_forecasts.map(|warning| warning.message.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_foreseen_once_with_work_that_is_under_way_and_with_what_has_failed() {
    let harness = harness();
    let record = harness.drive().await;
    // At its end, `a` is compared with the worktrees of both others. They find nothing new.
    assert_eq!(foreseen(&harness), pairs(&[("a", "b"), ("a", "c")]));
    assert_eq!(record.in_conflict_with(&id("c")).collect::<Vec<_>>(), [Counterpart::Task(id("a"))]);
    let forecasts = harness.worktrees.forecasts();
    assert_eq!(forecasts.iter().map(|(asked, sides)| (*asked, sides.len())).collect::<Vec<_>>(), [(1, 3); 3]);
    let (_, sides) = &forecasts[0];
    assert_eq!(sides.iter().map(|side| side.worktree.is_some()).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_have_made_nothing_are_not_compared() {
    let harness = harness();
    harness.worktrees.foretell(FakeForecast::Conflicts(vec![("a", "b")]));
    let harness = Harness { tasks: vec![task("a", &[])], ..harness };
    harness.drive().await;
    assert!(harness.worktrees.forecasts().is_empty(), "there is nothing to compare it with");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_is_gone_at_a_later_end_is_taken_back() {
    let harness = harness();
    let record = harness.drive_with(|_| async {
        while foreseen(&harness).len() < 2 {
            sleep(SECOND / 100).await;
        }
        harness.worktrees.foretell(FakeForecast::Conflicts(vec![("a", "c")]));
    });
    let record = record.await.expect("the run ends");
    assert!(record.in_conflict_with(&id("b")).next().is_none());
    let gone = EventKind::ConflictGone { task: id("b"), other: Counterpart::Task(id("a")) };
    assert_eq!(harness.log.events().iter().filter(|event| event.kind == gone).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forecast_that_cannot_be_made_is_told_once_and_changes_no_outcome() {
    let harness = harness();
    harness.worktrees.foretell(FakeForecast::Fails);
    let record = harness.drive().await;
    assert_eq!(outcome(&record, "b"), Outcome::Succeeded);
    let told = warnings(&record);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].ends_with("as played"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_forecast_that_takes_for_ever_holds_up_neither_starts_nor_ends() {
    let harness = harness().jobs(1);
    harness.worktrees.foretell(FakeForecast::Hangs);
    let begun = tokio::time::Instant::now();
    let record = harness.drive_with(|_| async {
        // Only `c` has no end by then.
        sleep(SECOND * 7 / 2).await;
        harness.running("c").await;
        assert!(begun.elapsed() < SECOND * 4, "it has started when `a` and `b` had ended");
    });
    let record = record.await.expect("the run ends");
    assert_eq!(outcome(&record, "b"), Outcome::Succeeded);
    assert_eq!(warnings(&record).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_waits_for_no_forecast() {
    let harness = harness();
    harness.worktrees.foretell(FakeForecast::Hangs);
    let begun = tokio::time::Instant::now();
    let record = harness.drive_with(|control| {
        let harness = &harness;
        async move {
            while harness.worktrees.forecasts().is_empty() {
                sleep(SECOND / 100).await;
            }
            control.stop_all(true);
        }
    });
    record.await.expect("the run ends");
    assert!(begun.elapsed() < SECOND * 20, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_driver_may_die_at_every_step_and_each_conflict_is_recorded_once() {
    let undisturbed = harness();
    undisturbed.drive().await;
    let expected = pairs(&[("a", "b"), ("a", "c")]);
    for dies_at in 1..=undisturbed.log.events().len() as u64 {
        let mut harness = harness();
        harness.log = FakeLog::hanging_from(dies_at);
        drive_and_die(&harness, false, Duration::ZERO).await;
        harness.log = harness.log.goes_on(None);
        drive_on(&harness).await;
        let mut found = foreseen(&harness);
        found.iter_mut().for_each(|(one, other)| {
            if one > other {
                std::mem::swap(one, other);
            }
        });
        found.sort();
        assert_eq!(found, expected, "dies at step {dies_at}");
    }
}
