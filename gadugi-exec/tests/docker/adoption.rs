//! Commands that another process has started.

use std::fs;
use std::time::Duration;

use gadugi_core::Executor;
use gadugi_core::executor::{ExecError, ExecRequest, ExitStatus, Reattached, RunningTask, StopSignal};
use gadugi_exec::docker::{DockerExecutor, Endpoint};
use gadugi_test_support::small_disk::SmallDisk;

use crate::harness::{Harness, RUN, chain, command, log, printed, settings};

impl Harness {
    /// As a process that comes later.
    fn successor(&self) -> DockerExecutor {
        DockerExecutor::new(settings(self.root.path(), &[]))
    }

    async fn found(&self, request: &ExecRequest) -> Box<dyn RunningTask> {
        match self.successor().reattach(&command(request, None)).await {
            Ok(Reattached::Found(task)) => task,
            other => panic!("it is found, and not: {other:?}"),
        }
    }

    /// The daemon's word for the only container.
    fn state(&self) -> String {
        self.docker.run(&["inspect", "--format", "{{.State.Status}}", &self.containers()[0]])
    }
}

/// A start whose process has died: the runtime that followed the command is shut down at once.
fn start_and_die(harness: &Harness, request: &ExecRequest, until: u64) -> gadugi_core::executor::ExecIdentity {
    let executor = harness.successor();
    std::thread::scope(|threads| {
        let driver = threads.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let identity = runtime.block_on(async {
                let task = executor.start(request).await.expect("it starts");
                printed(&*task, until).await;
                task.identity().clone()
            });
            runtime.shutdown_background();
            identity
        });
        driver.join().expect("it does not panic")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_runs_is_followed_to_its_true_end_with_all_of_its_output() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo one; while ! [ -e go ]; do sleep 0.01; done; printf 'two\\377\\n'; exit 9");
    let identity = start_and_die(&harness, &request, 4);
    let running = harness.successor().running(&command(&request, None)).await.expect("the daemon answers");
    assert_eq!(running.as_ref(), Some(&identity));
    let task = harness.found(&request).await;
    assert_eq!(task.identity(), &identity);
    assert!(task.elapsed().is_some());
    fs::write(harness.folder().join("go"), "").expect("a file");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, end.output.bytes), (ExitStatus::Code(9), 9));
    assert_eq!(fs::read(request.files.join("output.log")).expect("a log"), b"one\ntwo\xff\n");
    assert_eq!(harness.containers(), Vec::<String>::new());
    assert_eq!(harness.successor().running(&command(&request, Some(&identity))).await.expect("it is known"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ended_meanwhile_has_its_true_end_and_its_output() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo one; while ! [ -e go ]; do sleep 0.01; done; seq 2000; exit 143");
    let identity = start_and_die(&harness, &request, 4);
    fs::write(harness.folder().join("go"), "").expect("a file");
    while harness.state() != "exited" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let task = harness.found(&request).await;
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Code(143), "the same daemon remembers that it has started it");
    assert!(log(&request).starts_with("one\n1\n2\n") && log(&request).ends_with("\n2000\n"), "{}", log(&request));
    assert_eq!(harness.containers(), Vec::<String>::new());
    // And once more, from the record.
    let again = harness.found(&request).await.wait().await.expect("its end is kept");
    assert_eq!((again.status, again.output, again.took), (end.status, end.output, end.took));
    drop(identity);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_somebody_has_removed_is_gone_and_not_started_again() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo one; sleep 1000");
    let identity = start_and_die(&harness, &request, 4);
    harness.docker.run(&["rm", "-f", &harness.containers()[0]]);
    for identity in [None, Some(&identity)] {
        match harness.successor().reattach(&command(&request, identity)).await {
            Ok(Reattached::Gone { why }) => assert_eq!(why, "its container was removed by somebody else"),
            other => panic!("it is gone, and not: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_removed_while_it_is_followed_is_lost() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo one; sleep 1000");
    let task = harness.start(&request).await;
    printed(&*task, 4).await;
    harness.docker.run(&["rm", "-f", &harness.containers()[0]]);
    let error = task.wait().await.expect_err("nobody knows how it would have ended");
    assert!(chain(&error).contains("removed by somebody else"), "{}", chain(&error));
}

#[tokio::test]
async fn without_a_note_nothing_was_started_and_what_was_created_goes() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo begun >> count");
    let container = |nonce: &str| {
        let labels = [
            format!("gadugi.repo={}", harness.root.path().display()),
            format!("gadugi.run={RUN}"),
            format!("gadugi.task={}", request.attempt.task),
            format!("gadugi.attempt={}", request.attempt.number),
            "gadugi.phase=main".to_owned(),
            format!("gadugi.nonce={nonce}"),
        ];
        let mut arguments = vec!["create".to_owned()];
        labels.iter().for_each(|label| arguments.extend(["--label".to_owned(), label.clone()]));
        arguments.extend([harness.image.name().to_owned(), "true".to_owned()]);
        harness.docker.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    container("0000000000000001");
    let found = harness.successor().reattach(&command(&request, None)).await;
    assert!(matches!(found, Ok(Reattached::NeverStarted)), "{found:?}");
    assert_eq!(harness.containers(), Vec::<String>::new());
    // Noted and not started: as when its starter dies between the two.
    let id = container("0000000000000002");
    let daemon = harness.docker.run(&["info", "--format", "{{.ID}}"]);
    note(&request, &format!("\"id\":\"{id}\",\"nonce\":\"0000000000000002\",\"daemon\":\"{daemon}\"}}"));
    let found = harness.successor().reattach(&command(&request, None)).await;
    assert!(matches!(found, Ok(Reattached::NeverStarted)), "{found:?}");
    assert_eq!(harness.containers(), Vec::<String>::new());
    // Then it can be started.
    assert!(harness.end_of(&request).await.status.success());
    assert_eq!(fs::read_to_string(harness.folder().join("count")).expect("a file"), "begun\n");
}

/// Writes `container.json` as an earlier process would have.
fn note(request: &ExecRequest, rest: &str) {
    let head = "{\"v\":1,";
    let crc = crc32c::crc32c_append(crc32c::crc32c(head.as_bytes()), rest.as_bytes());
    fs::write(request.files.join("container.json"), format!("{head}\"crc\":\"{crc:08x}\",{rest}\n")).expect("a file");
}

#[tokio::test]
async fn a_container_of_another_daemon_is_not_called_gone() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("true");
    note(&request, "\"id\":\"0123456789ab\",\"nonce\":\"0000000000000002\",\"daemon\":\"ANOTHER\"}");
    let error = harness.successor().reattach(&command(&request, None)).await.expect_err("it cannot be told");
    assert!(
        matches!(error, ExecError::Watch { .. }) && chain(&error).contains("another Docker daemon (ANOTHER)"),
        "{}",
        chain(&error)
    );
    let mut elsewhere = settings(harness.root.path(), &[]);
    elsewhere.endpoint = Endpoint::at("unix:///nonexistent/docker.sock").expect("an address");
    let error =
        DockerExecutor::new(elsewhere).reattach(&command(&request, None)).await.expect_err("there is no daemon");
    assert!(matches!(error, ExecError::Watch { .. }), "{}", chain(&error));
}

#[tokio::test]
async fn a_damaged_record_says_nothing_and_is_told() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("true");
    fs::write(request.files.join("container.json"), "{\"v\":1,\"crc\":\"00000000\",\"id\":\"x\"}\n").expect("a file");
    let error = harness.successor().reattach(&command(&request, None)).await.expect_err("it cannot be told");
    assert!(chain(&error).contains("container.json is damaged"), "{}", chain(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_full_disk_cannot_take_stays_with_the_container() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.script("echo one; while ! [ -e go ]; do sleep 0.01; done; exit 9");
    let Some(_disk) = SmallDisk::over(&request.files, "size=64k") else { return };
    let task = harness.start(&request).await;
    printed(&*task, 4).await;
    let filler = request.files.join("filler");
    fs::write(&filler, vec![0; 1 << 20]).expect_err("it is larger than the disk");
    fs::write(harness.folder().join("go"), "").expect("a file");
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(9));
    assert!(!request.files.join("exit.json").exists());
    assert_eq!(harness.state(), "exited", "its end is there");
    fs::remove_file(filler).expect("there is room again");
    let end = harness.found(&request).await.wait().await.expect("its end is known");
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(9), "one\n"));
    assert_eq!(harness.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_started_that_a_full_disk_cannot_note() {
    let Some(harness) = Harness::new() else { return };
    let request = harness.argv(&["touch", "begun"]);
    let Some(_disk) = SmallDisk::over(&request.files, "size=64k") else { return };
    fs::write(request.files.join("filler"), vec![0; 1 << 20]).expect_err("it is larger than the disk");
    let error = harness.executor.start(&request).await.err().expect("it cannot be noted");
    assert!(chain(&error).contains("No space left"), "{}", chain(&error));
    assert!(!harness.folder().join("begun").exists());
    assert_eq!(harness.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_interrupted_first_is_so_by_a_later_process_too() {
    let Some(harness) = Harness::new() else { return };
    let script = "exec 2> /dev/null; trap 'echo int' INT; trap 'echo term; exit 8' TERM; echo ready; while :; do sleep 0.01 || :; done";
    let request = ExecRequest { stop_signal: StopSignal::Interrupt, ..harness.script(script) };
    start_and_die(&harness, &request, 6);
    let task = harness.found(&request).await;
    task.stop(Duration::from_secs(4)).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(8));
    assert_eq!(log(&request), "ready\nint\nterm\n");
}
