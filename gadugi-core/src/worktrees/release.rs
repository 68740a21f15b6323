//! Releases of worktrees and branches, and the reasons to keep them.

use std::path::PathBuf;

use crate::id::{BranchName, CommitId};

/// The fate of the branch when a worktree is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchFate {
    /// It stays.
    Keep,
    /// It is deleted if its tip is reachable from another branch or tag that stays, or if all its changes are in the branch
    /// that is checked out, in the upstream of that one, or in the default branch of a remote; else it stays. A [`MergedBy`]
    /// tells which. Where its commits themselves are on no other branch, its tip stays under
    /// `refs/gadugi/trash/<run>/<task>`.
    DeleteIfMerged,
    /// It is deleted, and the worktree with it, whatever they hold; nothing of them is kept, not even in the trash. For
    /// worktrees that were only made to try something.
    Delete,
}

/// A request to release a worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseRequest {
    /// Fate of the branch.
    pub branch: BranchFate,
    /// Remove also work that is on no branch. The tip, with uncommitted files as a commit, stays under
    /// `refs/gadugi/trash/<run>/<task>`. [`BranchFate::Delete`] implies it, and keeps nothing.
    pub discard: bool,
    /// Change nothing, and only report.
    pub dry_run: bool,
}

/// A reason to keep a worktree or a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepReason {
    /// Files are changed or new and not committed.
    Uncommitted {
        /// Number of files.
        files: u64,
    },
    /// Its `HEAD` is neither on the attempt's branch nor reachable from it.
    HeadElsewhere,
    /// Its `.git` is gone or leads elsewhere: it may be another repository by now.
    GitFileReplaced,
    /// A merge, rebase, cherry-pick, revert or bisect is under way there.
    OperationInProgress {
        /// Name of the operation, as in `git status`.
        operation: String,
    },
    /// A submodule there has changes or commits of its own.
    Submodule {
        /// Its path.
        path: String,
    },
    /// It is locked (`git worktree lock`).
    Locked {
        /// Reason of the lock.
        reason: String,
    },
    /// A file system is mounted in it, which must not be deleted with it.
    Mounted {
        /// Its path.
        path: PathBuf,
    },
    /// Changes were put away there (`git stash`) and not applied again.
    Stashed {
        /// Number of stash entries.
        entries: u64,
    },
    /// The tip of the branch is not reachable from any other branch or tag.
    Unmerged {
        /// Number of commits that would be lost.
        commits: u64,
    },
    /// The branch is checked out in another worktree.
    CheckedOut {
        /// Its path.
        path: PathBuf,
    },
    /// The branch moved during the inspection.
    Moved,
    /// The caller asked to keep it.
    Requested,
}

impl std::fmt::Display for KeepReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |n: &u64| if *n == 1 { "" } else { "s" };
        match self {
            Self::Uncommitted { files } => write!(f, "{files} uncommitted file{}", plural(files)),
            Self::HeadElsewhere => f.write_str("its HEAD is not on the task's branch"),
            Self::GitFileReplaced => f.write_str("its .git file is gone or was replaced"),
            Self::OperationInProgress { operation } => write!(f, "{operation} is in progress"),
            Self::Submodule { path } => write!(f, "the submodule {path} has changes"),
            Self::Locked { reason } if reason.is_empty() => f.write_str("it is locked"),
            Self::Locked { reason } => write!(f, "it is locked: {reason}"),
            Self::Mounted { path } => write!(f, "something is mounted at {}", path.display()),
            Self::Stashed { entries } if *entries == 1 => f.write_str("1 stash entry was made there"),
            Self::Stashed { entries } => write!(f, "{entries} stash entries were made there"),
            Self::Unmerged { commits } => write!(f, "{commits} commit{} on no other branch", plural(commits)),
            Self::CheckedOut { path } => write!(f, "it is checked out in {}", path.display()),
            Self::Moved => f.write_str("it moved in the meantime"),
            Self::Requested => f.write_str("as asked"),
        }
    }
}

/// The fate of a worktree's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorktreeFate {
    /// It is removed (or would be, in a dry run), and everything in it is on its branch.
    Removed,
    /// It did not exist.
    Absent,
    /// It stays, for these reasons.
    Kept(Vec<KeepReason>),
}

/// The fate of the branch of a released worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchRelease {
    /// It is deleted (or would be, in a dry run).
    Deleted {
        /// Its tip, so that it can be restored.
        tip: CommitId,
        /// Reason for which nothing is lost with it.
        by: MergedBy,
    },
    /// It did not exist.
    Absent,
    /// It stays, for this reason.
    Kept(KeepReason),
}

