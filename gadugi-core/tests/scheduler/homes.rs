//! The home folder of an agent, and its sessions, where its executor mounts none of this machine.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::executor::Capabilities;
use gadugi_core::run::{KeepPolicy, WarningKind};
use gadugi_core::{Outcome, Phase, TaskId};
use gadugi_test_support::fakes::{BrokenWorktree, Play};

use crate::conversations::{argv, calls, unchecked};
use crate::harness::{Harness, SECOND, id, outcome, set_up};
use crate::resuming::{drive_and_die, drive_on};
use crate::robot::{ended, robot};

const ISOLATES: Capabilities =
    Capabilities { isolates: true, limits_resources: false, images: false, mounts: true, homes: false };
const WITH_HOMES: Capabilities = Capabilities { homes: true, ..ISOLATES };

/// An isolated task whose check fails this many times.
fn isolated(times: u32, capabilities: Capabilities) -> Harness {
    let harness = unchecked(times).spec("a", |spec| spec.setup = Some(set_up()));
    harness.executor.can(capabilities);
    harness
}

fn argvs(harness: &Harness) -> Vec<String> {
    calls(harness).iter().map(|call| argv(call).join(" ")).collect()
}

#[tokio::test(start_paused = true)]
async fn in_isolation_a_conversation_goes_on_where_the_agents_home_is_kept_and_nowhere_else() {
    let kept = isolated(2, WITH_HOMES);
    assert_eq!(ended(&kept.drive().await, "a"), "succeeded");
    assert_eq!(argvs(&kept), ["robot -p", "robot --resume=s1", "robot --resume=s2"]);
    let not_kept = isolated(2, ISOLATES);
    assert_eq!(ended(&not_kept.drive().await, "a"), "succeeded");
    assert_eq!(argvs(&not_kept), ["robot -p"; 3]);
    assert!(not_kept.executor.started().iter().all(|request| request.home.is_none()));
}

#[tokio::test(start_paused = true)]
async fn the_home_is_for_the_agent_alone_and_goes_with_the_task() {
    let harness = isolated(1, WITH_HOMES);
    harness.drive().await;
    for request in harness.executor.started() {
        let home = (request.phase == Phase::Main).then_some(Path::new("/homes/a"));
        assert_eq!(request.home.as_deref(), home, "{:?}", request.phase);
    }
    assert_eq!(harness.worktrees.homes(), HashSet::new());
    // An agent that cannot go on needs none, and neither does a command.
    let harness = isolated(1, WITH_HOMES).call("a", |call| call.resume = None);
    harness.drive().await;
    assert!(harness.executor.started().iter().all(|request| request.home.is_none()));
}

#[tokio::test(start_paused = true)]
async fn the_home_of_a_task_that_did_not_succeed_stays_for_a_retry_where_its_worktree_does() {
    for keep in [KeepPolicy::Failed, KeepPolicy::Always, KeepPolicy::Never] {
        let expected = if keep == KeepPolicy::Never { HashSet::new() } else { HashSet::from([id("a")]) };
        ends_of_homes(keep, &expected).await;
    }
}

async fn ends_of_homes(keep: KeepPolicy, expected: &HashSet<TaskId>) {
    let new = || {
        let mut harness = Harness::with_robots(vec![robot("a", &[]), robot("b", &["a"])]);
        harness.settings.keep = keep;
        harness.executor.can(WITH_HOMES);
        harness.plays("a", Play::WaitsForStop).says("a", 1, "session s1")
    };
    let timed_out = new().spec("a", |spec| spec.limits.timeout = Some(SECOND));
    assert!(matches!(outcome(&timed_out.drive().await, "a"), Outcome::TimedOut(_)));
    assert_eq!(timed_out.worktrees.homes(), *expected, "{keep:?}");
    for waits_for_retry in [false, true] {
        let harness = new().spec("a", |spec| {
            spec.limits.timeout = waits_for_retry.then_some(SECOND);
            (spec.retries, spec.retry_delay) = (1, SECOND * 100);
        });
        let record = harness.drive_with(async |control| {
            tokio::time::sleep(SECOND * 5).await;
            assert_eq!(harness.worktrees.homes(), HashSet::from([id("a")]));
            control.stop_all(false);
        });
        record.await.expect("the run ends");
        assert_eq!(harness.worktrees.homes(), *expected, "{keep:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_home_became_too_large_begins_anew_and_that_is_said() {
    let harness = isolated(1, WITH_HOMES);
    harness.worktrees.break_for(&id("a"), BrokenWorktree::LargeHome);
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "succeeded");
    assert_eq!(argvs(&harness), ["robot -p"; 2]);
    let told = calls(&harness)[1].stdin.clone().expect("a prompt");
    assert!(told.contains("An earlier attempt was not accepted. Its check failed"), "{told}");
    let warned = record
        .warnings
        .iter()
        .any(|warning| warning.kind == WarningKind::Worktree && warning.message == "its home is too large");
    assert!(warned, "{:?}", record.warnings);
}

#[tokio::test(start_paused = true)]
async fn a_driver_may_die_at_every_step_and_the_home_stays_as_long_as_the_task() {
    let undisturbed = isolated(2, WITH_HOMES);
    undisturbed.drive().await;
    let steps = undisturbed.log.events().len() as u64;
    for dies_at in 1..=steps {
        let mut harness = isolated(2, WITH_HOMES);
        harness.dies_at(dies_at);
        drive_and_die(&harness, false, Duration::ZERO).await;
        harness.log = harness.log.goes_on(None);
        assert_eq!(ended(&drive_on(&harness).await, "a"), "succeeded", "dies at {dies_at}");
        assert_eq!(argvs(&harness), argvs(&undisturbed), "dies at {dies_at}");
        let homes: HashSet<Option<PathBuf>> = calls(&harness).into_iter().map(|call| call.home).collect();
        assert_eq!(homes, HashSet::from([Some(PathBuf::from("/homes/a"))]), "dies at {dies_at}");
        assert_eq!(harness.worktrees.homes(), HashSet::new(), "dies at {dies_at}");
    }
}
