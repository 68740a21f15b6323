//! Work that goes on only as long as its result is awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::GitError;

/// Held by whoever waits. The work is given up when it is dropped.
#[derive(Default)]
pub(crate) struct Waiter(Arc<AtomicBool>);

/// What the work asks, where it may be given up.
#[derive(Clone)]
pub(crate) struct Awaited {
    given_up: Arc<AtomicBool>,
    /// The end of the time that it has, and how much that was.
    deadline: Option<(Instant, Duration)>,
}

impl Waiter {
    pub(crate) fn awaited(&self) -> Awaited {
        Awaited { given_up: Arc::clone(&self.0), deadline: None }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Awaited {
    /// The same for a part of the work, which has so much time from now on; `None` is no limit.
    pub(crate) fn within(&self, limit: Option<Duration>) -> Self {
        let deadline = limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        Self { given_up: Arc::clone(&self.given_up), deadline }
    }

    /// # Errors
    /// [`GitError::GivenUp`] when the result is not awaited any more, and [`GitError::TooSlow`] when the time is up.
    pub(crate) fn check(&self) -> Result<(), GitError> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(GitError::GivenUp);
        }
        match self.deadline {
            Some((end, limit)) if Instant::now() >= end => Err(GitError::TooSlow { limit }),
            _ => Ok(()),
        }
    }
}