/// The reason for which a branch can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergedBy {
    /// Its tip is reachable from a reference that stays.
    Reachable {
        /// The reference: a branch, local or remote, a tag, or a worktree's `HEAD`.
        from: String,
    },
    /// A commit of another branch has the tree of its tip.
    SameTree {
        /// The commit.
        commit: CommitId,
        /// The other branch.
        of: String,
    },
    /// A commit of another branch makes the same changes as all of its commits together.
    Squash {
        /// The commit.
        commit: CommitId,
        /// The other branch.
        into: String,
    },
    /// Each of its commits has a counterpart on another branch that makes the same changes.
    Rebase {
        /// Number of its commits.
        commits: u64,
        /// The other branch.
        onto: String,
    },
    /// Merging it into another branch would change nothing there.
    NothingLeft {
        /// The other branch.
        into: String,
    },
    /// It was discarded.
    Discarded,
}

impl MergedBy {
    /// Whether its commits themselves are reachable from a reference that stays.
    #[must_use]
    pub fn keeps_commits(&self) -> bool {
        matches!(self, Self::Reachable { .. })
    }
}

impl std::fmt::Display for MergedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reachable { from } => write!(f, "merged into {from}"),
            Self::SameTree { commit, of } => write!(f, "same tree as {} of {of}", commit.short()),
            Self::Squash { commit, into } => write!(f, "its changes are in {into} (squashed as {})", commit.short()),
            Self::Rebase { commits: 1, onto } => write!(f, "its changes are in {onto} (1 commit, rebased)"),
            Self::Rebase { commits, onto } => write!(f, "its changes are in {onto} ({commits} commits, rebased)"),
            Self::NothingLeft { into } => write!(f, "its changes are in {into} (merging it would change nothing)"),
            Self::Discarded => f.write_str("discarded"),
        }
    }
}

/// A number of paths, with the first few of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    /// Number of files.
    pub count: u64,
    /// The first few, as paths in the worktree.
    pub first: Vec<String>,
}

impl Paths {
    /// Number of paths that are kept by name.
    const NAMED: usize = 3;

    /// Counts paths, and keeps the first few.
    pub fn of(paths: impl IntoIterator<Item = impl std::fmt::Display>) -> Self {
        let mut found = Self::default();
        for path in paths {
            found.count += 1;
            if found.first.len() < Self::NAMED {
                found.first.push(path.to_string());
            }
        }
        found
    }
}

/// The findings of an inspection of a worktree, for display.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleaseDetails {
    /// Tracked files that are changed.
    pub changed: Paths,
    /// Untracked files.
    pub untracked: Paths,
    /// Branches that the branch was compared with and not found in.
    pub compared_with: Vec<String>,
    /// A branch that contains it and does not count as a reason to delete it.
    pub only_in: Option<String>,
}

/// The result of [`Worktrees::release`](crate::Worktrees::release).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The folder.
    pub worktree: WorktreeFate,
    /// The branch.
    pub branch: BranchRelease,
    /// Files that look like secrets, which [`ReleaseRequest::discard`] removes and keeps nowhere, as paths in the
    /// worktree. An entry that starts with `.git: ` or `./: ` names instead a part that is kept for a while as it was,
    /// and where.
    pub dropped: Vec<String>,
    /// The reference that keeps the commits that are on no branch any more, or would in a dry run.
    pub kept_as: Option<String>,
    /// Findings of the inspection.
    pub details: ReleaseDetails,
}

impl Release {
    /// A release without details.
    #[must_use]
    pub fn new(worktree: WorktreeFate, branch: BranchRelease) -> Self {
        Self { worktree, branch, dropped: Vec::new(), kept_as: None, details: ReleaseDetails::default() }
    }
}

/// A leftover that [`Worktrees::prune`](crate::Worktrees::prune) removed, or kept for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pruned {
    /// An entry in git's list of worktrees whose folder is gone.
    Entry {
        /// The name of the entry.
        name: String,
        /// The folder that it named.
        path: PathBuf,
    },
    /// An entry whose folder is gone, and that git keeps until it expires, since the folder may come back.
    EntryKept {
        /// The name of the entry.
        name: String,
        /// The folder that it names.
        path: PathBuf,
    },
    /// Parts of a worktree whose creation was interrupted: its folder, its entry and its branch, or some of them.
    HalfMade {
        /// Its folder.
        path: PathBuf,
    },
    /// The folder of a worktree whose entry in git's list is gone. Everything in it is on its branch.
    Stray {
        /// The folder.
        path: PathBuf,
        /// The branch.
        branch: BranchName,
    },
    /// Such a folder that stays, since it may hold work that exists nowhere else.
    StrayKept {
        /// The folder.
        path: PathBuf,
        /// Reason, in words.
        why: String,
    },
    /// A reference to discarded work whose time to keep is over.
    Expired {
        /// Its full name.
        reference: String,
    },
}
