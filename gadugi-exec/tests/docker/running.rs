//! A command in a container, from its start to its end.

use std::fs;
use std::time::Duration;

use gadugi_core::{ExecError, ExecRequest, Executor, ExitStatus, Phase, StopSignal};

use crate::scene::{Scene, chain, log, printed};

#[tokio::test]
async fn the_container_is_gone_when_the_end_is_kept() {
    let Some(scene) = Scene::new() else { return };
    let request = scene.script("echo out; exit 7");
    let task = scene.start(&request).await;
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
    assert_eq!(scene.containers(), Vec::<String>::new());
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
    let Some(scene) = Scene::new() else { return };
    let name = format!("gadugi-test/entry:{}", std::process::id());
    let id = scene.docker.run(&["create", scene.image.name(), "true"]);
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
    scene.docker.run(&[&["commit"], &changes[..], &[&id, &name]].concat());
    scene.docker.run(&["rm", &id]);
    let mut request = scene.argv(&["echo", "as asked"]);
    request.resources.image = Some(name.clone());
    let volumes = scene.docker.run(&["volume", "ls", "-q"]);
    let end = scene.executor.start(&request).await.expect("it starts").wait().await.expect("its end is seen");
    let left = scene.docker.run(&["volume", "ls", "-q"]);
    scene.docker.run(&["image", "rm", "-f", &name]);
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(0), "as asked\n"));
    assert_eq!(left, volumes, "its anonymous volume is gone");
}

#[tokio::test]
async fn a_command_is_started_once() {
    let Some(scene) = Scene::new() else { return };
    let request = scene.script("echo once >> count; while ! [ -e go ]; do sleep 0.01; done");
    let task = scene.start(&request).await;
    let again = scene.executor.start(&request).await.err().expect("it was started before");
    assert!(chain(&again).contains("started before"), "{}", chain(&again));
    fs::write(scene.folder().join("go"), "").expect("a file");
    assert!(task.wait().await.expect("its end is seen").status.success());
    let after = scene.executor.start(&request).await.err().expect("it was started before");
    assert!(chain(&after).contains("started before"), "{}", chain(&after));
    assert_eq!(fs::read_to_string(scene.folder().join("count")).expect("a file"), "once\n");
    let check = gadugi_core::ExecRequest { phase: Phase::Check, ..request };
    assert!(scene.end_of(&check).await.status.success());
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_nothing() {
    let Some(scene) = Scene::new() else { return };
    for millis in [0, 1, 5, 20, 60, 120, 250] {
        let request = scene.script("sleep 1000");
        let start = scene.executor.start(&request);
        if let Ok(Ok(task)) = tokio::time::timeout(Duration::from_millis(millis), start).await {
            task.stop(Duration::ZERO).await.expect("it can be stopped");
        }
    }
    for _ in 0..600 {
        if scene.containers().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("containers are left: {:?}", scene.containers());
}

#[tokio::test]
async fn a_missing_image_a_missing_folder_and_a_missing_shell_are_told() {
    let Some(scene) = Scene::new() else { return };
    let mut request = scene.argv(&["true"]);
    request.resources.image = Some("gadugi-test/no-such-image:1".to_owned());
    let error = scene.executor.start(&request).await.err().expect("there is no image");
    assert!(chain(&error).to_lowercase().contains("no such image"), "{}", chain(&error));
    let mut request = scene.argv(&["true"]);
    request.resources.image = None;
    let error = scene.executor.start(&request).await.err().expect("there is no image");
    assert!(chain(&error).contains("no image is named"), "{}", chain(&error));
    let mut request = scene.argv(&["true"]);
    request.folder = scene.root.path().join("gone");
    assert!(matches!(scene.executor.start(&request).await, Err(ExecError::Start { .. })));
    let mut request = scene.argv(&["true"]);
    let (source, target) = (scene.root.path().join("gone"), "/gone".into());
    request.mounts.push(gadugi_core::Mount { source: source.clone(), target, writable: false });
    assert!(scene.executor.start(&request).await.is_err());
    assert!(!source.exists(), "the daemon has made no folder for it");
    assert_eq!(scene.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn what_it_uses_is_measured() {
    let Some(scene) = Scene::new() else { return };
    let request = scene.script("echo ready; t=$(date +%s); while [ $(($(date +%s) - t)) -lt 4 ]; do :; done");
    let task = scene.start(&request).await;
    let end = task.wait().await.expect("its end is seen");
    let cpu = end.usage.cpu.expect("it ran for more than a second");
    assert!(cpu > Duration::from_millis(100) && cpu < Duration::from_secs(60), "{cpu:?}");
    let peak = end.usage.peak_memory.expect("it ran for more than a second");
    assert!(peak > 100 << 10 && peak < 4 << 30, "{peak}");
    let short = scene.end_of(&scene.argv(&["true"])).await;
    assert_eq!((short.usage.cpu, short.usage.peak_memory), (None, None), "nothing is guessed");
}

#[tokio::test]
async fn a_suspended_command_stands_still_and_can_be_stopped() {
    let Some(scene) = Scene::new() else { return };
    let request = scene.script("trap 'echo bye; exit 3' TERM; while :; do echo tick; sleep 0.02; done");
    let task = scene.start(&request).await;
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
    let Some(scene) = Scene::new() else { return };
    let request = scene.script("echo ready; sleep 1000; echo never");
    let task = scene.start(&request).await;
    printed(&*task, 6).await;
    task.stop(Duration::from_secs(1000)).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(143), "ready\n"));
}

fn interrupted(request: ExecRequest) -> ExecRequest {
    ExecRequest { stop_signal: StopSignal::Interrupt, ..request }
}

#[tokio::test]
async fn a_command_that_is_interrupted_first_ends_by_what_it_hears_first() {
    let Some(scene) = Scene::new() else { return };
    let script = "trap 'echo int; exit 7' INT; trap 'exit 8' TERM; echo ready; while :; do sleep 0.01 || :; done";
    let request = interrupted(scene.script(script));
    let task = scene.start(&request).await;
    printed(&*task, 6).await;
    task.stop(Duration::from_secs(1000)).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
    assert_eq!(log(&request), "ready\nint\n");
}

#[tokio::test]
async fn one_that_ignores_the_interrupt_is_terminated_and_then_killed() {
    let Some(scene) = Scene::new() else { return };
    let stubborn =
        "exec 2> /dev/null; trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 0.01 || :; done";
    for (script, status, said) in [
        ("trap '' INT; echo ready; while :; do sleep 0.01; done", 143, "ready\n"),
        (stubborn, 137, "ready\nint\nterm\n"),
    ] {
        let request = interrupted(scene.script(script));
        let task = scene.start(&request).await;
        printed(&*task, 6).await;
        task.stop(Duration::from_secs(4)).await.expect("it can be stopped");
        let end = task.wait().await.expect("its end is seen");
        assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(status), said));
    }
    assert_eq!(scene.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn output_over_the_cap_is_counted_and_both_ends_are_kept() {
    let Some(scene) = Scene::with(|settings| settings.output_cap = gadugi_exec::OutputCap { head: 1000, tail: 1000 })
    else {
        return;
    };
    let request = scene.script("seq 100000; echo the end");
    let end = scene.end_of(&request).await;
    assert_eq!((end.output.bytes, end.output.dropped), (588_895 + 8, 588_903 - 2000));
    let log = log(&request);
    assert!(log.starts_with("1\n2\n") && log.ends_with("100000\nthe end\n") && log.len() < 3000);
}
