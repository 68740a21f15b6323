//! The trait that puts branches together in memory and moves the target branch to the result.

use std::path::PathBuf;

use async_trait::async_trait;
use thiserror::Error;

use crate::id::{BranchName, CommitId, MergeId, RunId, TreeId};

/// Puts branches together without touching anything of the user's, and moves the target branch to the result.
///
/// What an implementer owes:
/// - **Crash.** Up to [`land`](Integration::land) a crash leaves nothing but objects and references of the merge, which
///   [`forget`](Integration::forget) removes. A landing leaves the branch, its index and its files at the old or at the new
///   commit, or in a state that [`recover_landing`](Integration::recover_landing) brings to one of the two.
/// - **Drop.** A caller may drop a future at any await. Work that was started is finished in the background. A landing whose
///   future was dropped may still land; [`recover_landing`](Integration::recover_landing) waits for it and says what it did.
/// - **Concurrency.** Methods may be called from many tasks at once, and beside a user who commits, checks out, resets and
///   collects garbage in the same repository.
#[async_trait]
pub trait Integration: Send + Sync {
    /// The branch as it is now: its tip, and the work trees that have it checked out. `None` when it does not exist.
    ///
    /// # Errors
    /// [`MergeError::Repository`] when the repository cannot be read.
    async fn target(&self, branch: &BranchName) -> Result<Option<Target>, MergeError>;

    /// Makes a chain of commits in memory on `onto`, one link after the other, and writes its objects. A link that conflicts
    /// is set aside, and the others go on. Nothing but objects and a reference below `refs/gadugi/merges/<merge>/`, which
    /// keeps them from garbage collection, comes into being. The same request gives the same trees again.
    ///
    /// # Errors
    /// [`MergeError::Chain`] when the chain cannot be made, and [`MergeError::NoRoom`] when the disk is full.
    async fn chain(&self, request: ChainRequest) -> Result<Chain, MergeError>;

    /// Makes a commit on `onto` that shows the conflict of a link: the merged files with conflict markers in them, labelled
    /// with the names of both sides. It is for the worktree of an agent that resolves it, and never becomes part of a chain.
    ///
    /// # Errors
    /// As [`chain`](Integration::chain).
    async fn mark_conflict(&self, request: ConflictRequest) -> Result<MarkedConflict, MergeError>;

    /// Adds content from another commit to the tip of a chain: regenerated files, or the resolution of a conflict. The
    /// result is kept by a reference like that of a chain.
    ///
    /// # Errors
    /// As [`chain`](Integration::chain).
    async fn amend(&self, request: AmendRequest) -> Result<Amended, MergeError>;

    /// Moves the branch from `old` to `new` by compare-and-swap, or not at all. The work trees that have it checked out
    /// follow as with `git merge --ff-only`, and only if nothing of the user's would be overwritten: uncommitted changes,
    /// staged entries, untracked and ignored files stay byte for byte.
    ///
    /// # Errors
    /// [`MergeError::Land`] when the landing failed; the branch and all work trees are then at `old`. After
    /// [`MergeError::Unfinished`] they may be between the two.
    async fn land(&self, request: LandRequest) -> Result<Landing, MergeError>;

    /// Waits for a landing of this merge that still goes on, finishes or undoes one that was cut short, and says how it
    /// ended. `None` when none was begun, or it has changed nothing.
    ///
    /// # Errors
    /// [`MergeError::Unfinished`] when it can neither be finished nor undone, and nothing more is lost by that.
    async fn recover_landing(&self, merge: &MergeId) -> Result<Option<RecoveredLanding>, MergeError>;

    /// The merges of which references or records exist, such as those that a crash has left at their end.
    ///
    /// # Errors
    /// [`MergeError::Repository`] when they cannot be listed.
    async fn kept(&self) -> Result<Vec<MergeId>, MergeError> {
        Ok(Vec::new())
    }

    /// Removes the references and records of a merge that is over. Its objects go with the next garbage collection, unless
    /// they have landed. Safe to repeat.
    ///
    /// # Errors
    /// [`MergeError::Repository`] when they cannot be removed.
    async fn forget(&self, merge: &MergeId) -> Result<(), MergeError>;
}

/// A branch that others are merged into, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The branch.
    pub branch: BranchName,
    /// Its newest commit.
    pub tip: CommitId,
    /// The tree of that commit.
    pub tree: TreeId,
    /// The work trees that have it checked out; the main one first.
    pub worktrees: Vec<PathBuf>,
}

/// How a branch becomes part of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// A merge commit for each branch.
    #[default]
    Merge,
    /// One commit for each branch.
    Squash,
    /// Each commit of the branch once more.
    Rebase,
}

/// A request for a chain of commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRequest {
    /// The merge that keeps the chain.
    pub merge: MergeId,
    /// The commit that the chain starts from.
    pub onto: CommitId,
    /// The branches, in the order in which they are added.
    pub links: Vec<Link>,
    /// How each of them is added.
    pub strategy: Strategy,
    /// Patterns of generated files, in the syntax of `.gitignore`. They are never merged as text: the chain keeps its own
    /// version.
    pub regenerate: Vec<String>,
}

/// A branch that is to become part of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The id of its task.
    pub name: String,
    /// The title of its task, which opens messages of commits.
    pub title: String,
    /// The run of its task.
    pub run: RunId,
    /// The newest commit of the branch.
    pub tip: CommitId,
    /// The commit that the branch started from.
    pub base: CommitId,
}

