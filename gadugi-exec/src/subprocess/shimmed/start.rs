//! Starts a shim, and through it a command.

use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use gadugi_core::crash_point;
use gadugi_core::executor::{CommandRef, ExecError, ExecRequest};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

use super::cleanup;
use super::prepare::{Prepared, Written};
use super::reattach::{Recovered, recover};
use super::token::ShimToken;
use super::watch::{StarterEnds, Traces, Watched};
use crate::os::process_table;
use crate::os::syscalls::watch_end;
use crate::output::sealed::{Content, read};
use crate::shim::record::{FailedStep, ProcRecord, StepError};
use crate::shim::spec::{Begun, Spec};
use crate::shim::{self, orders, syscalls};
use crate::subprocess::launch::explain;
use crate::subprocess::program::cannot_start;
use crate::subprocess::settings::{ShimProgram, SubprocessSettings};
use crate::subprocess::start_error::StartError;

/// A command that runs under a shim and is not claimed yet. Dropped before [`claim`](Self::claim), it is killed, so that a
/// start which is given up leaves nothing running.
pub(crate) struct Launched(Option<Watched>);

/// The result of a start.
pub(crate) enum Start {
    Launched(Launched),
    /// Another start of the same attempt has won, with this result.
    Won(Recovered),
}

impl Launched {
    pub(crate) fn claim(mut self) -> Watched {
        self.0.take().expect("cannot fail because only this method, which ends it, takes it")
    }
}

impl Drop for Launched {
    /// Blocks until the shim has cleared everything away.
    fn drop(&mut self) {
        if let Some(watched) = self.0.take() {
            // A shim that cannot be reached has ended.
            orders::stop(watched.shim.get_ref().as_fd(), Duration::ZERO).ok();
            watched.conclude(0);
        }
    }
}

/// Starts the command of `request`. After an error nothing runs, and no file is left.
///
/// Blocks; to be called within a runtime.
pub(crate) fn start(
    program: &ShimProgram,
    settings: &SubprocessSettings,
    request: ExecRequest,
) -> Result<Start, ExecError> {
    let prepared = Prepared::new(settings, request)?;
    let mut written = prepared.write()?;
    let lost = |source| cannot_start(&prepared.name, StartError::Shim { path: program.path().to_owned(), source });
    // Dropped before the files: they go when the shim has ended, and not before.
    let mut shim = StartingShim::spawn(program, settings, &prepared.request).map_err(lost)?;
    crash_point("shim-spawned");
    let begun = shim.send(&prepared.spec()).or_else(|error| {
        shim.await_end();
        // It was killed. A command that it had recorded may have run, so this was no failed start, and the end of that
        // command is not known.
        recorded(&prepared).ok_or(error)
    });
    // The command began a moment ago, so what has passed since then is not overstated.
    let began = process_table::uptime();
    match begun {
        Ok(Begun::Started { shim: id, leader }) => {
            let boot = process_table::boot_id().unwrap_or_default().to_owned();
            let token = ShimToken { leader, shim: id, boot, nonce: prepared.nonce };
            let traces = Traces { token, files: prepared.files, generation: prepared.generation };
            Ok(Start::Launched(shim.into_launched(traces, began, written)))
        }
        Ok(Begun::Failed { step, errno }) => {
            shim.await_end();
            // Nothing ran, so the records of it go too, and the command can be started anew.
            written.add([prepared.files.proc(prepared.generation), prepared.files.exit(prepared.generation)]);
            Err(failed(&prepared, step, io::Error::from_raw_os_error(errno)))
        }
        Ok(Begun::Refused) => {
            shim.await_end();
            // The script and the input belong to the start that has won.
            written.leave_to_winner();
            won(prepared)
        }
        Err(error) => {
            cleanup::tidy(&prepared.files, &prepared.nonce);
            Err(lost(error))
        }
    }
}

/// Returns the start that the shim has recorded, if it is this one.
fn recorded(prepared: &Prepared<'_>) -> Option<Begun> {
    match read(&prepared.files.proc(prepared.generation)) {
        Ok(Content::Sound(ProcRecord::Started(started))) if started.nonce == prepared.nonce => {
            Some(Begun::Started { shim: started.shim, leader: started.leader })
        }
        _ => None,
    }
}

