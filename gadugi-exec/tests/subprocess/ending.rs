//! The ends of commands.

use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_exec::SubprocessSettings;
use gadugi_test_support::commands::printed;
use gadugi_test_support::contract::ending;

use crate::harness::{Harness, settings};
use crate::processes::Process;

#[tokio::test]
async fn a_command_that_dies_by_a_signal_says_by_which() {
    let harness = Harness::new();
    let end = harness.run(&harness.argv(&["sh", "-c", "kill -SEGV $$"])).await;
    assert_eq!(end.status, ExitStatus::Signal(11));
}

#[tokio::test]
async fn what_a_command_leaves_in_its_group_dies_with_it() {
    let harness = Harness::new();
    let script = "sleep 1000 & echo $!; while ! [ -e go ]; do sleep 0.01; done; exit 3";
    let task = harness.start(&harness.script(script)).await;
    printed(&*task, 2).await;
    let left = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
    harness.put("go", "");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Code(3));
    assert!(!end.output.leaked);
    assert!(left.ends());
}

#[tokio::test]
async fn a_daemon_that_keeps_the_output_open_is_told_of_and_not_waited_for() {
    let harness = Harness::with(SubprocessSettings { drain: Duration::from_millis(50), ..settings() });
    let script = "setsid sh -c 'echo $$; exec sleep 1000' & while ! [ -s ../files/output.log ]; do sleep 0.01; done";
    let end = harness.run(&harness.script(script)).await;
    let daemon = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
    assert!(end.status.success());
    assert!(end.output.leaked);
    assert!(daemon.runs(), "a daemon has left the command and lives on");
}

#[tokio::test]
async fn a_daemon_that_closes_the_output_in_time_is_no_leak() {
    let harness = Harness::with(SubprocessSettings { drain: Duration::from_secs(3600), ..settings() });
    ending::a_daemon_that_closes_the_output_in_time_is_no_leak(&harness.executor, &harness.scratch()).await;
}

#[tokio::test]
async fn what_a_command_has_used_is_measured() {
    let harness = Harness::new();
    ending::what_a_command_has_used_is_measured(&harness.executor, &harness.scratch()).await;
}

#[tokio::test]
async fn the_memory_of_a_command_is_its_own_and_not_that_of_its_starter() {
    let ballast = std::hint::black_box(vec![1_u8; 100 << 20]);
    let harness = Harness::new();
    let small = harness.run(&harness.argv(&["true"])).await;
    assert!(small.usage.peak_memory < Some(100 << 20), "{small:?}");
    ending::the_memory_of_a_command_is_measured(&harness.executor, &harness.scratch()).await;
    drop(ballast);
}
