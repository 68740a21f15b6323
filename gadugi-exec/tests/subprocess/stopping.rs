//! Stopping commands.

use std::process::Command;
use std::time::Duration;

use gadugi_core::{ExecRequest, ExitStatus, StopSignal};
use rustix::process::WaitIdOptions;

use crate::processes::{Process, wait_for_child};
use crate::scene::{Scene, printed};

const TERM: ExitStatus = ExitStatus::Signal(15);
const KILL: ExitStatus = ExitStatus::Signal(9);
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);
/// Long enough for a shell to hear one signal in each half.
const HALVES: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_command_that_ignores_the_request_is_killed_after_the_grace() {
    let scene = Scene::new();
    let task = scene.start(&scene.script("trap '' TERM; echo ready; while :; do sleep 0.01; done")).await;
    printed(&*task, 6).await;
    task.stop(SHORT).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, KILL);
}

#[tokio::test]
async fn the_children_of_a_command_have_the_grace_that_it_leaves_them() {
    let scene = Scene::new();
    let child = "trap \"sleep 0.05; echo cleared away; exit\" TERM; echo ready; while :; do sleep 0.01; done";
    let task = scene.start(&scene.script(&format!("sh -c '{child}'; echo never"))).await;
    printed(&*task, 6).await;
    task.stop(LONG).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, TERM, "the shell itself obeys at once");
    assert!(String::from_utf8_lossy(&scene.log()).contains("cleared away"));
}

#[tokio::test]
async fn children_that_ignore_the_request_are_killed_after_the_grace() {
    let scene = Scene::new();
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done'; echo never";
    let task = scene.start(&scene.script(script)).await;
    printed(&*task, 2).await;
    let child = Process::named(&String::from_utf8(scene.log()).expect("a pid"));
    task.stop(SHORT).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, TERM);
    assert!(!end.output.leaked);
    assert!(child.ends());
}

#[tokio::test]
async fn a_second_request_can_kill_what_the_first_has_left() {
    let scene = Scene::new();
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done'; echo never";
    let task = scene.start(&scene.script(script)).await;
    printed(&*task, 2).await;
    let child = Process::named(&String::from_utf8(scene.log()).expect("a pid"));
    task.stop(LONG).await.expect("it can be stopped");
    wait_for_child(&pid_of(task.identity().token.as_str()), WaitIdOptions::EXITED);
    task.stop(Duration::ZERO).await.expect("it can be stopped again");
    assert_eq!(task.wait().await.expect("its end is seen").status, TERM);
    assert!(child.ends());
}

#[tokio::test]
async fn a_suspended_command_hears_the_request() {
    for (grace, expected) in [(LONG, TERM), (Duration::ZERO, KILL)] {
        let scene = Scene::new();
        let task = scene.start(&scene.script("kill -STOP $$; echo never")).await;
        wait_for_child(&pid_of(task.identity().token.as_str()), WaitIdOptions::STOPPED);
        task.stop(grace).await.expect("it can be stopped");
        assert_eq!(task.wait().await.expect("its end is seen").status, expected);
        assert_eq!(scene.log(), b"");
    }
}

#[tokio::test]
async fn a_grace_longer_than_time_can_tell_is_for_ever() {
    let scene = Scene::new();
    let task = scene.start(&scene.script("trap '' TERM; echo ready; while :; do sleep 0.01; done")).await;
    printed(&*task, 6).await;
    task.stop(Duration::MAX).await.expect("it can be stopped");
    assert!(task.usage().await.cpu.is_some(), "it still runs");
    task.stop(SHORT).await.expect("it can be stopped again");
    assert_eq!(task.wait().await.expect("its end is seen").status, KILL);
}

fn interrupted(request: ExecRequest) -> ExecRequest {
    ExecRequest { stop_signal: StopSignal::Interrupt, ..request }
}

#[tokio::test]
async fn a_command_that_is_interrupted_first_ends_by_what_it_hears_first() {
    let scene = Scene::new();
    let script = "trap 'echo int; exit 7' INT; trap 'exit 8' TERM; echo ready; while :; do sleep 0.01 || :; done";
    let task = scene.start(&interrupted(scene.script(script))).await;
    printed(&*task, 6).await;
    task.stop(LONG).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
    assert_eq!(scene.log(), b"ready\nint\n");
}

#[tokio::test]
async fn one_that_ignores_the_interrupt_is_terminated_and_then_killed() {
    let scene = Scene::new();
    let script = "trap '' INT; echo ready; while :; do sleep 0.01; done";
    let task = scene.start(&interrupted(scene.script(script))).await;
    printed(&*task, 6).await;
    task.stop(HALVES).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, TERM);

    let scene = Scene::new();
    let script =
        "exec 2> /dev/null; trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 0.01 || :; done";
    let task = scene.start(&interrupted(scene.script(script))).await;
    printed(&*task, 6).await;
    task.stop(HALVES).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, KILL);
    assert_eq!(scene.log(), b"ready\nint\nterm\n");
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
