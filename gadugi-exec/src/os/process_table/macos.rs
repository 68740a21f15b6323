//! macOS: start times, and nothing else.

use gadugi_core::executor::ExecUsage;
use rustix::process::Pid;

pub(crate) use crate::os::syscalls::start_time;

/// Returns `None`: start times are points in time here, which need no boot to be told apart.
pub(crate) fn boot_id() -> Option<&'static str> {
    None
}

/// Returns nothing: the usage is known only after the end.
pub(crate) fn usage(_: Pid, _: u64) -> ExecUsage {
    ExecUsage::default()
}
