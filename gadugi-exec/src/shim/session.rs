//! The life of a shim, from its first step to its last.

use std::fs::File;
use std::io::{self, BufReader, PipeReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gadugi_core::crash_point;
use rustix::process;

use super::cgroup::Cgroup;
use super::command::{self, Failure};
use super::files::{CommandFiles, ReservedExit};
use super::orders;
use super::progress::Progress;
use super::record::{ExitRecord, FailedStep, ProcRecord, ProcessId, Started, Status, seconds};
use super::spec::{Begun, Spec};
use super::supervision::{Limits, Supervision};
use super::syscalls;
use crate::os::process_table;
use crate::os::syscalls::own_peak_memory;
use crate::output::capped_log::CappedLog;
use crate::output::capped_log::OutputCap;
use crate::output::sealed::seal;

/// Runs a shim. Returns the exit code of the process: 0 when the shim has done its part, whatever the command's end.
pub(super) fn run() -> i32 {
    match live() {
        Ok(()) => 0,
        // Its starter sees that no answer came, or that the end was not recorded.
        Err(_) => 1,
    }
}

fn live() -> io::Result<()> {
    // Its starter has blocked them for it already, so that no terminal's signal comes in between.
    syscalls::block_signals();
    // A starter that ignores SIGCHLD passes that on, and children would then be reaped without a status.
    syscalls::reset_dispositions();
    syscalls::close_inherited();
    syscalls::set_process_name(c"gadugi-shim");
    process::setsid().ok();
    let signals = syscalls::signalfd(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGTSTP, libc::SIGCONT, orders::STOP])?;
    // What has come so far was meant for the group of the starter.
    while syscalls::next_signal(signals.as_fd()).is_some() {}
    process::set_child_subreaper(Some(process::getpid()))?;
    crash_point("shim-begun");
    let mut starter = File::from(duplicate(io::stdin())?);
    // Unbuffered as far as it matters: nothing follows the spec.
    let spec = Spec::receive(BufReader::new(&mut starter))?;
    let status = File::from(duplicate(io::stdout())?);
    let starter = spec.die_with_parent.then(|| OwnedFd::from(starter));
    // By its own working folder it finds its files also when the repository is renamed.
    process::chdir(spec.files.path())?;
    Shim { signals, starter, status, files: CommandFiles::of(PathBuf::from("."), spec.phase), spec }.start()
}

/// Returns a duplicate of the file, closed on exec, so that its number is free for the command.
fn duplicate(place: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(place, 3)?)
}

struct Shim {
    signals: OwnedFd,
    /// Ends with the starter, if the command is to be stopped then.
    starter: Option<OwnedFd>,
    status: File,
    files: CommandFiles,
    spec: Spec,
}

/// A command whose program is executed.
struct Command {
    leader: process::Pid,
    output: PipeReader,
    cgroup: Option<Cgroup>,
    exit: ReservedExit,
    started: Instant,
}

/// A command that has not begun. Nothing of it runs.
enum NotStarted {
    /// A step failed: with the record of its end, after the start was recorded, else before.
    Failed(Failure, Option<ReservedExit>),
    /// Another start has won, or this one was made void.
    Refused,
}

impl From<Failure> for NotStarted {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure, None)
    }
}

impl Shim {
    fn start(mut self) -> io::Result<()> {
        // Standard input and output are the command's to fill, by the child; here they lead nowhere.
        let nowhere = File::options().read(true).write(true).open("/dev/null")?;
        for place in 0..3 {
            syscalls::put_in_place(nowhere.as_fd(), place)?;
        }
        let progress = Progress::open(self.files.progress(&self.spec.nonce));
        match self.fork_command() {
            Ok((command, begun)) => {
                crash_point("shim-command-started");
                // The command runs also when the starter has died.
                self.answer(&begun).ok();
                self.supervise(command, progress)
            }
            Err(NotStarted::Failed(Failure { step, errno }, exit)) => {
                if let Some(exit) = exit {
                    self.record(exit, &seal(&self.not_started(Status::NotStarted { step, errno }))?)?;
                }
                progress.finish(0);
                self.answer(&Begun::Failed { step, errno })
            }
            Err(NotStarted::Refused) => {
                progress.finish(0);
                self.answer(&Begun::Refused)
            }
        }
    }

