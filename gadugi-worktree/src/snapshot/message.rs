//! The message of the commits that are made for a task.

use gadugi_core::Lease;

/// The message of a commit of what a task has left uncommitted.
pub(crate) fn message(lease: &Lease) -> String {
    let task = &lease.attempt.task;
    format!("gadugi: uncommitted work of {task}\n\nGadugi-Run: {}\nGadugi-Task: {task}\n", lease.run)
}
