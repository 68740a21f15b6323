//! Finds a command again that another process has started.

use std::io;

#[cfg(target_os = "linux")]
use {
    super::leader::{Leader, has_ended},
    super::process_table::{age, boot_id},
    super::supervisor::watch_over,
    rustix::io::Errno,
    rustix::process::{Pid, PidfdFlags, pidfd_open},
    std::os::fd::OwnedFd,
    tokio::time::Instant,
};

use super::identity::Token;
use super::process_table::start_time;
use super::supervisor::Reins;

/// Takes the command into the care of this process; `None` when it does not run any more.
#[cfg(target_os = "linux")]
pub(super) fn adopt(token: &Token) -> io::Result<Option<Reins>> {
    let Some((pidfd, start)) = find(token)? else { return Ok(None) };
    let leader = Leader::adopted(token.pid, pidfd)?;
    let now = Instant::now();
    Ok(Some(watch_over(leader, now.checked_sub(age(start)).unwrap_or(now))))
}

/// Says for one that runs that it cannot be taken.
#[cfg(not(target_os = "linux"))]
pub(super) fn adopt(token: &Token) -> io::Result<Option<Reins>> {
    if is_running(token)? { Err(io::ErrorKind::Unsupported.into()) } else { Ok(None) }
}

/// Whether the command still runs.
#[cfg(target_os = "linux")]
pub(super) fn is_running(token: &Token) -> io::Result<bool> {
    Ok(find(token)?.is_some())
}

/// Whether the command still runs.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_running(token: &Token) -> io::Result<bool> {
    Ok(start_time(token.pid) == Some(known_start(token)?))
}

/// Opens a pidfd of the process that the token means, if it still runs.
#[cfg(target_os = "linux")]
fn find(token: &Token) -> io::Result<Option<(OwnedFd, u64)>> {
    let start = known_start(token)?;
    if token.boot.as_deref() != boot_id() {
        return Ok(None);
    }
    Ok(open(token.pid, start)?.map(|pidfd| (pidfd, start)))
}

/// Opens a pidfd of the process that has this pid and started then, in this boot, if it still runs.
#[cfg(target_os = "linux")]
pub(crate) fn open(pid: Pid, start: u64) -> io::Result<Option<OwnedFd>> {
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        // Nothing has this number, or a thread has.
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // The pidfd stands for one process for ever. If that is not the one meant, or has ended, its start
    // time, or its end, tells; if it still runs after its start time was read, that was its own.
    let is_meant = start_time(pid) == Some(start) && !has_ended(&pidfd)?;
    Ok(is_meant.then_some(pidfd))
}

/// Without a start time nothing tells the process from a later one with the same pid.
fn known_start(token: &Token) -> io::Result<u64> {
    token.start.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "its start time was not known"))
}
