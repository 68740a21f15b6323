//! The handle on a command in a container.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gadugi_core::{ExecEnd, ExecError, ExecIdentity, ExecUsage, RunningTask};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::NAME;
use super::api::error::DockerError;
use super::container::Container;
use super::record::{ContainerRecord, Token};
use super::supervise::{Heard, Reports, supervise};

/// How long a stop without grace waits for its effect.
const LONGEST_KILL: Duration = Duration::from_secs(5);

/// How long a stop waits for a daemon that refuses at once.
const REFUSAL: Duration = Duration::from_millis(100);

/// A handle on a container. Dropping it stops nothing.
pub(super) struct DockerTask {
    identity: ExecIdentity,
    hold: Hold,
    /// Whether it was asked to stop.
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
    /// Follows a container that runs, or has run. `began` is when it did, on this process's clock.
    pub(super) fn follow(container: Arc<Container>, heard: Option<Heard>, began: Instant) -> Self {
        let (ending_sender, ending) = watch::channel(None);
        let (printed_sender, printed) = watch::channel(0);
        let (usage_sender, usage) = watch::channel(ExecUsage::default());
        let reports = Reports { ending: ending_sender, printed: printed_sender, usage: usage_sender };
        tokio::spawn(supervise(Arc::clone(&container), heard, began, reports));
        let identity = identity(&container.record);
        let hold = Hold::Running { container, began, ending, printed, usage };
        Self { identity, hold, asked: AtomicBool::new(false) }
    }

    /// Stands for one that may have begun and is not there any more.
    pub(super) fn may_have_begun(container: Arc<Container>, began: Instant) -> Self {
        let (_, ending) = watch::channel(Some(Err(Arc::new(DockerError::MayHaveBegun))));
        let (_, printed) = watch::channel(0);
        let (_, usage) = watch::channel(ExecUsage::default());
        let identity = identity(&container.record);
        let hold = Hold::Running { container, began, ending, printed, usage };
        Self { identity, hold, asked: AtomicBool::new(false) }
    }

    /// Stands for one whose end was kept.
    pub(super) fn ended(record: &ContainerRecord, end: ExecEnd) -> Self {
        Self { identity: identity(record), hold: Hold::Ended(end), asked: AtomicBool::new(false) }
    }

    fn end_so_far(&self) -> Option<ExecEnd> {
        match &self.hold {
            Hold::Running { ending, .. } => ending.borrow().as_ref().and_then(|end| end.as_ref().ok().copied()),
            Hold::Ended(end) => Some(*end),
        }
    }

    /// The container, while nothing is known of its end.
    fn running(&self) -> Option<&Arc<Container>> {
        match &self.hold {
            Hold::Running { container, ending, .. } if ending.borrow().is_none() => Some(container),
            _ => None,
        }
    }

    fn lost(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ExecError {
        ExecError::Watch { identity: self.identity.token.clone(), source: source.into() }
    }

    /// Ends it at once and removes it: nobody has wanted it. While it cannot be removed it stays noted.
    pub(super) async fn undo(self) {
        if let Hold::Running { container, .. } = &self.hold
            && container.remove(true).await.is_ok()
        {
            container.files.forget_container().ok();
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

    /// The daemon does it, also when this process has ended meanwhile; it counts the grace in whole seconds, and this
    /// process, while it lives, exactly.
    async fn stop(&self, grace: Duration) -> Result<(), ExecError> {
        let Some(container) = self.running().cloned() else { return Ok(()) };
        // What has ended by itself is not stopped, whatever the daemon says: that comes to know its end, or does not.
        if container.has_lost_its_processes() {
            return Ok(());
        }
        // Whoever keeps its end, perhaps another process, knows by this where that comes from. It is stopped in any case.
        let is_first = container.files.note_stop().unwrap_or(false);
        if grace.is_zero() {
            let heard = container.signal("SIGKILL").await;
            if is_first && !matches!(heard, Ok(true)) {
                container.files.forget_stop();
            }
            heard.map_err(|fault| self.lost(fault))?;
            // Who is told that it was killed finds nothing of it.
            drop(timeout(LONGEST_KILL, self.wait()).await);
            return Ok(());
        }
        if !self.asked.swap(true, Ordering::Relaxed) {
            let seconds = i32::try_from(grace.as_secs_f64().ceil() as u64).unwrap_or(i32::MAX);
            let stopped = Arc::clone(&container);
            let mut stopping = tokio::spawn(async move {
                let heard = stopped.stop(seconds).await;
                if is_first && !matches!(heard, Ok(true)) {
                    stopped.files.forget_stop();
                }
                heard
            });
            if let Ok(Ok(Err(fault))) = timeout(REFUSAL.min(grace), &mut stopping).await {
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
        match self.running() {
            Some(container) => container.pause(true).await.map_err(|fault| self.lost(fault)),
            None => Ok(false),
        }
    }

    async fn resume(&self) -> Result<(), ExecError> {
        match self.running() {
            Some(container) => container.pause(false).await.map(drop).map_err(|fault| self.lost(fault)),
            None => Ok(()),
        }
    }

    fn elapsed(&self) -> Option<Duration> {
        match (&self.hold, self.end_so_far()) {
            (_, Some(end)) => Some(end.took),
            (Hold::Running { began, .. }, None) => Some(began.elapsed()),
            (Hold::Ended(_), None) => None,
        }
    }

    /// What the daemon has told last, which it does once a second.
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
