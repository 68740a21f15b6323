//! Processes that try to get away.
#![expect(unsafe_code, reason = "fork, setsid and signals are what this is about")]

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time after which a storm ends: a failing test must not leave it for ever.
const MAX_STORM: Duration = Duration::from_secs(20);

/// Processes that a storm starts in all, for each that it consists of.
const MAX_RESPAWNS: u64 = 5;

/// The options of a process that is left behind.
#[derive(Default)]
pub(crate) struct Offspring {
    /// Without an environment.
    pub(crate) bare: bool,
    /// Without the output.
    pub(crate) mute: bool,
}

impl Offspring {
    /// Leaves a daemon behind that does these verbs: in a session of its own, its parent gone.
    pub(crate) fn leave(&self, verbs: &[OsString]) -> io::Result<()> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("faketask").args(verbs).stdin(Stdio::null());
        if self.bare {
            command.env_clear();
        }
        if self.mute {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let detach = || {
            // SAFETY: these calls take no memory; this process has one thread, so its child is whole.
            unsafe {
                libc::setsid();
                match libc::fork() {
                    -1 => Err(io::Error::last_os_error()),
                    0 => Ok(()),
                    _ => libc::_exit(0),
                }
            }
        };
        // SAFETY: the closure makes only calls that are safe in a forked child (signal-safety(7)).
        unsafe { command.pre_exec(detach) };
        // The child is only the first of the two, which has ended.
        command.spawn()?.wait().map(drop)
    }
}

/// Traces a process until this one ends, and takes nothing of what it is told of it.
pub(crate) fn trace(process: &OsString) -> io::Result<()> {
    let process = process.to_str().unwrap_or_default();
    #[cfg(target_os = "linux")]
    {
        let pid = if process == "parent" {
            std::os::unix::process::parent_id()
        } else {
            process.parse().map_err(io::Error::other)?
        };
        // SAFETY: the request takes a pid and no memory.
        match unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    Err(io::Error::other(format!("cannot trace {process} here")))
}

/// Is another process every 300 µs, for so long.
pub(crate) fn hop(time: Duration) -> io::Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        sleep(Duration::from_micros(300));
        // SAFETY: these calls take no memory; this process has one thread, so its child is whole.
        unsafe {
            match libc::fork() {
                -1 => return Err(io::Error::last_os_error()),
                0 => drop(libc::setsid()),
                _ => libc::_exit(0),
            }
        }
    }
    Ok(())
}

/// The memory that all processes of a storm share.
struct Storm {
    /// Processes that it may still start. A storm that nobody ends must not take the machine down: what is
    /// killed one by one is brought back with all its children, and those that it had are still there.
    left: AtomicI64,
    end: Instant,
}

/// Is one of so many processes, which bring each other back.
pub(crate) fn storm(processes: u64) -> io::Result<()> {
    let most = i64::try_from(processes.saturating_mul(MAX_RESPAWNS)).map_err(io::Error::other)?;
    let storm = Storm { left: AtomicI64::new(most), end: Instant::now() + MAX_STORM };
    // SAFETY: the new memory is shared with all children, is as large as is asked for, is aligned to a page, and
    // stays as long as there is a process that has it.
    let storm: &Storm = unsafe {
        let (read_and_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        let memory = libc::mmap(std::ptr::null_mut(), size_of::<Storm>(), read_and_write, shared, -1, 0);
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let place = memory.cast::<Storm>();
        place.write(storm);
        &*place
    };
    storm.be_one_of(processes)
}

impl Storm {
    fn be_one_of(&self, processes: u64) -> io::Result<()> {
        // SAFETY: these calls take no memory but the status, which is not asked for; this process has one thread,
        // so its child is whole.
        unsafe {
            libc::setsid();
            let others = processes.saturating_sub(1);
            let mut children = [(0, others / 2), (0, others - others / 2)];
            while Instant::now() < self.end {
                for (child, size) in &mut children {
                    if *child == 0 && *size > 0 && self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
                        match libc::fork() {
                            -1 => return Err(io::Error::last_os_error()),
                            0 => return self.be_one_of(*size),
                            pid => *child = pid,
                        }
                    }
                }
                match libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) {
                    0 | -1 => sleep(Duration::from_millis(1)),
                    ended => children.iter_mut().filter(|(child, _)| *child == ended).for_each(|child| child.0 = 0),
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn ignore_term() {
    // SAFETY: ignoring a signal needs no function.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

static CODE: AtomicI32 = AtomicI32::new(0);

pub(crate) fn exit_on_term(code: i32) {
    extern "C" fn exit(_: libc::c_int) {
        // SAFETY: it takes a number, may be called in a handler, and does not return.
        unsafe { libc::_exit(CODE.load(Ordering::Relaxed)) }
    }
    CODE.store(code, Ordering::Relaxed);
    let handler: extern "C" fn(libc::c_int) = exit;
    // SAFETY: the handler makes only a call that is safe in one.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}

pub(crate) fn stop_self() {
    // SAFETY: it takes a number.
    unsafe { libc::raise(libc::SIGSTOP) };
}

pub(crate) fn die_by(signal: i32) {
    // SAFETY: both calls take a number; the default needs no function.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
