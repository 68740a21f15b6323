//! Stopping and suspending commands.

use std::fs;
use std::time::Duration;

use gadugi_core::executor::{ExecRequest, ExitStatus, StopSignal};
use gadugi_exec::SubprocessSettings;
use gadugi_test_support::commands::printed;
use gadugi_test_support::contract::stopping::{self, Stops};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::Harness;
use crate::processes::Process;
use crate::starter::Starter;
use crate::supervised::{found, harness, pids, shimmed};

const TERM: ExitStatus = ExitStatus::Signal(15);
const KILL: ExitStatus = ExitStatus::Signal(9);
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);

/// Does not hear SIGTERM.
const STUBBORN: &str = "trap '' TERM; echo ready; while :; do sleep 0.01; done";

fn signal(pid: &str, signal: Signal) {
    kill_process(pid.parse().ok().and_then(Pid::from_raw).expect("a pid"), signal).expect("it runs");
}

#[tokio::test]
async fn a_command_that_ignores_the_request_is_killed_after_the_grace() {
    let harness = harness();
    stopping::a_command_that_ignores_the_request_is_killed_after_the_grace(
        &harness.executor,
        &harness.scratch(),
        Stops::OF_PROCESSES,
    )
    .await;
}

#[tokio::test]
async fn a_request_without_grace_has_killed_it_when_it_returns() {
    let harness = harness();
    let task = harness.start(&harness.script(STUBBORN)).await;
    printed(&*task, 6).await;
    let leader = Process::named(&pids(&*task).0);
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    assert!(!leader.runs());
}

#[tokio::test]
async fn a_grace_longer_than_time_can_tell_is_for_ever() {
    let harness = harness();
    stopping::a_grace_longer_than_time_can_tell_is_for_ever(&harness.executor, &harness.scratch(), Stops::OF_PROCESSES)
        .await;
}

#[tokio::test]
async fn what_a_command_leaves_has_the_rest_of_the_grace_also_without_the_output() {
    let harness = harness();
    let child = "trap \"sleep 0.05; touch cleared; exit\" TERM; touch ready; while :; do sleep 0.01; done";
    let script = format!("sh -c '{child}' > /dev/null 2>&1 & while ! [ -e ready ]; do sleep 0.01; done; echo 1; wait");
    let task = harness.start(&harness.script(&script)).await;
    printed(&*task, 2).await;
    task.stop(LONG).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, end.output.leaked), (TERM, false));
    assert!(harness.folder().join("cleared").exists());
}

#[tokio::test]
async fn a_second_request_can_kill_what_the_first_has_left() {
    for cgroups in [true, false] {
        let harness = Harness::with(SubprocessSettings { cgroups, ..shimmed() });
        let script = "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done'; echo never";
        let task = harness.start(&harness.script(script)).await;
        printed(&*task, 2).await;
        let child = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
        let leader = Process::named(&pids(&*task).0);
        task.stop(LONG).await.expect("it can be stopped");
        assert!(leader.ends());
        assert!(child.runs());
        task.stop(Duration::ZERO).await.expect("it can be stopped again");
        assert_eq!(task.wait().await.expect("its end is seen").status, TERM);
        assert!(child.ends());
    }
}

#[tokio::test]
async fn a_shim_that_gets_sigterm_stops_its_command_with_the_grace_of_the_settings() {
    let harness = Harness::with(SubprocessSettings { grace: SHORT, ..shimmed() });
    let task = harness.start(&harness.script(STUBBORN)).await;
    printed(&*task, 6).await;
    signal(&pids(&*task).1, Signal::TERM);
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, end.stopped), (KILL, true));
}

#[tokio::test]
async fn a_shim_that_was_suspended_hears_the_request() {
    let harness = harness();
    let task = harness.start(&harness.script(STUBBORN)).await;
    printed(&*task, 6).await;
    signal(&pids(&*task).1, Signal::STOP);
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, KILL);
}

#[tokio::test]
async fn other_signals_do_not_move_the_shim() {
    let harness = harness();
    let task = harness.start(&harness.script("echo ready; while ! [ -e go ]; do sleep 0.01; done")).await;
    printed(&*task, 6).await;
    for other in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR1, Signal::PIPE, Signal::ALARM] {
        signal(&pids(&*task).1, other);
    }
    harness.put("go", "");
    assert!(task.wait().await.expect("its end is seen").status.success());
}

/// The state of a process, as `/proc` tells it.
fn state(pid: &str) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
    stat.rsplit_once(") ").and_then(|(_, state)| state.chars().next()).expect("the end of the name")
}

#[tokio::test]
async fn a_suspended_command_stands_still_until_it_is_resumed() {
    for cgroups in [true, false] {
        let harness = Harness::with(SubprocessSettings { cgroups, drain: SHORT, ..shimmed() });
        let script = "setsid sh -c 'while :; do echo x >> beats; sleep 0.005; done' & \
                      while ! [ -s beats ]; do sleep 0.01; done; echo $! $$; \
                      while ! [ -e go ]; do sleep 0.005; done; exit 3";
        let request = harness.script(script);
        let task = harness.start(&request).await;
        printed(&*task, 2).await;
        let beats = harness.folder().join("beats");
        let beaten = || fs::metadata(&beats).expect("it beats").len();
        assert!(task.suspend().await.expect("it can be suspended"));
        // Nothing tells when all of it stands still; that it beats no more for a while does.
        let mut before = beaten();
        let mut still = 0;
        while still < 5 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            let now = beaten();
            still = if now == before { still + 1 } else { 0 };
            before = now;
        }
        if !cgroups {
            let pids = String::from_utf8(harness.log()).expect("pids");
            let states: String = pids.split_whitespace().map(state).collect();
            // A shell waits in `D` for a child that was suspended between its vfork and its exec.
            assert!(states.chars().all(|state| matches!(state, 'T' | 'D')), "{states}");
        }
        harness.put("go", "");
        task.resume().await.expect("it can be resumed");
        assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(3));
        assert!(!task.suspend().await.expect("one that has ended"), "there is nothing to suspend");
    }
}

