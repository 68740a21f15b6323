//! How a command gets its container.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::container::AttachContainerResults;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{AttachContainerOptionsBuilder, CreateContainerOptionsBuilder};
use gadugi_core::{ExecError, ExecRequest, StopSignal, crash_point};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::api::Daemon;
use super::api::error::{Certainty, DockerFault};
use super::container::config::{Owner, Parts};
use super::container::entrypoint::Entry;
use super::container::{self, Condition, Container};
use super::container::{home, labels};
use super::files::CommandFiles;
use super::follow::{AwaitedEnd, Heard};
use super::record::{ContainerRecord, Unbegun};
use super::settings::Network;
use super::task::DockerTask;
use super::unbegun::{self, Removed};
use super::{Shared, name_of};
use crate::os::nonce;

/// How long a container may take to read its secrets.
const LONGEST_HANDOVER: Duration = Duration::from_secs(60);

/// Creates and starts the container of a command. After an error nothing of it is left.
pub(super) async fn begin(
    shared: Arc<Shared>,
    request: &ExecRequest,
    is_wanted: &(dyn Fn() -> bool + Send + Sync),
) -> Result<DockerTask, ExecError> {
    let fault = |fault| cannot_start(request, fault);
    let daemon = shared.daemon().await.map_err(|unusable| fault(DockerFault::Daemon(unusable)))?;
    let image = request.resources.image.clone().ok_or_else(|| fault(DockerFault::NoImage))?;
    let nonce = nonce::text();
    let entry = Entry::of(&shared.settings, request, &nonce).map_err(fault)?;
    refuse_socket(&shared, request).map_err(fault)?;
    let files =
        CommandFiles::of(&request.files, request.phase).map_err(DockerFault::file(&request.files)).map_err(fault)?;
    if let Some(earlier) = files.container().map_err(fault)? {
        return Err(fault(DockerFault::StartedBefore { id: earlier.id }));
    }
    let has_no_network = shared.settings.confinement.network == Network::None;
    let (owner, has_shown) = prepare(&files, request, has_no_network).await.map_err(fault)?;
    let shown = has_shown.then(|| files.shown());
    let parts = Parts {
        settings: &shared.settings,
        daemon: &daemon,
        request,
        entry: &entry,
        image: &image,
        owner,
        shown: shown.as_deref(),
        hosts: has_no_network.then(|| files.hosts()),
        nonce: &nonce,
    };
    let prepared = prepare_home(&parts).await;
    let started = match prepared.and_then(|()| parts.body()) {
        Ok(body) => start(&shared, &daemon, request, body, &entry, &files, nonce, is_wanted).await,
        Err(fault) => Err(cannot_start(request, fault)),
    };
    if started.is_err() {
        files.hide();
    }
    started
}

#[expect(clippy::too_many_arguments, reason = "each is one thing that a container begins with")]
async fn start(
    shared: &Arc<Shared>,
    daemon: &Arc<Daemon>,
    request: &ExecRequest,
    body: ContainerCreateBody,
    entry: &Entry,
    files: &CommandFiles,
    nonce: String,
    is_wanted: &(dyn Fn() -> bool + Send + Sync),
) -> Result<DockerTask, ExecError> {
    let given_up = || cannot_start(request, DockerFault::GivenUp);
    let turn = daemon.starts.acquire().await;
    if !is_wanted() {
        return Err(given_up());
    }
    let id = create(shared, daemon, request, body).await.map_err(|fault| cannot_start(request, fault))?;
    crash_point("container-created");
    let record = ContainerRecord {
        instance: daemon.instance(),
        live_restore: daemon.live_restore,
        interrupt: request.stop_signal == StopSignal::Interrupt,
        ..ContainerRecord::named(id, nonce, daemon.id.clone())
    };
    let container = Arc::new(Container::new(Arc::clone(shared), Arc::clone(daemon), record, files.clone()));
    let prepared = match prepare_start(&container, request, entry).await {
        Ok(_) if !is_wanted() => Err(given_up()),
        prepared => prepared,
    };
    let started = match prepared {
        Ok(prepared) => run(&container, request, entry, prepared).await,
        Err(error) => {
            // Nothing was noted, or asked for. One that stays is collected by its labels.
            container.remove(true).await.ok();
            Err(error)
        }
    };
    drop(turn);
    started.map(|(started, began)| match started {
        Started::Heard(heard) => DockerTask::follow(container, Some(heard), began),
        Started::Unheard => DockerTask::follow(container, None, began),
        Started::Lost => DockerTask::may_have_begun(container, began),
    })
}

