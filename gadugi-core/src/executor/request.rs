//! Requests to start a command, and references to one that was started.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::executor::end::ExecIdentity;
use crate::id::{AttemptRef, RunId};
use crate::mount::Mount;
use crate::plan::{Phase, Program, Resources};
use crate::signal::StopSignal;

/// Everything that an executor needs to run one command of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecRequest {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRef,
    /// Which of the attempt's commands this is.
    pub phase: Phase,
    /// What is executed.
    pub program: Program,
    /// What the command reads; `None` is the end of file at once.
    pub stdin: Option<String>,
    /// The folder that it works in.
    pub folder: PathBuf,
    /// Variables that the task names, beside those that the executor lets through.
    pub env: BTreeMap<String, String>,
    /// Names of variables that the executor passes on from its caller and keeps out of everything it
    /// writes itself.
    pub secrets: Vec<String>,
    /// A folder that exists, for the executor's own files of this attempt; the output goes to
    /// [`Phase::output_file`] in it, appended as it comes.
    pub files: PathBuf,
    /// What a container gets.
    pub resources: Resources,
    /// What an executor with [`Capabilities::mounts`] shows the command of this machine, besides [`folder`](Self::folder),
    /// which it may always write, at the same path. Others need not look at it.
    pub mounts: Vec<Mount>,
    /// A folder of this machine that an executor with [`Capabilities::homes`] gives the command as its home folder, to write
    /// in; `None` for an empty one that goes with the command. Others need not look at it.
    pub home: Option<PathBuf>,
    /// The signal by which it is asked to stop first.
    pub stop_signal: StopSignal,
}

/// A command that some process has started, or was about to start: what [`Executor::reattach`] looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRef {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRef,
    /// Which of the attempt's commands.
    pub phase: Phase,
    /// [`ExecRequest::files`] of its start.
    pub files: PathBuf,
    /// Its identity; `None` when nobody has recorded one, so that it may never have been started.
    pub identity: Option<ExecIdentity>,
}
