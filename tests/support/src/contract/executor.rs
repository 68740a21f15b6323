//! The promises of every [`Executor`], checked on real commands. They use nothing but `sh`, `cat`, `sleep`
//! and `printf`, so that they run in about any container too.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gadugi_core::executor::{ExecError, ExecIdentity, ExecRequest, ExitStatus, Reattached};
use gadugi_core::{Executor, Phase};

use super::promise::{Promise, within_a_minute};
use crate::commands::{command, log, printed};

/// Panics, naming the promise, when `executor` breaks one. `scratch` is an empty folder that commands
/// can see under the same path.
///
/// # Panics
/// When a promise is broken, or is not kept within a minute.
pub async fn holds(executor: &dyn Executor, scratch: &Path) {
    let promise = |name: &'static str| Promise::new(name, executor, scratch);
    executor.probe().await.expect("an executor that is put to the test can be used");
    within_a_minute(exit_codes_come_through(promise("exit-codes"))).await;
    within_a_minute(all_output_is_in_the_file_at_the_end(promise("output"))).await;
    within_a_minute(output_arrives_while_the_command_runs(promise("output-while-running"))).await;
    within_a_minute(each_command_has_a_log_of_its_own(promise("phases"))).await;
    within_a_minute(a_log_that_cannot_be_written_changes_no_result(promise("no-log"))).await;
    within_a_minute(input_reaches_the_command(promise("input"))).await;
    within_a_minute(the_command_sees_its_variables_and_its_folder(promise("env"))).await;
    within_a_minute(arguments_are_not_touched_by_a_shell(promise("argv"))).await;
    within_a_minute(waiting_can_be_given_up_and_repeated(promise("wait"))).await;
    within_a_minute(a_stop_without_grace_kills(promise("kill"))).await;
    within_a_minute(a_stop_with_grace_lets_the_command_end_by_itself(promise("stop"))).await;
    within_a_minute(a_shorter_grace_shortens_the_first(promise("stop-twice"))).await;
    within_a_minute(dropping_the_handle_stops_nothing(promise("drop"))).await;
    within_a_minute(a_program_that_does_not_exist_leaves_nothing(promise("not-found"))).await;
    within_a_minute(a_foreign_identity_is_refused(promise("foreign"))).await;
}

/// As [`holds`], for [`Executor::reattach`]: a command that runs is found by its identity, and no other.
///
/// # Panics
/// As [`holds`].
pub async fn finds_again(executor: &dyn Executor, scratch: &Path) {
    let promise = Promise::new("identity", executor, scratch);
    within_a_minute(an_identity_names_a_running_command_and_no_other(promise)).await;
}

async fn exit_codes_come_through(promise: Promise<'_>) {
    for code in [0, 3, 255] {
        let end = promise.end_of(&promise.script(&format!("exit {code}"))).await;
        assert_eq!(end.status, ExitStatus::Code(code));
    }
    let end = promise.end_of(&promise.script("false\nexit 0")).await;
    assert_eq!(end.status, ExitStatus::Code(1), "a script ends with its first failing command");
}

async fn all_output_is_in_the_file_at_the_end(promise: Promise<'_>) {
    let request = promise.script(r"printf 'a\0b\377'; printf 'c\n' >&2; printf d");
    let task = promise.start(&request).await;
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(log(&request), b"a\0b\xffc\nd");
    assert_eq!((end.output.bytes, end.output.dropped, end.output.leaked), (7, 0, false));
    assert_eq!(task.output().map(|output| *output.borrow()), Some(7));
}

async fn output_arrives_while_the_command_runs(promise: Promise<'_>) {
    let request = promise.script("echo first; while ! [ -e go ]; do sleep 0.01; done; echo second");
    let task = promise.start(&request).await;
    printed(&*task, 6).await;
    assert_eq!(log(&request), b"first\n");
    fs::write(promise.scratch.join("work/go"), "").expect("the scratch folder can be written");
    let end = task.wait().await.expect("its end is seen");
    assert!(end.status.success());
    assert_eq!(log(&request), b"first\nsecond\n");
}

