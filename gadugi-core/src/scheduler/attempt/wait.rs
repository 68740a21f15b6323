//! Waits of an attempt.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::executor::{ExecError, RunningTask};
use crate::scheduler::message::StopLevel;

/// How long a start that was given up is waited for.
const LONGEST_UNDO: Duration = Duration::from_secs(10);

/// Ends what a start that nobody wants any more brings forth, before anything else happens where it runs. One that takes too
/// long is dropped, and undone by its executor.
pub(crate) async fn give_up(start: impl Future<Output = Result<Box<dyn RunningTask>, ExecError>>) {
    let undo = async {
        if let Ok(running) = start.await
            && running.stop(Duration::ZERO).await.is_ok()
        {
            // How it ended does not matter.
            drop(running.wait().await);
        }
    };
    drop(timeout(LONGEST_UNDO, undo).await);
}

/// Waits until it is asked to stop.
pub(crate) async fn asked_to_stop(stop: &mut watch::Receiver<StopLevel>) {
    if stop.wait_for(|level| *level > StopLevel::Not).await.is_err() {
        pending().await
    }
}

/// Waits until it was asked to stop and the grace is over, or until it is asked to stop without.
pub(crate) async fn stopped_after(mut stop: watch::Receiver<StopLevel>, grace: Duration) {
    asked_to_stop(&mut stop).await;
    let now = stop.wait_for(|level| *level == StopLevel::Now);
    // What is over first does not matter.
    drop(timeout(grace, now).await);
}

/// Waits for the next output; says whether more can come. Never ready where none is listened to.
pub(crate) async fn printed(output: &mut Option<watch::Receiver<u64>>) -> bool {
    match output {
        Some(output) => output.changed().await.is_ok(),
        None => pending().await,
    }
}

pub(crate) async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// Waits until the run has used up what it may. Never ready where nobody tells.
pub(crate) async fn reached(budget: &mut Option<watch::Receiver<Option<String>>>) {
    if let Some(budget) = budget
        && budget.wait_for(Option::is_some).await.is_ok()
    {
        return;
    }
    pending().await
}
