//! One container: the daemon's requests about it.

pub(super) mod config;
pub(super) mod entrypoint;
mod first_process;
pub(super) mod home;
pub(super) mod labels;
#[cfg(target_os = "linux")]
mod orphans;
pub(super) mod output;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::{
    EventsOptionsBuilder, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use self::first_process::FirstProcess;
use crate::docker::Shared;
use crate::docker::api::error::DockerError;
use crate::docker::api::{Daemon, status};
use crate::docker::files::CommandFiles;
use crate::docker::record::{ContainerRecord, Status};

/// A timeout that no command reaches, short enough for every clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// First pause between two retries to a daemon that has gone away; it doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two retries to such a daemon.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Exit code that a daemon with live-restore reports for an end that it has not seen.
const UNSEEN_EXIT_CODE: i64 = 255;

/// How often a running container is inspected.
const INSPECT_INTERVAL: Duration = Duration::from_secs(15);

/// Time for the daemon to report an end that this machine has seen. One whose containerd was killed takes some 15 s, or never
/// reports it.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the daemon is asked for such an end.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Time for an answer of the daemon.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The container of a command.
pub(in crate::docker) struct Container {
    pub(in crate::docker) shared: Arc<Shared>,
    pub(in crate::docker) daemon: Arc<Daemon>,
    pub(in crate::docker) client: Docker,
    pub(in crate::docker) record: ContainerRecord,
    pub(in crate::docker) files: CommandFiles,
    /// Its first process, once it was seen on this machine.
    first: OnceLock<FirstProcess>,
}

/// The state of a container, as the daemon reports it.
#[derive(Debug)]
pub(in crate::docker) enum Life {
    /// Created and not started.
    Created,
    Running,
    /// It has ended.
    Exited(Exit),
}

/// The end of a container, as the daemon reports it.
#[derive(Debug)]
pub(in crate::docker) struct Exit {
    code: i64,
    out_of_memory: bool,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
}

/// The condition of a wait.
#[derive(Debug, Clone, Copy)]
pub(in crate::docker) enum Condition {
    /// The next end. Only a daemon that sees it answers, and not one that finds the container ended after a restart. To be asked
    /// for before the start.
    NextExit,
    /// The end, whenever it was.
    NotRunning,
}

impl Condition {
    fn name(self) -> &'static str {
        match self {
            Self::NextExit => "next-exit",
            Self::NotRunning => "not-running",
        }
    }
}

impl Container {
    pub(in crate::docker) fn new(
        shared: Arc<Shared>,
        daemon: Arc<Daemon>,
        record: ContainerRecord,
        files: CommandFiles,
    ) -> Self {
        let client = daemon.client.clone();
        Self { shared, daemon, client, record, files, first: OnceLock::new() }
    }

    pub(in crate::docker) fn id(&self) -> &str {
        &self.record.id
    }

    /// Inspects the container; `None` when it is gone.
    pub(in crate::docker) async fn inspect(&self) -> Result<Option<ContainerInspectResponse>, DockerError> {
        match self.client.inspect_container(self.id(), None).await {
            Ok(found) => Ok(Some(found).filter(|found| self.is_ours(found))),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(DockerError::request("ask for its container")(error)),
        }
    }

    fn is_ours(&self, found: &ContainerInspectResponse) -> bool {
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        labels.and_then(|labels| labels.get(labels::NONCE)) == Some(&self.record.nonce)
    }

