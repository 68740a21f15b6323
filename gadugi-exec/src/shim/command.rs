//! The child process that becomes the command.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{self, Pid, Signal};

use super::cgroup::Cgroup;
use super::record::FailedStep;
use super::spec::{Spec, Text};
use super::syscalls::{self, ExecArguments, Forked};
use crate::os::syscalls::wait4;

/// A failed step of a start.
pub(super) struct Failure {
    pub(super) step: FailedStep,
    pub(super) errno: i32,
}

impl Failure {
    pub(super) fn at(step: FailedStep) -> impl Fn(io::Error) -> Self {
        move |error| Self { step, errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

/// A child that waits for permission to execute its program. Dropping this kills it.
pub(super) struct Waiting {
    child: NewChild,
    go: PipeWriter,
    /// Closed empty when the program is executed.
    fault: PipeReader,
}

/// A child that is killed and reaped when this is dropped.
struct NewChild(Option<Pid>);

/// Everything that the child needs, made before the fork.
struct Plan {
    arguments: ExecArguments,
    folder: CString,
    stdin: File,
    output: PipeWriter,
    shim: Pid,
    go: PipeReader,
    fault: PipeWriter,
}

/// Makes the child of the command, the leader of a process group of its own, in the cgroup if one is given.
pub(super) fn fork(spec: &Spec, cgroup: &mut Option<Cgroup>, output: PipeWriter) -> Result<Waiting, Failure> {
    let streams = Failure::at(FailedStep::Streams);
    let path = spec.stdin.as_ref().map_or_else(|| "/dev/null".into(), Text::path);
    let stdin = File::open(path).map_err(&streams)?;
    let (go_end, go) = io::pipe().map_err(&streams)?;
    let (fault, fault_end) = io::pipe().map_err(&streams)?;
    let plan = Plan {
        arguments: arguments(spec).map_err(Failure::at(FailedStep::Exec))?,
        folder: c_string(&spec.folder.0).map_err(Failure::at(FailedStep::Folder))?,
        stdin,
        output,
        shim: process::getpid(),
        go: go_end,
        fault: fault_end,
    };
    let child = match fork_into(cgroup).map_err(Failure::at(FailedStep::Fork))? {
        Forked::Parent { child } => child,
        Forked::Child => {
            // Else the child itself would hold the pipe open that it waits on.
            drop(go);
            plan.carry_out()
        }
    };
    // Parent and child both do this, so that the group is there before either goes on.
    process::setpgid(Some(child), Some(child)).ok();
    Ok(Waiting { child: NewChild(Some(child)), go, fault })
}

/// Forks into the cgroup if the system can do that, else moves the child there, or goes without a cgroup.
fn fork_into(cgroup: &mut Option<Cgroup>) -> io::Result<Forked> {
    if let Some(own) = cgroup {
        if let Some(folder) = own.birthplace()
            && let Ok(forked) = syscalls::fork(Some(folder))
        {
            return Ok(forked);
        }
        return match syscalls::fork(None)? {
            Forked::Parent { child } => {
                // The child waits for permission, so it has no children yet.
                if own.take(child).is_err() {
                    *cgroup = None;
                }
                Ok(Forked::Parent { child })
            }
            Forked::Child => Ok(Forked::Child),
        };
    }
    syscalls::fork(None)
}

impl Waiting {
    pub(super) fn pid(&self) -> Pid {
        self.child.0.expect("cannot fail because only `execute`, which ends this, takes it")
    }

    /// Lets the child execute its program, and returns when it has.
    pub(super) fn execute(mut self) -> Result<Pid, Failure> {
        let lost = Failure::at(FailedStep::Exec);
        let pid = self.pid();
        self.go.write_all(b"!").map_err(&lost)?;
        let mut fault = Vec::new();
        self.fault.read_to_end(&mut fault).map_err(&lost)?;
        let Some((&step, errno)) = fault.split_first() else {
            self.child.0 = None;
            return Ok(pid);
        };
        let errno = errno.try_into().map_or(libc::EIO, i32::from_ne_bytes);
        let step = if step == FOLDER { FailedStep::Folder } else { FailedStep::Exec };
        Err(Failure { step, errno })
    }
}

impl Drop for NewChild {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            process::kill_process(pid, Signal::KILL).ok();
            wait4(pid).ok();
        }
    }
}

const FOLDER: u8 = 1;
const EXEC: u8 = 2;

impl Plan {
    /// Runs in the child.
    fn carry_out(mut self) -> ! {
        process::setpgid(None, None).ok();
        // A kill of the shim kills at least the first process of the command, without any other help.
        process::set_parent_process_death_signal(Some(Signal::KILL)).ok();
        if process::getppid() == Some(self.shim) && self.go.read_exact(&mut [0]).is_ok() {
            let (step, error) = self.become_command();
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            // Without it the shim would take the program for started, and see it end with 127.
            self.fault.write_all(&[&[step][..], &errno.to_ne_bytes()].concat()).ok();
        }
        syscalls::exit_child()
    }

    fn become_command(&self) -> (u8, io::Error) {
        if let Err(error) = process::chdir(&self.folder) {
            return (FOLDER, error.into());
        }
        let output = self.output.as_fd();
        let places: [(BorrowedFd<'_>, _); 3] = [(self.stdin.as_fd(), 0), (output, 1), (output, 2)];
        for (file, place) in places {
            if let Err(error) = syscalls::put_in_place(file, place) {
                return (EXEC, error);
            }
        }
        syscalls::reset_signals();
        // A file that was written a moment ago is still open for writing in a child that a thread of its
        // writer has made in the meantime and that has not executed its own program yet: a matter of
        // milliseconds.
        let mut busy = 0;
        loop {
            let error = self.arguments.exec();
            if error.kind() != io::ErrorKind::ExecutableFileBusy || busy == 10 {
                return (EXEC, error);
            }
            busy += 1;
            sleep(Duration::from_millis(busy));
        }
    }
}

fn arguments(spec: &Spec) -> io::Result<ExecArguments> {
    let argv = spec.argv.iter().map(|argument| c_string(&argument.0)).collect::<io::Result<_>>()?;
    let variable = |(name, value): &(Text, Text)| c_string(&[&name.0[..], b"=", &value.0].concat());
    let env = spec.env.iter().map(variable).collect::<io::Result<_>>()?;
    Ok(ExecArguments::new(c_string(&spec.program.0)?, argv, env))
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
