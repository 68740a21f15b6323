//! System calls without a safe form: with those of the shim, the only unsafe code of this crate.
#![expect(
    unsafe_code,
    reason = "wait4, getrusage, pre_exec, AsyncFd and a flag of pidfd_send_signal have no safe form"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use rustix::process::Pid;
#[cfg(target_os = "linux")]
use {
    rustix::process::Signal,
    std::os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    tokio::io::{Interest, unix::AsyncFd},
};

/// A child that has been waited for.
pub(crate) struct Reaped {
    pub(crate) status: ExitStatus,
    /// User and system time of the child and of the children that it waited for.
    pub(crate) cpu: Duration,
    /// The largest resident memory of one of these processes, in bytes. On Linux it is never less than
    /// that of the process that started the child; see [`own_peak_memory`].
    pub(crate) peak_memory: u64,
}

/// Waits for the end of a child and takes its entry out of the process table.
pub(crate) fn wait4(pid: Pid) -> io::Result<Reaped> {
    let reaped = wait(pid.as_raw_nonzero().get(), 0)?;
    reaped.map(|(_, reaped)| reaped).ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

/// Reaps a child that has ended; `None` while all still run. Fails when there is no child at all.
#[cfg(target_os = "linux")]
pub(crate) fn reap_any() -> io::Result<Option<(Pid, Reaped)>> {
    wait(-1, libc::WNOHANG)
}

fn wait(pid: libc::pid_t, options: libc::c_int) -> io::Result<Option<(Pid, Reaped)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    let child = loop {
        // SAFETY: both pointers are to places of the right type that live through the call.
        let waited = unsafe { libc::wait4(pid, &mut status, options, usage.as_mut_ptr()) };
        if waited != -1 {
            break waited;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    let Some(child) = Pid::from_raw(child) else { return Ok(None) };
    // SAFETY: wait4 has found a child that has ended, so it has filled the structure.
    let usage = unsafe { usage.assume_init() };
    let status = if libc::WIFEXITED(status) {
        ExitStatus::Code(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        ExitStatus::Signal(libc::WTERMSIG(status))
    } else {
        ExitStatus::Unknown
    };
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    Ok(Some((child, Reaped { status, cpu, peak_memory: peak_memory(&usage) })))
}

/// Returns the largest resident memory that this process has had, in bytes.
///
/// A child begins with this as its own peak: until it executes its program it shares the memory of
/// its parent, and Linux counts that (`exec_mmap` in fs/exec.c). A child's peak that is not above this
/// says nothing about the child.
pub(crate) fn own_peak_memory() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a place of the right type. The call fails only for a wrong first
    // argument, and then zeroes, which are a valid value, are left.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    peak_memory(&usage)
}

fn peak_memory(usage: &libc::rusage) -> u64 {
    // Apple's systems count bytes, the others kibibytes.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// Signals the process group whose number is the pid of the process that `pidfd` stands for. It cannot
/// hit a stranger: the kernel holds on to that group's identity as long as the pidfd is open, also when
/// the process itself is gone. Linux before 6.9 answers `EINVAL`.
#[cfg(target_os = "linux")]
pub(crate) fn pidfd_signal_group(pidfd: BorrowedFd<'_>, signal: Signal) -> rustix::io::Result<()> {
    let no_details = ptr::null::<libc::siginfo_t>();
    // SAFETY: the call takes a file descriptor, which is open, and no memory.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal.as_raw(),
            no_details,
            libc::PIDFD_SIGNAL_PROCESS_GROUP,
        )
    };
    if sent == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::INVAL))
}

/// Registers a pidfd with the runtime; it becomes readable when its process has ended.
#[cfg(target_os = "linux")]
pub(crate) fn watch_end(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, so it is open and stays the same one until the `AsyncFd`, which
    // nobody takes it out of, closes it.
    Ok(unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?)
}

/// The signals that ask a command to end.
const STOP_SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];

/// Unblocks all signals for the child and resets [`STOP_SIGNALS`] to their defaults, if this thread blocks some, as programs do
/// that take their signals by `sigwait`, or this process ignores one, as background jobs of a shell do. Otherwise it changes
/// nothing, since a closure before exec rules out the fast way of starting a child.
pub(crate) fn reset_signals(command: &mut Command) {
    if !thread_blocks_signals() && !STOP_SIGNALS.into_iter().any(is_ignored) {
        return;
    }
    let reset = || {
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset fills the set, the default needs no function, and no call can fail with these arguments.
        unsafe {
            for signal in STOP_SIGNALS {
                libc::signal(signal, libc::SIG_DFL);
            }
            libc::sigemptyset(none.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: the closure makes only calls that are safe in a forked child (signal-safety(7)).
    unsafe { command.pre_exec(reset) };
}

fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only fills `action`; zeroes are a valid one if it fails.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn thread_blocks_signals() -> bool {
    const HIGHEST: libc::c_int = 64;
    let mut blocked = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: without a new set the call only fills `blocked`; zeroes are a valid set if it fails.
    // sigismember answers -1 for a number that is no signal of this system.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), blocked.as_mut_ptr());
        let blocked = blocked.assume_init();
        (1..=HIGHEST).any(|signal| libc::sigismember(&blocked, signal) == 1)
    }
}

/// Returns the start time of a process, in microseconds since the epoch; `None` when it is gone or has ended.
#[cfg(target_os = "macos")]
pub(crate) fn start_time(pid: Pid) -> Option<u64> {
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = libc::c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    // SAFETY: the buffer is as long as is said; it is read only when the call has filled all of it.
    let info = unsafe {
        let pid = pid.as_raw_nonzero().get();
        if libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size) != size {
            return None;
        }
        info.assume_init()
    };
    (info.pbi_status != libc::SZOMB).then(|| info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn blocked_in_child() -> String {
        let mut command = Command::new("grep");
        command.args(["SigBlk", "/proc/self/status"]);
        reset_signals(&mut command);
        String::from_utf8(command.output().expect("grep runs").stdout).expect("it prints text")
    }

    #[test]
    fn a_child_of_a_thread_that_blocks_signals_begins_with_none_blocked() {
        let blocking = std::thread::spawn(|| {
            let mut all = MaybeUninit::<libc::sigset_t>::uninit();
            // SAFETY: sigfillset fills the set; the mask is that of this thread, which ends here.
            unsafe {
                libc::sigfillset(all.as_mut_ptr());
                libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut());
            }
            assert!(thread_blocks_signals(), "the test must have blocked some");
            blocked_in_child()
        });
        assert_eq!(blocking.join().expect("the thread ends well"), "SigBlk:\t0000000000000000\n");
        assert!(!thread_blocks_signals());
    }
}
