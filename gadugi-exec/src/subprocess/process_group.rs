//! The first process of a command: it is watched until its end, signalled together with its group, and reaped.

use std::io;

use gadugi_core::executor::{ExecUsage, ExitStatus, StopSignal};
use rustix::io::Errno;
use rustix::process::{self, Pid, Signal, WaitId, WaitIdOptions};
use tokio::sync::watch;
#[cfg(target_os = "linux")]
use {
    crate::os::pidfd::has_ended, rustix::fd::AsFd, rustix::process::PidfdFlags, std::os::fd::OwnedFd,
    tokio::io::unix::AsyncFd,
};

use crate::os::syscalls;

/// The leader of a command's process group.
///
/// Its pid is used only while it cannot belong to another process: a child keeps it until
/// [`end`](Leader::end) reaps it, and for an adopted process a pidfd is asked first.
pub(super) struct Leader {
    pid: Pid,
    end_watch: EndWatch,
    kinship: Kinship,
}

/// The way in which its end is noticed.
enum EndWatch {
    #[cfg(target_os = "linux")]
    Pidfd(AsyncFd<OwnedFd>),
    /// A thread waits for it, where there are no pidfds, and sets this to true.
    Thread(watch::Receiver<bool>),
}

enum Kinship {
    /// A child of this process. A memory peak up to this many bytes is not its own.
    Child { inherited_memory: u64 },
    /// A child of another process.
    #[cfg(target_os = "linux")]
    Adopted,
}

/// The end of a leader.
pub(super) struct LeaderEnd {
    pub(super) status: ExitStatus,
    pub(super) usage: ExecUsage,
}

impl Leader {
    /// Takes a child that was just started as the leader of a group of its own. Kills it if it cannot be watched.
    pub(super) fn child(pid: Pid) -> io::Result<Self> {
        let kinship = Kinship::Child { inherited_memory: syscalls::own_peak_memory() };
        match EndWatch::of_child(pid) {
            Ok(end_watch) => Ok(Self { pid, end_watch, kinship }),
            Err(error) => {
                process::kill_process_group(pid, Signal::KILL).ok();
                syscalls::wait4(pid).ok();
                Err(error)
            }
        }
    }

