//! Handles on processes that keep their meaning when the pid is used again (pidfd_open(2)).

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::Timespec;

use super::process_table::start_time;

/// Opens a pidfd of the process with this pid and this start time, in this boot; `None` when it does not run any more.
pub(crate) fn open(pid: Pid, start: u64) -> io::Result<Option<OwnedFd>> {
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        // Nothing has this number, or a thread has.
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // A pidfd stands for one process for ever. Another process has another start time. If the process still runs after its
    // start time was read, that was its own.
    let is_meant = start_time(pid) == Some(start) && !has_ended(&pidfd)?;
    Ok(is_meant.then_some(pidfd))
}

/// Whether the process of a pidfd has ended.
pub(crate) fn has_ended(pidfd: &OwnedFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&Timespec::default()))? > 0)
}
