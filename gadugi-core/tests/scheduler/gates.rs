//! The opening of gates, and their warnings.

use gadugi_core::run::{Failure, StopReason, WarningKind};
use gadugi_core::{EventKind, Outcome};
use gadugi_test_support::fakes::Play;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::time::Instant;

use crate::harness::{Harness, outcome, task};
use crate::limits::{exits, name, sleep, started, warnings};
use crate::robot::{ended, robot};

fn robots(names: &[&str]) -> Harness {
    Harness::with_robots(names.iter().map(|name| robot(name, &[])).collect())
}

/// Whether an attempt has been started.
fn has_started(harness: &Harness, task: &str, number: u32) -> bool {
    started(harness).contains(&name(task, number))
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_gets_over_a_refusal_by_itself_opens_the_gate_and_nothing_is_said() {
    let harness = Harness::with_robots(vec![robot("a", &[]), task("first", &[]), robot("b", &["first"])])
        .plays("a", exits(100, 0))
        .says_at("a", 1, &[(0, "refused overloaded"), (5, "answered"), (90, "done")])
        .plays("first", exits(2, 0))
        .jobs(3);
    let record = harness.drive_with(async |_| {
        sleep(4).await;
        assert!(!has_started(&harness, "b", 1));
        sleep(2).await;
        assert!(has_started(&harness, "b", 1), "the vendor has answered");
    });
    let record = record.await.expect("the run ends");
    assert_eq!(ended(&record, "b"), "succeeded");
    assert_eq!(warnings(&harness, &WarningKind::RateLimit), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_attempt_does_not_open_the_gate_of_a_named_time() {
    let until = Timestamp::now() + SignedDuration::from_secs(5000);
    let harness = robots(&["a", "b", "c"])
        .plays("a", exits(5, 1))
        .says("a", 1, &format!("refused-until {until}\nfails rate-limit"))
        .plays("b", exits(100, 0))
        .says_at("b", 1, &[(0, "refused overloaded"), (10, "answered"), (20, "answered"), (90, "done")])
        .jobs(2);
    let record = harness.drive_with(async |_| {
        sleep(4900).await;
        assert_eq!(started(&harness), [name("a", 1), name("b", 1)]);
    });
    let since = Instant::now();
    let record = record.await.expect("the run ends");
    assert!(["a", "b", "c"].iter().all(|task| outcome(&record, task) == Outcome::Succeeded));
    assert!(since.elapsed().as_secs() < 5100);
}

#[tokio::test(start_paused = true)]
async fn where_the_vendor_itself_was_in_trouble_any_answer_opens_the_gate_and_the_refused_one_waits_on() {
    for class in ["overloaded", "unavailable"] {
        let harness = robots(&["a", "b", "c"])
            .plays("a", exits(5, 1))
            .says("a", 1, &format!("fails {class}"))
            .plays("b", exits(100, 0))
            .says_at("b", 1, &[(0, "answered"), (10, "answered"), (90, "done")])
            .jobs(2);
        let record = harness.drive_with(async |_| {
            sleep(9).await;
            assert!(!has_started(&harness, "c", 1), "{class}");
            sleep(2).await;
            assert!(has_started(&harness, "c", 1), "{class}");
            sleep(20).await;
            assert!(!has_started(&harness, "a", 2), "{class}");
        });
        let record = record.await.expect("the run ends");
        assert!(["a", "b", "c"].iter().all(|task| outcome(&record, task) == Outcome::Succeeded));
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_wait_one_task_goes_first_and_the_others_follow_when_it_was_answered() {
    let names = ["a", "b", "c"];
    let mut harness = names.iter().fold(robots(&names), |harness, name| {
        let harness = harness.plays(name, exits(5, 1)).says(name, 1, "fails unavailable");
        harness.plays_at(name, 2, exits(50, 0)).says_at(name, 2, &[(10, "answered"), (40, "done")])
    });
    harness.tasks.push(task("plain", &["a"]));
    let record = harness.jobs(3);
    let second = |harness: &Harness| names.iter().filter(|name| has_started(harness, name, 2)).count();
    let harness = record;
    let record = harness.drive_with(async |_| {
        sleep(34).await;
        assert_eq!(second(&harness), 0);
        sleep(2).await;
        assert_eq!(second(&harness), 1, "one goes first");
        sleep(8).await;
        assert_eq!(second(&harness), 1, "it was not answered yet");
        sleep(2).await;
        assert_eq!(second(&harness), 3);
    });
    let record = record.await.expect("the run ends");
    assert!(names.iter().all(|task| outcome(&record, task) == Outcome::Succeeded));
    let told = warnings(&harness, &WarningKind::RateLimit);
    assert!(told.len() == 1 && told[0].starts_with("the vendor of robot does not answer; no task"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_ends_without_an_answer_is_followed_by_the_next_one() {
    let harness = robots(&["a", "b"])
        .jobs(1)
        .plays("a", exits(5, 1))
        .says("a", 1, "fails unavailable")
        .plays_at("a", 2, exits(1, 1))
        .says("a", 2, "fails otherwise");
    let record = harness.drive().await;
    assert_eq!(
        (ended(&record, "a"), ended(&record, "b")),
        ("failed (agent error: otherwise)".into(), "succeeded".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_named_time_that_is_far_away_is_told_with_its_day_and_its_distance() {
    let until = Timestamp::now() + 481.hours();
    let harness = robots(&["a"]).plays("a", exits(1, 1));
    let harness = harness.says("a", 1, &format!("refused-until {until}\nfails rate-limit"));
    assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
    let told = warnings(&harness, &WarningKind::RateLimit);
    let expected = format!("until {}, which is in 480 hours", until.strftime("%Y-%m-%d %H:%M:%SZ"));
    assert!(told.len() == 1 && told[0].ends_with(&expected), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_not_let_in_is_stopped_and_its_other_tasks_are_not_started() {
    let mut tasks: Vec<_> = ["a", "b", "queued", "other"].iter().map(|name| robot(name, &[])).collect();
    tasks.extend([task("plain", &[]), robot("blocked", &["plain"]), task("after", &["queued"])]);
    // The first one comes when both have started, and the last one of `a` before that of `b`.
    let refusals =
        |last| [(1, "refused authentication"), (2, "refused authentication"), (last, "refused authentication")];
    let harness = Harness::with_robots(tasks)
        .jobs(2)
        .call("other", |call| call.name = "other".to_owned())
        .spec("queued", |spec| spec.priority = -1)
        .plays("a", Play::WaitsForStop)
        .says_at("a", 1, &refusals(4))
        .plays("b", Play::WaitsForStop)
        .says_at("b", 1, &refusals(5));
    let harness = ["a", "b", "queued", "blocked"].iter().fold(harness, |harness, task| {
        harness.call(task, |call| call.keys = vec!["ROBIN_KEY".to_owned(), "ROBIN_TOKEN".to_owned()])
    });
    let record = harness.drive().await;
    let mut begun = started(&harness);
    begun.sort();
    assert_eq!(begun, [name("a", 1), name("b", 1), name("other", 1), name("plain", 1)]);
    let stopped = "failed (authentication: its vendor did not let it in, again and again)";
    let not_started = "failed (authentication: not started, since robot was not let in for a)";
    for (task, expected) in [
        ("a", stopped),
        ("b", stopped),
        ("queued", not_started),
        ("blocked", not_started),
        ("after", "skipped (because of queued)"),
        ("other", "succeeded"),
        ("plain", "succeeded"),
    ] {
        assert_eq!(ended(&record, task), expected, "{task}");
    }
    let told = warnings(&harness, &WarningKind::Authentication);
    let expected = "robot is not let in (its vendor did not let it in, again and again), so its other tasks are not started; \
                    log in with it, or set ROBIN_KEY or ROBIN_TOKEN";
    assert_eq!(told, [expected]);
    let reasons = harness.log.events().into_iter().filter_map(|event| match event.kind {
        EventKind::StopSent { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [StopReason::Unauthenticated; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_renews_its_login_goes_on_and_meanwhile_no_other_task_of_it_starts() {
    let harness = robots(&["a", "b"])
        .plays("a", exits(100, 0))
        .says_at("a", 1, &[(0, "refused authentication"), (4, "answered"), (90, "done")])
        .spec("b", |spec| spec.priority = -1);
    let harness = harness.jobs(2);
    let record = harness.drive().await;
    assert_eq!((ended(&record, "a"), ended(&record, "b")), ("succeeded".into(), "succeeded".into()));
    assert_eq!(warnings(&harness, &WarningKind::Authentication), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_for_another_attempt_end_as_their_last_one_did_when_their_agent_is_not_let_in() {
    let harness = robots(&["a", "b"])
        .jobs(2)
        .plays("a", exits(1, 1))
        .spec("a", |spec| (spec.retries, spec.retry_delay) = (3, std::time::Duration::from_secs(100)))
        .plays("b", exits(5, 1))
        .says("b", 1, "fails authentication");
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "failed (exit code 1)");
    assert!(matches!(outcome(&record, "b"), Outcome::Failed(Failure::Agent(_))));
    assert_eq!(started(&harness).len(), 2);
}
