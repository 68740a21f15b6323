//! The daemon: the connection to it, and its properties.

pub(super) mod endpoint;
pub(super) mod error;
pub(super) mod images;
pub(super) mod programs;

use std::error::Error as StdError;
use std::future::Future;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{SystemInfo, SystemVersion};
use gadugi_core::error_chain;
use gadugi_core::executor::Unusable;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::endpoint::Endpoint;

/// The oldest version of the API with everything that is needed here: Docker 20.10.
const MIN_API: (usize, usize) = (1, 41);

/// First major version that reports 255 for every end that it has not seen. Earlier ones may report 0 (moby#45788, mended in
/// the course of 24.0).
const FIRST_HONEST_VERSION: u64 = 25;

/// Containers that are started at once, however large the daemon's machine is: more of them only wait for the disk.
const MAX_STARTS: usize = 8;

/// Time for the first answer of a daemon.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// A daemon that has answered.
pub(in crate::docker) struct Daemon {
    pub(in crate::docker) client: Docker,
    /// The daemon's id.
    pub(in crate::docker) id: String,
    /// Processors for containers; 0 when unknown.
    pub(in crate::docker) processors: f64,
    /// Permits to create and start a container.
    pub(in crate::docker) starts: Semaphore,
    /// Whether its containers outlive it (`live-restore`), so that a restart ends none of them.
    pub(in crate::docker) live_restore: bool,
    /// Whether it may report success for an end that it has not seen.
    pub(in crate::docker) invents_success: bool,
    /// Whether it can limit processors.
    pub(in crate::docker) holds_cpus: bool,
    /// The last known id of this life of the daemon; see [`instance`](Self::instance).
    instance: Mutex<Option<String>>,
    /// The mapping of users in containers to users of this machine.
    pub(in crate::docker) users: Users,
    /// Whether it is Podman, whose tmpfs folders have no owners.
    pub(in crate::docker) is_podman: bool,
    /// Whether it has a log driver that keeps output byte for byte.
    pub(in crate::docker) exact_logs: bool,
}

/// The mapping of users in containers to users of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::docker) enum Users {
    /// Every user is the same outside.
    Same,
    /// The root of a container is the user who runs the daemon.
    Rootless,
    /// Every user is another one outside, unless the container opts out.
    Remapped,
    /// Podman, run by a user: that user is the same inside when the container asks for it.
    RootlessPodman,
}

/// The reason why the daemon cannot be used.
#[derive(Debug)]
pub(in crate::docker) enum Unreachable {
    Failed(Error),
    Silent,
    TooOld(String),
    NotLinux(String),
    /// The address is unknown.
    Nowhere(String),
}

impl Daemon {
    /// Connects, and agrees on a version of the API.
    pub(in crate::docker) async fn greet(
        endpoint: &Endpoint,
        starts_at_once: Option<NonZeroUsize>,
    ) -> Result<Self, Unreachable> {
        if let Some(why) = endpoint.unknown() {
            return Err(Unreachable::Nowhere(why.to_owned()));
        }
        let client = endpoint.connect().map_err(Unreachable::Failed)?;
        let client = in_time(client.negotiate_version()).await?;
        let version = client.client_version();
        if (version.major_version, version.minor_version) < MIN_API {
            return Err(Unreachable::TooOld(version.to_string()));
        }
        let version = in_time(client.version()).await?;
        let is_podman = is_podman(&version);
        let info = in_time(client.info()).await?;
        if let Some(system) = info.os_type.as_deref().filter(|system| *system != "linux") {
            return Err(Unreachable::NotLinux(system.to_owned()));
        }
        let logs = info.plugins.as_ref().and_then(|plugins| plugins.log.as_ref());
        // Podman gives itself another id with each answer.
        let id = if is_podman { info.name.as_ref().map(|name| format!("podman-{name}")) } else { info.id.clone() };
        Ok(Self {
            users: users(&info, is_podman),
            is_podman,
            exact_logs: logs.is_some_and(|drivers| drivers.iter().any(|driver| driver == "local")),
            id: id.unwrap_or_default().replace(char::is_whitespace, "-"),
            starts: Semaphore::new(starts_at_once.map_or_else(|| useful_starts(info.ncpu), NonZeroUsize::get)),
            processors: info.ncpu.unwrap_or_default() as f64,
            live_restore: info.live_restore_enabled == Some(true),
            invents_success: major(&version).is_none_or(|major| major < FIRST_HONEST_VERSION),
            holds_cpus: info.cpu_cfs_quota != Some(false),
            instance: Mutex::new(instance(&client).await),
            client,
        })
    }

