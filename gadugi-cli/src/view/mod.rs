//! Views of a run: live on a terminal, in plain lines elsewhere, in JSON for programs. All of them see only the run's events
//! and the logs of its tasks.
//!
//! Each view has a thread of its own and a queue before it, so that a reader that does not read holds up only its own view.

mod agent_tail;
mod json;
mod live;
mod log_tail;
mod plain;

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use gadugi_core::agent::OutputFormats;
use gadugi_core::registry::EventSink;
use gadugi_core::{Event, RunRecord, TaskId};

pub(crate) use self::plain::{is_set_up, tone_of};
use crate::failure::Failure;
use crate::site::AttemptFolder;
use crate::terminal::{Announcer, Terminal};

/// Time for a view to clear the terminal.
const CLEAR_TIMEOUT: Duration = Duration::from_millis(500);

/// Encodes an event as a line for programs.
pub(crate) type Encode = fn(&Event) -> Result<String, Box<dyn std::error::Error + Send + Sync>>;

/// A message to a view.
enum Message {
    Event(Box<Event>),
    /// A sentence for people that belongs to no event.
    Say(String),
    /// Clear the terminal, confirm it, and draw nothing before the next event.
    Clear(Sender<()>),
    /// There is nothing more to show.
    End,
}

/// The state that a view for people starts from.
pub(crate) struct ViewState {
    /// The part of the run that was shown before.
    pub(crate) record: RunRecord,
    /// Times that tasks took in earlier runs.
    pub(crate) estimates: HashMap<TaskId, Duration>,
    pub(crate) folder: AttemptFolder,
    /// Output formats of agents, by name.
    pub(crate) formats: OutputFormats,
    /// Whether this process drives the run, so that Ctrl-C stops it.
    pub(crate) drives: bool,
}

/// A running view.
pub(crate) struct View {
    thread: JoinHandle<()>,
    messages: Sender<Message>,
}

/// A handle that clears the terminal of a view.
pub(crate) struct ViewHandle(Sender<Message>);

impl View {
    /// Starts the view for people, and returns it with the sink that feeds it.
    pub(crate) fn for_people(terminal: Terminal, state: ViewState) -> Result<(Self, Box<dyn EventSink>), Failure> {
        if terminal.live {
            Self::start("the live view", move |messages| live::show(terminal, state, &messages))
        } else {
            Self::start("the view", move |messages| plain::show(&terminal, state, &messages))
        }
    }

    /// Starts the view for programs, a line for each event, encoded by `encode`.
    pub(crate) fn for_programs(terminal: Terminal, encode: Encode) -> Result<(Self, Box<dyn EventSink>), Failure> {
        Self::start("the standard output", move |messages| json::show(&terminal, encode, &messages))
    }

    fn start(
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

    /// Prints a sentence for people, after all events that it was given so far.
    pub(crate) fn announce(&self, text: String) {
        // A view that has failed shows nothing more.
        drop(self.messages.send(Message::Say(text)));
    }

    /// Prints what is announced from now on.
    pub(crate) fn announce_for(&self, announcer: &Announcer) {
        let view = self.messages.clone();
        // A view that has failed shows nothing more.
        announcer.announce_by(move |text| drop(view.send(Message::Say(text))));
    }

    /// A handle that clears its terminal, before this process is suspended.
    pub(crate) fn handle(&self) -> ViewHandle {
        ViewHandle(self.messages.clone())
    }

    /// Waits until everything that it was given is shown, and ends it.
    pub(crate) fn finish(self) {
        // A view that has failed or panicked shows nothing more; the run is not concerned.
        drop(self.messages.send(Message::End));
        drop(self.thread.join());
    }
}

impl ViewHandle {
    /// Clears the terminal, or gives up if it takes nothing.
    pub(crate) fn clear(&self) {
        let (sender, cleared) = mpsc::channel();
        if self.0.send(Message::Clear(sender)).is_ok() {
            // What cannot be cleared stays on the screen.
            cleared.recv_timeout(CLEAR_TIMEOUT).ok();
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
                // The process may have stopped waiting for it.
                Ok(Self::Clear(cleared)) => cleared.send(()).unwrap_or(()),
                Ok(Self::End) | Err(_) => return None,
            }
        }
    }
}
