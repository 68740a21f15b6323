//! Supervises a command from its start to the end of its last process: one thread, one poll.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use gadugi_core::executor::ExitStatus;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::time::Timespec;

use super::cgroup::Cgroup;
use super::descendants::{self, kill_all, reap_all, terminate_but};
use super::orders;
use super::progress::Progress;
use super::record::Status;
use super::syscalls::{self, Signalled};
use crate::os::syscalls::{Reaped, wait4};
use crate::output::capped_log::CappedLog;

/// Bytes per read: as many as a pipe holds.
const READ_SIZE: usize = 64 << 10;

/// The times that the command is granted.
pub(super) struct Limits {
    /// Time between a request to stop, if it names no other, and the kill.
    pub(super) grace: Duration,
    /// Whether a request to stop begins with SIGINT, on which SIGTERM follows in the middle of the grace.
    pub(super) interrupt: bool,
    /// Time for output that is held open after the end.
    pub(super) drain: Duration,
}

/// The end of a command.
pub(super) struct End {
    pub(super) status: Status,
    pub(super) ended: Instant,
    pub(super) output_bytes: u64,
    pub(super) dropped_bytes: u64,
    pub(super) leaked: bool,
    pub(super) stopped: bool,
    /// Processes that could not be killed.
    pub(super) left: usize,
    /// Processor time of all processes together.
    pub(super) cpu: Duration,
    /// Peak memory of the leader and of the children that it has waited for.
    pub(super) peak_memory: u64,
    pub(super) progress: Progress,
}

pub(super) struct Supervision<'a> {
    leader: Pid,
    signals: &'a OwnedFd,
    /// A pipe whose end is a request to stop.
    starter: Option<&'a OwnedFd>,
    cgroup: Option<&'a Cgroup>,
    limits: Limits,
    /// The end of the leader, once it was seen.
    leader_end: Option<LeaderEnd>,
    /// Whether no process is left besides those that were reaped.
    alone: bool,
    /// Processes that could not be killed when this was tried last.
    left: usize,
    cpu: Duration,
    stop: Stop,
}

struct LeaderEnd {
    status: Status,
    peak_memory: u64,
    at: Instant,
}

enum Stop {
    NotAsked,
    /// Asked to end by itself before `kill_at`; `None` when the grace is too long for the clock.
    Asked {
        /// The time of SIGTERM, after a SIGINT.
        terminate_at: Option<Instant>,
        kill_at: Option<Instant>,
    },
    Killed,
}

impl<'a> Supervision<'a> {
    pub(super) fn new(
        leader: Pid,
        signals: &'a OwnedFd,
        starter: Option<&'a OwnedFd>,
        cgroup: Option<&'a Cgroup>,
        limits: Limits,
    ) -> Self {
        let stop = Stop::NotAsked;
        let (leader_end, alone, cpu) = (None, false, Duration::ZERO);
        Self { leader, signals, starter, cgroup, limits, leader_end, alone, left: 0, cpu, stop }
    }

