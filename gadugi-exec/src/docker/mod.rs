//! Runs commands in containers, by the API of a Docker daemon.
//!
//! A container is its own supervisor: the daemon and its shims keep it alive when the process that started it dies, and
//! keep its end and its output until they are asked for. The other records for finding a command again lie in the folder
//! of its attempt, see [`DockerExecutor`].

mod api;
mod collect;
mod container;
mod files;
mod limits;
mod reattach;
mod record;
mod settings;
mod start;
mod supervise;
mod task;
mod unstarted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gadugi_core::executor::{
    Capabilities, CommandRef, ExecError, ExecIdentity, ExecRequest, Reattached, RunningTask, Unusable,
};
use gadugi_core::plan::Program;
use gadugi_core::{Executor, RunId, TaskSpec};
use tokio::sync::{OnceCell, oneshot};
use tokio::time::Instant;
use tracing::{Instrument, debug};

pub use self::api::endpoint::{Endpoint, EndpointError};
pub use self::api::error::DockerError;
pub use self::api::images::{BuildOptions, PullProgress};
use self::api::programs::Programs;
use self::api::{Daemon, Unreachable};
pub use self::settings::{Confinement, DockerSettings, HOME, Network, PASSED_VARIABLES, Seccomp, User};
use self::task::DockerTask;
use crate::events;

/// The name of this executor in records.
const NAME: &str = "docker";

/// Time before a daemon that did not answer is asked again, so that many tasks wait for it only once.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Runs each command in a container of its own.
///
/// What is promised beyond [`Executor`]:
/// - **Confinement.** As [`Confinement`] says. Of this machine a command sees its folder, writable and at its own path, and
///   [`ExecRequest::mounts`]; a mount that would show it the daemon's socket is refused.
/// - **Image.** [`Resources::image`](gadugi_core::plan::Resources::image), which has to be there: nothing is fetched.
/// - **Environment.** The image's own, what [`PASSED_VARIABLES`] lets through, the task's variables, `GADUGI_RUN`,
///   `GADUGI_TASK`, `GADUGI_ATTEMPT`, and a [`HOME`], which is [`ExecRequest::home`], else in memory. Secrets, and what
///   [`DockerSettings::passed`] names, are written to the container's input when it begins, and stand in no description, no
///   file and no argument.
/// - **Shell.** A script, an input and a secret need a `sh` in the image. Everything else is executed as it is.
/// - **Output.** Taken as it comes, byte for byte; of a command that is executed without a shell in between, the two outputs
///   are taken by two pipes, and texts that are written to both at one moment may change places. Output that was printed
///   while no driver was running is taken from the daemon's log, which ends every output with a newline.
/// - **End.** The exit code is the daemon's: of a command that was ended by a signal it is 128 and the signal's number. When
///   it is [kept](ExecRequest::files), in `exit.json`, the container is removed, and not before. An end that the daemon
///   itself may have caused, when it was restarted, is [unknown](gadugi_core::executor::ExitStatus::Unknown).
/// - **Stop.** [`ExecRequest::stop_signal`], mostly `SIGTERM`, to the command's process group, and after the grace `SIGKILL`
///   to all of the container. The daemon counts the grace too, so that a stop is finished without this process.
/// - **Usage.** The last sample of the daemon, which sends one a second; none for a shorter command.
///
/// Files in [`ExecRequest::files`], with `check-` or `setup-` before the names of a check's: `container.json`, written
/// before a container is started; `process.json`, its first process as this machine sees it; `handover`, written before it
/// gets its secrets; `stop`, written before it is asked to stop; `exit.json`, written before it is removed; and the folder
/// `container` with its script and its input, while it runs.
///
/// Everything has to be called within a Tokio runtime with I/O and time enabled.
#[derive(Clone)]
pub struct DockerExecutor {
    shared: Arc<Shared>,
}

/// The state that all commands share.
struct Shared {
    settings: DockerSettings,
    daemon: OnceCell<Arc<Daemon>>,
    /// The time of the last wait without an answer.
    silent: Mutex<Option<Instant>>,
    programs: Programs,
}

impl DockerExecutor {
    /// Commands get their environment and their limits from `settings`. The daemon is not asked for anything yet.
    #[must_use]
    pub fn new(settings: DockerSettings) -> Self {
        let (daemon, silent) = (OnceCell::new(), Mutex::new(None));
        Self { shared: Arc::new(Shared { settings, daemon, silent, programs: Programs::default() }) }
    }
}

impl DockerExecutor {
    /// Whether the daemon has the image.
    ///
    /// # Errors
    /// [`DockerError`] when the daemon does not answer.
    pub async fn has_image(&self, image: &str) -> Result<bool, DockerError> {
        self.daemon().await?.has_image(image).await
    }

