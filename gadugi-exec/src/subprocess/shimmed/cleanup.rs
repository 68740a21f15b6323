//! Cleans up after a shim that was killed.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process_group, pidfd_open, pidfd_send_signal};
use rustix::time::Timespec;

use super::token::ShimToken;
use crate::os::pidfd::{self, has_ended};
use crate::os::process_table;
use crate::os::syscalls::pidfd_signal_group;
use crate::output::sealed::{Content, read};
use crate::shim::cgroup::Cgroup;
use crate::shim::files::CommandFiles;
use crate::shim::record::{CgroupRecord, ProcRecord};

/// Time for killing the processes that are found by their environment.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Kills all processes of the command that are left, and removes its cgroup and its temporary files. A process is found by the
/// command's cgroup, by the leader's group, or by the nonce in its environment.
///
/// Blocks until they are gone.
pub(super) fn clear_away(files: &CommandFiles, generation: u32, token: &ShimToken) {
    let recorded = match read(&files.proc(generation)) {
        Ok(Content::Sound(ProcRecord::Started(started))) if started.nonce == token.nonce => started.cgroup,
        _ => None,
    };
    for cgroup in cgroups(recorded.as_ref(), &token.nonce) {
        // Processes that it misses may be found in one of the other ways.
        cgroup.kill().ok();
    }
    // A group that cannot be signalled has another user.
    kill_group(token).ok();
    sweep(&[format!("GADUGI_NONCE={}", token.nonce)]);
    for cgroup in cgroups(recorded.as_ref(), &token.nonce) {
        cgroup.await_empty();
        cgroup.remove();
    }
    files.remove_leftovers(&token.nonce);
}

/// Removes the cgroup and the temporary files of a start that failed, or whose end is recorded. No process of it is left.
pub(super) fn tidy(files: &CommandFiles, nonce: &str) {
    Cgroup::left_by(nonce).for_each(|cgroup| cgroup.remove());
    files.remove_leftovers(nonce);
}

/// Returns the recorded cgroup, and others of that name.
fn cgroups(recorded: Option<&CgroupRecord>, nonce: &str) -> impl Iterator<Item = Cgroup> {
    recorded.and_then(|record| Cgroup::recorded(record, nonce)).into_iter().chain(Cgroup::left_by(nonce))
}

fn kill_group(token: &ShimToken) -> io::Result<()> {
    let leader = Pid::from_raw(token.leader.pid).filter(|_| process_table::boot_id() == Some(&*token.boot));
    let Some(leader) = leader else { return Ok(()) };
    let Some(pidfd) = pidfd::open(leader, token.leader.start)? else { return Ok(()) };
    if pidfd_signal_group(pidfd.as_fd(), Signal::KILL).is_err() && !has_ended(&pidfd)? {
        // A kernel that knows no signals to groups by pidfd. The leader still has its pid, and its group that
        // number.
        kill_process_group(leader, Signal::KILL)?;
    }
    Ok(())
}

/// Kills every process whose environment has all of these variables, until two searches in a row find none.
pub(super) fn sweep(variables: &[String]) {
    let deadline = Instant::now() + SWEEP_TIMEOUT;
    let mut empty = 0;
    while empty < 2 && Instant::now() < deadline {
        let found: Vec<_> = process_table::all().filter_map(|pid| kill_if(pid, variables)).collect();
        empty = if found.is_empty() { empty + 1 } else { 0 };
        for pidfd in found {
            let wait = Timespec { tv_sec: 1, tv_nsec: 0 };
            // One that does not end in this time is met again.
            poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&wait)).ok();
        }
    }
}

fn kill_if(pid: Pid, variables: &[String]) -> Option<std::os::fd::OwnedFd> {
    if pid == getpid() {
        return None;
    }
    // Opened first, so that the environment is that of the signalled process, or of one that came after it: then the signal
    // reaches none.
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let environment = process_table::environment(pid)?;
    let has = |variable: &String| environment.split(|&byte| byte == 0).any(|entry| entry == variable.as_bytes());
    if !variables.iter().all(has) {
        return None;
    }
    pidfd_send_signal(&pidfd, Signal::KILL).ok()?;
    Some(pidfd)
}