    /// Takes a process that another one has started.
    #[cfg(target_os = "linux")]
    pub(super) fn adopted(pid: Pid, pidfd: OwnedFd) -> io::Result<Self> {
        Ok(Self { pid, end_watch: EndWatch::pidfd(pidfd)?, kinship: Kinship::Adopted })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended, without reaping it. Cancel-safe.
    pub(super) async fn exited(&self) -> io::Result<()> {
        match &self.end_watch {
            #[cfg(target_os = "linux")]
            EndWatch::Pidfd(pidfd) => pidfd.readable().await.map(|mut ready| ready.retain_ready()),
            EndWatch::Thread(ended) => {
                ended.clone().wait_for(|&ended| ended).await.map(drop).map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    /// Asks it and its group to stop, and resumes suspended processes so that the signal reaches them.
    pub(super) fn ask(&self, signal: StopSignal) -> io::Result<()> {
        self.signal(match signal {
            StopSignal::Interrupt => Signal::INT,
            _ => Signal::TERM,
        })?;
        self.signal(Signal::CONT)
    }

    /// Kills it and its group.
    pub(super) fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// To be called after its end: kills the rest of its group, while the pid is still taken and the group can be no other one,
    /// and then reaps it.
    pub(super) fn end(self) -> io::Result<LeaderEnd> {
        // Processes of another user cannot be killed; they show when they hold the output open.
        self.signal_group(Signal::KILL).ok();
        match self.kinship {
            Kinship::Child { inherited_memory } => match syscalls::wait4(self.pid) {
                Ok(reaped) => {
                    let peak_memory = Some(reaped.peak_memory).filter(|&peak| peak > inherited_memory);
                    let usage = ExecUsage { cpu: Some(reaped.cpu), peak_memory };
                    Ok(LeaderEnd { status: reaped.status, usage })
                }
                // This process ignores SIGCHLD, or another part of it waits for every child.
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(LeaderEnd::unknown()),
                Err(error) => Err(error),
            },
            #[cfg(target_os = "linux")]
            Kinship::Adopted => Ok(LeaderEnd::unknown()),
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        self.signal_group(signal)?;
        // A leader that has joined another group was not reached by this.
        if self.holds_its_pid() && process::getpgid(Some(self.pid)).is_ok_and(|group| group != self.pid) {
            gone_is_fine(self.signal_alone(signal))?;
        }
        Ok(())
    }

    fn signal_alone(&self, signal: Signal) -> rustix::io::Result<()> {
        match &self.end_watch {
            #[cfg(target_os = "linux")]
            EndWatch::Pidfd(pidfd) => process::pidfd_send_signal(pidfd.get_ref(), signal),
            EndWatch::Thread(_) => process::kill_process(self.pid, signal),
        }
    }

    fn signal_group(&self, signal: Signal) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let EndWatch::Pidfd(pidfd) = &self.end_watch {
            match syscalls::pidfd_signal_group(pidfd.get_ref().as_fd(), signal) {
                // Not known to this kernel, or kept from us by a filter of system calls.
                Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
                sent => return gone_is_fine(sent),
            }
        }
        if self.holds_its_pid() { gone_is_fine(process::kill_process_group(self.pid, signal)) } else { Ok(()) }
    }

    /// Whether the pid certainly is still that of this process.
    fn holds_its_pid(&self) -> bool {
        match self.kinship {
            // A child that is not reaped yet.
            Kinship::Child { .. } => {
                let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
                process::waitid(WaitId::Pid(self.pid), look).is_ok()
            }
            #[cfg(target_os = "linux")]
            Kinship::Adopted => match &self.end_watch {
                EndWatch::Pidfd(pidfd) => has_ended(pidfd.get_ref()).is_ok_and(|ended| !ended),
                EndWatch::Thread(_) => false,
            },
        }
    }
}

impl EndWatch {
    fn of_child(pid: Pid) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Ok(pidfd) = process::pidfd_open(pid, PidfdFlags::empty()) {
            return Self::pidfd(pidfd);
        }
        Self::thread(pid)
    }

    #[cfg(target_os = "linux")]
    fn pidfd(pidfd: OwnedFd) -> io::Result<Self> {
        syscalls::watch_end(pidfd).map(Self::Pidfd)
    }

    fn thread(pid: Pid) -> io::Result<Self> {
        let (ended, end) = watch::channel(false);
        let wait = move || {
            let until_end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while process::waitid(WaitId::Pid(pid), until_end).is_err_and(|error| error == Errno::INTR) {}
            ended.send_replace(true);
        };
        std::thread::Builder::new().name("gadugi-wait".to_owned()).stack_size(64 << 10).spawn(wait)?;
        Ok(Self::Thread(end))
    }
}

impl LeaderEnd {
    fn unknown() -> Self {
        Self { status: ExitStatus::Unknown, usage: ExecUsage::default() }
    }
}

/// A child that is not claimed yet. Dropped before [`claim`](Self::claim), it is killed with its group, so that a start which
/// is given up leaves nothing running.
pub(super) struct Unclaimed(Option<Leader>);

impl Unclaimed {
    pub(super) fn new(leader: Leader) -> Self {
        Self(Some(leader))
    }

    pub(super) fn claim(mut self) -> Leader {
        self.0.take().expect("cannot fail because only this method, which ends it, takes it")
    }
}

impl Drop for Unclaimed {
    /// Blocks until the killed child is gone.
    fn drop(&mut self) {
        if let Some(leader) = self.0.take() {
            leader.kill().ok();
            leader.end().ok();
        }
    }
}

fn gone_is_fine(sent: rustix::io::Result<()>) -> io::Result<()> {
    match sent {
        Err(Errno::SRCH) => Ok(()),
        other => other.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn group(script: &str) -> (Pid, Child) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdout(Stdio::piped());
        let child = command.spawn().expect("sh starts");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        (pid, child)
    }

    fn output(child: &mut Child) -> BufReader<std::process::ChildStdout> {
        BufReader::new(child.stdout.take().expect("a pipe"))
    }

    #[tokio::test]
    async fn where_there_are_no_pidfds_a_thread_sees_the_end() {
        let (pid, mut child) = group("sleep 1000 & echo ready; exec sleep 1000");
        let kinship = Kinship::Child { inherited_memory: 0 };
        let leader = Leader { pid, end_watch: EndWatch::thread(pid).expect("a thread starts"), kinship };
        let mut output = output(&mut child);
        output.read_line(&mut String::new()).expect("it speaks");
        leader.ask(StopSignal::Terminate).expect("it can be asked");
        leader.exited().await.expect("its end is seen");
        leader.exited().await.expect("its end is seen again");
        let end = leader.end().expect("it can be reaped");
        assert_eq!(end.status, ExitStatus::Signal(15));
        assert!(end.usage.peak_memory > Some(0));
        assert_eq!(output.read_line(&mut String::new()).expect("a pipe"), 0, "all of the group are gone");
    }

    #[tokio::test]
    async fn a_child_that_somebody_else_has_reaped_ends_in_a_way_that_nobody_knows() {
        let (pid, mut child) = group("exit 3");
        let leader = Leader::child(pid).expect("it can be watched");
        child.wait().expect("it ends");
        leader.exited().await.expect("its end is seen");
        leader.ask(StopSignal::Terminate).expect("there is nothing to ask");
        let end = leader.end().expect("there is nothing to reap");
        assert_eq!((end.status, end.usage), (ExitStatus::Unknown, ExecUsage::default()));
    }

    #[tokio::test]
    async fn a_child_that_nobody_claims_is_killed_with_its_group() {
        let (pid, mut child) = group("sleep 1000 & echo ready; exec sleep 1000");
        let mut output = output(&mut child);
        output.read_line(&mut String::new()).expect("it speaks");
        drop(Unclaimed::new(Leader::child(pid).expect("it can be watched")));
        assert_eq!(output.read_line(&mut String::new()).expect("a pipe"), 0, "all of the group are gone");
        assert!(child.try_wait().is_err(), "it has been reaped");
    }
}
