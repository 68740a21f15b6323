//! The handle on a command in a container.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gadugi_core::executor::{ExecEnd, ExecError, ExecIdentity, ExecUsage, RunningTask};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::NAME;
use super::api::error::DockerError;
use super::container::Container;
use super::record::{ContainerRecord, Token};
use super::supervise::{Connections, Reports, supervise};
use crate::events;

/// Time for a kill to take effect.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Time in which a daemon refuses a stop.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(100);

/// A handle on a container. Dropping it stops nothing.
pub(super) struct DockerTask {
    identity: ExecIdentity,
    hold: Hold,
    /// Whether a stop was requested.
    asked: AtomicBool,
}

enum Hold {
    Running {
        container: Arc<Container>,
        began: Instant,
        ending: watch::Receiver<Option<Result<ExecEnd, Arc<DockerError>>>>,
        printed: watch::Receiver<u64>,
        usage: watch::Receiver<ExecUsage>,
    },
    Ended(ExecEnd),
}

impl DockerTask {
    /// Supervises a container that runs, or has run, in the background. `began` is its start on this process's clock.
    pub(super) fn supervise(container: Arc<Container>, connections: Option<Connections>, began: Instant) -> Self {
        let (ending_sender, ending) = watch::channel(None);
        let (printed_sender, printed) = watch::channel(0);
        let (usage_sender, usage) = watch::channel(ExecUsage::default());
        let reports = Reports { ending: ending_sender, printed: printed_sender, usage: usage_sender };
        tokio::spawn(supervise(Arc::clone(&container), connections, began, reports).in_current_span());
        let identity = identity(&container.record);
        let hold = Hold::Running { container, began, ending, printed, usage };
        Self { identity, hold, asked: AtomicBool::new(false) }
    }

    /// Returns the handle on a command that may have begun and whose container is gone.
    pub(super) fn may_have_begun(container: Arc<Container>, began: Instant) -> Self {
        let (_, ending) = watch::channel(Some(Err(Arc::new(DockerError::MayHaveBegun))));
        let (_, printed) = watch::channel(0);
        let (_, usage) = watch::channel(ExecUsage::default());
        let identity = identity(&container.record);
        let hold = Hold::Running { container, began, ending, printed, usage };
        Self { identity, hold, asked: AtomicBool::new(false) }
    }

    /// Returns the handle on a command whose end was recorded.
    pub(super) fn ended(record: &ContainerRecord, end: ExecEnd) -> Self {
        Self { identity: identity(record), hold: Hold::Ended(end), asked: AtomicBool::new(false) }
    }

    fn end_so_far(&self) -> Option<ExecEnd> {
        match &self.hold {
            Hold::Running { ending, .. } => ending.borrow().as_ref().and_then(|end| end.as_ref().ok().copied()),
            Hold::Ended(end) => Some(*end),
        }
    }

    /// Returns the container, until its end is known.
    fn running(&self) -> Option<&Arc<Container>> {
        match &self.hold {
            Hold::Running { container, ending, .. } if ending.borrow().is_none() => Some(container),
            _ => None,
        }
    }

    fn lost(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ExecError {
        ExecError::Watch { identity: self.identity.token.clone(), source: source.into() }
    }

    /// Kills and removes the container of a start that was given up. While it cannot be removed it stays recorded.
    pub(super) async fn undo(self) {
        if let Hold::Running { container, .. } = &self.hold
            && container.remove(true).await.is_ok()
        {
            container.files.unrecord_container().ok();
        }
    }
}

pub(super) fn identity(record: &ContainerRecord) -> ExecIdentity {
    ExecIdentity { executor: NAME.to_owned(), token: Token::of(record).to_string() }
}

#[async_trait]
impl RunningTask for DockerTask {
    fn identity(&self) -> &ExecIdentity {
        &self.identity
    }

    async fn wait(&self) -> Result<ExecEnd, ExecError> {
        match &self.hold {
            Hold::Ended(end) => Ok(*end),
            Hold::Running { ending, .. } => {
                let mut ending = ending.clone();
                match ending.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()) {
                    Some(Ok(end)) => Ok(end),
                    Some(Err(fault)) => Err(self.lost(fault)),
                    None => Err(self.lost(DockerError::ShutDown)),
                }
            }
        }
    }

    /// Lets the daemon stop the container, which it does also when this process ends meanwhile. The daemon counts the grace in
    /// whole seconds; this process, while it lives, counts it exactly.
    async fn stop(&self, grace: Duration) -> Result<(), ExecError> {
        events::stopping(&self.identity, grace);
        let Some(container) = self.running().cloned() else { return Ok(()) };
        // A command that has ended by itself is not stopped, even if the daemon does not know of its end yet.
        if container.has_lost_its_processes() {
            return Ok(());
        }
        // The driver that records the end, perhaps another process, sees by this that it was stopped. A failed note hinders no stop.
        let is_first = container.files.record_stop().unwrap_or(false);
        if grace.is_zero() {
            let heard = container.signal("SIGKILL").await;
            if is_first && !matches!(heard, Ok(true)) {
                container.files.unrecord_stop();
            }
            heard.map_err(|error| self.lost(error))?;
            // After a successful kill nothing of it is left.
            drop(timeout(KILL_TIMEOUT, self.wait()).await);
            return Ok(());
        }
        if !self.asked.swap(true, Ordering::Relaxed) {
            let seconds = i32::try_from(grace.as_secs_f64().ceil() as u64).unwrap_or(i32::MAX);
            let stopped = Arc::clone(&container);
            let mut stopping = tokio::spawn(async move {
                let heard = stopped.stop(seconds).await;
                if is_first && !matches!(heard, Ok(true)) {
                    stopped.files.unrecord_stop();
                }
                heard
            });
            if let Ok(Ok(Err(fault))) = timeout(REFUSAL_TIMEOUT.min(grace), &mut stopping).await {
                self.asked.store(false, Ordering::Relaxed);
                return Err(self.lost(fault));
            }
        }
        tokio::spawn(async move {
            let first_part = if container.record.interrupt { grace / 2 } else { Duration::ZERO };
            if !first_part.is_zero() {
                sleep(first_part).await;
                // One that cannot be signalled is killed all the same.
                container.signal("SIGTERM").await.ok();
            }
            sleep(grace - first_part).await;
            // The daemon does the same a moment later, if it can.
            container.kill_for_sure().await;
        });
        Ok(())
    }

    async fn suspend(&self) -> Result<bool, ExecError> {
        let Some(container) = self.running() else { return Ok(false) };
        events::suspending(&self.identity, true);
        container.pause(true).await.map_err(|error| self.lost(error))
    }

    async fn resume(&self) -> Result<(), ExecError> {
        let Some(container) = self.running() else { return Ok(()) };
        events::suspending(&self.identity, false);
        container.pause(false).await.map(drop).map_err(|error| self.lost(error))
    }

    fn elapsed(&self) -> Option<Duration> {
        match (&self.hold, self.end_so_far()) {
            (_, Some(end)) => Some(end.took),
            (Hold::Running { began, .. }, None) => Some(began.elapsed()),
            (Hold::Ended(_), None) => None,
        }
    }

    /// Returns the last sample, which the daemon sends once a second.
    async fn usage(&self) -> ExecUsage {
        match &self.hold {
            Hold::Running { usage, .. } => *usage.borrow(),
            Hold::Ended(end) => end.usage,
        }
    }

    fn output(&self) -> Option<watch::Receiver<u64>> {
        match &self.hold {
            Hold::Running { printed, .. } => Some(printed.clone()),
            Hold::Ended(end) => Some(watch::channel(end.output.bytes).1),
        }
    }
}
