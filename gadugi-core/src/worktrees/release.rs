//! Releases of worktrees and branches, and the reasons to keep them.

use std::path::PathBuf;

use crate::id::{BranchName, CommitId};

/// What is to become of the branch when a worktree is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchFate {
    /// It stays.
    Keep,
    /// It goes if its tip can be reached from another branch or tag that stays, or if all that it changes is in the branch that is
    /// checked out or in one that its remote names; else it stays. A [`MergedBy`] says which. Where its very commits are on
    /// no other branch, its tip stays under `refs/gadugi/trash/<run>/<task>`.
    DeleteIfMerged,
}

/// How a worktree is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseRequest {
    /// What is to become of the branch.
    pub branch: BranchFate,
    /// Remove also what is not on any branch. The tip, with uncommitted files as a commit, stays under
    /// `refs/gadugi/trash/<run>/<task>`.
    pub discard: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Why a worktree or a branch stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepReason {
    /// Files are changed or new and not committed.
    Uncommitted {
        /// How many.
        files: u64,
    },
    /// Its `HEAD` is neither on the attempt's branch nor reachable from it.
    HeadElsewhere,
    /// `.git` in it is gone or leads elsewhere: it may be another repository by now.
    GitFileReplaced,
    /// A merge, rebase, cherry-pick, revert or bisect is under way there.
    OperationInProgress {
        /// Which, as in `git status`.
        operation: String,
    },
    /// A submodule there has changes or commits of its own.
    Submodule {
        /// Its path.
        path: String,
    },
    /// It is locked (`git worktree lock`).
    Locked {
        /// The reason that was given with the lock.
        reason: String,
    },
    /// Something is mounted in it, which is not to be deleted with it.
    Mounted {
        /// Where.
        path: PathBuf,
    },
    /// Changes were put away there (`git stash`) and not taken out again.
    Stashed {
        /// How many times.
        entries: u64,
    },
    /// The tip of the branch is not reachable from any other branch or tag.
    Unmerged {
        /// How many commits would be lost.
        commits: u64,
    },
    /// The branch is checked out in another worktree.
    CheckedOut {
        /// Where.
        path: PathBuf,
    },
    /// The branch has moved while it was looked at.
    Moved,
    /// It was asked for.
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

/// What became of a worktree's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorktreeFate {
    /// It is gone (or would be, in a dry run), and everything that it held is on its branch.
    Removed,
    /// It was not there.
    Absent,
    /// It stays, for these reasons.
    Kept(Vec<KeepReason>),
}

/// What became of the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchRelease {
    /// It is gone (or would be, in a dry run).
    Deleted {
        /// Where it was, so that it can be made again.
        tip: CommitId,
        /// Why nothing is lost with it.
        by: MergedBy,
    },
    /// It was not there.
    Absent,
    /// It stays, for this reason.
    Kept(KeepReason),
}

/// Why a branch can go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergedBy {
    /// Its tip can be reached from something that stays.
    Reachable {
        /// From what: a branch, local or remote, a tag, or a worktree's `HEAD`.
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
        /// How many commits it has.
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
    /// Whether its very commits are on something that stays.
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

/// How many paths there are of a kind, and some of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    /// How many.
    pub count: u64,
    /// The first few, as paths in the worktree.
    pub first: Vec<String>,
}

impl Paths {
    /// How many are named.
    const NAMED: usize = 3;

    /// Counts paths, and keeps the first of them.
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

/// What was found when a worktree was looked at, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleaseDetails {
    /// Tracked files that are changed.
    pub changed: Paths,
    /// Files that git does not know.
    pub untracked: Paths,
    /// The branches that the branch was compared with, which was not found in them.
    pub compared_with: Vec<String>,
    /// A branch that contains the branch, and was no reason for it to go.
    pub only_in: Option<String>,
}

/// What [`Worktrees::release`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The folder.
    pub worktree: WorktreeFate,
    /// The branch.
    pub branch: BranchRelease,
    /// What [`ReleaseRequest::discard`] removes and keeps nowhere, as paths in the worktree: files that look
    /// like secrets. What begins with `.git: ` or `./: ` says instead what is kept for a while as it lay there, and where.
    pub dropped: Vec<String>,
    /// The reference that keeps what is on no branch any more, or would in a dry run.
    pub kept_as: Option<String>,
    /// What was found on the way.
    pub details: ReleaseDetails,
}

impl Release {
    /// Without details.
    #[must_use]
    pub fn new(worktree: WorktreeFate, branch: BranchRelease) -> Self {
        Self { worktree, branch, dropped: Vec::new(), kept_as: None, details: ReleaseDetails::default() }
    }
}

/// A leftover that [`Worktrees::prune`] cleared away, or left with a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pruned {
    /// An entry in git's list of worktrees whose folder is gone.
    Entry {
        /// The name of the entry.
        name: String,
        /// The folder that it pointed to.
        path: PathBuf,
    },
    /// An entry whose folder is gone, and that stays for as long as git lets it stay, since the folder may come back.
    EntryKept {
        /// The name of the entry.
        name: String,
        /// The folder that it points to.
        path: PathBuf,
    },
    /// What there was of a worktree whose making was cut short: its folder, its entry and its branch, or some of them.
    HalfMade {
        /// Its folder.
        path: PathBuf,
    },
    /// The folder of a worktree whose entry in git's list is gone. All that it held is on its branch.
    Stray {
        /// The folder.
        path: PathBuf,
        /// The branch.
        branch: BranchName,
    },
    /// Such a folder that stays, since it may hold something that is nowhere else.
    StrayKept {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A reference that kept discarded work for long enough.
    Expired {
        /// Its full name.
        reference: String,
    },
}