/// What became of a start.
enum Started {
    Heard(Heard),
    /// The daemon went away meanwhile, so that its output has to be asked for.
    Unheard,
    /// The command may have begun, and nothing of it is left.
    Lost,
}

/// What listens to a container before it is started.
struct Prepared {
    attached: AttachContainerResults,
    /// `None` where that cannot be waited for yet.
    end: Option<AwaitedEnd>,
}

/// Makes sure that a container can be started, waits for its end, and listens to it from the first byte on.
async fn prepare_start(
    container: &Arc<Container>,
    request: &ExecRequest,
    entry: &Entry,
) -> Result<Prepared, ExecError> {
    // Podman only looks now and then, and would miss a short life. Its containers have ends of their own without it.
    let end = (!container.daemon.is_podman).then(|| AwaitedEnd::of(container, Condition::NextExit));
    container.shared.programs.require(&container.daemon, container.id(), request).await?;
    let options = AttachContainerOptionsBuilder::new().stdout(true).stderr(true).stream(true);
    let options = options.stdin(entry.secrets.is_some()).build();
    match container.client.attach_container(container.id(), Some(options)).await {
        Ok(attached) => Ok(Prepared { attached, end }),
        Err(error) => Err(cannot_start(request, DockerFault::request("listen to its container")(error))),
    }
}

/// Starts a container that was created. After an error it is not there any more, or was not started by this.
async fn run(
    container: &Arc<Container>,
    request: &ExecRequest,
    entry: &Entry,
    prepared: Prepared,
) -> Result<(Started, Instant), ExecError> {
    let fault = |fault| cannot_start(request, fault);
    let noted = container.files.note_container(&container.record);
    if !matches!(noted, Ok(true)) {
        container.remove(true).await.ok();
        let taken = DockerFault::StartedBefore { id: "that another process has started".to_owned() };
        return Err(fault(noted.err().unwrap_or(taken)));
    }
    crash_point("container-noted");
    let asked = Instant::now();
    if let Err(error) = container.client.start_container(container.id(), None).await {
        let refused = DockerFault::request("start its container")(error);
        return not_begun(container, request, entry, refused).await.map(|started| (started, asked));
    }
    crash_point("container-started");
    let Prepared { mut attached, end } = prepared;
    if let Some(secrets) = &entry.secrets {
        // Until then it has begun nothing, and whoever comes later may start it anew.
        if let Err(error) = container.files.note_handover() {
            unbegun::remove(container, Unbegun::Waits).await.ok();
            return Err(fault(error));
        }
        let hand_over = async {
            attached.input.write_all(secrets.as_bytes()).await?;
            attached.input.flush().await?;
            attached.input.shutdown().await
        };
        // A container that gets none, or not all, ends by itself and says so.
        drop(timeout(LONGEST_HANDOVER, hand_over).await);
    }
    let end = end.unwrap_or_else(|| AwaitedEnd::of(container, Condition::NotRunning));
    Ok((Started::Heard(Heard { output: attached.output, end }), asked))
}

/// What follows a start that the daemon has refused, or not answered. It is an error only where the command has certainly not
/// begun: else it is followed, or nobody knows how it ended.
async fn not_begun(
    container: &Arc<Container>,
    request: &ExecRequest,
    entry: &Entry,
    refused: DockerFault,
) -> Result<Started, ExecError> {
    // Without its secrets, which nobody can give it now, it begins nothing.
    let unbegun = match refused.certainty() {
        _ if entry.secrets.is_some() => Some(Unbegun::Waits),
        Certainty::Refused => Some(Unbegun::Refused),
        Certainty::Unanswered if has_started_all_the_same(container).await => return Ok(Started::Unheard),
        Certainty::Unanswered => Some(Unbegun::Created),
        Certainty::Unknown => None,
    };
    if let Some(unbegun) = unbegun {
        unbegun::note(container, unbegun);
    }
    // An answer is given at once, and so is the next one.
    let is_removed = match refused.status() {
        Some(_) => container.remove(true).await.is_ok(),
        None => container.remove_for_sure().await,
    };
    // While it cannot be removed, or if the command may have begun, it stays noted.
    match unbegun {
        Some(unbegun) if is_removed => match unbegun::finish(container, unbegun).await {
            Ok(Removed::MayHaveBegun(_)) => {
                container.files.hide();
                Ok(Started::Lost)
            }
            Ok(Removed::NeverStarted) | Err(_) => Err(not_started(request, refused)),
        },
        Some(Unbegun::Waits | Unbegun::Refused) => Err(not_started(request, refused)),
        Some(Unbegun::Created) | None => {
            container.kill_forgotten().await;
            container.files.hide();
            Ok(Started::Lost)
        }
    }
}

