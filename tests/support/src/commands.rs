//! Requests for real commands, and their output, as tests of executors need them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use gadugi_core::executor::{CommandRef, ExecIdentity, ExecRequest, RunningTask, StopSignal};
use gadugi_core::plan::{Program, Resources};
use gadugi_core::{AttemptNo, AttemptRef, Phase};

/// Returns a request for the first attempt of `task`, which works in `folder` and whose executor keeps its files in `files`.
///
/// # Panics
/// When `task` is no id.
#[must_use]
pub fn request(task: &str, program: Program, folder: PathBuf, files: PathBuf) -> ExecRequest {
    ExecRequest {
        run: "20261122-083355-k7q".parse().expect("a valid id"),
        attempt: AttemptRef { task: task.parse().expect("a valid id"), number: AttemptNo::FIRST },
        phase: Phase::Main,
        program,
        stdin: None,
        folder,
        env: BTreeMap::new(),
        secrets: Vec::new(),
        files,
        resources: Resources::default(),
        mounts: Vec::new(),
        home: None,
        stop_signal: StopSignal::default(),
    }
}

/// Returns the program with these arguments.
#[must_use]
pub fn argv(argv: &[&str]) -> Program {
    Program::Argv(argv.iter().map(|&word| word.to_owned()).collect())
}

/// Returns the reference by which another process finds the command of a request.
#[must_use]
pub fn command(request: &ExecRequest, identity: Option<&ExecIdentity>) -> CommandRef {
    CommandRef {
        run: request.run.clone(),
        attempt: request.attempt.clone(),
        phase: request.phase,
        files: request.files.clone(),
        identity: identity.cloned(),
    }
}

/// Returns the output of the command of a request so far.
#[must_use]
pub fn log(request: &ExecRequest) -> Vec<u8> {
    fs::read(request.files.join(request.phase.output_file())).unwrap_or_default()
}

/// Waits until a command has printed so many bytes.
///
/// # Panics
/// When it ends before.
pub async fn printed(task: &dyn RunningTask, bytes: u64) {
    let mut output = task.output().expect("its output is seen");
    output.wait_for(|&printed| printed >= bytes).await.expect("the output is open until it has come");
}
