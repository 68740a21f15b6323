//! Requests to start a command, and references to one that was started.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::executor::end::ExecIdentity;
use crate::id::{AttemptRef, RunId};
use crate::mount::Mount;
use crate::plan::{Phase, Program, Resources};
use crate::signal::StopSignal;

/// A request to run one command of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecRequest {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRef,
    /// The phase of the command.
    pub phase: Phase,
    /// The program to execute.
    pub program: Program,
    /// Standard input; `None` is an empty one.
    pub stdin: Option<String>,
    /// Working folder.
    pub folder: PathBuf,
    /// Environment variables of the task, in addition to those that the executor passes on.
    pub env: BTreeMap<String, String>,
    /// Names of variables that the executor passes on from its caller and keeps out of everything that it writes.
    pub secrets: Vec<String>,
    /// An existing folder for the executor's own files of this attempt; the output is appended to
    /// [`Phase::output_file`] in it.
    pub files: PathBuf,
    /// Resources of its container.
    pub resources: Resources,
    /// Mounts for an executor with [`Capabilities::mounts`](crate::executor::Capabilities::mounts), besides
    /// [`folder`](Self::folder), which is always mounted, writable, at the same path. Other executors ignore them.
    pub mounts: Vec<Mount>,
    /// Writable home folder of the command for an executor with [`Capabilities::homes`](crate::executor::Capabilities::homes);
    /// `None` for an empty one that is removed with the command. Other executors ignore it.
    pub home: Option<PathBuf>,
    /// First signal of a stop.
    pub stop_signal: StopSignal,
}

/// A reference to a command that another process has started, or was about to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRef {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRef,
    /// The phase of the command.
    pub phase: Phase,
    /// [`ExecRequest::files`] of its start.
    pub files: PathBuf,
    /// Its identity; `None` where none is recorded, so that it may never have been started.
    pub identity: Option<ExecIdentity>,
}
