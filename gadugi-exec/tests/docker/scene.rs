//! A folder with a Docker executor, for commands of one test.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use gadugi_core::{
    AttemptNo, AttemptRef, CommandRef, ExecEnd, ExecIdentity, ExecRequest, Executor, Phase, Program, Resources,
    RunningTask,
};
use gadugi_exec::docker::{Confinement, DockerExecutor, DockerSettings, Endpoint, Network};
use gadugi_test_support::docker::{Docker, ToolsImage};
use tempfile::TempDir;

pub(crate) const RUN: &str = "20261122-083355-k7q";

pub(crate) struct Scene {
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

impl Scene {
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

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// An attempt of its own.
    pub(crate) fn request(&self, program: Program) -> ExecRequest {
        let number = self.attempt.replace(self.attempt.get().next());
        let files = self.root.path().join(format!("files-{number}"));
        fs::create_dir(&files).expect("a folder");
        ExecRequest {
            run: RUN.parse().expect("a valid id"),
            attempt: AttemptRef { task: "fix-login".parse().expect("a valid id"), number },
            phase: Phase::Main,
            program,
            stdin: None,
            folder: self.folder(),
            env: BTreeMap::new(),
            secrets: Vec::new(),
            files,
            resources: Resources { image: Some(self.image.name().to_owned()), ..Resources::default() },
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

    /// The ids of the containers that this scene has made and that are there.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.docker.containers(&format!("gadugi.repo={}", self.root.path().display()))
    }
}

impl Drop for Scene {
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

/// Names the command of a request for another process.
pub(crate) fn command(request: &ExecRequest, identity: Option<&ExecIdentity>) -> CommandRef {
    CommandRef {
        run: request.run.clone(),
        attempt: request.attempt.clone(),
        phase: request.phase,
        files: request.files.clone(),
        identity: identity.cloned(),
    }
}

pub(crate) fn log(request: &ExecRequest) -> String {
    let bytes = fs::read(request.files.join(request.phase.output_file())).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until a command has printed so many bytes.
pub(crate) async fn printed(task: &dyn RunningTask, bytes: u64) {
    let mut output = task.output().expect("its output is seen");
    output.wait_for(|&printed| printed >= bytes).await.expect("the output is open until it has come");
}

pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    gadugi_core::error_chain(error)
}