    /// Supervises the command until nothing of it is left.
    pub(super) fn watch(mut self, output: PipeReader, mut log: CappedLog, mut progress: Progress) -> io::Result<End> {
        let mut output = Some(output);
        let (mut bytes, mut buffer) = (0, vec![0; READ_SIZE]);
        let (mut report_at, mut drained_at): (Option<Instant>, Option<Instant>) = (None, None);
        // A child that ended before the first signal was awaited is seen too.
        let mut look_for_ends = true;
        let leaked = loop {
            if look_for_ends {
                self.reap();
            }
            let now = Instant::now();
            if self.kill_at().is_some_and(|kill_at| kill_at <= now) {
                self.kill();
            }
            if self.terminate_at().is_some_and(|terminate_at| terminate_at <= now) {
                self.terminate_group();
            }
            // The command is over. Output that others hold open is read for the time to drain, and no longer.
            if self.leader_end.is_some() && !self.leaves_time() {
                if output.is_none() {
                    break false;
                }
                let until = *drained_at.get_or_insert(now + self.limits.drain);
                if until <= now {
                    break true;
                }
            }
            // After all decisions, so that a report never delays a kill.
            if report_at.is_none_or(|report_at| report_at <= now) {
                report_at = progress.report(bytes, now);
            }
            let wake = [self.terminate_at(), self.kill_at(), drained_at, report_at].into_iter().flatten().min();
            // The only wait of the shim: for a signal, output, the end of the starter, or the next of these times.
            let ready = self.poll(output.as_ref(), wake)?;
            look_for_ends = ready.signals;
            if ready.signals {
                while let Some(signalled) = syscalls::next_signal(self.signals.as_fd()) {
                    self.obey(&signalled);
                }
            }
            // Only a shim with `die_with_parent` watches its starter.
            if ready.starter {
                self.starter = None;
                self.ask_to_stop(Some(self.limits.grace));
            }
            if ready.output
                && let Some(pipe) = &mut output
            {
                match pipe.read(&mut buffer) {
                    Ok(0) => output = None,
                    Ok(count) => {
                        bytes += count as u64;
                        log.write(&buffer[..count]);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => output = None,
                }
            }
        };
        drop(output);
        self.kill_rest();
        let stopped = !matches!(self.stop, Stop::NotAsked);
        let (cpu, left) = (self.cpu, self.left);
        let kept = log.finish();
        let end = self.leader_end.unwrap_or_else(|| LeaderEnd::unknown(Instant::now()));
        Ok(End {
            status: end.status,
            ended: end.at,
            output_bytes: bytes,
            dropped_bytes: bytes - kept,
            leaked,
            stopped,
            left,
            cpu,
            peak_memory: end.peak_memory,
            progress,
        })
    }

    /// Waits until something happens, or until `wake`.
    fn poll(&self, output: Option<&PipeReader>, wake: Option<Instant>) -> io::Result<Ready> {
        // A file that is not there is asked about by one that is, for nothing.
        let none = PollFlags::empty();
        let signals = self.signals.as_fd();
        let mut polled = [
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            match output {
                Some(output) => PollFd::new(output, PollFlags::IN),
                None => PollFd::from_borrowed_fd(signals, none),
            },
            match self.starter {
                Some(starter) => PollFd::new(starter, none),
                None => PollFd::from_borrowed_fd(signals, none),
            },
        ];
        let timeout = wake.map(|wake| {
            let wait = wake.saturating_duration_since(Instant::now());
            Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: wait.subsec_nanos().into() }
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [signals, output_ready, starter] = polled.map(|polled| !polled.revents().is_empty());
        Ok(Ready { signals, output: output.is_some() && output_ready, starter: self.starter.is_some() && starter })
    }

    /// Reaps the children that have ended. The leader's group is signalled while the leader is still a zombie: until it is
    /// reaped, its number cannot be another group's.
    fn reap(&mut self) {
        while self.leader_end.is_none() {
            match syscalls::first_ended() {
                None => return,
                Some(pid) if pid == self.leader => {
                    let at = Instant::now();
                    if !matches!(self.stop, Stop::Asked { .. }) {
                        // What has another user stays, and is found later by where it comes from.
                        kill_process_group(pid, Signal::KILL).ok();
                    }
                    if matches!(self.stop, Stop::Asked { .. }) {
                        // Its group may have got SIGINT only, which background jobs of a shell ignore.
                        if self.terminate_at().is_some() {
                            self.terminate_group();
                        }
                        // What has left that was spared, as the leader may have had it end
                        // in good order; now it is to end by itself.
                        terminate_but(self.leader);
                    }
                    self.leader_end = Some(match wait4(pid) {
                        Ok(reaped) => {
                            self.cpu += reaped.cpu;
                            LeaderEnd::of(&reaped, at)
                        }
                        Err(_) => LeaderEnd::unknown(at),
                    });
                }
                Some(pid) => match wait4(pid) {
                    Ok(reaped) => self.cpu += reaped.cpu,
                    Err(_) => return,
                },
            }
        }
        let cpu = &mut self.cpu;
        self.alone = !reap_all(|_, reaped| *cpu += reaped.cpu);
    }

    fn obey(&mut self, signalled: &Signalled) {
        match (signalled.signal, signalled.value) {
            (orders::STOP, Some(value)) => self.ask_to_stop(orders::grace(value)),
            (orders::STOP | libc::SIGTERM, _) => self.ask_to_stop(Some(self.limits.grace)),
            (libc::SIGTSTP, _) => self.suspend(true),
            (libc::SIGCONT, _) => self.suspend(false),
            _ => {}
        }
    }

    /// Requests the end of the command; `None` is a grace without end.
    fn ask_to_stop(&mut self, grace: Option<Duration>) {
        let kill_at = grace.and_then(|grace| Instant::now().checked_add(grace));
        match &mut self.stop {
            Stop::Killed => {}
            _ if grace == Some(Duration::ZERO) => self.kill(),
            Stop::Asked { kill_at: planned, .. } => *planned = (*planned).into_iter().chain(kill_at).min(),
            Stop::NotAsked => {
                let first_part = grace.filter(|_| self.limits.interrupt).map(|grace| grace / 2);
                let terminate_at = first_part.and_then(|part| Instant::now().checked_add(part));
                self.stop = Stop::Asked { terminate_at, kill_at };
                self.suspend(false);
                if self.leader_end.is_some() {
                    // Its group was killed.
                    terminate_but(self.leader);
                    return;
                }
                self.signal(if self.limits.interrupt { Signal::INT } else { Signal::TERM });
                // Processes that the command itself has suspended must receive it too.
                self.signal(Signal::CONT);
            }
        }
    }

    /// Sends SIGTERM, the second step after SIGINT.
    fn terminate_group(&mut self) {
        if let Stop::Asked { terminate_at, .. } = &mut self.stop {
            *terminate_at = None;
        }
        if self.leader_end.is_none() {
            self.signal(Signal::TERM);
            self.signal(Signal::CONT);
        }
    }

    fn terminate_at(&self) -> Option<Instant> {
        match self.stop {
            Stop::Asked { terminate_at, .. } => terminate_at,
            _ => None,
        }
    }

    /// Signals the command's group.
    fn signal(&self, signal: Signal) {
        // What is not there or has another user cannot be signalled.
        kill_process_group(self.leader, signal).ok();
        if rustix::process::getpgid(Some(self.leader)).is_ok_and(|group| group != self.leader) {
            kill_process(self.leader, signal).ok();
        }
    }

    fn suspend(&self, suspended: bool) {
        match self.cgroup {
            Some(cgroup) if cgroup.freeze(suspended).is_ok() => {}
            _ => descendants::suspend(suspended),
        }
    }

    fn kill_at(&self) -> Option<Instant> {
        match self.stop {
            Stop::Asked { kill_at, .. } => kill_at,
            _ => None,
        }
    }

    /// Whether processes that the leader has left have the rest of the grace.
    fn leaves_time(&self) -> bool {
        matches!(self.stop, Stop::Asked { .. }) && !self.alone
    }

    fn kill(&mut self) {
        self.stop = Stop::Killed;
        self.kill_rest();
    }

    /// Kills all processes that are left, the leader too.
    fn kill_rest(&mut self) {
        if self.alone {
            return;
        }
        let (leader, cpu, leader_end) = (self.leader, &mut self.cpu, &mut self.leader_end);
        self.left = kill_all(self.cgroup, self.signals, |pid, reaped| {
            *cpu += reaped.cpu;
            if pid == leader {
                *leader_end = Some(LeaderEnd::of(&reaped, Instant::now()));
            }
        });
        self.alone = self.left == 0;
    }
}

impl LeaderEnd {
    fn of(reaped: &Reaped, at: Instant) -> Self {
        let status = match reaped.status {
            ExitStatus::Code(code) => Status::Code { code },
            ExitStatus::Signal(signal) => Status::Signal { signal },
            _ => Status::Unknown,
        };
        Self { status, peak_memory: reaped.peak_memory, at }
    }

    fn unknown(at: Instant) -> Self {
        Self { status: Status::Unknown, peak_memory: 0, at }
    }
}

/// The files that are ready.
struct Ready {
    signals: bool,
    output: bool,
    starter: bool,
}
