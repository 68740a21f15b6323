//! A folder with an executor, for commands of one test.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use gadugi_core::Executor;
use gadugi_core::executor::{ExecEnd, ExecError, ExecRequest, RunningTask};
use gadugi_core::plan::Program;
use gadugi_exec::{SubprocessExecutor, SubprocessSettings};
use gadugi_test_support::commands;
use tempfile::TempDir;

pub(crate) struct Harness {
    root: TempDir,
    pub(crate) executor: SubprocessExecutor,
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: SubprocessSettings) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let harness = Self { root, executor: SubprocessExecutor::new(settings) };
        fs::create_dir(harness.folder()).expect("an empty folder");
        fs::create_dir(harness.files()).expect("an empty folder");
        harness
    }

    /// Where the commands work.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Where the executor keeps its files.
    pub(crate) fn files(&self) -> PathBuf {
        self.root.path().join("files")
    }

    /// An empty folder for a promise of the contract.
    pub(crate) fn scratch(&self) -> PathBuf {
        let scratch = self.root.path().join("scratch");
        fs::create_dir(&scratch).expect("an empty folder");
        scratch
    }

    pub(crate) fn request(&self, program: Program) -> ExecRequest {
        commands::request("fix-login", program, self.folder(), self.files())
    }

    pub(crate) fn argv(&self, argv: &[&str]) -> ExecRequest {
        self.request(commands::argv(argv))
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
