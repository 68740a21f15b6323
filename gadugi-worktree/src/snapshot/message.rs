//! The message of commits that are made for a task.

use gadugi_core::Lease;
use gadugi_core::worktrees::CommitSubject;

/// The message of a commit with a task's uncommitted files.
pub(crate) fn message(lease: &Lease, subject: Option<&CommitSubject>) -> String {
    let untitled = CommitSubject::of_untitled(&lease.attempt);
    let (subject, task) = (subject.unwrap_or(&untitled), &lease.attempt.task);
    format!("{subject}\n\nGadugi-Run: {}\nGadugi-Task: {task}\n", lease.run)
}
