//! Requests for worktrees, and the leases that answer them.

use std::path::PathBuf;

use crate::id::{AttemptRef, BranchName, CommitId, RunId, TaskId};

/// The tip of a needed task's branch, which is merged into the base of the one that needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededTip {
    /// The task that was needed.
    pub task: TaskId,
    /// Where its branch ended.
    pub tip: CommitId,
}

/// Asks for a place for one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorktreeRequest {
    /// The run that it is for.
    pub run: RunId,
    /// The attempt that it is for.
    pub attempt: AttemptRef,
    /// The branches to start from, in the order of the plan; none starts from the run's base.
    pub needs: Vec<NeededTip>,
    /// Start from this commit and merge nothing: where an earlier attempt at the task ended.
    pub from: Option<CommitId>,
    /// Go on in this place, which was made for an earlier attempt at the task, and which that does not need any more. Where it
    /// is not there any more, another one is made.
    pub take_over: Option<Lease>,
}

/// A place that one attempt works in. It is plain data, so that another process can release it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The run that it was made for.
    pub run: RunId,
    /// The attempt that it was made for.
    pub attempt: AttemptRef,
    /// The folder.
    pub path: PathBuf,
    /// The branch that is checked out there; `None` where there is no git.
    pub branch: Option<BranchName>,
    /// The commit that the branch started from; `None` where there is no git.
    pub base: Option<CommitId>,
}

/// What was copied into a new place from where the user works: files that git ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seeded {
    /// How many files.
    pub files: u64,
    /// How many bytes they hold.
    pub bytes: u64,
}

/// A place that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The place.
    pub lease: Lease,
    /// What was copied into it besides what it starts from, if anything was.
    pub seeded: Option<Seeded>,
    /// What the user should know of how it was made, in a sentence each. It changes no result.
    pub warnings: Vec<String>,
}

impl From<Lease> for Made {
    fn from(lease: Lease) -> Self {
        Self { lease, seeded: None, warnings: Vec::new() }
    }
}

/// The folder that an agent has as its home in all attempts at its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHome {
    /// Where it is.
    pub path: PathBuf,
    /// Whether there is nothing in it.
    pub is_new: bool,
}