    /// Waits for its end, and returns the exit code. `Err` when the daemon has gone away, or the container.
    pub(in crate::docker) async fn exited(&self, condition: Condition) -> Result<i64, DockerError> {
        let client = self.client.clone().with_timeout(FOREVER);
        let options = WaitContainerOptionsBuilder::new().condition(condition.name()).build();
        let mut ends = std::pin::pin!(client.wait_container(self.id(), Some(options)));
        match ends.next().await {
            Some(Ok(end)) => Ok(end.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(DockerError::request("wait for its container")(error)),
            None => Err(DockerError::request("wait for its container")(Error::RequestTimeoutError)),
        }
    }

    /// Inspects the container, and waits for a daemon that has gone away to come back.
    pub(in crate::docker) async fn found_again(&self) -> Result<ContainerInspectResponse, DockerError> {
        let mut retries = self.retries();
        loop {
            match timeout(ANSWER_TIMEOUT, self.inspect()).await {
                Ok(Ok(Some(found))) if life(&found).is_some() => return Ok(found),
                Ok(Ok(None)) => return Err(DockerError::Removed),
                // Also a daemon that is just beginning again, or has other sorrows.
                Ok(Ok(Some(_)) | Err(_)) | Err(_) => {}
            }
            if !retries.again().await {
                return Err(self.went_away());
            }
        }
    }

    /// Sends a signal to its first process. Returns whether it was still running.
    pub(in crate::docker) async fn signal(&self, name: &str) -> Result<bool, DockerError> {
        debug!(container = self.id(), signal = name, "signalling a container");
        let options = KillContainerOptionsBuilder::new().signal(name).build();
        match self.client.kill_container(self.id(), Some(options)).await {
            Err(error) if !is_over(&error) => Err(DockerError::request("signal its container")(error)),
            signalled => Ok(signalled.is_ok()),
        }
    }

    /// Lets the daemon stop it: SIGTERM, a grace in seconds, SIGKILL, also when this process ends meanwhile. Returns whether it
    /// was still running.
    pub(in crate::docker) async fn stop(&self, seconds: i32) -> Result<bool, DockerError> {
        let client = self.client.clone().with_timeout(FOREVER);
        debug!(container = self.id(), seconds, "stopping a container");
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        match client.stop_container(self.id(), Some(options)).await {
            Err(error) if !is_over(&error) => Err(DockerError::request("stop its container")(error)),
            stopped => Ok(stopped.is_ok()),
        }
    }

    /// Suspends or resumes all its processes. Returns whether that changed anything.
    pub(in crate::docker) async fn pause(&self, paused: bool) -> Result<bool, DockerError> {
        debug!(container = self.id(), paused, "pausing a container");
        let done = match paused {
            true => self.client.pause_container(self.id()).await,
            false => self.client.unpause_container(self.id()).await,
        };
        match done {
            Ok(()) => Ok(true),
            // It is paused already, or not at all, or has ended.
            Err(error) if matches!(status(&error), Some(404 | 409 | 500)) => Ok(false),
            Err(error) => Err(DockerError::request("suspend its container")(error)),
        }
    }

    /// Removes it, with its anonymous volumes. `by_force` kills it first; without it, a running container is an error (409).
    pub(in crate::docker) async fn remove(&self, by_force: bool) -> Result<(), DockerError> {
        remove(&self.client, self.id(), by_force).await
    }

    /// Whether the daemon remembers the start of the container: then it was not restarted since.
    pub(in crate::docker) async fn start_is_remembered(&self, since: Option<Timestamp>) -> bool {
        self.is_remembered("start", since).await
    }

    /// Whether the daemon was not restarted since the container was created, so that it knows whether it has started it.
    pub(in crate::docker) async fn is_daemon_from_before(&self) -> bool {
        // Podman has none that could die, and containers that were just made are remembered.
        if self.daemon.is_podman || self.is_remembered("create", None).await {
            return true;
        }
        // With live-restore the network outlives the daemon like the containers, and shows no restart.
        let is_telling = self.record.instance.is_some() && !self.record.live_restore && !self.daemon.live_restore;
        is_telling && self.daemon.ask_instance().await == self.record.instance
    }

    /// Whether the daemon remembers an event of the container. It forgets them when it ends, or after some hundred others.
    async fn is_remembered(&self, event: &str, since: Option<Timestamp>) -> bool {
        let since = since.map_or(0, |since| since.as_second() - 1);
        let now = Timestamp::now();
        let now = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
        let filters = [("container", self.id()), ("event", event), ("type", "container")];
        let filters = filters.map(|(name, value)| (name.to_owned(), vec![value.to_owned()]));
        let options = EventsOptionsBuilder::new().since(&since.to_string()).until(&now);
        let options = options.filters(&filters.into()).build();
        let recall = async {
            let mut events = std::pin::pin!(self.client.events(Some(options)));
            matches!(events.next().await, Some(Ok(_)))
        };
        timeout(ANSWER_TIMEOUT, recall).await.unwrap_or(false)
    }

    /// Returns the status of the command. An end that the daemon itself has caused, when it was stopped or restarted, looks like
    /// the command's own, even like a success: it is unknown.
    pub(in crate::docker) async fn true_status(&self, exit: &Exit, watched: bool) -> Status {
        let code = i32::try_from(exit.code).unwrap_or(i32::MAX);
        if !watched && !self.is_true(exit).await {
            return Status::Unknown;
        }
        if code != 0 && exit.out_of_memory { Status::OutOfMemory } else { Status::Code { code } }
    }

    /// Whether a reported end is the command's own: the daemon was not restarted meanwhile, or its restart ends nothing.
    async fn is_true(&self, exit: &Exit) -> bool {
        if self.record.live_restore && self.daemon.live_restore {
            // Containers outlive this daemon, so it has caused no end. If the code may be made up, the question is whether it
            // has seen the end.
            let may_be_made_up = exit.code == UNSEEN_EXIT_CODE || exit.code == 0 && self.daemon.invents_success;
            return !may_be_made_up || self.is_remembered("die", exit.finished).await;
        }
        let is_same = self.record.instance.is_some() && self.daemon.ask_instance().await == self.record.instance;
        is_same || self.start_is_remembered(exit.started).await
    }

    /// Whether the daemon answers. One that is shutting down, and ends its containers with it, does not.
    pub(in crate::docker) async fn is_daemon_well(&self) -> bool {
        self.daemon.ping().await.is_ok()
    }

    /// Waits until the container cannot be supervised any more, and returns why: the daemon has been silent for too long, it
    /// reports an end that the wait has missed, or it reports a running container whose processes are gone.
    pub(in crate::docker) async fn lost(&self) -> DockerError {
        let mut answered = Instant::now();
        let (mut has_ended, mut missed) = (false, None);
        let mut pause = MIN_PAUSE;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = self.first_process_ended(), if !has_ended => {
                    // The wait for its end is about to return, if the daemon is well.
                    has_ended = true;
                    sleep(REPORT_INTERVAL).await;
                }
            }
            pause = if has_ended { REPORT_INTERVAL } else { INSPECT_INTERVAL };
            match timeout(ANSWER_TIMEOUT, self.inspect()).await {
                Ok(Ok(Some(found))) if matches!(life(&found), Some(Life::Running)) => {
                    answered = Instant::now();
                    self.find_first_process(&found);
                    if self.has_lost_its_processes() {
                        let since = *missed.get_or_insert(answered);
                        if since.elapsed() >= REPORT_TIMEOUT.min(self.shared.settings.reconnect_timeout) {
                            return DockerError::Vanished;
                        }
                    }
                }
                Ok(Ok(None)) => return DockerError::Removed,
                Ok(Ok(Some(found))) if life(&found).is_some() => {
                    sleep(INSPECT_INTERVAL).await;
                    return DockerError::Untold;
                }
                _ if answered.elapsed() > self.shared.settings.reconnect_timeout => return self.went_away(),
                _ => {}
            }
        }
    }

    /// Finds its first process on this machine, once, and records it for a later driver.
    fn find_first_process(&self, found: &ContainerInspectResponse) {
        if self.first.get().is_some() {
            return;
        }
        let (nonce, noted) = (&self.record.nonce, self.files.process());
        if let Some(first) = noted.and_then(|record| FirstProcess::recorded(&record, nonce)) {
            // Only this function sets it.
            self.first.set(first).ok();
            return;
        }
        let pid = found.state.as_ref().and_then(|state| state.pid).unwrap_or_default();
        if let Some((first, record)) = FirstProcess::find(pid, self.id(), nonce) {
            // Without the record, a later driver depends on the daemon.
            self.files.record_process(&record).ok();
            self.first.set(first).ok();
        }
    }

    /// Whether its first process, with which all others end, was seen here and has ended.
    pub(in crate::docker) fn has_lost_its_processes(&self) -> bool {
        self.first.get().is_some_and(FirstProcess::has_ended)
    }

    async fn first_process_ended(&self) {
        match self.first.get() {
            Some(first) => first.ended().await,
            None => std::future::pending().await,
        }
    }

    fn went_away(&self) -> DockerError {
        let endpoint = self.shared.settings.endpoint.to_string();
        DockerError::WentAway { endpoint, seconds: self.shared.settings.reconnect_timeout.as_secs() }
    }

    /// Kills it, and repeats the request until it is answered or the time to reconnect is over.
    pub(in crate::docker) async fn kill_for_sure(&self) {
        let mut retries = self.retries();
        while !matches!(timeout(ANSWER_TIMEOUT, self.signal("SIGKILL")).await, Ok(Ok(_))) && retries.again().await {}
    }

    /// Removes it, and repeats the request until it is answered or the time to reconnect is over. Returns whether it is gone.
    pub(in crate::docker) async fn remove_for_sure(&self) -> bool {
        let mut retries = self.retries();
        loop {
            if matches!(timeout(ANSWER_TIMEOUT, self.remove(true)).await, Ok(Ok(()))) {
                return true;
            }
            if !retries.again().await {
                return false;
            }
        }
    }

    /// Kills processes of the removed container that a daemon has forgotten which died during the start. Returns whether there
    /// were any: then the command may have begun.
    pub(in crate::docker) async fn kill_orphans(&self) -> bool {
        #[cfg(target_os = "linux")]
        {
            let id = self.id().to_owned();
            tokio::task::spawn_blocking(move || orphans::kill(&id)).await.unwrap_or(true)
        }
        // On macOS Docker runs in a machine of its own.
        #[cfg(not(target_os = "linux"))]
        false
    }

    fn retries(&self) -> Retries {
        Retries { begun: Instant::now(), reconnect_timeout: self.shared.settings.reconnect_timeout, pause: MIN_PAUSE }
    }
}

