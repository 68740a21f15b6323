//! Work that goes on only as long as somebody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::GitError;

/// Held by whoever waits. The work is given up when it is dropped.
#[derive(Default)]
pub(crate) struct Waiter(Arc<AtomicBool>);

/// What the work asks, where it may be given up.
#[derive(Clone)]
pub(crate) struct Awaited(Arc<AtomicBool>);

impl Waiter {
    pub(crate) fn awaited(&self) -> Awaited {
        Awaited(Arc::clone(&self.0))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Awaited {
    /// # Errors
    /// [`GitError::GivenUp`] when nobody waits any more.
    pub(crate) fn check(&self) -> Result<(), GitError> {
        if self.0.load(Ordering::Relaxed) { Err(GitError::GivenUp) } else { Ok(()) }
    }
}
