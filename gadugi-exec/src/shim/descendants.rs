//! All processes that come from this one, a subreaper: what loses its parent becomes a child of the shim, so
//! nothing escapes for longer than its parent lives.

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

/// How long the killing goes on while nothing changes by it. Longer lives only what has another user, or hangs in
/// the kernel.
const STANDSTILL: Duration = Duration::from_secs(5);

/// How long it goes on at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the ends of what was killed are awaited, each after the one before.
const QUIET: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// How many times SIGCONT goes through the tree: the second finds what was given to another parent meanwhile.
const ROUNDS_TO_RESUME: usize = 2;

/// Who has which children, at one look.
enum Family {
    /// Each is asked for when it is looked at.
    Files,
    /// For a kernel without these files.
    Table(HashMap<Pid, Vec<Pid>>),
}

impl Family {
    fn look() -> Self {
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

/// A process, with the one that had it when it was found.
type Descent = (Pid, Pid);

/// Calls `found` for everything below this process, a parent before its children.
fn walk(mut found: impl FnMut(Descent)) {
    let family = Family::look();
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

/// When to give up.
struct Patience {
    end: Instant,
    standstill: Instant,
}

impl Patience {
    fn new() -> Self {
        let now = Instant::now();
        Self { end: now + PATIENCE, standstill: now + STANDSTILL }
    }

    /// Something has changed.
    fn renew(&mut self) {
        self.standstill = Instant::now() + STANDSTILL;
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end.min(self.standstill)
    }
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

/// Kills everything, and returns when it is gone, or cannot be killed; says how many processes are left.
pub(super) fn kill_all(cgroup: Option<&Cgroup>, signals: &OwnedFd, mut reaped: impl FnMut(Pid, Reaped)) -> usize {
    let mut patience = Patience::new();
    // Where it fails, what comes from this process is killed one by one, which is what is done next anyway.
    let kill_cgroup = || cgroup.is_none_or(|cgroup| cgroup.kill().is_ok());
    loop {
        kill_cgroup();
        // What is suspended makes nothing new, and takes no child's end. Children go before their parents, so
        // that each is still known by its parent when it is signalled.
        for &(parent, child) in suspend_all(&mut patience).iter().rev() {
            signal_child(parent, child, Signal::KILL).ok();
        }
        let are_left = reap_killed(signals, |pid, end| {
            patience.renew();
            reaped(pid, end);
        });
        if !are_left {
            break;
        }
        if patience.is_over() {
            return count();
        }
    }
    // What is in the cgroup and is no child is there by somebody's will, and dies too.
    kill_cgroup();
    match cgroup {
        Some(cgroup) if !cgroup.await_empty() => cgroup.count(),
        _ => 0,
    }
}

/// Takes those that end now. Says whether there are others when none has ended for a moment.
fn reap_killed(signals: &OwnedFd, mut reaped: impl FnMut(Pid, Reaped)) -> bool {
    loop {
        // All is being killed, so there is no order to be missed; and every end of before is seen next.
        while next_signal(signals.as_fd()).is_some() {}
        if !reap_all(&mut reaped) {
            return false;
        }
        if let Ok(0) = poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&QUIET)) {
            return true;
        }
    }
}

/// How many processes there are below this one.
fn count() -> usize {
    let mut count = 0;
    walk(|_| count += 1);
    count
}

/// Suspends everything below this process, however fast it makes others: what it did not find in one round it
/// finds in the next, and those that it has found make none. Gives what it has found, parents first.
fn suspend_all(patience: &mut Patience) -> Vec<Descent> {
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
        patience.renew();
        if patience.is_over() {
            return found;
        }
    }
}

/// Suspends everything below this process, or lets it go on.
pub(super) fn suspend(suspended: bool) {
    if suspended {
        suspend_all(&mut Patience::new());
        return;
    }
    for _ in 0..ROUNDS_TO_RESUME {
        walk(|(parent, child)| drop(signal_child(parent, child, Signal::CONT)));
    }
}

/// Asks everything below this process to end, but for the members of a group that were asked already. Also what is
/// suspended is to hear it.
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
