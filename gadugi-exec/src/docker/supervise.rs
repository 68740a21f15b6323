//! Supervises a container until its end is recorded, and removes it then.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::{LogsOptionsBuilder, StatsOptionsBuilder};
use futures_util::{Stream, StreamExt};
use gadugi_core::crash_point;
use gadugi_core::executor::{ExecEnd, ExecUsage};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::api::error::DockerError;
use super::container::output::Output;
use super::container::{Condition, Container, Exit, Life, life, waits};
use super::record::{EndRecord, Status, Token};
use crate::events;

/// Time for the last output after the end of a container.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Time after a start in which the death of the daemon may lose the secrets that were handed over to it.
const DOUBTFUL_START: Duration = Duration::from_secs(1);

/// Time before the first sample of usage: a shorter command is not worth the request.
const FIRST_SAMPLE_DELAY: Duration = Duration::from_secs(1);

/// Output as it comes from the daemon.
pub(super) type OutputStream = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// The connections to a container of the process that has started it.
pub(super) struct Connections {
    /// Its output from the first byte on.
    pub(super) output: OutputStream,
    /// Its end.
    pub(super) end: AwaitedEnd,
}

/// A wait for the end of a container, in the background until this is dropped.
pub(super) struct AwaitedEnd(JoinSet<Result<i64, DockerError>>);

impl AwaitedEnd {
    pub(super) fn of(container: &Arc<Container>, condition: Condition) -> Self {
        let container = Arc::clone(container);
        let mut waiting = JoinSet::new();
        waiting.spawn(async move { container.exited(condition).await });
        Self(waiting)
    }

    async fn wait(&mut self) -> Result<i64, DockerError> {
        match self.0.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(_)) | None => Err(DockerError::ShutDown),
        }
    }
}

/// The channels to the handles on a task.
pub(super) struct Reports {
    pub(super) ending: watch::Sender<Option<Result<ExecEnd, Arc<DockerError>>>>,
    pub(super) printed: watch::Sender<u64>,
    pub(super) usage: watch::Sender<ExecUsage>,
}

/// Supervises a container that runs. Without connections from before its start, the daemon's log is read from its beginning.
pub(super) async fn supervise(container: Arc<Container>, heard: Option<Connections>, began: Instant, reports: Reports) {
    let Reports { ending, printed, usage } = reports;
    let (log, cap) = (container.files.output(), container.shared.settings.output_cap);
    let begin = if heard.is_some() { Output::to } else { Output::again_to };
    let mut output = begin(log, cap, printed);
    let sampler = tokio::spawn(sample(Arc::clone(&container), usage.clone()));
    let ended = watch(&container, &mut output, heard).await;
    sampler.abort();
    let output = output.finish();
    let mut is_left = false;
    let ended = match ended {
        Ok(Ended { exit, code, watched }) => {
            crash_point("container-ended");
            let took = exit.as_ref().filter(|_| !watched).and_then(Exit::took).unwrap_or_else(|| began.elapsed());
            let status = match &exit {
                Some(exit) => container.true_status(exit, watched).await,
                None => Status::Code { code },
            };
            let record = EndRecord::new(&container.record, status, took, output).used(*usage.borrow());
            let record = record.stopped(container.files.is_stopped());
            is_left = conclude(&container, &record).await;
            Ok(record.end())
        }
        // It was asked to stop before, so its end needs no explanation.
        Err(DockerError::Vanished) if container.files.is_stopped() => {
            let record = EndRecord::new(&container.record, Status::Unknown, began.elapsed(), output);
            let record = record.used(*usage.borrow()).stopped(true);
            is_left = conclude(&container, &record).await;
            Ok(record.end())
        }
        Err(fault) => {
            // Another driver may have been faster, recorded the end and removed the container.
            let kept = if matches!(fault, DockerError::Removed) { recorded_end(&container).await } else { None };
            if matches!(fault, DockerError::Vanished) {
                // Also processes that the daemon does not know of.
                container.kill_orphans().await;
                container.files.remove_shown();
                is_left = true;
            }
            kept.map_or_else(|| Err(Arc::new(fault)), |record| Ok(record.end()))
        }
    };
    events::ended(Token::of(&container.record), &ended);
    ending.send_replace(Some(ended));
    if is_left {
        // The daemon has just gone away. What stays all the same is collected by its labels.
        container.remove_for_sure().await;
    }
}

/// Returns the recorded end of the command, if there is one.
async fn recorded_end(container: &Container) -> Option<EndRecord> {
    let files = container.files.clone();
    let kept = tokio::task::spawn_blocking(move || files.end()).await.ok()?.ok()?;
    kept.filter(|end| end.nonce == container.record.nonce)
}

/// The end of a container.
struct Ended {
    /// `None` when only the code is known, which is then enough.
    exit: Option<Exit>,
    code: i32,
    /// Whether the wait began before the start and was never interrupted.
    watched: bool,
}

