//! A command in a container, from its start to its end.

use std::fs;
use std::time::Duration;

use gadugi_core::executor::{ExecError, ExitStatus};
use gadugi_core::{Executor, Phase};
use gadugi_test_support::contract::ending;
use gadugi_test_support::contract::stopping::{self, Stops};

use crate::contract::WithImage;
use crate::harness::{Harness, chain, log, printed};

#[tokio::test]
async fn the_container_is_gone_when_the_end_is_kept() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo out; exit 7");
    let task = harness.start(&request).await;
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
    assert_eq!(harness.containers(), Vec::<String>::new());
    let mut left: Vec<_> =
        fs::read_dir(&request.files).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["container.json", "exit.json", "output.log"]);
    let exit = fs::read_to_string(request.files.join("exit.json")).expect("it was kept");
    assert!(
        exit.starts_with("{\"v\":1,\"crc\":\"") && exit.contains("\"status\":{\"kind\":\"code\",\"code\":7}"),
        "{exit}"
    );
}

#[tokio::test]
async fn the_image_says_neither_what_is_run_nor_whether_it_is_well() {
    let Some(harness) = Harness::new() else { return };
    let name = format!("gadugi-test/entry:{}", std::process::id());
    let id = harness.docker.run(&["create", harness.image.name(), "true"]);
    let changes = [
        "--change",
        "ENTRYPOINT [\"false\"]",
        "--change",
        "CMD [\"nonsense\"]",
        "--change",
        "HEALTHCHECK CMD false",
        "--change",
        "VOLUME /data",
    ];
    harness.docker.run(&[&["commit"], &changes[..], &[&id, &name]].concat());
    harness.docker.run(&["rm", &id]);
    let mut request = harness.argv(&["echo", "as asked"]);
    request.resources.image = Some(name.clone());
    let volumes = harness.docker.run(&["volume", "ls", "-q"]);
    let end = harness.executor.start(&request).await.expect("it starts").wait().await.expect("its end is seen");
    let left = harness.docker.run(&["volume", "ls", "-q"]);
    harness.docker.run(&["image", "rm", "-f", &name]);
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(0), "as asked\n"));
    assert_eq!(left, volumes, "its anonymous volume is gone");
}

