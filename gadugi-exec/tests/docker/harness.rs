//! A folder with a Docker executor, for commands of one test.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use gadugi_core::executor::{ExecEnd, ExecRequest, RunningTask};
use gadugi_core::plan::Program;
use gadugi_core::{AttemptNo, Executor};
use gadugi_exec::docker::{Confinement, DockerExecutor, DockerSettings, Endpoint, Network};
use gadugi_test_support::commands;
pub(crate) use gadugi_test_support::commands::{command, printed};
use gadugi_test_support::docker::{Docker, ToolsImage};
use tempfile::TempDir;

pub(crate) const RUN: &str = "20261122-083355-k7q";

pub(crate) struct Harness {
    pub(crate) root: TempDir,
    pub(crate) docker: Docker,
    pub(crate) image: ToolsImage,
    pub(crate) executor: DockerExecutor,
    attempt: Cell<AttemptNo>,
}

/// The daemon of the machine, and commands without a network, which not every machine has to give.
pub(crate) fn settings(repository: &Path, environment: &[(&str, &str)]) -> DockerSettings {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let mut settings = DockerSettings::new(Endpoint::default(), repository.to_string_lossy(), environment);
    settings.confinement = Confinement { network: Network::None, ..Confinement::default() };
    settings
}

impl Harness {
    /// `None` where there is no daemon.
    pub(crate) fn new() -> Option<Self> {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut DockerSettings)) -> Option<Self> {
        let docker = Docker::of_machine()?;
        Some(Self::at(docker, change))
    }

    /// With a daemon of a test's own.
    pub(crate) fn at(docker: Docker, change: impl FnOnce(&mut DockerSettings)) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let image = docker.tools();
        let mut settings = settings(root.path(), &[]);
        change(&mut settings);
        fs::create_dir(root.path().join("work")).expect("a folder");
        Self { root, docker, image, executor: DockerExecutor::new(settings), attempt: Cell::new(AttemptNo::FIRST) }
    }

    /// An empty folder for a promise of the contract.
    pub(crate) fn scratch(&self) -> PathBuf {
        let scratch = self.root.path().join("scratch");
        fs::create_dir(&scratch).expect("a folder");
        scratch
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// An attempt of its own.
    pub(crate) fn request(&self, program: Program) -> ExecRequest {
        let number = self.attempt.replace(self.attempt.get().next());
        let files = self.root.path().join(format!("files-{number}"));
        fs::create_dir(&files).expect("a folder");
        let mut request = commands::request("fix-login", program, self.folder(), files);
        request.attempt.number = number;
        request.resources.image = Some(self.image.name().to_owned());
        request
    }

    pub(crate) fn argv(&self, argv: &[&str]) -> ExecRequest {
        self.request(commands::argv(argv))
    }

    pub(crate) fn script(&self, script: &str) -> ExecRequest {
        self.request(Program::Script(script.to_owned()))
    }

    pub(crate) async fn start(&self, request: &ExecRequest) -> Box<dyn RunningTask> {
        self.executor.start(request).await.unwrap_or_else(|error| panic!("it starts: {}", chain(&error)))
    }

    pub(crate) async fn end_of(&self, request: &ExecRequest) -> ExecEnd {
        self.start(request).await.wait().await.expect("its end is seen")
    }

    /// Runs a script that succeeds, and returns its output.
    pub(crate) async fn said(&self, script: &str) -> String {
        let request = self.script(script);
        let end = self.end_of(&request).await;
        let log = log(&request);
        assert!(end.status.success(), "{end:?}: {log}");
        log
    }

    /// The ids of the containers that this harness has made and that are there.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.docker.containers(&format!("gadugi.repo={}", self.root.path().display()))
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // Also after a test that has failed, and where its daemon is away.
        let label = format!("label=gadugi.repo={}", self.root.path().display());
        let listed = self.docker.command().args(["ps", "-aq", "--filter", &label]).output();
        for container in listed.iter().flat_map(|listed| listed.stdout.split(|byte| *byte == b'\n')) {
            let container = String::from_utf8_lossy(container).into_owned();
            self.docker.command().args(["rm", "-fv", &container]).output().ok();
        }
    }
}

pub(crate) fn log(request: &ExecRequest) -> String {
    String::from_utf8_lossy(&commands::log(request)).into_owned()
}

pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    gadugi_core::error_chain(error)
}
