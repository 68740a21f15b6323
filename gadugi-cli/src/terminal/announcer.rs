//! Sentences for people while a view of a run holds the terminal.

use std::sync::{Mutex, PoisonError};

/// Prints one sentence for people.
type Say = Box<dyn Fn(String) + Send>;

/// Passes sentences that belong to no event to the view of the run, which prints them between its own lines. Without a view they are
/// dropped.
#[derive(Default)]
pub(crate) struct Announcer(Mutex<Option<Say>>);

impl Announcer {
    /// Passes all later sentences to `say`.
    pub(crate) fn announce_by(&self, say: impl Fn(String) + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(say));
    }

    /// Announces a sentence.
    pub(crate) fn announce(&self, text: String) {
        if let Some(say) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            say(text);
        }
    }
}