async fn each_command_has_a_log_of_its_own(promise: Promise<'_>) {
    let of = |phase: Phase| ExecRequest { phase, ..promise.script(&format!("echo {}", phase.word())) };
    let requests = Phase::ALL.map(of);
    for request in &requests {
        promise.end_of(request).await;
    }
    for request in &requests {
        assert_eq!(log(request), format!("{}\n", request.phase.word()).as_bytes());
    }
}

async fn a_log_that_cannot_be_written_changes_no_result(promise: Promise<'_>) {
    let request = promise.script("echo lost; exit 3");
    fs::create_dir(request.files.join(Phase::Main.output_file())).expect("the scratch folder can be written");
    let end = promise.end_of(&request).await;
    assert_eq!(end.status, ExitStatus::Code(3));
    assert_eq!((end.output.bytes, end.output.dropped), (5, 5));
}

async fn input_reaches_the_command(promise: Promise<'_>) {
    let end = promise.end_of(&promise.argv(&["cat"])).await;
    assert!(end.status.success() && end.output.bytes == 0, "no input is the end of file at once");
    let text = "grüß dich\n".repeat(450_000);
    let cat = ExecRequest { stdin: Some(text.clone()), ..promise.argv(&["cat"]) };
    let end = promise.end_of(&cat).await;
    assert!(end.status.success());
    assert!(log(&cat) == text.as_bytes(), "what cat gets is what it prints");
    let end = promise.end_of(&ExecRequest { stdin: Some(text), ..promise.script("exit 0") }).await;
    assert!(end.status.success(), "input that is not read hinders nobody");
}

async fn the_command_sees_its_variables_and_its_folder(promise: Promise<'_>) {
    let mut request = promise.script("printf '%s\\n' \"$COLOUR\"; pwd -P");
    request.env.insert("COLOUR".to_owned(), "blue and 'green'\n$HOME".to_owned());
    promise.end_of(&request).await;
    let folder = fs::canonicalize(&request.folder).expect("the folder exists");
    let expected = format!("blue and 'green'\n$HOME\n{}\n", folder.display());
    assert_eq!(String::from_utf8_lossy(&log(&request)), expected);
}

async fn arguments_are_not_touched_by_a_shell(promise: Promise<'_>) {
    let request = promise.argv(&["printf", "[%s]", "a b", "$HOME;*", "", "-n", "ü\n"]);
    promise.end_of(&request).await;
    assert_eq!(String::from_utf8_lossy(&log(&request)), "[a b][$HOME;*][][-n][ü\n]");
}

async fn waiting_can_be_given_up_and_repeated(promise: Promise<'_>) {
    let task = promise.start(&promise.script("echo ready; while ! [ -e go ]; do sleep 0.01; done; exit 4")).await;
    printed(&*task, 6).await;
    for _ in 0..3 {
        let polled = pin!(task.wait()).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "a command that runs has no end");
    }
    fs::write(promise.scratch.join("work/go"), "").expect("the scratch folder can be written");
    let (one, other) = tokio::join!(task.wait(), task.wait());
    let (one, other) = (one.expect("its end is seen"), other.expect("its end is seen by both"));
    assert_eq!(one.status, ExitStatus::Code(4));
    assert_eq!(one, other);
    assert_eq!(task.wait().await.expect("its end stays seen"), one);
    task.stop(Duration::ZERO).await.expect("stopping what has ended is no error");
    assert_eq!(task.wait().await.expect("its end stays seen"), one);
}

async fn a_stop_without_grace_kills(promise: Promise<'_>) {
    let task = promise.start(&promise.script("trap '' TERM; echo ready; while :; do sleep 0.01; done")).await;
    printed(&*task, 6).await;
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert!(!end.status.success(), "a killed command has not succeeded");
}

