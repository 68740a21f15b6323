//! The descendants of this process, which is a subreaper: a process that loses its parent becomes a child of the shim, so
//! none escapes for longer than its parent lives.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, getpid, kill_process, pidfd_open, pidfd_send_signal};
use rustix::time::Timespec;

use super::cgroup::Cgroup;
use super::syscalls::next_signal;
use crate::os::process_table;
use crate::os::syscalls::{Reaped, reap_any};

/// Time for the killing without any effect. Only processes of another user, or hanging in the kernel, survive it.
const STANDSTILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for the killing in all.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for the next end of a killed process.
const REAP_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Rounds of SIGCONT through the tree: the second finds processes that have got another parent meanwhile.
const RESUME_ROUNDS: usize = 2;

/// The children of every process, at one moment.
enum Family {
    /// Read for each process when it is visited, from the kernel's `children` files.
    Files,
    /// Read at once, for a kernel without these files.
    Table(HashMap<Pid, Vec<Pid>>),
}

impl Family {
    fn read() -> Self {
        let own = getpid().as_raw_nonzero();
        if fs::exists(format!("/proc/{own}/task/{own}/children")).unwrap_or(false) {
            return Self::Files;
        }
        let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
        for pid in process_table::all() {
            if let Some(parent) = process_table::parent(pid) {
                children.entry(parent).or_default().push(pid);
            }
        }
        Self::Table(children)
    }

    fn children_of(&self, parent: Pid) -> Vec<Pid> {
        match self {
            Self::Files => {
                let tasks = fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero()));
                // A thread, or all of it, may have ended by now.
                let of_thread = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
                let lists: Vec<String> = tasks.into_iter().flatten().flatten().filter_map(of_thread).collect();
                lists.iter().flat_map(|list| list.split_ascii_whitespace()).filter_map(parse).collect()
            }
            Self::Table(children) => children.get(&parent).cloned().unwrap_or_default(),
        }
    }
}

fn parse(pid: &str) -> Option<Pid> {
    pid.parse().ok().and_then(Pid::from_raw)
}

/// A parent and its child, as they were found.
type Descent = (Pid, Pid);

/// Calls `found` for every descendant of this process, parents before their children.
fn walk(mut found: impl FnMut(Descent)) {
    let family = Family::read();
    let mut parents = vec![getpid()];
    let mut met = HashSet::new();
    while let Some(parent) = parents.pop() {
        for child in family.children_of(parent) {
            if met.insert(child) {
                found((parent, child));
                parents.push(child);
            }
        }
    }
}

/// The time at which the killing is given up.
struct KillDeadline {
    end: Instant,
    standstill: Instant,
}

impl KillDeadline {
    fn new() -> Self {
        let now = Instant::now();
        Self { end: now + KILL_TIMEOUT, standstill: now + STANDSTILL_TIMEOUT }
    }

    /// Records progress, which extends the deadline.
    fn renew(&mut self) {
        self.standstill = Instant::now() + STANDSTILL_TIMEOUT;
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end.min(self.standstill)
    }
}

/// Reaps the children that have ended, and passes each to `reaped`. Returns whether there are others.
pub(super) fn reap_all(mut reaped: impl FnMut(Pid, Reaped)) -> bool {
    loop {
        match reap_any() {
            Ok(Some((pid, end))) => reaped(pid, end),
            Ok(None) => return true,
            // There are no children: that is the only error of this call.
            Err(_) => return false,
        }
    }
}

/// Kills all descendants. Returns when they are gone, or cannot be killed, with the number of those that are left.
pub(super) fn kill_all(cgroup: Option<&Cgroup>, signals: &OwnedFd, mut reaped: impl FnMut(Pid, Reaped)) -> usize {
    let mut deadline = KillDeadline::new();
    // If it fails, the descendants are killed one by one, as they are next in any case.
    let kill_cgroup = || cgroup.is_none_or(|cgroup| cgroup.kill().is_ok());
    loop {
        kill_cgroup();
        // What is suspended makes nothing new, and takes no child's end. Children go before their parents, so
        // that each is still known by its parent when it is signalled.
        for &(parent, child) in suspend_all(&mut deadline).iter().rev() {
            signal_child(parent, child, Signal::KILL).ok();
        }
        let are_left = reap_killed(signals, |pid, end| {
            deadline.renew();
            reaped(pid, end);
        });
        if !are_left {
            break;
        }
        if deadline.is_over() {
            return count();
        }
    }
    // Processes in the cgroup that are no descendants were moved there on purpose, and are killed too.
    kill_cgroup();
    match cgroup {
        Some(cgroup) if !cgroup.await_empty() => cgroup.count(),
        _ => 0,
    }
}

/// Reaps the processes that end now. Returns whether there are others when none has ended for a moment.
fn reap_killed(signals: &OwnedFd, mut reaped: impl FnMut(Pid, Reaped)) -> bool {
    loop {
        // All is being killed, so there is no order to be missed; and every end of before is seen next.
        while next_signal(signals.as_fd()).is_some() {}
        if !reap_all(&mut reaped) {
            return false;
        }
        if let Ok(0) = poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&REAP_TIMEOUT)) {
            return true;
        }
    }
}

/// Counts the descendants.
fn count() -> usize {
    let mut count = 0;
    walk(|_| count += 1);
    count
}

/// Suspends all descendants, however fast they fork: a process that is not found in one round is found in the next, and
/// suspended ones fork no more. Returns them, parents first.
fn suspend_all(deadline: &mut KillDeadline) -> Vec<Descent> {
    let mut found = Vec::new();
    let mut known = HashSet::new();
    loop {
        let before = found.len();
        walk(|(parent, child)| {
            // A parent that is suspended takes no child's end any more, so their pids stay theirs.
            if !known.contains(&child) && signal_child(parent, child, Signal::STOP).is_ok() {
                known.insert(child);
                found.push((parent, child));
            }
        });
        if found.len() == before {
            return found;
        }
        deadline.renew();
        if deadline.is_over() {
            return found;
        }
    }
}

/// Suspends or resumes all descendants.
pub(super) fn suspend(suspended: bool) {
    if suspended {
        suspend_all(&mut KillDeadline::new());
        return;
    }
    for _ in 0..RESUME_ROUNDS {
        walk(|(parent, child)| drop(signal_child(parent, child, Signal::CONT)));
    }
}

/// Sends SIGTERM to all descendants, except the members of a group that has got it already. Suspended ones are resumed, so
/// that it reaches them.
pub(super) fn terminate_but(group: Pid) {
    let mut others = Vec::new();
    walk(|(parent, child)| {
        if getpgid(Some(child)).is_ok_and(|own| own != group) {
            others.push((parent, child));
        }
    });
    for signal in [Signal::TERM, Signal::CONT] {
        for &(parent, child) in others.iter().rev() {
            // One that has another user cannot be signalled, and one that has ended need not be.
            signal_child(parent, child, signal).ok();
        }
    }
}

fn signal_child(parent: Pid, child: Pid, signal: Signal) -> io::Result<()> {
    if parent == getpid() {
        // Its pid is its own as long as this process does not reap it.
        return Ok(kill_process(child, signal)?);
    }
    let pidfd = pidfd_open(child, PidfdFlags::empty())?;
    if process_table::parent(child) != Some(parent) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(pidfd_send_signal(&pidfd, signal)?)
}
