//! Elsewhere: start times on macOS, and nothing else.

use gadugi_core::ExecUsage;
use rustix::process::Pid;

/// Start times are points in time here, which need no boot to be told apart.
pub(crate) fn boot_id() -> Option<&'static str> {
    None
}

/// When a process started, in microseconds since the epoch; `None` when it is gone or has ended, or
/// where the system does not tell.
pub(crate) fn start_time(pid: Pid) -> Option<u64> {
    #[cfg(target_os = "macos")]
    return crate::subprocess::syscalls::start_time(pid);
    #[cfg(not(target_os = "macos"))]
    return {
        let _ = pid;
        None
    };
}

/// Known only after the end.
pub(crate) fn usage(_: Pid, _: u64) -> ExecUsage {
    ExecUsage::default()
}