    fn fork_command(&self) -> Result<(Command, Begun), NotStarted> {
        let exit = self.files.reserve_exit(&self.spec.nonce).map_err(Failure::at(FailedStep::Reserve))?;
        let (output, output_end) = io::pipe().map_err(Failure::at(FailedStep::Streams))?;
        // Before the fork, so that the child can be born into it.
        let mut cgroup = if self.spec.cgroups { Cgroup::make(&self.spec.nonce) } else { None };
        let (started, uptime) = (Instant::now(), process_table::uptime());
        let waiting = command::fork(&self.spec, &mut cgroup, output_end)?;
        crash_point("shim-command-forked");
        let (shim, leader) = (identify(process::getpid()), identify(waiting.pid()));
        let record = ProcRecord::Started(Started {
            run: self.spec.run.clone(),
            task: self.spec.task.clone(),
            attempt: self.spec.attempt,
            nonce: self.spec.nonce.clone(),
            boot: process_table::boot_id().unwrap_or_default().to_owned(),
            pid_namespace: process_table::pid_namespace().unwrap_or_default(),
            shim,
            leader,
            cgroup: cgroup.as_ref().map(Cgroup::record),
            uptime_seconds: seconds(uptime),
        });
        // The name decides between two starts of the same command, and makes this one known to later drivers. The child waits
        // until it is given.
        let linked = self.files.link_proc(self.spec.generation, &self.spec.nonce, &record);
        if !linked.map_err(Failure::at(FailedStep::Record))? {
            return Err(NotStarted::Refused);
        }
        crash_point("shim-proc-linked");
        match waiting.execute() {
            Ok(pid) => Ok((Command { leader: pid, output, cgroup, exit, started }, Begun::Started { shim, leader })),
            Err(failure) => Err(NotStarted::Failed(failure, Some(exit))),
        }
    }

    fn supervise(self, command: Command, progress: Progress) -> io::Result<()> {
        let Command { leader, output, cgroup, exit, started } = command;
        let cap = OutputCap { head: self.spec.head_bytes, tail: self.spec.tail_bytes };
        let log = self.spec.log.path().file_name().map(PathBuf::from).unwrap_or_default();
        let log = CappedLog::open(log, cap);
        let limits = Limits {
            grace: Duration::from_millis(self.spec.grace_ms),
            interrupt: self.spec.interrupt,
            drain: Duration::from_millis(self.spec.drain_ms),
        };
        syscalls::release_program_pages();
        let supervision = Supervision::new(leader, &self.signals, self.starter.as_ref(), cgroup.as_ref(), limits);
        let end = supervision.watch(output, log, progress)?;
        crash_point("shim-command-ended");
        // The child starts as a copy of the shim, so a peak that is not above the shim's says nothing about the command.
        let inherited_memory = own_peak_memory();
        let record = ExitRecord {
            nonce: self.spec.nonce.clone(),
            status: end.status,
            took_seconds: seconds(end.ended.duration_since(started)),
            output_bytes: end.output_bytes,
            dropped_bytes: end.dropped_bytes,
            leaked: end.leaked,
            stopped: end.stopped,
            cpu_seconds: Some(seconds(end.cpu)),
            peak_memory_bytes: Some(end.peak_memory).filter(|&peak| peak > inherited_memory),
            left_processes: (end.left > 0).then_some(end.left as u64),
        };
        let line = seal(&record)?;
        // To its starter, if that is still there: the only one to learn of it when the folder is gone.
        (&self.status).write_all(line.as_bytes()).ok();
        let recorded = self.record(exit, &line);
        end.progress.finish(end.output_bytes);
        recorded
    }

    /// Records the end.
    fn record(&self, mut exit: ReservedExit, line: &str) -> io::Result<()> {
        exit.write(line)?;
        crash_point("shim-exit-written");
        exit.link(&self.files.exit(self.spec.generation))?;
        crash_point("shim-exit-linked");
        Ok(())
    }

    fn answer(&mut self, begun: &Begun) -> io::Result<()> {
        let line = serde_json::to_string(begun)? + "\n";
        self.status.write_all(line.as_bytes())
    }

    fn not_started(&self, status: Status) -> ExitRecord {
        ExitRecord {
            nonce: self.spec.nonce.clone(),
            status,
            took_seconds: 0.0,
            output_bytes: 0,
            dropped_bytes: 0,
            leaked: false,
            stopped: false,
            cpu_seconds: None,
            peak_memory_bytes: None,
            left_processes: None,
        }
    }
}

fn identify(pid: process::Pid) -> ProcessId {
    ProcessId { pid: pid.as_raw_nonzero().get(), start: process_table::start_time(pid).unwrap_or_default() }
}
