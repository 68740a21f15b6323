//! Processes that tests meet, held by what cannot become another's.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use rustix::time::Timespec;

/// A process, as the text that it has printed names it; killed when the test ends.
pub(crate) struct Process(OwnedFd);

impl Process {
    pub(crate) fn named(pid: &str) -> Self {
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
        Self(pidfd_open(pid, PidfdFlags::empty()).expect("the process is there"))
    }

    /// Whether it ends within a minute.
    pub(crate) fn ends(&self) -> bool {
        self.polled(60)
    }

    pub(crate) fn runs(&self) -> bool {
        !self.polled(0)
    }

    fn polled(&self, seconds: i64) -> bool {
        let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)).expect("a pidfd can be polled") == 1
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        pidfd_send_signal(&self.0, Signal::KILL).ok();
    }
}

/// Waits until a child of this process has got there, and leaves it as it is.
pub(crate) fn wait_for_child(pid: &str, state: WaitIdOptions) {
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
    waitid(WaitId::Pid(pid), state | WaitIdOptions::NOWAIT).expect("it is a child of this process");
}
