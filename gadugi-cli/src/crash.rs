//! Lets tests kill this process at a chosen step.

use rustix::process::{Signal, getpid, kill_process};

/// Names the step, and with a number which time it is passed: `worktree-ready:3`.
const VARIABLE: &str = "GADUGI_CRASH_AT";

/// Lets the process die at the step that the environment names. `docs/testing.md` lists them.
pub(crate) fn arm() {
    if let Ok(wish) = std::env::var(VARIABLE) {
        gadugi_core::arm_crash_point(&wish, die);
    }
}

/// Dies as by `kill -9`.
fn die() -> ! {
    loop {
        // It cannot fail, and what follows it does not run.
        kill_process(getpid(), Signal::KILL).ok();
    }
}
