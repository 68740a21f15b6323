//! The orders to a shim: signals through its pidfd, so that they reach this process or none.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::syscalls;

/// A request to stop, with the grace in milliseconds as its value. A signal of the real-time kind, since those
/// are queued: of two others that are pending at once the second is lost. Its number is the same whatever libc
/// a program was built with.
pub(super) const STOP: libc::c_int = 40;

/// The value for a grace without end.
const FOR_EVER: u32 = u32::MAX;

/// Asks the shim to stop its command. Zero kills at once.
pub(crate) fn stop(shim: BorrowedFd<'_>, grace: Duration) -> io::Result<()> {
    // Rounded up, so that only no grace at all is none.
    let millis = u32::try_from(grace.as_nanos().div_ceil(1_000_000)).unwrap_or(FOR_EVER);
    match syscalls::queue_signal(shim, STOP, millis) {
        // No more signals can be queued for its user. One of the other kind is never dropped; it brings no grace.
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {
            // The driver that follows the shim cleans up after it.
            send(shim, if grace.is_zero() { libc::SIGKILL } else { libc::SIGTERM })?;
        }
        queued => queued?,
    }
    // A suspended shim must receive it too.
    send(shim, libc::SIGCONT)
}

/// Asks the shim to suspend all of its command.
pub(crate) fn suspend(shim: BorrowedFd<'_>) -> io::Result<()> {
    send(shim, libc::SIGTSTP)
}

/// Asks the shim to resume all of its command.
pub(crate) fn resume(shim: BorrowedFd<'_>) -> io::Result<()> {
    send(shim, libc::SIGCONT)
}

fn send(shim: BorrowedFd<'_>, signal: libc::c_int) -> io::Result<()> {
    syscalls::queue_signal(shim, signal, 0)
}

/// Returns the grace for the value of a [`STOP`]; `None` is without end.
pub(super) fn grace(value: u32) -> Option<Duration> {
    (value != FOR_EVER).then(|| Duration::from_millis(value.into()))
}
