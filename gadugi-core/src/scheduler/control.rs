//! How a run is told to stop.

use tokio::sync::mpsc;

use crate::id::TaskId;

/// A request to a run.
#[derive(Debug)]
pub(super) struct StopRequest {
    /// Which tasks; none means all.
    pub(super) tasks: Vec<TaskId>,
    pub(super) now: bool,
}

/// Tells a run to stop. Can be cloned and used from any thread; a run that is over ignores it.
#[derive(Debug, Clone)]
pub struct Control(mpsc::UnboundedSender<StopRequest>);

impl Control {
    /// Asks all tasks that run to stop, with their grace, and starts no more. With `now` they are killed
    /// at once, also those that were asked before.
    pub fn stop_all(&self, now: bool) {
        self.send(Vec::new(), now);
    }

    /// The same for some tasks; those that need them are skipped, the others go on. Tasks that are over,
    /// or not part of the run, are passed over.
    pub fn stop(&self, tasks: Vec<TaskId>, now: bool) {
        if !tasks.is_empty() {
            self.send(tasks, now);
        }
    }

    fn send(&self, tasks: Vec<TaskId>, now: bool) {
        // The receiver is gone when the run is over, and then there is nothing to stop.
        drop(self.0.send(StopRequest { tasks, now }));
    }
}

/// The other end of a [`Control`]; a run takes it.
#[derive(Debug)]
pub struct ControlReceiver(pub(super) mpsc::UnboundedReceiver<StopRequest>);

/// Makes the two ends.
#[must_use]
pub fn control() -> (Control, ControlReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Control(sender), ControlReceiver(receiver))
}
