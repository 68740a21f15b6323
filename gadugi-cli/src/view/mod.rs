//! What is shown while a run goes on: a live view on a terminal, plain lines elsewhere, JSON for
//! programs. All of them see only the run's events and the logs of its tasks.
//!
//! Each has a thread of its own and a queue before it, so that a reader that does not read holds up
//! nothing but what it is shown.

mod json;
mod live;
mod log_tail;
mod plain;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use gadugi_core::{AttemptRef, Event, EventSink, RunHeader, TaskId};

pub(crate) use self::plain::tone_of;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Where the files of an attempt are.
pub(crate) type AttemptFolder = Box<dyn Fn(&AttemptRef) -> PathBuf + Send>;

/// A view that is under way.
pub(crate) struct View {
    thread: JoinHandle<()>,
}

impl View {
    /// Begins the view for people and gives the sink that feeds it.
    pub(crate) fn for_people(
        terminal: Terminal,
        header: RunHeader,
        estimates: HashMap<TaskId, Duration>,
        folder: AttemptFolder,
    ) -> Result<(Self, Box<dyn EventSink>), Failure> {
        if terminal.live {
            Self::begin("the live view", move |events| live::show(terminal, header, estimates, folder, &events))
        } else {
            Self::begin("the view", move |events| plain::show(&terminal, header, &events))
        }
    }

    /// Begins the view for programs, a line of JSON for each event.
    pub(crate) fn for_programs(terminal: Terminal) -> Result<(Self, Box<dyn EventSink>), Failure> {
        Self::begin("the standard output", move |events| json::show(&terminal, &events))
    }

    fn begin(
        name: &'static str,
        show: impl FnOnce(Receiver<Event>) + Send + 'static,
    ) -> Result<(Self, Box<dyn EventSink>), Failure> {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name("gadugi-view".to_owned()).spawn(move || show(receiver));
        let thread = thread.map_err(|error| Failure::environment(format!("cannot start a thread: {error}")))?;
        let sink = move |event: &Event| sender.send(event.clone()).map_err(|_| format!("{name} takes no more").into());
        Ok((Self { thread }, Box::new(sink)))
    }

    /// Waits until everything is shown. The sink is gone by then.
    pub(crate) fn finish(self) {
        // A view that panicked shows nothing more; the run is not concerned.
        drop(self.thread.join());
    }
}
