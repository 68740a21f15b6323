//! Requests for worktrees, and the leases that answer them.

use std::path::PathBuf;

use crate::id::{AttemptRef, BranchName, CommitId, RunId, TaskId};

/// The tip of a needed task's branch, which is merged into the base of its dependant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededTip {
    /// The needed task.
    pub task: TaskId,
    /// Tip of its branch.
    pub tip: CommitId,
}

/// A request for the worktree of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorktreeRequest {
    /// Run of the attempt.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRef,
    /// Commit to start from instead of the run's base, with `needs` merged into it.
    pub base: Option<CommitId>,
    /// Branches to start from, in the order of the plan; none starts from the base.
    pub needs: Vec<NeededTip>,
    /// Tip of an earlier attempt at the task to start from, without any merge.
    pub from: Option<CommitId>,
    /// Lease of an earlier attempt at the task whose worktree is used again. Where that is gone, another one is made.
    pub reuse: Option<Lease>,
}

/// A worktree that belongs to one attempt. It is plain data, so that another process can release it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Run of the attempt.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRef,
    /// Path of the worktree.
    pub path: PathBuf,
    /// Branch that is checked out there; `None` without git.
    pub branch: Option<BranchName>,
    /// Commit that the branch started from; `None` without git.
    pub base: Option<CommitId>,
}

/// The files that were copied into a new worktree from the user's, all of which git ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seeded {
    /// Number of files.
    pub files: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

/// A new worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedWorktree {
    /// Its lease.
    pub lease: Lease,
    /// Files that were copied into it in addition to the checkout, if any were.
    pub seeded: Option<Seeded>,
    /// Warnings for the user, a sentence each. They change no result.
    pub warnings: Vec<String>,
}

impl From<Lease> for CreatedWorktree {
    fn from(lease: Lease) -> Self {
        Self { lease, seeded: None, warnings: Vec::new() }
    }
}

/// The home folder of an agent, in all attempts at its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHome {
    /// Path of the folder.
    pub path: PathBuf,
    /// Whether it is empty.
    pub is_new: bool,
}
