//! The shim: a small process that supervises one command and outlives its starter.
//!
//! A [`SubprocessExecutor`](crate::SubprocessExecutor) whose settings name a
//! [`ShimProgram`](crate::ShimProgram) starts the shim, and the shim starts the command. It writes the output
//! to the log, receives requests to stop, kills the processes that the command leaves, and records its end. `docs/shim.md`
//! has the protocol. There are shims on Linux only.
//!
//! A program that wants to be its own shim begins with [`main_if_requested`].

#[cfg(target_os = "linux")]
pub(crate) mod cgroup;
#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod descendants;
#[cfg(target_os = "linux")]
pub(crate) mod files;
#[cfg(target_os = "linux")]
pub(crate) mod orders;
#[cfg(target_os = "linux")]
mod progress;
#[cfg(target_os = "linux")]
pub(crate) mod record;
#[cfg(target_os = "linux")]
mod session;
#[cfg(target_os = "linux")]
pub(crate) mod spec;
#[cfg(target_os = "linux")]
mod supervision;
#[cfg(target_os = "linux")]
pub(crate) mod syscalls;

/// The first argument of a program that is to be a shim.
#[cfg(target_os = "linux")]
pub(crate) const ARGUMENT: &str = "__shim";

/// The variable that names the step at which a test lets the shim die.
#[cfg(all(target_os = "linux", any(debug_assertions, feature = "crash-points")))]
pub(crate) const CRASH_AT: &str = "GADUGI_CRASH_AT";

/// Makes this process a shim if it was started to be one; then it does not return. Otherwise it does nothing.
///
/// Must come first in `main`, before anything is opened or a thread is started: shims run everything above this line.
///
/// ```
/// gadugi_exec::shim::main_if_requested();
/// // … the program
/// ```
pub fn main_if_requested() {
    #[cfg(target_os = "linux")]
    if std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT) {
        #[cfg(any(debug_assertions, feature = "crash-points"))]
        if let Ok(wish) = std::env::var(CRASH_AT) {
            gadugi_core::arm_crash_point(&wish, die);
        }
        let code = session::run();
        #[expect(clippy::exit, reason = "this process was started for nothing but the shim")]
        std::process::exit(code)
    }
}

/// The way in which a shim finds all processes of its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Containment {
    /// A cgroup of version 2, which also finds processes that are left when the shim itself is killed.
    CgroupV2,
    /// The freezer of cgroup version 1: the same, in several steps.
    CgroupV1Freezer,
    /// Descent. When the shim itself is killed, processes stay that have left its group and cleared their environment.
    Descent,
    /// The process group, on systems without shims.
    Group,
}

/// Returns the containment of commands that this process starts. Makes a cgroup to try it out, and removes it.
#[must_use]
pub fn containment() -> Containment {
    #[cfg(target_os = "linux")]
    {
        let Some(cgroup) = cgroup::Cgroup::make(&format!("probe-{}", std::process::id())) else {
            return Containment::Descent;
        };
        let hierarchy = cgroup.record().hierarchy;
        cgroup.remove();
        match hierarchy {
            record::Hierarchy::Unified => Containment::CgroupV2,
            record::Hierarchy::Freezer => Containment::CgroupV1Freezer,
        }
    }
    #[cfg(not(target_os = "linux"))]
    Containment::Group
}

/// Dies as by `kill -9`.
#[cfg(all(target_os = "linux", any(debug_assertions, feature = "crash-points")))]
fn die() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    loop {
        // It cannot fail, and what follows it does not run.
        kill_process(getpid(), Signal::KILL).ok();
    }
}
