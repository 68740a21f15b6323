//! Retries where the machine has no more threads or processes: a task of the same user may have taken all of them.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::GitError;

/// Time for which work is retried that needs a thread or a process.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
const MIN_INTERVAL: Duration = Duration::from_millis(10);
const MAX_INTERVAL: Duration = Duration::from_millis(500);

/// Retries work that fails for want of a thread or process. Blocks.
///
/// # Errors
/// That of the work, when it still fails after a minute, or for another reason.
pub(crate) fn patiently<T>(mut work: impl FnMut() -> Result<T, GitError>) -> Result<T, GitError> {
    let give_up = Instant::now() + RETRY_TIMEOUT;
    let mut pause = MIN_INTERVAL;
    loop {
        match work() {
            Err(error) if is_scarcity(&error) && Instant::now() < give_up => {
                thread::sleep(pause);
                pause = MAX_INTERVAL.min(pause * 2);
            }
            result => return result,
        }
    }
}

/// Whether a thread or process was refused for the moment.
fn is_scarcity(error: &GitError) -> bool {
    let source = match error {
        GitError::Gix(error) => error.downcast_any_ref::<io::Error>(),
        GitError::Start(error) => Some(error),
        _ => None,
    };
    source.is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_gets_no_thread_is_tried_again_and_other_errors_are_told_at_once() {
        let mut times = 0;
        let scarce = || GitError::Start(io::Error::from(io::ErrorKind::WouldBlock));
        let tried = patiently(|| {
            times += 1;
            if times < 3 { Err(scarce()) } else { Ok(times) }
        });
        assert_eq!(tried.expect("it works at last"), 3);
        let wrapped = GitError::Gix(gix::Error::from_error(io::Error::from(io::ErrorKind::WouldBlock)));
        assert!(is_scarcity(&wrapped));
        patiently(|| Err::<(), _>(GitError::Start(io::ErrorKind::NotFound.into()))).expect_err("there is no git");
    }
}
