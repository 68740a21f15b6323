//! Stopping commands.

use std::process::Command;
use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_test_support::commands::printed;
use gadugi_test_support::contract::stopping::{self, Stops};
use rustix::process::WaitIdOptions;

use crate::harness::Harness;
use crate::processes::{Process, wait_for_child};

const TERM: ExitStatus = ExitStatus::Signal(15);
const KILL: ExitStatus = ExitStatus::Signal(9);
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_command_that_ignores_the_request_is_killed_after_the_grace() {
    let harness = Harness::new();
    stopping::a_command_that_ignores_the_request_is_killed_after_the_grace(
        &harness.executor,
        &harness.scratch(),
        Stops::OF_PROCESSES,
    )
    .await;
}

#[tokio::test]
async fn the_children_of_a_command_have_the_grace_that_it_leaves_them() {
    let harness = Harness::new();
    let child = "trap \"sleep 0.05; echo cleared away; exit\" TERM; echo ready; while :; do sleep 0.01; done";
    let task = harness.start(&harness.script(&format!("sh -c '{child}'; echo never"))).await;
    printed(&*task, 6).await;
    task.stop(LONG).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, TERM, "the shell itself obeys at once");
    assert!(String::from_utf8_lossy(&harness.log()).contains("cleared away"));
}

#[tokio::test]
async fn children_that_ignore_the_request_are_killed_after_the_grace() {
    let harness = Harness::new();
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done'; echo never";
    let task = harness.start(&harness.script(script)).await;
    printed(&*task, 2).await;
    let child = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
    task.stop(SHORT).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, TERM);
    assert!(!end.output.leaked);
    assert!(child.ends());
}

#[tokio::test]
async fn a_second_request_can_kill_what_the_first_has_left() {
    let harness = Harness::new();
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done'; echo never";
    let task = harness.start(&harness.script(script)).await;
    printed(&*task, 2).await;
    let child = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
    task.stop(LONG).await.expect("it can be stopped");
    wait_for_child(&pid_of(task.identity().token.as_str()), WaitIdOptions::EXITED);
    task.stop(Duration::ZERO).await.expect("it can be stopped again");
    assert_eq!(task.wait().await.expect("its end is seen").status, TERM);
    assert!(child.ends());
}

#[tokio::test]
async fn a_suspended_command_hears_the_request() {
    for (grace, expected) in [(LONG, TERM), (Duration::ZERO, KILL)] {
        let harness = Harness::new();
        let task = harness.start(&harness.script("kill -STOP $$; echo never")).await;
        wait_for_child(&pid_of(task.identity().token.as_str()), WaitIdOptions::STOPPED);
        task.stop(grace).await.expect("it can be stopped");
        assert_eq!(task.wait().await.expect("its end is seen").status, expected);
        assert_eq!(harness.log(), b"");
    }
}

#[tokio::test]
async fn a_grace_longer_than_time_can_tell_is_for_ever() {
    let harness = Harness::new();
    stopping::a_grace_longer_than_time_can_tell_is_for_ever(&harness.executor, &harness.scratch(), Stops::OF_PROCESSES)
        .await;
}

#[tokio::test]
async fn a_command_that_is_interrupted_first_ends_by_what_it_hears_first() {
    let harness = Harness::new();
    stopping::a_command_that_is_interrupted_first_ends_by_what_it_hears_first(&harness.executor, &harness.scratch())
        .await;
}

#[tokio::test]
async fn one_that_ignores_the_interrupt_is_terminated_and_then_killed() {
    let harness = Harness::new();
    stopping::one_that_ignores_the_interrupt_is_terminated_and_then_killed(
        &harness.executor,
        &harness.scratch(),
        Stops::OF_PROCESSES,
    )
    .await;
}

/// As a shell lets a program begin that it runs in the background.
#[test]
fn a_command_hears_it_also_from_a_process_that_ignores_it() {
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' INT TERM; exec \"$@\"", "bash"]).arg(std::env::current_exe().expect("this test"));
    command.args(["--exact", "stopping::one_that_ignores_the_interrupt_is_terminated_and_then_killed"]);
    let output = command.output().expect("this test can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn pid_of(token: &str) -> String {
    token.split(' ').nth(1).expect("a token begins with `pid 4711`").to_owned()
}