/// Returns the error of a start that failed in this step of the shim.
fn failed(prepared: &Prepared<'_>, step: FailedStep, source: io::Error) -> ExecError {
    let Prepared { name, invocation, folder, .. } = prepared;
    match step {
        FailedStep::Exec | FailedStep::Folder => explain(source, name, &invocation.file, folder),
        step => ExecError::Start { program: name.clone(), source: Box::new(StepError { step, source }) },
    }
}

/// Finds the command of the start that was faster, if that one was not made void.
fn won(prepared: Prepared<'_>) -> Result<Start, ExecError> {
    let Prepared { name, request, files, generation, .. } = prepared;
    let proc = files.proc(generation);
    if !matches!(read(&proc), Ok(Content::Sound(ProcRecord::Started(_)))) {
        return Err(cannot_start(&name, StartError::Begun { path: proc }));
    }
    let ExecRequest { run, attempt, phase, .. } = request;
    let command = CommandRef { run, attempt, phase, files: files.folder().to_owned(), identity: None };
    let won = recover(&command, None).map(Start::Won);
    won.map_err(|error| ExecError::Start { program: name, source: Box::new(error) })
}

/// A shim that has not answered yet.
struct StartingShim {
    child: Reaped,
    /// Registered before there is a command, so that a command that runs can be followed in any case.
    pidfd: AsyncFd<OwnedFd>,
    input: Option<ChildStdin>,
    status: BufReader<ChildStdout>,
}

/// A child that is waited for when this is dropped: a shim that is not followed ends by itself, at the latest when its input
/// ends before the spec.
struct Reaped(Option<Child>);

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It fails when another part of this process has waited for every child.
            child.wait().ok();
        }
    }
}

impl StartingShim {
    fn spawn(program: &ShimProgram, settings: &SubprocessSettings, request: &ExecRequest) -> io::Result<Self> {
        let mut command = Command::new(program.path());
        // Its name and the second argument are for people who look at the list of processes.
        let named = format!("{}/{}/{}", request.run, request.attempt.task, request.attempt.number);
        command.arg0("gadugi-shim").arg(shim::ARGUMENT).arg(named).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        #[cfg(any(debug_assertions, feature = "crash-points"))]
        if let Some(wish) = settings.environment.get(std::ffi::OsStr::new(shim::CRASH_AT)) {
            command.env(shim::CRASH_AT, wish);
        }
        #[cfg(not(any(debug_assertions, feature = "crash-points")))]
        let _ = settings;
        // The child is born with them blocked, so a Ctrl-C that is meant for this process's group does not end
        // it before it has left that.
        let blocked = syscalls::block_signals();
        let spawned = command.spawn();
        blocked.restore();
        let mut child = spawned?;
        let input = child.stdin.take();
        let output = child.stdout.take();
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(watch_end) {
            Ok(pidfd) => {
                let status = BufReader::new(output.expect("cannot fail because it was piped"));
                Ok(Self { child: Reaped(Some(child)), pidfd, input, status })
            }
            Err(error) => {
                drop((input, Reaped(Some(child))));
                Err(error)
            }
        }
    }

    /// Sends the spec, and waits for the answer.
    fn send(&mut self, spec: &Spec) -> io::Result<Begun> {
        if let Some(input) = &self.input {
            spec.send(input)?;
        }
        // Kept open, its end is the end of this process, which the shim then takes for a request to stop.
        if !spec.die_with_parent {
            self.input = None;
        }
        let mut line = String::new();
        self.status.by_ref().take(4096).read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer"));
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits for a shim that is about to end, or has ended.
    fn await_end(&mut self) {
        self.input = None;
        self.child = Reaped(None);
    }

    /// Hands the shim over to be followed.
    fn into_launched(mut self, traces: Traces, began: Duration, written: Written) -> Launched {
        // It is reaped by its pidfd from here on.
        self.child.0 = None;
        let ends = StarterEnds { status: self.status, starter: self.input };
        Launched(Some(Watched::new(self.pidfd, traces, began, written.keep(), Some(ends))))
    }
}
