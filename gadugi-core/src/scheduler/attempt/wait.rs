//! Waits of an attempt.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::executor::{ExecError, RunningTask};
use crate::scheduler::message::StopLevel;

/// Time limit for undoing a start.
const UNDO_TIMEOUT: Duration = Duration::from_secs(10);

/// Undoes a start: ends its command before anything else happens in the worktree. A start that takes too long is dropped, and
/// undone by its executor.
pub(crate) async fn undo_start(start: impl Future<Output = Result<Box<dyn RunningTask>, ExecError>>) {
    let undo = async {
        if let Ok(running) = start.await
            && running.stop(Duration::ZERO).await.is_ok()
        {
            // Its end does not matter.
            drop(running.wait().await);
        }
    };
    drop(timeout(UNDO_TIMEOUT, undo).await);
}

/// Waits for a request to stop.
pub(crate) async fn asked_to_stop(stop: &mut watch::Receiver<StopLevel>) {
    if stop.wait_for(|level| *level > StopLevel::Not).await.is_err() {
        pending().await
    }
}

/// Waits for a request to stop and then for the grace, or for a request to stop without grace.
pub(crate) async fn stopped_after(mut stop: watch::Receiver<StopLevel>, grace: Duration) {
    asked_to_stop(&mut stop).await;
    let now = stop.wait_for(|level| *level == StopLevel::Now);
    // Whichever is over first does not matter.
    drop(timeout(grace, now).await);
}

/// Waits for the next output; returns whether more can come. Never ready without a receiver.
pub(crate) async fn printed(output: &mut Option<watch::Receiver<u64>>) -> bool {
    match output {
        Some(output) => output.changed().await.is_ok(),
        None => pending().await,
    }
}

/// Waits for a moment; for ever for `None`.
pub(crate) async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// Waits until the budget of the run is reached. Never ready without a receiver.
pub(crate) async fn reached(budget: &mut Option<watch::Receiver<Option<String>>>) {
    if let Some(budget) = budget
        && budget.wait_for(Option::is_some).await.is_ok()
    {
        return;
    }
    pending().await
}
