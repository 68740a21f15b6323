//! What is shown while a run goes on: a live view on a terminal, plain lines elsewhere, JSON for
//! programs. All of them see only the run's events and the logs of its tasks.
//!
//! Each has a thread of its own and a queue before it, so that a reader that does not read holds up
//! nothing but what it is shown.

mod agent_tail;
mod json;
mod live;
mod log_tail;
mod plain;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use gadugi_core::{AttemptRef, Event, EventSink, RunRecord, TaskId};

pub(crate) use self::plain::{is_set_up, tone_of};
use crate::failure::Failure;
use crate::terminal::{Announcer, Terminal};

/// Where the files of an attempt are.
pub(crate) type AttemptFolder = Box<dyn Fn(&AttemptRef) -> PathBuf + Send>;

/// How long it is waited for a view to clear the terminal.
const LONGEST_CLEARING: Duration = Duration::from_millis(500);

/// What a view is told.
enum Message {
    Event(Box<Event>),
    /// A sentence for people that is about no event.
    Say(String),
    /// Clear the terminal, say so, and draw nothing before the next event.
    Clear(Sender<()>),
    /// There is nothing more to show.
    End,
}

/// What a view for people starts from.
pub(crate) struct Scene {
    /// What is known of the run, and not shown again.
    pub(crate) record: RunRecord,
    /// How long tasks took in earlier runs.
    pub(crate) estimates: HashMap<TaskId, Duration>,
    pub(crate) folder: AttemptFolder,
    /// Whether this process drives the run, so that Ctrl-C stops it.
    pub(crate) drives: bool,
}

/// A view that is under way.
pub(crate) struct View {
    thread: JoinHandle<()>,
    messages: Sender<Message>,
}

/// Clears the terminal of a view.
pub(crate) struct Curtain(Sender<Message>);

impl View {
    /// Begins the view for people and gives the sink that feeds it.
    pub(crate) fn for_people(terminal: Terminal, scene: Scene) -> Result<(Self, Box<dyn EventSink>), Failure> {
        if terminal.live {
            Self::begin("the live view", move |messages| live::show(terminal, scene, &messages))
        } else {
            Self::begin("the view", move |messages| plain::show(&terminal, scene, &messages))
        }
    }

    /// Begins the view for programs, a line of JSON for each event.
    pub(crate) fn for_programs(terminal: Terminal) -> Result<(Self, Box<dyn EventSink>), Failure> {
        Self::begin("the standard output", move |messages| json::show(&terminal, &messages))
    }

    fn begin(
        name: &'static str,
        show: impl FnOnce(Receiver<Message>) + Send + 'static,
    ) -> Result<(Self, Box<dyn EventSink>), Failure> {
        let (messages, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name("gadugi-view".to_owned()).spawn(move || show(receiver));
        let thread = thread.map_err(|error| Failure::environment(format!("cannot start a thread: {error}")))?;
        let sender = messages.clone();
        let sink = move |event: &Event| {
            let message = Message::Event(Box::new(event.clone()));
            sender.send(message).map_err(|_| format!("{name} takes no more").into())
        };
        Ok((Self { thread, messages }, Box::new(sink)))
    }

    /// Says something to people, after all events that it was given so far.
    pub(crate) fn say(&self, text: String) {
        // A view that has failed shows nothing more.
        drop(self.messages.send(Message::Say(text)));
    }

    /// Prints what is announced from now on.
    pub(crate) fn announce_for(&self, announcer: &Announcer) {
        let view = self.messages.clone();
        // A view that has failed shows nothing more.
        announcer.announce_by(move |text| drop(view.send(Message::Say(text))));
    }

    /// What clears its terminal, for whoever suspends this process.
    pub(crate) fn curtain(&self) -> Curtain {
        Curtain(self.messages.clone())
    }

    /// Waits until everything is shown that it was given so far, and ends it.
    pub(crate) fn finish(self) {
        // A view that has failed or panicked shows nothing more; the run is not concerned.
        drop(self.messages.send(Message::End));
        drop(self.thread.join());
    }
}

impl Curtain {
    /// Clears the terminal, or gives up where it takes nothing.
    pub(crate) fn draw(&self) {
        let (sender, cleared) = mpsc::channel();
        if self.0.send(Message::Clear(sender)).is_ok() {
            // What cannot be cleared stays on the screen.
            cleared.recv_timeout(LONGEST_CLEARING).ok();
        }
    }
}

impl Message {
    /// The next event, for a view that has nothing to clear; `None` at the end. Sentences go to `say`.
    fn next_event(messages: &Receiver<Self>, say: impl Fn(&str)) -> Option<Event> {
        loop {
            match messages.recv() {
                Ok(Self::Event(event)) => return Some(*event),
                Ok(Self::Say(text)) => say(&text),
                // Whoever asked may have given up.
                Ok(Self::Clear(cleared)) => cleared.send(()).unwrap_or(()),
                Ok(Self::End) | Err(_) => return None,
            }
        }
    }
}
