//! Finds a command of another process again, by the records of its shim.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{PathBuf, absolute};
use std::time::Duration;

use gadugi_core::executor::{CommandRef, ExecEnd, ExecError, Reattached, RunningTask};
use rustix::process::Pid;
use thiserror::Error;

use super::cleanup;
use super::task::ShimmedTask;
use super::token::ShimToken;
use super::watch::{Traces, Watched, open_progress};
use crate::os::syscalls::watch_end;
use crate::os::{nonce, pidfd, process_table};
use crate::output::sealed::{Content, Unsound, read};
use crate::shim::files::CommandFiles;
use crate::shim::record::{ExitRecord, ProcRecord, ProcessId, Started, Status, StepError, duration};
use crate::subprocess::program::cannot_start;
use crate::subprocess::start_error::StartError;

/// The state in which a command is found.
pub(crate) enum Recovered {
    Runs(Box<Watched>),
    Ended(ShimToken, ExecEnd),
    NotStarted { command: String, fault: StepError },
    NeverStarted,
    Gone(&'static str),
}

/// The state of a command cannot be determined. Nothing was changed.
#[derive(Debug, Error)]
pub(crate) enum ReattachError {
    #[error("cannot use {}", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} was written by a newer version", .path.display())]
    TooNew { path: PathBuf },
    #[error(
        "it runs, or has run, where its processes cannot be seen from here: in another PID namespace (a container). Look from there; \
         if that is gone for good, root outside of it can tell, or `gadugi stop --forget` gives the run up"
    )]
    Elsewhere,
    #[error("cannot look for its processes")]
    Processes(#[source] io::Error),
}

impl Recovered {
    /// Returns the handle on the command. To be called within a runtime.
    pub(crate) fn into_reattached(self) -> Result<Reattached, ExecError> {
        Ok(match self {
            Self::Runs(watched) => Reattached::Found(Box::new(ShimmedTask::supervise(*watched))),
            Self::Ended(token, end) => Reattached::Found(Box::new(ShimmedTask::ended(token, end))),
            Self::NotStarted { command, fault } => {
                return Err(ExecError::Start { program: command, source: Box::new(fault) });
            }
            Self::NeverStarted => Reattached::NeverStarted,
            Self::Gone(why) => Reattached::Gone { why: why.to_owned() },
        })
    }
}

impl Recovered {
    /// Returns the task of the start that has won over another one. To be called within a runtime.
    pub(crate) fn into_started(self, name: &str) -> Result<Box<dyn RunningTask>, ExecError> {
        match self.into_reattached()? {
            Reattached::Found(task) => Ok(task),
            _ => Err(cannot_start(name, StartError::Lost)),
        }
    }
}

/// Whether the command runs, or its shim is still busy with it.
pub(crate) fn is_running(token: &ShimToken) -> io::Result<bool> {
    if process_table::boot_id() != Some(&*token.boot) {
        return Ok(false);
    }
    Ok(open(token.shim)?.is_some() || open(token.leader)?.is_some())
}

/// The place of a command's processes, relative to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    /// Visible to this process.
    Here,
    /// In an earlier boot, or in a PID namespace that is gone: nothing of it runs.
    Nowhere,
    /// In a PID namespace that may still exist.
    Elsewhere,
}

impl Whereabouts {
    fn of(started: &Started) -> Self {
        let namespace = started.pid_namespace;
        if process_table::boot_id() != Some(&*started.boot) {
            Self::Nowhere
        } else if process_table::pid_namespace().is_none_or(|own| own == namespace) {
            Self::Here
        } else if process_table::is_pid_namespace_gone(namespace, started.shim.start) {
            Self::Nowhere
        } else {
            Self::Elsewhere
        }
    }
}

fn open(process: ProcessId) -> io::Result<Option<OwnedFd>> {
    match Pid::from_raw(process.pid) {
        Some(pid) => pidfd::open(pid, process.start),
        None => Ok(None),
    }
}