    /// Returns the id of this life of the daemon, which changes with a restart: that of the network `bridge`, which the daemon
    /// makes anew when it starts. `None` where there is no such network.
    pub(in crate::docker) fn instance(&self) -> Option<String> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the id again, since the daemon may have been restarted.
    pub(in crate::docker) async fn ask_instance(&self) -> Option<String> {
        let now = instance(&self.client).await;
        self.instance.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&now);
        now
    }

    /// Asks for a sign of life.
    pub(in crate::docker) async fn ping(&self) -> Result<(), Unreachable> {
        in_time(self.client.ping()).await.map(drop)
    }
}

/// Returns the number of starts at once: each keeps one processor of the daemon busy.
fn useful_starts(processors: Option<i64>) -> usize {
    usize::try_from(processors.unwrap_or_default()).unwrap_or_default().clamp(2, MAX_STARTS)
}

async fn instance(client: &Docker) -> Option<String> {
    let bridge = in_time(client.inspect_network("bridge", None)).await.ok()?;
    bridge.id.filter(|id| !id.is_empty())
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Unreachable> {
    match timeout(GREETING_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(Unreachable::Failed),
        Err(_) => Err(Unreachable::Silent),
    }
}

fn major(version: &SystemVersion) -> Option<u64> {
    version.version.as_deref()?.split('.').next()?.parse().ok()
}

fn is_podman(version: &SystemVersion) -> bool {
    version.components.iter().flatten().any(|component| component.name.starts_with("Podman"))
}

fn users(info: &SystemInfo, is_podman: bool) -> Users {
    let options = info.security_options.as_deref().unwrap_or_default();
    let has = |name: &str| options.iter().any(|option| option.split(',').any(|part| part == name));
    match (has("name=rootless"), has("name=userns")) {
        (true, _) if is_podman => Users::RootlessPodman,
        (true, _) => Users::Rootless,
        (false, true) => Users::Remapped,
        (false, false) => Users::Same,
    }
}

impl Unreachable {
    /// Words the reason for people, with a remedy.
    pub(in crate::docker) fn into_unusable(self, endpoint: &Endpoint) -> Unusable {
        let start = "start Docker (`systemctl start docker`, or Docker Desktop), or name another daemon by DOCKER_HOST";
        let (reason, remedy) = match self {
            Self::Silent => {
                let seconds = GREETING_TIMEOUT.as_secs();
                (
                    format!("the Docker daemon at {endpoint} has not answered within {seconds} s"),
                    "restart it".to_owned(),
                )
            }
            Self::TooOld(version) => (
                format!("the Docker daemon at {endpoint} speaks version {version} of the API, which is too old"),
                "update Docker to 20.10 or later".to_owned(),
            ),
            Self::Nowhere(why) => (why, "correct it, or name the daemon by DOCKER_HOST".to_owned()),
            Self::NotLinux(system) => (
                format!("the Docker daemon at {endpoint} runs containers of {system}"),
                "switch it to Linux containers".to_owned(),
            ),
            Self::Failed(Error::SocketNotFoundError(path)) => {
                (format!("there is no Docker daemon: {path} does not exist"), start.to_owned())
            }
            Self::Failed(error) => match kind(&error) {
                Some(ErrorKind::ConnectionRefused | ErrorKind::NotFound) => {
                    (format!("no Docker daemon answers at {endpoint}"), start.to_owned())
                }
                Some(ErrorKind::PermissionDenied) => (
                    format!("the Docker daemon at {endpoint} does not let you in"),
                    "`sudo usermod -aG docker $USER`, then log in again; or use rootless Docker".to_owned(),
                ),
                _ => (
                    format!("the Docker daemon at {endpoint} does not answer as it should: {}", error_chain(&error)),
                    "`docker info` says more".to_owned(),
                ),
            },
        };
        Unusable { reason, remedy }
    }
}

/// Returns the kind of the system's error at the bottom of an error, if there is one.
fn kind(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let mut source = Some(error);
    let mut found = None;
    while let Some(error) = source {
        found = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(found);
        source = error.source();
    }
    found
}

/// Returns the HTTP status of a refusal.
pub(in crate::docker) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
