//! Creates and starts the container of a command.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::container::AttachContainerResults;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{AttachContainerOptionsBuilder, CreateContainerOptionsBuilder};
use gadugi_core::crash_point;
use gadugi_core::executor::{ExecError, ExecRequest, StopSignal};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::api::error::{Certainty, DockerError};
use super::api::{Daemon, status};
use super::container::config::{Owner, Parts};
use super::container::entrypoint::Entry;
use super::container::{self, Condition, Container, home, labels};
use super::files::CommandFiles;
use super::record::{ContainerRecord, Unstarted};
use super::settings::Network;
use super::supervise::{AwaitedEnd, Connections};
use super::task::DockerTask;
use super::unstarted::{self, Removed};
use super::{Shared, name_of};
use crate::os::nonce;

/// Time for a container to read its secrets.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates and starts the container of a command. After an error nothing of it is left.
pub(super) async fn start(
    shared: Arc<Shared>,
    request: &ExecRequest,
    is_wanted: &(dyn Fn() -> bool + Send + Sync),
) -> Result<DockerTask, ExecError> {
    let prepared = Prepared::new(shared, request).await.map_err(|error| cannot_start(request, error))?;
    let started = match prepared.body().await {
        Ok(body) => prepared.start(body, is_wanted).await,
        Err(error) => Err(cannot_start(request, error)),
    };
    if started.is_err() {
        prepared.files.remove_shown();
    }
    started
}

/// A command whose container can be created: everything that it needs on this machine is there.
struct Prepared<'a> {
    shared: Arc<Shared>,
    daemon: Arc<Daemon>,
    request: &'a ExecRequest,
    image: String,
    nonce: String,
    entry: Entry,
    files: CommandFiles,
    /// The owner of the folder that the command works in.
    owner: Owner,
    /// The folder with the script and the input, for the container to see, if there is one.
    shown: Option<PathBuf>,
    /// Whether the daemon gives the container no network, and with it no names of hosts.
    has_no_network: bool,
}

impl<'a> Prepared<'a> {
    /// Refuses what cannot be started, and writes the files that the container is shown.
    async fn new(shared: Arc<Shared>, request: &'a ExecRequest) -> Result<Self, DockerError> {
        let daemon = shared.daemon().await.map_err(DockerError::Daemon)?;
        let image = request.resources.image.clone().ok_or(DockerError::NoImage)?;
        let nonce = nonce::text();
        let entry = Entry::of(&shared.settings, request, &nonce)?;
        refuse_socket(&shared, request)?;
        let files = CommandFiles::of(&request.files, request.phase).map_err(DockerError::file(&request.files))?;
        // Before anything is written: the files of an earlier start stay as they are.
        if let Some(earlier) = files.container()? {
            return Err(DockerError::StartedBefore { id: earlier.id });
        }
        let has_no_network = shared.settings.confinement.network == Network::None;
        let (owner, has_shown) = show(&files, request, has_no_network).await?;
        let shown = has_shown.then(|| files.shown());
        Ok(Self { shared, daemon, request, image, nonce, entry, files, owner, shown, has_no_network })
    }

    /// Returns the description of the container, and makes the home folder ready that it is shown.
    async fn body(&self) -> Result<ContainerCreateBody, DockerError> {
        let parts = Parts {
            settings: &self.shared.settings,
            daemon: &self.daemon,
            request: self.request,
            entry: &self.entry,
            image: &self.image,
            owner: self.owner,
            shown: self.shown.as_deref(),
            hosts: self.has_no_network.then(|| self.files.hosts()),
            nonce: &self.nonce,
        };
        prepare_home(&parts).await?;
        parts.body()
    }

