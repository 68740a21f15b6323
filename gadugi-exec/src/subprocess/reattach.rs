//! Finds a command again that another process has started.

use std::io;

#[cfg(target_os = "linux")]
use {
    super::process_group::Leader,
    super::supervisor::supervise_foreign,
    crate::os::pidfd,
    crate::os::process_table::{age, boot_id},
    std::os::fd::OwnedFd,
    tokio::time::Instant,
};

use super::supervisor::StopHandle;
use super::token::Token;
#[cfg(not(target_os = "linux"))]
use crate::os::process_table::start_time;

/// Supervises the command from now on; `None` when it does not run any more.
#[cfg(target_os = "linux")]
pub(super) fn reattach(token: &Token) -> io::Result<Option<StopHandle>> {
    let Some((pidfd, start)) = find(token)? else { return Ok(None) };
    let leader = Leader::adopted(token.pid, pidfd)?;
    let now = Instant::now();
    Ok(Some(supervise_foreign(leader, now.checked_sub(age(start)).unwrap_or(now))))
}

/// Fails for a command that runs, which cannot be supervised here.
#[cfg(not(target_os = "linux"))]
pub(super) fn reattach(token: &Token) -> io::Result<Option<StopHandle>> {
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

/// Opens a pidfd of the token's process, if it still runs.
#[cfg(target_os = "linux")]
fn find(token: &Token) -> io::Result<Option<(OwnedFd, u64)>> {
    let start = known_start(token)?;
    if token.boot.as_deref() != boot_id() {
        return Ok(None);
    }
    Ok(pidfd::open(token.pid, start)?.map(|pidfd| (pidfd, start)))
}

/// Returns the start time, without which a later process with the same pid would be taken for this one.
fn known_start(token: &Token) -> io::Result<u64> {
    token.start.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "its start time was not known"))
}
