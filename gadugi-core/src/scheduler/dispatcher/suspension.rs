//! The suspension of a run and of its commands.

use std::collections::HashSet;

use tokio::sync::{oneshot, watch};

use crate::id::AttemptRef;

/// The state of a run's suspension.
pub(crate) struct Suspension {
    suspended: watch::Sender<bool>,
    /// Attempts whose executor is starting a command just now.
    starting: HashSet<AttemptRef>,
    /// Attempts whose commands are being suspended, and the reply that waits for them.
    suspending: Option<(HashSet<AttemptRef>, oneshot::Sender<()>)>,
}

impl Suspension {
    /// A run that is not suspended.
    pub(super) fn new() -> Self {
        Self { suspended: watch::channel(false).0, starting: HashSet::new(), suspending: None }
    }

    /// Tells an attempt whether the run is suspended, and when that changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.suspended.subscribe()
    }

    /// Notes that an executor is starting a command, which has to be suspended, too.
    pub(super) fn command_starting(&mut self, attempt: AttemptRef) {
        self.starting.insert(attempt);
    }

    /// Notes that the start of a command is over.
    pub(super) fn start_over(&mut self, attempt: &AttemptRef) {
        self.starting.remove(attempt);
    }

    /// Suspends the run; `done` is answered once the commands of these attempts, and those just starting, are suspended.
    pub(super) fn suspend(&mut self, mut running: HashSet<AttemptRef>, done: oneshot::Sender<()>) {
        running.extend(self.starting.iter().cloned());
        if running.is_empty() {
            // The receiver may be gone.
            done.send(()).ok();
        } else {
            self.suspending = Some((running, done));
        }
        self.suspended.send_replace(true);
    }

    /// Notes that the command of an attempt is suspended, or need not be any more.
    pub(super) fn settle(&mut self, attempt: &AttemptRef) {
        if let Some((waiting, _)) = &mut self.suspending {
            waiting.remove(attempt);
        }
        if let Some((_, done)) = self.suspending.take_if(|(waiting, _)| waiting.is_empty()) {
            // The receiver may be gone.
            done.send(()).ok();
        }
    }

    /// Forgets an attempt that is over.
    pub(super) fn forget(&mut self, attempt: &AttemptRef) {
        self.start_over(attempt);
        self.settle(attempt);
    }

    /// Ends the suspension; returns whether there was one.
    pub(super) fn resume(&self) -> bool {
        // Taking it sets it to false, and returns what it was.
        self.suspended.send_if_modified(std::mem::take)
    }
}