    async fn start(
        &self,
        body: ContainerCreateBody,
        is_wanted: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<DockerTask, ExecError> {
        let given_up = || self.failed(DockerError::GivenUp);
        // Held until the container has started: more starts at once make each of them slower.
        let turn = self.daemon.starts.acquire().await;
        if !is_wanted() {
            return Err(given_up());
        }
        let id = self.create(body).await.map_err(|error| self.failed(error))?;
        crash_point("container-created");
        let container = Arc::new(self.container(id));
        let connected = match self.connect(&container).await {
            Ok(_) if !is_wanted() => Err(given_up()),
            connected => connected,
        };
        let started = match connected {
            Ok(connected) => self.run(&container, connected).await,
            Err(error) => {
                // Nothing was recorded, or asked for. One that stays is collected by its labels.
                container.remove(true).await.ok();
                Err(error)
            }
        };
        drop(turn);
        started.map(|(started, began)| match started {
            Started::Connected(connections) => DockerTask::supervise(container, Some(connections), began),
            Started::Reconnect => DockerTask::supervise(container, None, began),
            Started::Lost => DockerTask::may_have_begun(container, began),
        })
    }

    fn container(&self, id: String) -> Container {
        let record = ContainerRecord {
            instance: self.daemon.instance(),
            live_restore: self.daemon.live_restore,
            interrupt: self.request.stop_signal == StopSignal::Interrupt,
            ..ContainerRecord::named(id, self.nonce.clone(), self.daemon.id.clone())
        };
        Container::new(Arc::clone(&self.shared), Arc::clone(&self.daemon), record, self.files.clone())
    }

    fn failed(&self, error: DockerError) -> ExecError {
        cannot_start(self.request, error)
    }
}

/// The state of a command after its start.
enum Started {
    Connected(Connections),
    /// The daemon went away meanwhile, so that its output has to be asked for.
    Reconnect,
    /// The command may have begun, and nothing of it is left.
    Lost,
}

/// The connections to a container that was created: they are there before it is started, so that nothing of it is missed.
struct Connected {
    attached: AttachContainerResults,
    /// `None` where the end cannot be waited for yet.
    end: Option<AwaitedEnd>,
}

impl Prepared<'_> {
    /// Creates the container. The name is there once, so that nothing is started twice; a container of that name that was never
    /// started is replaced.
    async fn create(&self, body: ContainerCreateBody) -> Result<String, DockerError> {
        let client = &self.daemon.client;
        let name = labels::name(&self.shared.settings, self.request);
        let create = || {
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            client.create_container(Some(options), body.clone())
        };
        debug!(name, image = self.image, "creating a container");
        let failed = DockerError::request("create its container");
        match create().await {
            Ok(created) => Ok(created.id),
            Err(error) if status(&error) == Some(409) => {
                // Without force: one that runs belongs to another start, and stays.
                match container::remove(client, &name, false).await {
                    Ok(()) => create().await.map(|created| created.id).map_err(failed),
                    Err(_) => Err(DockerError::StartedBefore { id: name }),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes sure that the container can be started, waits for its end, and listens to it from the first byte on.
    async fn connect(&self, container: &Arc<Container>) -> Result<Connected, ExecError> {
        // Podman only looks now and then, and would miss a short life. Its containers have ends of their own without it.
        let end = (!container.daemon.is_podman).then(|| AwaitedEnd::of(container, Condition::NextExit));
        container.shared.programs.require(&container.daemon, container.id(), self.request).await?;
        let options = AttachContainerOptionsBuilder::new().stdout(true).stderr(true).stream(true);
        let options = options.stdin(self.entry.secrets.is_some()).build();
        match container.client.attach_container(container.id(), Some(options)).await {
            Ok(attached) => Ok(Connected { attached, end }),
            Err(error) => Err(self.failed(DockerError::request("listen to its container")(error))),
        }
    }

    /// Starts a container that was created. After an error it is not there any more, or was not started by this.
    async fn run(&self, container: &Arc<Container>, connected: Connected) -> Result<(Started, Instant), ExecError> {
        let recorded = container.files.record_container(&container.record);
        if !matches!(recorded, Ok(true)) {
            container.remove(true).await.ok();
            let taken = DockerError::StartedBefore { id: "that another process has started".to_owned() };
            return Err(self.failed(recorded.err().unwrap_or(taken)));
        }
        crash_point("container-noted");
        debug!(container = container.id(), "starting a container");
        let asked = Instant::now();
        if let Err(error) = container.client.start_container(container.id(), None).await {
            let refused = DockerError::request("start its container")(error);
            return self.not_started(container, refused).await.map(|started| (started, asked));
        }
        crash_point("container-started");
        let Connected { mut attached, end } = connected;
        if let Some(secrets) = &self.entry.secrets {
            // Before this record it has begun nothing, and a later driver may start it anew.
            if let Err(error) = container.files.record_handover() {
                unstarted::remove(container, Unstarted::Waits).await.ok();
                return Err(self.failed(error));
            }
            let hand_over = async {
                attached.input.write_all(secrets.as_bytes()).await?;
                attached.input.flush().await?;
                attached.input.shutdown().await
            };
            // A container that gets none, or not all, ends by itself and says so.
            drop(timeout(HANDOVER_TIMEOUT, hand_over).await);
        }
        let end = end.unwrap_or_else(|| AwaitedEnd::of(container, Condition::NotRunning));
        Ok((Started::Connected(Connections { output: attached.output, end }), asked))
    }

    /// Decides about a start that the daemon has refused, or not answered. It is an error only where the command has certainly
    /// not begun: else the command is supervised, or its end is unknown.
    async fn not_started(&self, container: &Arc<Container>, refused: DockerError) -> Result<Started, ExecError> {
        // Without its secrets, whose connection is lost, it begins nothing.
        let unbegun = match refused.certainty() {
            _ if self.entry.secrets.is_some() => Some(Unstarted::Waits),
            Certainty::Refused => Some(Unstarted::Refused),
            Certainty::Unanswered if has_started_all_the_same(container).await => return Ok(Started::Reconnect),
            Certainty::Unanswered => Some(Unstarted::Created),
            Certainty::Unknown => None,
        };
        if let Some(unbegun) = unbegun {
            unstarted::record(container, unbegun);
        }
        // An answer is given at once, and so is the next one.
        let is_removed = match refused.status() {
            Some(_) => container.remove(true).await.is_ok(),
            None => container.remove_for_sure().await,
        };
        // While it cannot be removed, or if the command may have begun, it stays recorded.
        match unbegun {
            Some(unbegun) if is_removed => match unstarted::finish(container, unbegun).await {
                Ok(Removed::MayHaveBegun(_)) => {
                    container.files.remove_shown();
                    Ok(Started::Lost)
                }
                Ok(Removed::NeverStarted) | Err(_) => Err(start_error(self.request, refused)),
            },
            Some(Unstarted::Waits | Unstarted::Refused) => Err(start_error(self.request, refused)),
            Some(Unstarted::Created) | None => {
                container.kill_orphans().await;
                container.files.remove_shown();
                Ok(Started::Lost)
            }
        }
    }
}

/// Whether a container runs, or has run, though the daemon's answer to its start was lost. Where that cannot be found out it
/// counts as started, and following it fails then.
async fn has_started_all_the_same(container: &Container) -> bool {
    match container.found_again().await {
        Ok(found) => !matches!(container::life(&found), Some(container::Life::Created)),
        Err(error) => !matches!(error, DockerError::Removed),
    }
}

/// Writes the files that the container is shown. Returns the owner of the command's folder, and whether there are such files.
async fn show(files: &CommandFiles, request: &ExecRequest, has_no_network: bool) -> Result<(Owner, bool), DockerError> {
    let (files, request) = (files.clone(), request.clone());
    let shown = spawn_blocking(move || {
        let folder = std::fs::metadata(&request.folder).map_err(DockerError::file(&request.folder))?;
        let has_shown = files.show(&request, has_no_network)?;
        Ok((Owner { uid: folder.uid(), gid: folder.gid() }, has_shown))
    });
    shown.await.unwrap_or(Err(DockerError::ShutDown))
}

/// Makes the home folder ready that the container is shown, if it is shown one.
async fn prepare_home(parts: &Parts<'_>) -> Result<(), DockerError> {
    let Some(home) = parts.request.home.clone() else { return Ok(()) };
    let (user, request) = (parts.user_here(), parts.request.clone());
    let in_memory = parts.settings.confinement.tmpfs.clone();
    let prepared = spawn_blocking(move || home::prepare(&home, user, &request, &in_memory));
    prepared.await.unwrap_or(Err(DockerError::ShutDown))
}

/// Refuses mounts that show the daemon's socket: its user has the rights of root on the machine.
fn refuse_socket(shared: &Shared, request: &ExecRequest) -> Result<(), DockerError> {
    let Some(socket) = shared.settings.endpoint.socket().and_then(|socket| socket.canonicalize().ok()) else {
        return Ok(());
    };
    let sources = request.mounts.iter().map(|mount| mount.source.as_path());
    let shows = |source: &Path| source.canonicalize().is_ok_and(|source| socket.starts_with(source));
    match sources.chain([request.folder.as_path()]).find(|source| shows(source)) {
        Some(path) => Err(DockerError::Socket { path: path.to_owned() }),
        None => Ok(()),
    }
}

pub(super) fn cannot_start(request: &ExecRequest, error: DockerError) -> ExecError {
    ExecError::Start { program: name_of(request), source: Box::new(error) }
}

/// Returns the error of a refused start: a missing program has one of its own.
fn start_error(request: &ExecRequest, error: DockerError) -> ExecError {
    let said = match &error {
        DockerError::Request { source, .. } => source.to_string(),
        _ => String::new(),
    };
    let is_missing = said.contains("executable file not found") || said.contains("no such file or directory");
    // The daemon names the program that it has looked for: `exec: "cargo": …`.
    match said.split_once("exec: \"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((program, _)) if is_missing => ExecError::NotFound { program: program.to_owned() },
        _ => cannot_start(request, error),
    }
}
