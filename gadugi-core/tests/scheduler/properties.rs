//! Properties of any plan, however its tasks behave.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_core::scheduler::Control;
use gadugi_core::{AttemptRef, EventKind, Outcome, RunRecord, TaskId};
use gadugi_test_support::fakes::Play;
use proptest::prelude::*;

use crate::harness::{Harness, task};

#[derive(Debug, Clone)]
struct Sketch {
    needs: Vec<prop::sample::Index>,
    need_count: usize,
    plays: Vec<Play>,
    retries: u32,
    priority: i32,
    area: Option<u8>,
}

fn play() -> impl Strategy<Value = Play> {
    let time = (0u64..20).prop_map(Duration::from_secs);
    prop_oneof![
        6 => (time.clone(), prop_oneof![4 => Just(0), 1 => Just(1)]).prop_map(|(time, code)| Play::Ends(time, ExitStatus::Code(code))),
        1 => time.prop_map(|time| Play::Ends(time, ExitStatus::Signal(9))),
        1 => Just(Play::WaitsForStop),
        1 => Just(Play::IgnoresStop),
        1 => Just(Play::CannotStart),
        1 => Just(Play::GetsLost),
    ]
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let needs = prop::collection::vec(any::<prop::sample::Index>(), 3);
    let plays = prop::collection::vec(play(), 4);
    (needs, 0usize..4, plays, 0u32..3, -1i32..2, prop::option::of(0u8..3)).prop_map(
        |(needs, need_count, plays, retries, priority, area)| Sketch {
            needs,
            need_count,
            plays,
            retries,
            priority,
            area,
        },
    )
}

fn harness(sketches: &[Sketch], jobs: usize, fail_fast: bool) -> Harness {
    let name = |at: usize| format!("t{at}");
    let tasks = sketches.iter().enumerate().map(|(at, sketch)| {
        let earlier = sketch.needs.iter().take(if at == 0 { 0 } else { sketch.need_count });
        let needs: Vec<String> = earlier.map(|index| name(index.index(at))).collect();
        let mut task = task(&name(at), &needs.iter().map(String::as_str).collect::<Vec<_>>());
        task.spec.retries = sketch.retries;
        task.spec.priority = sketch.priority;
        task.spec.limits.timeout = Some(Duration::from_secs(30));
        task.spec.touches = sketch.area.iter().filter_map(|area| format!("area-{area}").parse().ok()).collect();
        task
    });
    let mut harness = Harness::new(tasks.collect()).jobs(jobs);
    harness.settings.fail_fast = fail_fast;
    for (at, sketch) in sketches.iter().enumerate() {
        for (attempt, play) in (1..).zip(&sketch.plays) {
            harness = harness.plays_at(&name(at), attempt, *play);
        }
    }
    harness
}

/// Checks the events without the state machine that is tested.
fn check(harness: &Harness, record: &RunRecord, jobs: usize) {
    let plan = &record.header.plan;
    let mut live: HashSet<AttemptRef> = HashSet::new();
    let mut begun: HashSet<AttemptRef> = HashSet::new();
    let mut over: HashMap<TaskId, Outcome> = HashMap::new();
    for (seq, event) in (1..).zip(harness.log.events()) {
        assert_eq!(event.seq, seq, "numbers have no gaps");
        match event.kind {
            EventKind::AttemptIntended { attempt, .. } => {
                let planned = plan.get(&attempt.task).expect("it is planned");
                for need in &planned.needs {
                    assert_eq!(
                        over.get(need),
                        Some(&Outcome::Succeeded),
                        "{attempt} began before {need} had succeeded"
                    );
                }
                let touches = |other: &AttemptRef| {
                    let other = plan.get(&other.task).expect("it is planned");
                    other.spec.touches.iter().any(|a| planned.spec.touches.iter().any(|b| a.overlaps(b)))
                };
                assert!(!live.iter().any(touches), "{attempt} began beside one that touches the same");
                assert!(begun.insert(attempt.clone()), "{attempt} began twice");
                assert!(attempt.number.get() <= planned.spec.retries + 1, "{attempt} is one too many");
                assert!(!over.contains_key(&attempt.task), "{attempt} began after the end of its task");
                live.insert(attempt);
                assert!(live.len() <= jobs, "more than {jobs} at once");
            }
            EventKind::AttemptEnded { attempt, .. } => assert!(live.remove(&attempt), "{attempt} ended twice"),
            EventKind::TaskFinished { task, outcome } => {
                assert!(!live.iter().any(|attempt| attempt.task == task), "{task} is over while an attempt goes on");
                assert_eq!(over.insert(task, outcome), None, "a task ended twice");
            }
            _ => {}
        }
    }
    assert!(live.is_empty(), "attempts without an end");
    assert_eq!(over.len(), plan.tasks().len(), "tasks without an end");
    for (at, planned) in plan.tasks().iter().enumerate() {
        let skipped = matches!(over[&planned.spec.id], Outcome::Skipped { .. } | Outcome::Cancelled);
        let needs_failed = plan.needs(at).iter().any(|need| !over[&plan.tasks()[*need].spec.id].success());
        assert!(!needs_failed || skipped, "{} ran although a need had failed", planned.spec.id);
    }
    let replayed = RunRecord::fold(record.header.clone(), &harness.log.events()).expect("the events can be replayed");
    assert_eq!(&replayed, record, "the log tells the same as the run");
}

async fn drive(harness: &Harness, stop_after: Option<(Duration, bool)>) -> RunRecord {
    let beside = |control: Control| async move {
        if let Some((after, now)) = stop_after {
            tokio::time::sleep(after).await;
            control.stop_all(now);
        }
    };
    harness.drive_with(beside).await.expect("the run ends")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_ends_and_keeps_the_rules(
        sketches in prop::collection::vec(sketch(), 1..14),
        jobs in 1usize..5,
        fail_fast: bool,
        stop_after in prop::option::of(((0u64..60).prop_map(Duration::from_secs), any::<bool>())),
    ) {
        let harness = harness(&sketches, jobs, fail_fast);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let record = runtime.expect("a runtime").block_on(drive(&harness, stop_after));
        check(&harness, &record, jobs);
    }
}
