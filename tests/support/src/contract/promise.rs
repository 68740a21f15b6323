//! One promise under test.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::executor::{ExecEnd, ExecRequest, RunningTask};
use gadugi_core::plan::Program;
use gadugi_core::{AttemptNo, Executor};

use crate::commands;

/// Awaits a promise.
pub(super) async fn within_a_minute(promise: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), promise).await.expect("each promise is kept within a minute");
}

/// A folder for one promise, with a folder to work in and one for the executor's files of each attempt.
pub(super) struct Promise<'a> {
    name: &'static str,
    pub(super) executor: &'a dyn Executor,
    pub(super) scratch: PathBuf,
    /// Each request is an attempt of its own: no command is started twice.
    attempt: Cell<AttemptNo>,
}

impl<'a> Promise<'a> {
    pub(super) fn new(name: &'static str, executor: &'a dyn Executor, scratch: &Path) -> Self {
        Self { name, executor, scratch: scratch.join(name), attempt: Cell::new(AttemptNo::FIRST) }
    }

    pub(super) fn request(&self, program: Program) -> ExecRequest {
        let number = self.attempt.replace(self.attempt.get().next());
        let (folder, files) = (self.scratch.join("work"), self.scratch.join(number.to_string()));
        fs::create_dir_all(&folder).expect("the scratch folder can be written");
        fs::create_dir_all(&files).expect("the scratch folder can be written");
        let mut request = commands::request(self.name, program, folder, files);
        request.attempt.number = number;
        request
    }

    pub(super) fn argv(&self, argv: &[&str]) -> ExecRequest {
        self.request(commands::argv(argv))
    }

    pub(super) fn script(&self, script: &str) -> ExecRequest {
        self.request(Program::Script(script.to_owned()))
    }

    pub(super) async fn start(&self, request: &ExecRequest) -> Box<dyn RunningTask> {
        match self.executor.start(request).await {
            Ok(task) => task,
            Err(error) => panic!("{}: the command starts: {error}", self.name),
        }
    }

    /// Starts the command, and waits until it has printed so many bytes.
    pub(super) async fn start_until(&self, request: &ExecRequest, bytes: u64) -> Box<dyn RunningTask> {
        let task = self.start(request).await;
        commands::printed(&*task, bytes).await;
        task
    }

    pub(super) async fn end_of(&self, request: &ExecRequest) -> ExecEnd {
        let task = self.start(request).await;
        task.wait().await.unwrap_or_else(|error| panic!("{}: its end is seen: {error}", self.name))
    }

    /// Writes an empty file in the folder of the commands, which some of them wait for.
    pub(super) fn touch(&self, name: &str) {
        fs::write(self.scratch.join("work").join(name), "").expect("the scratch folder can be written");
    }
}
