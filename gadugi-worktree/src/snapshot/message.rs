//! The message of commits that are made for a task.

use gadugi_core::Lease;

/// The message of a commit with a task's uncommitted files.
pub(crate) fn message(lease: &Lease) -> String {
    let task = &lease.attempt.task;
    format!("gadugi: uncommitted work of {task}\n\nGadugi-Run: {}\nGadugi-Task: {task}\n", lease.run)
}
