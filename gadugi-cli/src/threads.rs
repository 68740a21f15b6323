//! The threads of this process.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

const WORKERS: usize = 2;

/// Threads that every command needs: the workers, one for blocking work, and one for the journal or the output.
const MIN_THREADS: usize = WORKERS + 2;

/// Starts the threads that commands run on.
///
/// # Errors
/// When the system does not give enough threads.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let failed = |error: io::Error| {
        Failure::environment(format!("cannot start threads: {error}"))
            .hint("end other processes of this user, or raise the limits on processes (`ulimit -u`, pids.max)")
    };
    check_available(MIN_THREADS).map_err(failed)?;
    // Tokio lets work wait for ever for a thread that cannot be started, so a started thread is kept.
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(WORKERS).thread_keep_alive(Duration::MAX).enable_all().build();
    let runtime = runtime.map_err(failed)?;
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// Checks that so many more threads can be started at once: Tokio panics if they cannot.
fn check_available(threads: usize) -> io::Result<()> {
    thread::scope(|scope| {
        let mut others = Vec::new();
        let started = (0..threads).try_for_each(|_| {
            let other = thread::Builder::new().spawn_scoped(scope, thread::park)?;
            others.push(other);
            Ok(())
        });
        others.iter().for_each(|other| other.thread().unpark());
        started
    })
}
