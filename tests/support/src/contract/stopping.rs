//! The promises of executors on stopping a command, step by step.

use std::path::Path;
use std::time::Duration;

use gadugi_core::Executor;
use gadugi_core::executor::{ExecRequest, ExitStatus, StopSignal};

use super::promise::Promise;
use crate::commands::log;

const TERM: i32 = 15;
const KILL: i32 = 9;
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);

/// A script that ignores SIGTERM.
const STUBBORN: &str = "trap '' TERM; echo ready; while :; do sleep 0.01; done";

/// The differences between executors that these promises allow.
#[derive(Debug, Clone, Copy)]
pub struct Stops {
    /// The status of a command that was ended by a signal.
    pub by_signal: fn(i32) -> ExitStatus,
    /// A grace in each half of which a shell can handle one signal.
    pub two_steps: Duration,
}

impl Stops {
    /// Of processes of this machine.
    pub const OF_PROCESSES: Self = Self { by_signal: ExitStatus::Signal, two_steps: Duration::from_secs(2) };

    /// Of containers, whose daemon reports 128 plus the signal's number, and counts the grace in whole seconds.
    pub const OF_CONTAINERS: Self =
        Self { by_signal: |signal| ExitStatus::Code(128 + signal), two_steps: Duration::from_secs(4) };
}

/// A command that ignores the request to stop is killed after the grace.
///
/// # Panics
/// When the promise is broken.
pub async fn a_command_that_ignores_the_request_is_killed_after_the_grace(
    executor: &dyn Executor,
    scratch: &Path,
    stops: Stops,
) {
    let promise = Promise::new("stubborn", executor, scratch);
    let task = promise.start_until(&promise.script(STUBBORN), 6).await;
    task.stop(SHORT).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, end.stopped), ((stops.by_signal)(KILL), true));
    task.stop(Duration::ZERO).await.expect("stopping what has ended is no error");
}

/// A grace beyond the range of the clock never ends, and can be shortened.
///
/// # Panics
/// When the promise is broken.
pub async fn a_grace_longer_than_time_can_tell_is_for_ever(executor: &dyn Executor, scratch: &Path, stops: Stops) {
    let promise = Promise::new("for-ever", executor, scratch);
    let task = promise.start_until(&promise.script(STUBBORN), 6).await;
    task.stop(Duration::MAX).await.expect("it can be stopped");
    assert!(task.usage().await.cpu.is_some(), "it still runs");
    task.stop(SHORT).await.expect("it can be stopped again");
    assert_eq!(task.wait().await.expect("its end is seen").status, (stops.by_signal)(KILL));
}

fn interrupted(request: ExecRequest) -> ExecRequest {
    ExecRequest { stop_signal: StopSignal::Interrupt, ..request }
}

/// A command that is interrupted first ends by SIGINT, and gets no SIGTERM before the middle of the grace.
///
/// # Panics
/// When the promise is broken.
pub async fn a_command_that_is_interrupted_first_ends_by_what_it_hears_first(executor: &dyn Executor, scratch: &Path) {
    let promise = Promise::new("interrupted", executor, scratch);
    let script = "trap 'echo int; exit 7' INT; trap 'exit 8' TERM; echo ready; while :; do sleep 0.01 || :; done";
    let request = interrupted(promise.script(script));
    let task = promise.start_until(&request, 6).await;
    task.stop(LONG).await.expect("it can be stopped");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, end.stopped), (ExitStatus::Code(7), true));
    assert_eq!(log(&request), b"ready\nint\n");
}

/// A command that ignores SIGINT gets SIGTERM, and one that ignores that too is killed.
///
/// # Panics
/// When the promise is broken.
pub async fn one_that_ignores_the_interrupt_is_terminated_and_then_killed(
    executor: &dyn Executor,
    scratch: &Path,
    stops: Stops,
) {
    let promise = Promise::new("two-steps", executor, scratch);
    let stubborn =
        "exec 2> /dev/null; trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 0.01 || :; done";
    for (script, signal, expected) in [
        ("trap '' INT; echo ready; while :; do sleep 0.01; done", TERM, "ready\n"),
        (stubborn, KILL, "ready\nint\nterm\n"),
    ] {
        let request = interrupted(promise.script(script));
        let task = promise.start_until(&request, 6).await;
        task.stop(stops.two_steps).await.expect("it can be stopped");
        assert_eq!(task.wait().await.expect("its end is seen").status, (stops.by_signal)(signal));
        assert_eq!(String::from_utf8_lossy(&log(&request)), expected);
    }
}