/// A chain of commits, complete on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The newest commit; that which the chain starts from where nothing was added.
    pub tip: CommitId,
    /// The tree of that commit.
    pub tree: TreeId,
    /// The result for each link, in the order of the request.
    pub links: Vec<LinkResult>,
    /// Files that match the patterns of the request and that an added link has changed, or the chain since that link's
    /// branch started, sorted. They are as the chain's start has them.
    pub to_regenerate: Vec<String>,
}

/// The result for one link of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkResult {
    /// The link is part of the chain.
    Added {
        /// The newest commit of the chain that belongs to it.
        commit: CommitId,
    },
    /// All of the branch was in the chain already, as commits or as changes.
    Contained,
    /// The link conflicts, and was set aside.
    Conflict {
        /// The files in conflict, sorted.
        files: Vec<String>,
        /// The names of earlier links that it conflicts with; where only several together conflict, all that have changed one
        /// of the files; none where it conflicts with the chain's start.
        with: Vec<String>,
    },
}

/// A request to show the conflict of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictRequest {
    /// The merge that keeps the commit.
    pub merge: MergeId,
    /// The tip of the chain that the link conflicts with.
    pub onto: CommitId,
    /// The link.
    pub link: Link,
    /// How it would be added. Rebasing shows it as squashing does: in one.
    pub strategy: Strategy,
    /// Patterns of generated files, as for a chain.
    pub regenerate: Vec<String>,
}

/// A commit that shows a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedConflict {
    /// The commit.
    pub commit: CommitId,
    /// The files in conflict, sorted; none where the link merges.
    pub files: Vec<String>,
}

/// A request for content on the tip of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmendRequest {
    /// The merge that keeps the result.
    pub merge: MergeId,
    /// The tip of the chain.
    pub onto: CommitId,
    /// The commit that has the content.
    pub from: CommitId,
    /// The part of it that is taken.
    pub content: AmendContent,
}

/// The part of a commit that is added to a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AmendContent {
    /// The files that match patterns, in the syntax of `.gitignore`, as one commit more. Those that are missing in the
    /// commit are removed.
    Files {
        /// The patterns.
        patterns: Vec<String>,
        /// The message of the commit; its first line is the subject.
        message: String,
    },
    /// The whole tree, as the result of adding a link that was in conflict.
    Resolution {
        /// The link.
        link: Link,
        /// How it is added. Rebasing adds it as one commit, like squashing: each of its commits may conflict.
        strategy: Strategy,
    },
}

/// The result of amending a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amended {
    /// The content was added.
    Added {
        /// The new tip; the old one where nothing differs.
        tip: CommitId,
        /// Its tree.
        tree: TreeId,
    },
    /// A resolution was not accepted.
    Refused {
        /// Files that still have conflict markers, sorted.
        markers: Vec<String>,
        /// Files that it changes although neither side has changed them, sorted.
        unrelated: Vec<String>,
    },
}

/// A request to move a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandRequest {
    /// The merge that the landing belongs to.
    pub merge: MergeId,
    /// The branch.
    pub branch: BranchName,
    /// The commit that it must be at; `None` when it must not exist.
    pub old: Option<CommitId>,
    /// The commit that it is moved to; it has `old` among its ancestors.
    pub new: CommitId,
}

/// The end of a landing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Landing {
    /// The branch has moved.
    Landed {
        /// The work trees whose files have followed.
        followed: Vec<PathBuf>,
    },
    /// The branch was not at the old commit, and is as it was.
    Moved {
        /// The commit that it is at; `None` when it does not exist.
        now: Option<CommitId>,
    },
    /// A work tree that has the branch checked out could not follow. Nothing was changed.
    Blocked {
        /// The work tree.
        worktree: PathBuf,
        /// The reason, for people.
        reason: String,
        /// The files in the way, sorted; none where the reason is another one.
        files: Vec<String>,
    },
}

/// How a landing that was cut short has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredLanding {
    /// The branch.
    pub branch: BranchName,
    /// The commit that it was to be moved to.
    pub new: CommitId,
    /// Whether the branch has moved; otherwise it is as if nothing had been begun.
    pub landed: bool,
    /// The work trees whose files have followed.
    pub followed: Vec<PathBuf>,
}

/// A source error of an adapter.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error in merging branches.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The chain could not be made. Nothing of the user's was touched.
    #[error("cannot put the branches of {merge} together")]
    Chain {
        /// The merge.
        merge: MergeId,
        /// Cause.
        #[source]
        source: Source,
    },
    /// The branch could not be moved. It is where it was.
    #[error("cannot move the branch {branch} to the result of {merge}")]
    Land {
        /// The merge.
        merge: MergeId,
        /// The branch.
        branch: BranchName,
        /// Cause.
        #[source]
        source: Source,
    },
    /// A landing was begun, and could neither be finished nor undone.
    #[error("the landing of {merge} on {branch} is unfinished")]
    Unfinished {
        /// The merge.
        merge: MergeId,
        /// The branch.
        branch: BranchName,
        /// Cause.
        #[source]
        source: Source,
    },
    /// The disk is full, or cannot be written to any more.
    #[error("the disk is full or cannot be written to")]
    NoRoom {
        /// The operation that failed.
        #[source]
        source: Source,
    },
    /// The repository itself could not be read or locked.
    #[error("cannot use the repository {}", .path.display())]
    Repository {
        /// The repository.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Source,
    },
}
