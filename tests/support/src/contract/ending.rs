//! The promises of executors on output, usage, and starts that are given up.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gadugi_core::Executor;
use gadugi_core::executor::ExitStatus;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::promise::Promise;
use crate::commands::log;

/// Of output over the cap, the first `head` and the last `tail` bytes are kept, and the rest is counted. The output is that of
/// `seq 1 <lines>`. Returns the folder of the executor's files.
///
/// # Panics
/// When the promise is broken.
pub async fn of_output_over_the_cap_both_ends_are_kept(
    executor: &dyn Executor,
    scratch: &Path,
    (head, tail): (usize, usize),
    lines: u32,
) -> PathBuf {
    let promise = Promise::new("long-output", executor, scratch);
    let request = promise.argv(&["seq", "1", &lines.to_string()]);
    let end = promise.end_of(&request).await;
    let whole: String = (1..=lines).map(|number| format!("{number}\n")).collect();
    let dropped = whole.len() - head - tail;
    let (first, last) = (&whole[..head], &whole[whole.len() - tail..]);
    let expected = format!("{first}\n[gadugi: {dropped} bytes of output left out here]\n{last}");
    assert_eq!(String::from_utf8_lossy(&log(&request)), expected);
    assert_eq!((end.output.bytes, end.output.dropped), (whole.len() as u64, dropped as u64));
    request.files
}

/// A folder of files that is removed while the command runs changes no result. `executor` keeps the first 6 and the last 100
/// bytes of output.
///
/// # Panics
/// When the promise is broken.
pub async fn a_folder_that_goes_away_changes_no_result(executor: &dyn Executor, scratch: &Path) {
    let promise = Promise::new("no-folder", executor, scratch);
    let request = promise.script("echo first; while ! [ -e go ]; do sleep 0.01; done; echo second; exit 3");
    let task = promise.start_until(&request, 6).await;
    fs::remove_dir_all(&request.files).expect("the folder is there");
    promise.touch("go");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Code(3));
    assert_eq!((end.output.bytes, end.output.dropped), (13, 7));
}

/// A daemon that outlives the command and closes the output in time has leaked nothing. `executor` drains for an hour.
///
/// # Panics
/// When the promise is broken.
pub async fn a_daemon_that_closes_the_output_in_time_is_no_leak(executor: &dyn Executor, scratch: &Path) {
    let promise = Promise::new("daemon", executor, scratch);
    let script = "setsid sh -c 'echo one; while ! [ -e go ]; do sleep 0.01; done; echo two' & \
                  while ! [ -s ../1/output.log ]; do sleep 0.01; done; touch go";
    let request = promise.script(script);
    let end = promise.end_of(&request).await;
    assert!(!end.output.leaked);
    assert_eq!(log(&request), b"one\ntwo\n");
}

/// The usage of a command is measured while it runs and known at its end.
///
/// # Panics
/// When the promise is broken.
pub async fn what_a_command_has_used_is_measured(executor: &dyn Executor, scratch: &Path) {
    let promise = Promise::new("usage", executor, scratch);
    let loops = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
    // By the command itself, and by a child that it waits for.
    for work in [loops.to_owned(), format!("({loops})")] {
        let request = promise.script(&format!("{work}; echo ready; while ! [ -e go ]; do sleep 0.01; done; rm go"));
        let task = promise.start_until(&request, 6).await;
        let so_far = task.usage().await;
        assert!(so_far.cpu > Some(Duration::ZERO), "{so_far:?}");
        assert!(so_far.peak_memory > Some(0), "{so_far:?}");
        promise.touch("go");
        let end = task.wait().await.expect("its end is seen");
        assert!(end.usage.cpu >= so_far.cpu, "{end:?}");
        assert_eq!(task.usage().await, end.usage);
    }
}

/// The peak memory of a command that takes 300 MiB is known at its end.
///
/// # Panics
/// When the promise is broken.
pub async fn the_memory_of_a_command_is_measured(executor: &dyn Executor, scratch: &Path) {
    let promise = Promise::new("memory", executor, scratch);
    let end = promise.end_of(&promise.argv(&["dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"])).await;
    assert!(end.usage.peak_memory > Some(300 << 20), "{end:?}");
}

/// A start that is dropped when its command runs already leaves nothing running. Needs a runtime with several threads.
///
/// # Panics
/// When the promise is broken.
pub async fn a_start_that_is_given_up_leaves_nothing_running(executor: &dyn Executor, scratch: &Path) {
    let promise = Promise::new("given-up", executor, scratch);
    let request = promise.script("exec 9> line; echo ready >&9; sleep 1000");
    let line = request.folder.join("line");
    assert!(Command::new("mkfifo").arg(&line).status().is_ok_and(|status| status.success()));
    let (ready, is_ready) = oneshot::channel();
    let reader = spawn_blocking(move || {
        let mut line = File::open(line).expect("the other end opens it too");
        line.read_exact(&mut [0; 6]).expect("the command is ready");
        ready.send(()).expect("the test waits for it");
        line.read_to_end(&mut Vec::new()).expect("all that held the line are gone")
    });
    {
        let mut start = pin!(executor.start(&request));
        let polled = start.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "a start takes longer than one look");
        is_ready.await.expect("the command runs");
    }
    assert_eq!(reader.await.expect("the reader ends well"), 0);
}
