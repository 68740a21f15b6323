//! The control of a run: stop, suspend, resume.

use tokio::sync::{mpsc, oneshot};

use crate::id::TaskId;

/// An order to a run.
#[derive(Debug)]
pub(super) enum Order {
    /// Stop these tasks; none means all.
    Stop { tasks: Vec<TaskId>, now: bool },
    /// Suspend everything, and answer when that is done.
    Suspend(oneshot::Sender<()>),
    /// Resume everything.
    Continue,
}

/// A handle to stop or suspend a run. It can be cloned and used from any thread; a run that is over ignores it.
#[derive(Debug, Clone)]
pub struct Control(mpsc::UnboundedSender<Order>);

impl Control {
    /// Asks all running tasks to stop, with their grace, and starts no more. With `now` they are killed
    /// at once, also those that were asked before.
    pub fn stop_all(&self, now: bool) {
        self.send(Order::Stop { tasks: Vec::new(), now });
    }

    /// Stops some tasks in the same way; their dependants are skipped, the others continue. Tasks that are over,
    /// or not part of the run, are ignored.
    pub fn stop(&self, tasks: Vec<TaskId>, now: bool) {
        if !tasks.is_empty() {
            self.send(Order::Stop { tasks, now });
        }
    }

    /// Suspends all commands, as far as their executors can, and stops the run's clocks, until
    /// [`resume`](Control::resume). Returns when that is done, or when the run is over.
    pub async fn suspend(&self) {
        let (sender, done) = oneshot::channel();
        self.send(Order::Suspend(sender));
        // Dropped when the run is over.
        drop(done.await);
    }

    /// Resumes everything that [`suspend`](Control::suspend) has suspended.
    pub fn resume(&self) {
        self.send(Order::Continue);
    }

    fn send(&self, order: Order) {
        // The receiver is gone when the run is over, and then there is nothing to do.
        drop(self.0.send(order));
    }
}

/// The other end of a [`Control`]; a run takes it.
#[derive(Debug)]
pub struct ControlReceiver(pub(super) mpsc::UnboundedReceiver<Order>);

/// Makes a control and its receiver.
#[must_use]
pub fn control() -> (Control, ControlReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Control(sender), ControlReceiver(receiver))
}
