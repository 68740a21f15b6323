//! Work that is cancelled when its result is no longer awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::GitError;

/// The waiting side. Dropping it cancels the work.
#[derive(Default)]
pub(crate) struct Waiter(Arc<AtomicBool>);

/// The working side, which checks whether it is cancelled.
#[derive(Clone)]
pub(crate) struct Awaited {
    given_up: Arc<AtomicBool>,
    /// The end of the time limit, and the limit.
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
    /// The same for a part of the work, with a time limit from now on; `None` is no limit.
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
