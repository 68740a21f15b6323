//! The view for programs: a line of JSON for each event, on the standard output.

use std::sync::mpsc::Receiver;

use super::{Encode, Message};
use crate::terminal::Terminal;

/// Shows events until the run ends, or until a line cannot be written, which the run reports as a warning.
pub(super) fn show(terminal: &Terminal, encode: Encode, messages: &Receiver<Message>) {
    while let Some(event) = Message::next_event(messages, |_| ()) {
        let Ok(line) = encode(&event) else { return };
        if terminal.json(&(line + "\n")).is_err() {
            return;
        }
    }
}
