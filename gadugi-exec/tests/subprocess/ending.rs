//! The ends of commands.

use std::time::Duration;

use gadugi_core::ExitStatus;
use gadugi_exec::SubprocessSettings;

use crate::processes::Process;
use crate::scene::{Scene, printed, settings};

#[tokio::test]
async fn a_command_that_dies_by_a_signal_says_by_which() {
    let scene = Scene::new();
    let end = scene.run(&scene.argv(&["sh", "-c", "kill -SEGV $$"])).await;
    assert_eq!(end.status, ExitStatus::Signal(11));
}

#[tokio::test]
async fn what_a_command_leaves_in_its_group_dies_with_it() {
    let scene = Scene::new();
    let script = "sleep 1000 & echo $!; while ! [ -e go ]; do sleep 0.01; done; exit 3";
    let task = scene.start(&scene.script(script)).await;
    printed(&*task, 2).await;
    let left = Process::named(&String::from_utf8(scene.log()).expect("a pid"));
    scene.put("go", "");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Code(3));
    assert!(!end.output.leaked);
    assert!(left.ends());
}

#[tokio::test]
async fn a_daemon_that_keeps_the_output_open_is_told_of_and_not_waited_for() {
    let scene = Scene::with(SubprocessSettings { drain: Duration::from_millis(50), ..settings() });
    let script = "setsid sh -c 'echo $$; exec sleep 1000' & while ! [ -s ../files/output.log ]; do sleep 0.01; done";
    let end = scene.run(&scene.script(script)).await;
    let daemon = Process::named(&String::from_utf8(scene.log()).expect("a pid"));
    assert!(end.status.success());
    assert!(end.output.leaked);
    assert!(daemon.runs(), "a daemon has left the command and lives on");
}

#[tokio::test]
async fn a_daemon_that_closes_the_output_in_time_is_no_leak() {
    let scene = Scene::with(SubprocessSettings { drain: Duration::from_secs(3600), ..settings() });
    let script = "setsid sh -c 'echo one; while ! [ -e go ]; do sleep 0.01; done; echo two' & \
                  while ! [ -s ../files/output.log ]; do sleep 0.01; done; touch go";
    let end = scene.run(&scene.script(script)).await;
    assert!(!end.output.leaked);
    assert_eq!(scene.log(), b"one\ntwo\n");
}

#[tokio::test]
async fn what_a_command_has_used_is_measured() {
    let scene = Scene::new();
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo ready; while ! [ -e go ]; do sleep 0.01; done";
    let task = scene.start(&scene.script(script)).await;
    printed(&*task, 6).await;
    let so_far = task.usage().await;
    assert!(so_far.cpu > Some(Duration::ZERO), "{so_far:?}");
    assert!(so_far.peak_memory > Some(0), "{so_far:?}");
    scene.put("go", "");
    let end = task.wait().await.expect("its end is seen");
    assert!(end.usage.cpu >= so_far.cpu, "{end:?}");
    assert_eq!(task.usage().await, end.usage);
}

#[tokio::test]
async fn the_memory_of_a_command_is_its_own_and_not_that_of_its_starter() {
    let ballast = std::hint::black_box(vec![1_u8; 100 << 20]);
    let scene = Scene::new();
    let small = scene.run(&scene.argv(&["true"])).await;
    assert!(small.usage.peak_memory < Some(100 << 20), "{small:?}");
    let large = scene.run(&scene.argv(&["dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"])).await;
    assert!(large.usage.peak_memory > Some(300 << 20), "{large:?}");
    drop(ballast);
}