/// Writes the output to the log and waits for the end, also across restarts of the daemon.
async fn watch(container: &Container, output: &mut Output, heard: Option<Connections>) -> Result<Ended, DockerError> {
    let (mut stream, mut end) = match heard {
        Some(Connections { output, end }) => (output, Some(end)),
        None => (logs(container, true), None),
    };
    let begun = Instant::now();
    loop {
        let watched = end.is_some();
        let code = write_until(output, &mut stream, ended(container, end.take())).await;
        // A wait from before the start to the end, at a daemon that lives on, is certain.
        if let Ok(code) = code
            && watched
            && container.is_daemon_well().await
        {
            drain(output, &mut stream).await;
            if code == 0 {
                return Ok(Ended { exit: None, code: 0, watched });
            }
            match container.inspect().await.map(|found| found.as_ref().and_then(life)) {
                Ok(Some(Life::Exited(exit))) => return Ok(Ended { exit: Some(exit), code: 0, watched }),
                // Another program has ended it and is removing it.
                Ok(_) => return Err(DockerError::Removed),
                Err(_) => {}
            }
        }
        if let Err(fault @ (DockerError::Removed | DockerError::WentAway { .. } | DockerError::Vanished)) = code {
            return Err(fault);
        }
        let may_wait_in_vain = watched && begun.elapsed() < DOUBTFUL_START && output.is_empty();
        // The daemon went away, or the starter of the container did: missed output is read from the daemon's log.
        let found = container.found_again().await?;
        match life(&found) {
            Some(Life::Exited(exit)) => {
                output.rewind(u64::MAX);
                drain(output, &mut logs(container, false)).await;
                return Ok(Ended { exit: Some(exit), code: 0, watched: false });
            }
            Some(Life::Created) => return Err(DockerError::Removed),
            // It would wait for its secrets for ever. A command that has just begun loses nothing by its removal.
            Some(Life::Running) if may_wait_in_vain && waits(&found) && logged_bytes(container).await == 0 => {
                container.remove_for_sure().await;
                return Err(DockerError::NotHandedOver);
            }
            _ => {
                output.rewind(logged_bytes(container).await);
                stream = logs(container, true);
            }
        }
    }
}

/// Waits for the end of a container; an error when it cannot be supervised any more.
async fn ended(container: &Container, awaited: Option<AwaitedEnd>) -> Result<i64, DockerError> {
    let exited = async {
        match awaited {
            Some(mut awaited) => awaited.wait().await,
            None => container.exited(Condition::NotRunning).await,
        }
    };
    tokio::select! {
        ended = exited => ended,
        fault = container.lost() => Err(fault),
    }
}

/// Writes output to the log until `done` is done.
async fn write_until<T>(output: &mut Output, stream: &mut OutputStream, done: impl Future<Output = T>) -> T {
    let mut done = std::pin::pin!(done);
    let mut is_open = true;
    loop {
        tokio::select! {
            chunk = stream.next(), if is_open => match chunk {
                Some(Ok(chunk)) => output.take(chunk),
                Some(Err(_)) | None => is_open = false,
            },
            done = &mut done => return done,
        }
    }
}

/// Writes the rest of the output to the log.
async fn drain(output: &mut Output, stream: &mut OutputStream) {
    while let Ok(Some(Ok(chunk))) = timeout(DRAIN_TIMEOUT, stream.next()).await {
        output.take(chunk);
    }
}

/// Reads the daemon's log of the output.
fn logs(container: &Container, follow: bool) -> OutputStream {
    let client = container.client.clone();
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(follow).build();
    Box::pin(client.logs(container.id(), Some(options)))
}

/// Counts the bytes of the daemon's log.
async fn logged_bytes(container: &Container) -> u64 {
    let mut kept = 0;
    let mut stream = logs(container, false);
    while let Ok(Some(Ok(chunk))) = timeout(DRAIN_TIMEOUT, stream.next()).await {
        kept += chunk.into_bytes().len() as u64;
    }
    kept
}

/// Records the end, and only then removes the container. When it cannot be recorded, the container stays, and with it the
/// end. Returns whether the container is still to be removed.
async fn conclude(container: &Container, record: &EndRecord) -> bool {
    let (files, record) = (container.files.clone(), record.clone());
    let kept = tokio::task::spawn_blocking(move || {
        files.record_end(&record)?;
        files.remove_shown();
        Ok::<_, DockerError>(())
    });
    if !matches!(kept.await, Ok(Ok(()))) {
        return false;
    }
    crash_point("container-end-kept");
    let is_left = container.remove(true).await.is_err();
    crash_point("container-removed");
    is_left
}

/// Reads the container's usage, which the daemon sends once a second.
async fn sample(container: Arc<Container>, usage: watch::Sender<ExecUsage>) {
    sleep(FIRST_SAMPLE_DELAY).await;
    let options = StatsOptionsBuilder::new().stream(true).build();
    let mut samples = std::pin::pin!(container.client.stats(container.id(), Some(options)));
    while let Some(Ok(sample)) = samples.next().await {
        usage.send_modify(|usage| *usage = later(*usage, &sample));
    }
}

/// Adds a sample to the usage so far.
fn later(before: ExecUsage, sample: &ContainerStatsResponse) -> ExecUsage {
    let used = sample.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
    // A container that has just ended uses nothing, and says so.
    let cpu = used.filter(|nanos| *nanos > 0).map(Duration::from_nanos);
    let memory = sample.memory_stats.as_ref();
    // Of cgroup v2 there is no peak; then the largest sample is one, without what is only cached.
    let peak = memory.and_then(|memory| {
        let cached = memory.stats.as_ref().and_then(|stats| stats.get("inactive_file").copied()).unwrap_or_default();
        memory.max_usage.or_else(|| Some(memory.usage?.saturating_sub(cached)))
    });
    ExecUsage { cpu: cpu.max(before.cpu), peak_memory: peak.filter(|bytes| *bytes > 0).max(before.peak_memory) }
}