    /// Fetches an image from its registry, without logging in there. Dropping the future breaks it off; the layers that have
    /// come by then stay with the daemon.
    ///
    /// # Errors
    /// [`DockerError`] with the daemon's message.
    pub async fn pull(&self, image: &str, progress: impl FnMut(PullProgress)) -> Result<(), DockerError> {
        self.daemon().await?.pull(image, progress).await
    }

    /// Builds an image, by the builder of the daemon itself (not BuildKit). `line` gets the output of the build.
    ///
    /// # Errors
    /// [`DockerError`] with the build's message.
    pub async fn build(&self, options: BuildOptions, line: impl FnMut(&str)) -> Result<(), DockerError> {
        self.daemon().await?.build(options, line).await
    }

    async fn daemon(&self) -> Result<Arc<Daemon>, DockerError> {
        self.shared.daemon().await.map_err(DockerError::Daemon)
    }
}

impl std::fmt::Debug for DockerExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerExecutor").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Shared {
    /// Returns the daemon, to which a connection is made once.
    async fn daemon(&self) -> Result<Arc<Daemon>, Unusable> {
        let greet = || async {
            let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            if silent.is_some_and(|silent| silent.elapsed() < RETRY_INTERVAL) {
                return Err(Unreachable::Silent);
            }
            let greeted = Daemon::greet(&self.settings.endpoint, self.settings.starts_at_once).await;
            match &greeted {
                Ok(daemon) => debug!(endpoint = %self.settings.endpoint, daemon = daemon.id, "connected to Docker"),
                Err(error) => debug!(endpoint = %self.settings.endpoint, ?error, "Docker cannot be reached"),
            }
            if matches!(greeted, Err(Unreachable::Silent)) {
                *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            greeted.map(Arc::new)
        };
        let daemon = self.daemon.get_or_try_init(greet).await;
        daemon.map(Arc::clone).map_err(|unreachable| unreachable.into_unusable(&self.settings.endpoint))
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    fn name(&self) -> &str {
        NAME
    }

    async fn probe(&self) -> Result<(), Unusable> {
        let daemon = self.shared.daemon().await?;
        daemon.ping().await.map_err(|unreachable| unreachable.into_unusable(&self.shared.settings.endpoint))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolates: true, limits_resources: true, images: true, mounts: true, homes: true }
    }

    async fn accepts(&self, task: &TaskSpec) -> Result<(), Unusable> {
        let image = limits::image(task)?;
        limits::check_limits(&self.shared.settings.confinement, task)?;
        limits::check(&*self.shared.daemon().await?, task, image).await
    }

    fn terms(&self, task: &TaskSpec) -> Vec<(String, String)> {
        limits::of(&self.shared.settings.confinement, task)
    }

    async fn start(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
        let (sender, started) = oneshot::channel();
        let (shared, owned) = (Arc::clone(&self.shared), request.clone());
        // On a task of its own, which undoes the start when this future is dropped.
        let starting = async move {
            let is_wanted = || !sender.is_closed();
            let started = start::start(shared, &owned, &is_wanted).await.map(Unclaimed::new);
            // One that is not taken is undone when it is dropped.
            drop(sender.send(started));
        };
        tokio::spawn(starting.in_current_span());
        let started = started.await.unwrap_or_else(|_| Err(start::cannot_start(request, DockerError::ShutDown)));
        let started = started.map(|started| Box::new(started.claim()) as Box<dyn RunningTask>);
        events::started(&started);
        started
    }

    async fn running(&self, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
        reattach::running(&self.shared, command).await
    }

    async fn reattach(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        let found = reattach::reattach(&self.shared, command).await;
        events::reattached(&found);
        found
    }

    async fn left_by(&self) -> Result<BTreeSet<RunId>, ExecError> {
        collect::left_by(&self.shared).await
    }

    async fn collect(&self, runs: &BTreeMap<RunId, bool>) -> Result<Vec<String>, ExecError> {
        collect::collect(&self.shared, runs).await
    }
}

/// A command that was started and is not claimed yet. Dropping it kills it.
struct Unclaimed(Option<DockerTask>);

impl Unclaimed {
    fn new(task: DockerTask) -> Self {
        Self(Some(task))
    }

    fn claim(mut self) -> DockerTask {
        self.0.take().expect("cannot fail because it is taken here only, and this is dropped then")
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let (Some(task), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(task.undo());
        }
    }
}

/// Returns the name of a command in messages.
fn name_of(request: &ExecRequest) -> String {
    match &request.program {
        Program::Argv(argv) => argv.first().cloned().unwrap_or_default(),
        _ => files::SCRIPT.to_owned(),
    }
}
