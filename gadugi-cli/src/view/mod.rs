//! What is shown while a run goes on: a live view on a terminal, plain lines elsewhere, JSON for
//! programs. All of them see only the run's events and the logs of its tasks.

mod live;
mod log_tail;
mod plain;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use gadugi_core::{AttemptRef, Event, EventSink, RunHeader, TaskId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) use self::plain::tone_of;
use crate::terminal::Terminal;

/// Where the files of an attempt are.
pub(crate) type AttemptFolder = Box<dyn Fn(&AttemptRef) -> PathBuf + Send>;

/// A view that is under way.
pub(crate) struct View {
    task: JoinHandle<()>,
}

impl View {
    /// Begins a view and gives the sink that feeds it. The view ends after the last event.
    pub(crate) fn begin(
        terminal: &Terminal,
        header: RunHeader,
        estimates: HashMap<TaskId, Duration>,
        folder: AttemptFolder,
    ) -> (Self, Box<dyn EventSink>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let task = if terminal.live {
            tokio::spawn(live::show(terminal.clone(), header, estimates, folder, receiver))
        } else {
            tokio::spawn(plain::show(terminal.clone(), header, receiver))
        };
        let sink = move |event: &Event| sender.send(event.clone()).map_err(|_| "the view has ended".into());
        (Self { task }, Box::new(sink))
    }

    /// Waits until everything is shown.
    pub(crate) async fn finish(self) {
        // A view that panicked shows nothing more; the run is not concerned.
        drop(self.task.await);
    }
}