async fn a_stop_with_grace_lets_the_command_end_by_itself(promise: Promise<'_>) {
    let request = promise.script("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01 || :; done");
    let task = promise.start(&request).await;
    printed(&*task, 6).await;
    task.stop(Duration::from_secs(3600)).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Code(7));
    assert!(log(&request).ends_with(b"bye\n"), "its last words are in the log");
}

async fn a_shorter_grace_shortens_the_first(promise: Promise<'_>) {
    let task = promise.start(&promise.script("trap '' TERM; echo ready; while :; do sleep 0.01; done")).await;
    printed(&*task, 6).await;
    task.stop(Duration::from_secs(3600)).await.expect("it can be stopped");
    task.stop(Duration::from_millis(1)).await.expect("it can be stopped again");
    task.stop(Duration::from_secs(7200)).await.expect("and again, which does not lengthen it");
    assert!(!task.wait().await.expect("its end is seen").status.success());
}

async fn dropping_the_handle_stops_nothing(promise: Promise<'_>) {
    let request = promise.script("echo ready; while ! [ -e go ]; do sleep 0.01; done; echo done");
    let task = promise.start(&request).await;
    printed(&*task, 6).await;
    let mut output = task.output().expect("its output is seen");
    drop(task);
    fs::write(promise.scratch.join("work/go"), "").expect("the scratch folder can be written");
    output.wait_for(|&printed| printed == 11).await.expect("it goes on printing");
    assert_eq!(log(&request), b"ready\ndone\n");
}

async fn a_program_that_does_not_exist_leaves_nothing(promise: Promise<'_>) {
    for program in ["gadugi-no-such-program", "./gadugi-no-such-program", "/gadugi/no/such/program"] {
        let request = promise.argv(&[program]);
        match promise.executor.start(&request).await {
            Err(ExecError::NotFound { program: named }) => assert_eq!(named, program),
            Err(other) => panic!("{program} is not found, and not: {other}"),
            Ok(_) => panic!("{program} does not exist"),
        }
        let left: Vec<_> = fs::read_dir(&request.files).expect("the folder is there").collect();
        assert!(left.is_empty(), "a failed start leaves no files: {left:?}");
    }
}

async fn an_identity_names_a_running_command_and_no_other(promise: Promise<'_>) {
    let executor = promise.executor;
    let [request, other_request] = [(); 2].map(|()| promise.script("echo ready; while :; do sleep 0.01; done"));
    let task = promise.start(&request).await;
    let other = promise.start(&other_request).await;
    assert_eq!(task.identity().executor, executor.name());
    assert_ne!(task.identity(), other.identity());
    other.stop(Duration::ZERO).await.expect("it can be stopped");
    other.wait().await.expect("its end is seen");
    match executor.reattach(&command(&other_request, Some(other.identity()))).await {
        Ok(Reattached::Gone { .. }) => {}
        // It may know the end of a command that has ended, as a container's.
        Ok(Reattached::Found(ended)) => assert!(!ended.wait().await.expect("its end is known").status.success()),
        other => panic!("a command that has ended was started, and is no error: {other:?}"),
    }
    let found = executor.reattach(&command(&request, Some(task.identity()))).await;
    let Ok(Reattached::Found(found)) = found else { panic!("a command that runs is found, and not: {found:?}") };
    assert_eq!(found.identity(), task.identity());
    found.stop(Duration::ZERO).await.expect("it can be stopped by whoever has found it");
    let (end, seen) = tokio::join!(task.wait(), found.wait());
    assert!(!end.expect("its end is seen").status.success());
    assert!(!seen.expect("its end is seen by both").status.success());
}

async fn a_foreign_identity_is_refused(promise: Promise<'_>) {
    let (executor, token) = (promise.executor, "no such thing".to_owned());
    for name in [executor.name(), "gadugi-no-such-executor"] {
        let foreign = ExecIdentity { executor: name.to_owned(), token: token.clone() };
        let command = command(&promise.script("exit 0"), Some(&foreign));
        assert!(matches!(executor.reattach(&command).await, Err(ExecError::Identity { .. })), "{name}");
    }
}