/// Pauses between retries, which get longer until the time to reconnect is over.
struct Retries {
    begun: Instant,
    reconnect_timeout: Duration,
    pause: Duration,
}

impl Retries {
    /// Waits before the next question; `false` when that time is over.
    async fn again(&mut self) -> bool {
        if self.begun.elapsed() > self.reconnect_timeout {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        true
    }
}

/// Removes a container. One that is gone, or being removed, is no error.
pub(in crate::docker) async fn remove(client: &Docker, id: &str, by_force: bool) -> Result<(), DockerError> {
    debug!(container = id, by_force, "removing a container");
    let options = RemoveContainerOptionsBuilder::new().v(true).force(by_force).build();
    match client.remove_container(id, Some(options)).await {
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(Error::DockerResponseServerError { status_code: 409, message })
            if message.contains("already in progress") =>
        {
            Ok(())
        }
        Err(error) => Err(DockerError::request("remove its container")(error)),
        Ok(()) => Ok(()),
    }
}

/// Whether the daemon answers that there is nothing left to stop.
fn is_over(error: &Error) -> bool {
    matches!(status(error), Some(304 | 404 | 409))
}

/// Whether the container reads secrets before it executes its command.
pub(in crate::docker) fn waits(found: &ContainerInspectResponse) -> bool {
    found.config.as_ref().and_then(|config| config.open_stdin) == Some(true)
}

/// Returns the state of a container; `None` while the daemon is changing it.
pub(in crate::docker) fn life(found: &ContainerInspectResponse) -> Option<Life> {
    let state = found.state.as_ref()?;
    match state.status? {
        ContainerStateStatusEnum::CREATED => Some(Life::Created),
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED | ContainerStateStatusEnum::RESTARTING => {
            Some(Life::Running)
        }
        ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD => Some(Life::Exited(Exit::of(state))),
        _ => None,
    }
}

impl Exit {
    fn of(state: &ContainerState) -> Self {
        let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        Self {
            code: state.exit_code.unwrap_or(255),
            out_of_memory: state.oom_killed == Some(true),
            started: time(&state.started_at).filter(|time| time.as_second() > 0),
            finished: time(&state.finished_at).filter(|time| time.as_second() > 0),
        }
    }

    /// Returns the time from its start to its end, by the daemon's clock; `None` when unknown.
    pub(in crate::docker) fn took(&self) -> Option<Duration> {
        Duration::try_from(self.finished?.duration_since(self.started?)).ok()
    }
}

/// Returns the time of its start, by the daemon's clock.
pub(in crate::docker) fn started(found: &ContainerInspectResponse) -> Option<Timestamp> {
    Exit::of(found.state.as_ref()?).started
}
