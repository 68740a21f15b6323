//! Snapshots: the work of an attempt, as collected from its worktree.

use std::fmt;

use crate::id::CommitId;
use crate::worktrees::elsewhere::Elsewhere;

/// How the work of an attempt is collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Whether uncommitted and untracked (not ignored) files become a commit. Without it they are only
    /// counted.
    pub commit: bool,
    /// Where the task's work began, if the attempt goes on from what earlier ones made, and so began later.
    pub since: Option<CommitId>,
}

/// What an attempt has made, as found in its worktree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// The tip of the attempt's branch; `None` where there is no git.
    pub tip: Option<CommitId>,
    /// Commits on the branch since its base.
    pub commits: u64,
    /// Files that differ between the base and the tip.
    pub files: u64,
    /// What is on the branch since the task's work began; `None` where that is what this attempt made.
    pub of_task: Option<Counts>,
    /// Files that are changed or new and not on the branch.
    pub uncommitted: u64,
    /// Files that were left out of the snapshot since they look like secrets, as paths in the worktree.
    pub left_out: Vec<String>,
    /// Files that could not be committed.
    pub unsaved: Vec<Unsaved>,
    /// References that keep what the attempt committed in isolation and not on its branch.
    pub kept_refs: Vec<String>,
    /// Where work of the attempt is that is not on its branch.
    pub elsewhere: Vec<Elsewhere>,
    /// Files on the branch to which the task has added conflict markers, as paths in the worktree.
    pub conflict_markers: Vec<String>,
    /// What is ignored in its worktree, and goes with that.
    pub ignored: IgnoredFiles,
    /// Where the work was that was taken over from elsewhere to the attempt's branch, such as `branch feature/x`.
    pub taken_over: Option<String>,
}

/// How much is on a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Commits.
    pub commits: u64,
    /// Files that differ between its beginning and its end.
    pub files: u64,
}

impl Work {
    /// What the attempt itself has made.
    #[must_use]
    pub fn own(&self) -> Counts {
        Counts { commits: self.commits, files: self.files }
    }

    /// The place of work without which the branch does not stand for what the attempt has made. A stash entry beside commits
    /// may be one whose changes were taken out; and of a worktree that was removed the commits stay.
    #[must_use]
    pub fn missing(&self) -> Option<&Elsewhere> {
        self.elsewhere.iter().find(|place| match place {
            Elsewhere::Stash { .. } | Elsewhere::Removed => self.commits == 0,
            _ => true,
        })
    }
}

/// Files that git ignores by rules of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoredFiles {
    /// How many there are.
    pub files: u64,
    /// How many bytes they hold.
    pub bytes: u64,
    /// The folders with most of these, the largest first, as paths in the worktree.
    pub largest: Vec<String>,
}

/// A file that git cannot keep, so that it is only in its worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaved {
    /// Its path in the worktree.
    pub path: String,
    /// Why it could not be committed.
    pub why: String,
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.why)
    }
}