/// Whether a container runs, or has run, though the daemon's answer to its start was lost. Where that cannot be found out it
/// counts as started, and whoever follows it says that nobody knows.
async fn has_started_all_the_same(container: &Container) -> bool {
    match container.found_again().await {
        Ok(found) => !matches!(container::life(&found), Some(container::Life::Created)),
        Err(fault) => !matches!(fault, DockerFault::Removed),
    }
}

/// Creates the container. The name is there once, so that nothing is begun twice; one that was never started is in nobody's
/// way.
async fn create(
    shared: &Shared,
    daemon: &Daemon,
    request: &ExecRequest,
    body: ContainerCreateBody,
) -> Result<String, DockerFault> {
    let name = labels::name(&shared.settings, request);
    let create = || {
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        daemon.client.create_container(Some(options), body.clone())
    };
    let failed = DockerFault::request("create its container");
    match create().await {
        Ok(created) => Ok(created.id),
        Err(error) if super::api::status(&error) == Some(409) => {
            // Without force: one that runs stays, and is somebody's.
            match container::remove(&daemon.client, &name, false).await {
                Ok(()) => create().await.map(|created| created.id).map_err(failed),
                Err(_) => Err(DockerFault::StartedBefore { id: name }),
            }
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes what the container is shown, and finds out for whom it works.
async fn prepare(
    files: &CommandFiles,
    request: &ExecRequest,
    has_no_network: bool,
) -> Result<(Owner, bool), DockerFault> {
    let (files, request) = (files.clone(), request.clone());
    let prepared = spawn_blocking(move || {
        let folder = std::fs::metadata(&request.folder).map_err(DockerFault::file(&request.folder))?;
        let has_shown = files.show(&request, has_no_network)?;
        Ok((Owner { uid: folder.uid(), gid: folder.gid() }, has_shown))
    });
    prepared.await.unwrap_or(Err(DockerFault::ShutDown))
}

/// Makes the home folder ready that the container is shown, if it is shown one.
async fn prepare_home(parts: &Parts<'_>) -> Result<(), DockerFault> {
    let Some(home) = parts.request.home.clone() else { return Ok(()) };
    let (user, request) = (parts.user_here(), parts.request.clone());
    let in_memory = parts.settings.confinement.tmpfs.clone();
    let prepared = spawn_blocking(move || home::prepare(&home, user, &request, &in_memory));
    prepared.await.unwrap_or(Err(DockerFault::ShutDown))
}

/// Whoever has the daemon's socket has the machine.
fn refuse_socket(shared: &Shared, request: &ExecRequest) -> Result<(), DockerFault> {
    let Some(socket) = shared.settings.endpoint.socket().and_then(|socket| socket.canonicalize().ok()) else {
        return Ok(());
    };
    let sources = request.mounts.iter().map(|mount| mount.source.as_path());
    let shows = |source: &Path| source.canonicalize().is_ok_and(|source| socket.starts_with(source));
    match sources.chain([request.folder.as_path()]).find(|source| shows(source)) {
        Some(path) => Err(DockerFault::Socket { path: path.to_owned() }),
        None => Ok(()),
    }
}

pub(super) fn cannot_start(request: &ExecRequest, fault: DockerFault) -> ExecError {
    ExecError::Start { program: name_of(request), source: Box::new(fault) }
}

/// Tells a program that is not there from other reasons.
fn not_started(request: &ExecRequest, fault: DockerFault) -> ExecError {
    let said = match &fault {
        DockerFault::Request { source, .. } => source.to_string(),
        _ => String::new(),
    };
    let is_missing = said.contains("executable file not found") || said.contains("no such file or directory");
    // The daemon names the program that it has looked for: `exec: "cargo": …`.
    match said.split_once("exec: \"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((program, _)) if is_missing => ExecError::NotFound { program: program.to_owned() },
        _ => cannot_start(request, fault),
    }
}
