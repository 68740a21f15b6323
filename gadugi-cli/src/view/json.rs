//! Every event as a line of JSON on the standard output.

use std::sync::mpsc::Receiver;

use super::Message;
use crate::compose::event_line;
use crate::terminal::Terminal;

/// Ends with the run, or as soon as a line cannot be written; the run's warnings then say so.
pub(super) fn show(terminal: &Terminal, messages: &Receiver<Message>) {
    while let Some(event) = Message::next_event(messages, |_| ()) {
        let Ok(line) = event_line(&event) else { return };
        if terminal.json(&(line + "\n")).is_err() {
            return;
        }
    }
}