/// Returns the token of a command that runs, or whose shim is still busy with it. Changes nothing.
pub(crate) fn inspect(command: &CommandRef, token: Option<ShimToken>) -> Result<Option<ShimToken>, ReattachError> {
    let files = CommandFiles::of(command.files.clone(), command.phase);
    let token = match (token, files.newest()) {
        (None, Ok((_, Content::Sound(ProcRecord::Started(started))))) => visible(&started)?,
        (Some(token), Ok((_, Content::Sound(ProcRecord::Started(started))))) if token.nonce == started.nonce => {
            visible(&started)?
        }
        (Some(token), _) => Some(token),
        (None, Ok((_, Content::Sound(ProcRecord::Aborted) | Content::Absent))) => return Ok(None),
        (None, Ok((generation, Content::Unsound(unsound)))) => {
            let path = files.proc(generation);
            return Err(match unsound {
                Unsound::TooNew => ReattachError::TooNew { path },
                Unsound::Damaged => ReattachError::File { path, source: io::ErrorKind::InvalidData.into() },
            });
        }
        (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        (None, Err(source)) => return Err(ReattachError::File { path: files.folder().to_owned(), source }),
    };
    let Some(token) = token else { return Ok(None) };
    Ok(is_running(&token).map_err(ReattachError::Processes)?.then_some(token))
}

/// Returns the token of a recorded command, if its processes are visible from here; `None` when it certainly has none.
fn visible(started: &Started) -> Result<Option<ShimToken>, ReattachError> {
    match Whereabouts::of(started) {
        Whereabouts::Here => Ok(Some(ShimToken::of(started))),
        Whereabouts::Nowhere => Ok(None),
        Whereabouts::Elsewhere => Err(ReattachError::Elsewhere),
    }
}

/// Determines the state of a command. Blocks; to be called within a runtime.
pub(crate) fn recover(command: &CommandRef, token: Option<ShimToken>) -> Result<Recovered, ReattachError> {
    let folder = absolute(&command.files);
    let folder = folder.map_err(|source| ReattachError::File { path: command.files.clone(), source })?;
    let files = CommandFiles::of(folder, command.phase);
    let unusable = |source| ReattachError::File { path: files.folder().to_owned(), source };
    loop {
        let (generation, content) = files.newest().map_err(unusable)?;
        let sought = |token| Sought {
            command,
            traces: Traces { token, files: files.clone(), generation },
            whereabouts: None,
            began: None,
        };
        match (content, &token) {
            (Content::Unsound(Unsound::TooNew), _) => {
                return Err(ReattachError::TooNew { path: files.proc(generation) });
            }
            // Without an identity, the newest recorded start is the command.
            (Content::Sound(ProcRecord::Started(started)), None) => return Sought::recorded(sought, &started).find(),
            (Content::Sound(ProcRecord::Started(started)), Some(token)) if token.nonce == started.nonce => {
                return Sought::recorded(sought, &started).find();
            }
            // It was started, and the record of it is damaged or was removed.
            (_, Some(token)) => return sought(token.clone()).find(),
            // A start that is not known by any name may run: it is found by its environment, and killed.
            (Content::Unsound(Unsound::Damaged), None) => {
                cleanup::sweep(&variables(command));
                return Ok(Recovered::Gone("the record of its start is damaged"));
            }
            (content @ (Content::Sound(ProcRecord::Aborted) | Content::Absent), None) => {
                // Also after a start that was made void, another may be under way.
                let open = if content == Content::Absent { generation } else { generation + 1 };
                if files.link_proc(open, &nonce::text(), &ProcRecord::Aborted).map_err(unusable)? {
                    // A start that is still under way finds the name taken, and fails. The files of failed starts go.
                    for nonce in files.leftover_nonces().unwrap_or_default() {
                        cleanup::tidy(&files, &nonce);
                    }
                    return Ok(Recovered::NeverStarted);
                }
            }
        }
    }
}

/// Returns the variables that every start of the command has in its environment.
fn variables(command: &CommandRef) -> [String; 3] {
    [
        format!("GADUGI_RUN={}", command.run),
        format!("GADUGI_TASK={}", command.attempt.task),
        format!("GADUGI_ATTEMPT={}", command.attempt.number),
    ]
}

/// A command that was started, and is looked for.
struct Sought<'a> {
    command: &'a CommandRef,
    traces: Traces,
    /// The place of its processes, if recorded.
    whereabouts: Option<Whereabouts>,
    began: Option<Duration>,
}

impl<'a> Sought<'a> {
    fn recorded(sought: impl Fn(ShimToken) -> Self, started: &Started) -> Self {
        Self {
            whereabouts: Some(Whereabouts::of(started)),
            began: Some(duration(started.uptime_seconds)),
            ..sought(ShimToken::of(started))
        }
    }

    fn find(self) -> Result<Recovered, ReattachError> {
        let is_of_this_boot = process_table::boot_id() == Some(&*self.traces.token.boot);
        let default = if is_of_this_boot { Whereabouts::Here } else { Whereabouts::Nowhere };
        let whereabouts = self.whereabouts.unwrap_or(default);
        let shim = match whereabouts {
            Whereabouts::Here => open(self.traces.token.shim).map_err(ReattachError::Processes)?,
            Whereabouts::Nowhere | Whereabouts::Elsewhere => None,
        };
        if let Some(shim) = shim {
            let began = self.began.unwrap_or_else(process_table::uptime);
            let progress = open_progress(&self.traces.files.progress(&self.traces.token.nonce));
            let shim = watch_end(shim).map_err(ReattachError::Processes)?;
            let watched = Watched::new(shim, self.traces, began, progress, None);
            return Ok(Recovered::Runs(Box::new(watched)));
        }
        // Read after it was seen that the shim has ended, so that nothing can be written any more.
        let path = self.traces.files.exit(self.traces.generation);
        let exit = read(&path).map_err(|source| ReattachError::File { path: path.clone(), source })?;
        let why = match exit {
            Content::Sound(exit) => {
                let exit: ExitRecord = exit;
                if exit.nonce == self.traces.token.nonce {
                    cleanup::tidy(&self.traces.files, &exit.nonce);
                    return Ok(self.ended(&exit));
                }
                "the record of its end belongs to another command"
            }
            Content::Unsound(Unsound::TooNew) => return Err(ReattachError::TooNew { path }),
            Content::Unsound(Unsound::Damaged) => "the record of its end is damaged",
            Content::Absent => "it ended, or was killed, without a record of how",
        };
        // There is no record of the end. What else is known depends on where its processes can be looked for.
        match whereabouts {
            Whereabouts::Here => {}
            Whereabouts::Elsewhere => return Err(ReattachError::Elsewhere),
            Whereabouts::Nowhere if !is_of_this_boot => {
                return Ok(Recovered::Gone("the machine was restarted while it ran"));
            }
            Whereabouts::Nowhere => {
                cleanup::tidy(&self.traces.files, &self.traces.token.nonce);
                return Ok(Recovered::Gone("the PID namespace (container) that it ran in is gone"));
            }
        }
        cleanup::clear_away(&self.traces.files, self.traces.generation, &self.traces.token);
        Ok(Recovered::Gone(why))
    }

    fn ended(self, exit: &ExitRecord) -> Recovered {
        match exit.status {
            Status::NotStarted { step, errno } => {
                let fault = StepError { step, source: io::Error::from_raw_os_error(errno) };
                Recovered::NotStarted { command: self.command.attempt.to_string(), fault }
            }
            _ => Recovered::Ended(self.traces.token, exit.end()),
        }
    }
}
