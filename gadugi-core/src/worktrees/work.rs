//! Snapshots: the work of an attempt, as collected from its worktree.

use std::fmt;

use crate::id::{AttemptRef, CommitId};
use crate::worktrees::elsewhere::Elsewhere;

/// The first line of a commit's message: never empty, without control characters, and no comment to git.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommitSubject(String);

impl CommitSubject {
    /// The subject of a text that is one.
    pub(crate) fn new(subject: String) -> Self {
        Self(subject)
    }

    /// The subject for an attempt at a task without a title.
    #[must_use]
    pub fn of_untitled(attempt: &AttemptRef) -> Self {
        Self(format!("Work of {}", attempt.task))
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommitSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A request to collect the work of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Whether uncommitted and untracked (not ignored) files become a commit. Otherwise they are only counted.
    pub commit: bool,
    /// Subject of that commit; `None` takes [`CommitSubject::of_untitled`].
    pub subject: Option<CommitSubject>,
    /// Start of the task's work, where that is in an earlier attempt that this one continues.
    pub since: Option<CommitId>,
}

/// The work of an attempt, as found in its worktree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// Tip of the attempt's branch; `None` without git.
    pub tip: Option<CommitId>,
    /// Commits on the branch since its base.
    pub commits: u64,
    /// Files that differ between the base and the tip.
    pub files: u64,
    /// Size of the task's work on the branch, with that of earlier attempts; `None` where that is the work of this
    /// attempt.
    pub of_task: Option<Counts>,
    /// Number of changed or new files that are not on the branch.
    pub uncommitted: u64,
    /// Files that the snapshot left out since they look like secrets, as paths in the worktree.
    pub left_out: Vec<String>,
    /// Files that could not be committed.
    pub unsaved: Vec<Unsaved>,
    /// References to commits of an isolated attempt that are not on its branch.
    pub kept_refs: Vec<String>,
    /// Locations of the attempt's work that is not on its branch.
    pub elsewhere: Vec<Elsewhere>,
    /// Files on the branch with conflict markers that the task added, as paths in the worktree.
    pub conflict_markers: Vec<String>,
    /// Ignored files, which are removed with the worktree.
    pub ignored: IgnoredFiles,
    /// Location from which the work was moved to the attempt's branch, such as `branch feature/x`.
    pub taken_over: Option<String>,
}

/// The size of the work on a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Number of commits.
    pub commits: u64,
    /// Number of files that differ between its start and its tip.
    pub files: u64,
}

impl Work {
    /// The size of the attempt's own work.
    #[must_use]
    pub fn own(&self) -> Counts {
        Counts { commits: self.commits, files: self.files }
    }

    /// The first location of work that the branch lacks, so that the branch does not represent the attempt. A stash
    /// entry beside commits may be an applied one, and the commits of a removed worktree stay: these do not count.
    #[must_use]
    pub fn missing(&self) -> Option<&Elsewhere> {
        self.elsewhere.iter().find(|place| match place {
            Elsewhere::Stash { .. } | Elsewhere::Removed => self.commits == 0,
            _ => true,
        })
    }
}

/// Files that git ignores by rules of the user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoredFiles {
    /// Number of files.
    pub files: u64,
    /// Total size in bytes.
    pub bytes: u64,
    /// Folders with most of these bytes, the largest first, as paths in the worktree.
    pub largest: Vec<String>,
}

/// A file that could not be committed, so that it is only in its worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaved {
    /// Path in the worktree.
    pub path: String,
    /// Reason of the failure.
    pub why: String,
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.why)
    }
}
