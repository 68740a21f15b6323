//! What to do when the machine gives no more threads and processes: a task of the same user may have taken all there can be.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::GitError;

/// How long work is tried again that needs a thread or a process.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Repeats work that fails since it gets no thread or process. Blocks.
///
/// # Errors
/// That of the work, when there is still none after a minute, or it has failed for another reason.
pub(crate) fn patiently<T>(mut work: impl FnMut() -> Result<T, GitError>) -> Result<T, GitError> {
    let give_up = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match work() {
            Err(error) if is_scarcity(&error) && Instant::now() < give_up => {
                thread::sleep(pause);
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            result => return result,
        }
    }
}

/// Whether a thread or process was refused that there may be at another time.
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