#[tokio::test]
async fn a_suspended_command_can_be_stopped() {
    for (cgroups, grace, expected) in [(true, LONG, TERM), (false, LONG, TERM), (true, Duration::ZERO, KILL)] {
        let harness = Harness::with(SubprocessSettings { cgroups, ..shimmed() });
        let task = harness.start(&harness.script("echo ready; sleep 1000")).await;
        printed(&*task, 6).await;
        assert!(task.suspend().await.expect("it can be suspended"));
        task.stop(grace).await.expect("it can be stopped");
        assert_eq!(task.wait().await.expect("its end is seen").status, expected);
    }
}

#[tokio::test]
async fn a_command_that_is_to_end_with_its_starter_is_stopped_when_that_is_killed() {
    let harness = harness();
    let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01 || :; done";
    let starter = Starter::start(&harness, script, true, None);
    let request = harness.script(script);
    let task = found(&harness, &request).await;
    // Else it would not hear it yet.
    while !fs::read(harness.files().join("output.log")).is_ok_and(|log| log == b"ready\n") {
        tokio::task::yield_now().await;
    }
    starter.kill();
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, end.stopped), (ExitStatus::Code(7), true));
}

#[tokio::test]
async fn what_has_left_the_group_is_asked_when_the_leader_has_obeyed() {
    for cgroups in [true, false] {
        let harness = Harness::with(SubprocessSettings { cgroups, ..shimmed() });
        let daemon = "trap \"echo x >> asked; exit\" TERM; touch ready; while :; do sleep 0.01; done";
        let script =
            format!("setsid sh -c '{daemon}' > /dev/null & while ! [ -e ready ]; do sleep 0.01; done; echo 1; wait");
        let task = harness.start(&harness.script(&script)).await;
        printed(&*task, 2).await;
        // Without a request of its own it would live for an hour.
        task.stop(LONG).await.expect("it can be stopped");
        let end = tokio::time::timeout(Duration::from_secs(20), task.wait()).await;
        if end.is_err() {
            task.stop(Duration::ZERO).await.expect("it can be stopped");
        }
        assert_eq!(end.expect("it ends in good order").expect("its end is seen").status, TERM);
        assert_eq!(fs::read_to_string(harness.folder().join("asked")).expect("it was asked"), "x\n");
    }
}

fn interrupted(request: ExecRequest) -> ExecRequest {
    ExecRequest { stop_signal: StopSignal::Interrupt, ..request }
}

#[tokio::test]
async fn a_command_that_is_interrupted_first_ends_by_what_it_hears_first() {
    for cgroups in [true, false] {
        let harness = Harness::with(SubprocessSettings { cgroups, ..shimmed() });
        stopping::a_command_that_is_interrupted_first_ends_by_what_it_hears_first(
            &harness.executor,
            &harness.scratch(),
        )
        .await;
    }
}

#[tokio::test]
async fn one_that_ignores_the_interrupt_is_terminated_and_then_killed() {
    for cgroups in [true, false] {
        let harness = Harness::with(SubprocessSettings { cgroups, ..shimmed() });
        stopping::one_that_ignores_the_interrupt_is_terminated_and_then_killed(
            &harness.executor,
            &harness.scratch(),
            Stops::OF_PROCESSES,
        )
        .await;
    }
}

/// Background jobs of a shell ignore `SIGINT`.
#[tokio::test]
async fn what_an_interrupted_command_has_in_the_background_is_terminated() {
    for cgroups in [true, false] {
        let harness = Harness::with(SubprocessSettings { cgroups, ..shimmed() });
        let child = "trap \"echo x >> asked; exit\" TERM; touch ready; while :; do sleep 0.01; done";
        let script = format!("sh -c '{child}' > /dev/null & while ! [ -e ready ]; do sleep 0.01; done; echo 1; wait");
        let task = harness.start(&interrupted(harness.script(&script))).await;
        printed(&*task, 2).await;
        task.stop(LONG).await.expect("it can be stopped");
        task.wait().await.expect("its end is seen");
        assert_eq!(fs::read_to_string(harness.folder().join("asked")).expect("it was asked"), "x\n");
    }
}

#[tokio::test]
async fn a_command_that_was_found_again_is_interrupted_first_too() {
    let harness = harness();
    let script = "trap 'echo int; exit 7' INT; trap 'exit 8' TERM; echo ready; while :; do sleep 0.01 || :; done";
    let request = interrupted(harness.script(script));
    drop(harness.start(&request).await);
    let task = found(&harness, &request).await;
    while !fs::read(harness.files().join("output.log")).is_ok_and(|log| log == b"ready\n") {
        tokio::task::yield_now().await;
    }
    task.stop(LONG).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
}
