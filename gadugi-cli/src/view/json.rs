//! Every event as a line of JSON on the standard output.

use std::sync::mpsc::Receiver;

use gadugi_core::Event;

use crate::compose::event_line;
use crate::terminal::Terminal;

/// Ends with the run, or as soon as a line cannot be written; the run's warnings then say so.
pub(super) fn show(terminal: &Terminal, events: &Receiver<Event>) {
    for event in events {
        let Ok(line) = event_line(&event) else { return };
        if terminal.result(&(line + "\n")).is_err() {
            return;
        }
    }
}
