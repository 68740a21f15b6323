//! All processes that come from this one, a subreaper: what loses its parent becomes a child of the shim, so
//! nothing escapes for longer than its parent lives.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal};
use rustix::time::Timespec;

use super::cgroup::Cgroup;
use crate::subprocess::process_table;
use crate::subprocess::syscalls::{Reaped, reap_any};

/// How long the killing goes on at most. Longer lives only what has another user, or hangs in the kernel.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many rounds suspending takes at most; each finds what was made in the one before.
const ROUNDS: usize = 20;

/// The children of a process that has one thread, as this one.
fn children_of(pid: Pid) -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else { return Vec::new() };
    let of_thread = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
    let lists: Option<Vec<String>> = tasks.flatten().map(of_thread).collect();
    match lists {
        Some(lists) => lists.iter().flat_map(|list| list.split_ascii_whitespace()).filter_map(parse).collect(),
        // A kernel without these files, or a thread that has just ended.
        None => process_table::all().filter(|&other| process_table::parent(other) == Some(pid)).collect(),
    }
}

fn parse(pid: &str) -> Option<Pid> {
    pid.parse().ok().and_then(Pid::from_raw)
}

/// Takes the children that have ended, and gives each to `reaped`. Says whether there are others.
pub(super) fn reap_all(mut reaped: impl FnMut(Pid, Reaped)) -> bool {
    loop {
        match reap_any() {
            Ok(Some((pid, end))) => reaped(pid, end),
            Ok(None) => return true,
            // There are none: that is the only error that it can have.
            Err(_) => return false,
        }
    }
}

/// Sends a signal to every child. Their pids are theirs as long as this process does not reap them.
pub(super) fn signal_children(signal: Signal) {
    for child in children_of(getpid()) {
        // One that has another user cannot be signalled.
        kill_process(child, signal).ok();
    }
}

/// Kills everything, and returns when it is gone; says whether it is.
pub(super) fn kill_all(cgroup: Option<&Cgroup>, signals: &OwnedFd, mut reaped: impl FnMut(Pid, Reaped)) -> bool {
    let deadline = Instant::now() + PATIENCE;
    // Where it fails, the children are killed one by one, which is what is done next anyway.
    let kill_cgroup = || cgroup.is_none_or(|cgroup| cgroup.kill().is_ok());
    kill_cgroup();
    while reap_all(&mut reaped) {
        if Instant::now() > deadline {
            return false;
        }
        signal_children(Signal::KILL);
        // The end of a child wakes it; what is not read is not missed. Who makes children faster than they die
        // must not be waited for.
        let wait = Timespec { tv_sec: 0, tv_nsec: 200_000 };
        poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&wait)).ok();
    }
    // What is in the cgroup and is no child is there by somebody's will, and dies too.
    kill_cgroup() && cgroup.is_none_or(Cgroup::await_empty)
}

/// Sends SIGSTOP to everything below this process, or SIGCONT. A parent comes before its children: once it is
/// suspended, it takes no child's end any more, so their pids stay theirs.
pub(super) fn signal_all(signal: Signal) {
    let mut signalled = Vec::new();
    for _ in 0..ROUNDS {
        let before = signalled.len();
        let mut parents = vec![getpid()];
        while let Some(parent) = parents.pop() {
            for child in children_of(parent) {
                parents.push(child);
                if !signalled.contains(&child) && signal_child(parent, child, signal).is_ok() {
                    signalled.push(child);
                }
            }
        }
        if signalled.len() == before {
            return;
        }
    }
}

fn signal_child(parent: Pid, child: Pid, signal: Signal) -> io::Result<()> {
    let pidfd = pidfd_open(child, PidfdFlags::empty())?;
    if process_table::parent(child) != Some(parent) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(pidfd_send_signal(&pidfd, signal)?)
}