#[tokio::test]
async fn a_command_is_started_once() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo once >> count; while ! [ -e go ]; do sleep 0.01; done");
    let task = harness.start(&request).await;
    let again = harness.executor.start(&request).await.err().expect("it was started before");
    assert!(chain(&again).contains("started before"), "{}", chain(&again));
    fs::write(harness.folder().join("go"), "").expect("a file");
    assert!(task.wait().await.expect("its end is seen").status.success());
    let after = harness.executor.start(&request).await.err().expect("it was started before");
    assert!(chain(&after).contains("started before"), "{}", chain(&after));
    assert_eq!(fs::read_to_string(harness.folder().join("count")).expect("a file"), "once\n");
    let check = gadugi_core::executor::ExecRequest { phase: Phase::Check, ..request };
    assert!(harness.end_of(&check).await.status.success());
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_nothing() {
    let Some(harness) = Harness::new() else { return };
    for millis in [0, 1, 5, 20, 60, 120, 250] {
        let request = harness.script("sleep 1000");
        let start = harness.executor.start(&request);
        if let Ok(Ok(task)) = tokio::time::timeout(Duration::from_millis(millis), start).await {
            task.stop(Duration::ZERO).await.expect("it can be stopped");
        }
    }
    for _ in 0..600 {
        if harness.containers().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("containers are left: {:?}", harness.containers());
}

#[tokio::test]
async fn a_missing_image_a_missing_folder_and_a_missing_shell_are_told() {
    let Some(harness) = Harness::new() else { return };
    let mut request = harness.argv(&["true"]);
    request.resources.image = Some("gadugi-test/no-such-image:1".to_owned());
    let error = harness.executor.start(&request).await.err().expect("there is no image");
    assert!(chain(&error).to_lowercase().contains("no such image"), "{}", chain(&error));
    let mut request = harness.argv(&["true"]);
    request.resources.image = None;
    let error = harness.executor.start(&request).await.err().expect("there is no image");
    assert!(chain(&error).contains("no image is named"), "{}", chain(&error));
    let mut request = harness.argv(&["true"]);
    request.folder = harness.root.path().join("gone");
    assert!(matches!(harness.executor.start(&request).await, Err(ExecError::Start { .. })));
    let mut request = harness.argv(&["true"]);
    let (source, target) = (harness.root.path().join("gone"), "/gone".into());
    request.mounts.push(gadugi_core::executor::Mount { source: source.clone(), target, writable: false });
    assert!(harness.executor.start(&request).await.is_err());
    assert!(!source.exists(), "the daemon has made no folder for it");
    assert_eq!(harness.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn what_it_uses_is_measured() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo ready; t=$(date +%s); while [ $(($(date +%s) - t)) -lt 4 ]; do :; done");
    let task = harness.start(&request).await;
    let end = task.wait().await.expect("its end is seen");
    let cpu = end.usage.cpu.expect("it ran for more than a second");
    assert!(cpu > Duration::from_millis(100) && cpu < Duration::from_secs(60), "{cpu:?}");
    let peak = end.usage.peak_memory.expect("it ran for more than a second");
    assert!(peak > 100 << 10 && peak < 4 << 30, "{peak}");
    let short = harness.end_of(&harness.argv(&["true"])).await;
    assert_eq!((short.usage.cpu, short.usage.peak_memory), (None, None), "nothing is guessed");
}

#[tokio::test]
async fn a_suspended_command_stands_still_and_can_be_stopped() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("trap 'echo bye; exit 3' TERM; while :; do echo tick; sleep 0.02; done");
    let task = harness.start(&request).await;
    printed(&*task, 10).await;
    assert!(task.suspend().await.expect("it can be suspended"));
    let output = task.output().expect("its output is seen");
    // What was on its way arrives.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = *output.borrow();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(*output.borrow(), before);
    task.resume().await.expect("it goes on");
    printed(&*task, before + 10).await;
    assert!(task.suspend().await.expect("it can be suspended"));
    task.stop(Duration::from_secs(20)).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(3));
    assert!(!task.suspend().await.expect("it has ended"));
}

#[tokio::test]
async fn a_stop_reaches_the_children_of_a_shell_that_waits_for_them() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo ready; sleep 1000; echo never");
    let task = harness.start(&request).await;
    printed(&*task, 6).await;
    task.stop(Duration::from_secs(1000)).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(143), "ready\n"));
}

#[tokio::test]
async fn a_command_that_is_interrupted_first_ends_by_what_it_hears_first() {
    let Some(harness) = Harness::new() else { return };
    let (executor, scratch) = (WithImage::of(&harness), harness.scratch());
    stopping::a_command_that_is_interrupted_first_ends_by_what_it_hears_first(&executor, &scratch).await;
}

#[tokio::test]
async fn one_that_ignores_the_interrupt_is_terminated_and_then_killed() {
    let Some(harness) = Harness::new() else { return };
    let (executor, scratch, stops) = (WithImage::of(&harness), harness.scratch(), Stops::OF_CONTAINERS);
    stopping::one_that_ignores_the_interrupt_is_terminated_and_then_killed(&executor, &scratch, stops).await;
    assert_eq!(harness.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn output_over_the_cap_is_counted_and_both_ends_are_kept() {
    let Some(harness) =
        Harness::with(|settings| settings.output_cap = gadugi_exec::OutputCap { head: 1000, tail: 1000 })
    else {
        return;
    };
    let (executor, scratch) = (WithImage::of(&harness), harness.scratch());
    ending::of_output_over_the_cap_both_ends_are_kept(&executor, &scratch, (1000, 1000), 100_000).await;
}
