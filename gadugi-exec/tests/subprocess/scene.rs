//! A folder with an executor, for commands of one test.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use gadugi_core::{
    AttemptNo, AttemptRef, ExecEnd, ExecError, ExecRequest, Executor, Phase, Program, Resources, RunningTask,
};
use gadugi_exec::{SubprocessExecutor, SubprocessSettings};
use tempfile::TempDir;

pub(crate) struct Scene {
    root: TempDir,
    pub(crate) executor: SubprocessExecutor,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: SubprocessSettings) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let scene = Self { root, executor: SubprocessExecutor::new(settings) };
        fs::create_dir(scene.folder()).expect("an empty folder");
        fs::create_dir(scene.files()).expect("an empty folder");
        scene
    }

    /// Where the commands work.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Where the executor keeps its files.
    pub(crate) fn files(&self) -> PathBuf {
        self.root.path().join("files")
    }

    pub(crate) fn request(&self, program: Program) -> ExecRequest {
        ExecRequest {
            run: "20261122-083355-k7q".parse().expect("a valid id"),
            attempt: AttemptRef { task: "fix-login".parse().expect("a valid id"), number: AttemptNo::FIRST },
            phase: Phase::Main,
            program,
            stdin: None,
            folder: self.folder(),
            env: BTreeMap::new(),
            secrets: Vec::new(),
            files: self.files(),
            resources: Resources::default(),
            mounts: Vec::new(),
            home: None,
            stop_signal: gadugi_core::StopSignal::default(),
        }
    }

    pub(crate) fn argv(&self, argv: &[&str]) -> ExecRequest {
        self.request(Program::Argv(argv.iter().map(|&word| word.to_owned()).collect()))
    }

    pub(crate) fn script(&self, script: &str) -> ExecRequest {
        self.request(Program::Script(script.to_owned()))
    }

    pub(crate) async fn start(&self, request: &ExecRequest) -> Box<dyn RunningTask> {
        self.executor.start(request).await.expect("the command starts")
    }

    pub(crate) async fn run(&self, request: &ExecRequest) -> ExecEnd {
        self.start(request).await.wait().await.expect("its end is seen")
    }

    /// Runs a command and returns its output.
    pub(crate) async fn print(&self, request: &ExecRequest) -> String {
        self.run(request).await;
        String::from_utf8(self.log()).expect("it prints text")
    }

    /// The error of a command that cannot be started, then its sources.
    pub(crate) async fn failure(&self, request: &ExecRequest) -> Vec<String> {
        let error: ExecError = match self.executor.start(request).await {
            Ok(_) => panic!("{:?} must not start", request.program),
            Err(error) => error,
        };
        let left: Vec<_> = fs::read_dir(self.files()).expect("the folder is there").collect();
        assert!(left.is_empty(), "a failed start leaves no files: {left:?}");
        let first: &dyn std::error::Error = &error;
        std::iter::successors(Some(first), |error| error.source()).map(ToString::to_string).collect()
    }

    pub(crate) fn log(&self) -> Vec<u8> {
        fs::read(self.files().join("output.log")).expect("the log is there")
    }

    /// Writes a file where the commands work.
    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).expect("the folder can be written");
    }
}

/// As a user's: with a `PATH`, and with a variable that is no command's business.
pub(crate) fn settings() -> SubprocessSettings {
    let path = std::env::var_os("PATH").expect("the tests are run with a PATH");
    let variables = [("PATH", path), ("LC_ALL", "C".into()), ("HOME", "/home/kana".into()), ("CANARY", "tweet".into())];
    SubprocessSettings::new(variables.map(|(name, value)| (OsString::from(name), value)))
}

/// Waits until a command has printed so many bytes.
pub(crate) async fn printed(task: &dyn RunningTask, bytes: u64) {
    let mut output = task.output().expect("its output is seen");
    output.wait_for(|&printed| printed >= bytes).await.expect("the output is open until it has come");
}
