//! What can go wrong inside the adapter; the errors of the trait and of [`Repository`](crate::Repository)
//! carry these as their source.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::{BranchName, CommitId, IdError, WorktreeError, is_no_room};
use thiserror::Error;

/// Why a step in the repository failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitError {
    /// Reading or writing git's data failed.
    #[error(transparent)]
    Gix(#[from] gix::Error),
    /// A file or folder could not be used.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was being done to it.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder is to be deleted, and something is mounted in it, which belongs to somebody else.
    #[error("something is mounted at {}; `umount {}` first", .path.display(), .path.display())]
    Mounted {
        /// Where.
        path: PathBuf,
    },
    /// A file or folder is to be deleted that the file system does not let anybody change.
    #[error("cannot remove {}: it is immutable; `chattr -i {}` first", .path.display(), .path.display())]
    Immutable {
        /// The file or folder.
        path: PathBuf,
    },
    /// A branch name made from the prefix and the task is none.
    #[error(transparent)]
    Name(#[from] IdError),
    /// Git keeps `a` and `a/b` at one path, so it cannot have both as branches.
    #[error(
        "the branch `{existing}` is in the way: git cannot have `{wanted}` beside it; \
         rename it, or set another branch prefix"
    )]
    BranchInTheWay {
        /// The branch that exists.
        existing: String,
        /// The branch that was to be made.
        wanted: BranchName,
    },
    /// The branch of a lease is gone.
    #[error("the branch `{branch}` does not exist any more")]
    BranchMissing {
        /// Its name.
        branch: BranchName,
    },
    /// Whoever asked for it does not wait for it any more.
    #[error("nobody waits for it any more")]
    GivenUp,
    /// A step in making a worktree, or in giving it back, has had all the time that it gets.
    #[error("it took longer than {limit:?} (`worktree_timeout`)")]
    TooSlow {
        /// How long it may take.
        limit: Duration,
    },
    /// Git has had all the time that it gets to make a worktree.
    #[error("`git worktree add` took longer than {limit:?} (`worktree_timeout`), and was killed; {}", if *.has_hook {
        "there is a post-checkout hook, which may not have come to its end"
    } else {
        "it may wait for a filter, or for the network"
    })]
    GitTooSlow {
        /// How long it may take.
        limit: Duration,
        /// Whether it runs a post-checkout hook.
        has_hook: bool,
    },
    /// The lease was not made by this implementation.
    #[error("it has no branch")]
    NoBranch,
    /// The folder of a lease is gone, and its branch cannot stand for what was in it.
    #[error("the worktree {} does not exist any more", .path.display())]
    WorktreeMissing {
        /// The folder.
        path: PathBuf,
        /// What is wrong with the branch.
        #[source]
        source: Box<GitError>,
    },
    /// There is a branch of the name that was given to an attempt, but it is another one by now.
    #[error("the branch `{branch}` is not the one that was made for this attempt")]
    AnotherBranch {
        /// Its name.
        branch: BranchName,
    },
    /// Git's list of worktrees has no entry that leads to this folder, or one of somebody else.
    #[error("{} is not a worktree of this repository that was made for this attempt", .path.display())]
    NotAWorktree {
        /// The folder.
        path: PathBuf,
    },
    /// The files that belong to git in a worktree's entry were changed to lead elsewhere.
    #[error("git's entry of the worktree leads to {} instead", .path.display())]
    Redirected {
        /// Where it leads.
        path: PathBuf,
    },
    /// The index of the worktree is locked: git runs there, or was killed there.
    #[error("its index is locked by another git process, or one that was killed; if none runs, remove {}", .lock.display())]
    IndexLocked {
        /// The lock file.
        lock: PathBuf,
    },
    /// A reference, or the file of packed references, is locked.
    #[error("a reference is locked by another git process, or one that was killed; if none runs, remove {}", .lock.display())]
    ReferenceLocked {
        /// The lock file.
        lock: PathBuf,
    },
    /// An object that a commit needs is not in the repository, or its file is empty.
    #[error("the object {id} is missing or empty in the repository; `git fsck` tells what needs it")]
    ObjectMissing {
        /// Its id.
        id: String,
    },
    /// Git collects garbage, and may delete objects that were written since it began.
    #[error(
        "`git gc` is under way ({who}), and may still delete what was committed meanwhile; try again once it has ended"
    )]
    GcRuns {
        /// Which.
        who: String,
    },
    /// Somebody else has made a branch of this name a moment ago.
    #[error("the branch `{branch}` was made by somebody else in the meantime")]
    BranchTaken {
        /// Its name.
        branch: BranchName,
    },
    /// Somebody else has moved the branch.
    #[error("the branch `{branch}` was moved by somebody else in the meantime")]
    BranchMoved {
        /// Its name.
        branch: BranchName,
    },
    /// The log of a reference needs a name and an address.
    #[error("git knows no committer for the log of a reference")]
    NoCommitter,
    /// The content of a file cannot be read from the repository.
    #[error("cannot read what is in {path}")]
    Content {
        /// Its path in the repository.
        path: String,
        /// Why.
        #[source]
        source: gix::Error,
    },
    /// A filter would have to run for a file, and git was not asked to do it: the configuration has changed a moment ago.
    #[error("{path} needs a filter")]
    Filtered {
        /// Its path in the repository.
        path: String,
    },
    /// What several have failed for.
    #[error(transparent)]
    Shared(#[from] Arc<GitError>),
    /// A worktree could not be made, and neither could all of it be removed again.
    #[error("it was begun, and its remains could not be removed ({cleanup})")]
    LeftBehind {
        /// Why it could not be made.
        #[source]
        source: Box<GitError>,
        /// Why it could not be removed.
        cleanup: String,
    },
    /// The lock of the repository cannot be shared with the command git.
    #[error("cannot share the lock of the repository with git")]
    ShareLock(#[source] io::Error),
    /// A defect of this program has ended the work.
    #[error("a defect in Gadugi ended it: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// The command git could not be started.
    #[error("cannot start git")]
    Start(#[source] io::Error),
    /// The repository fetches objects when they are needed, which cannot be done from within an isolated task.
    #[error(
        "it is a partial clone, and a task that is isolated cannot fetch what is missing; \
             `git fetch --refetch --no-filter` makes it whole, or run the task without isolation"
    )]
    PartialClone,
    /// Git cannot be told of a folder of this name.
    #[error("git cannot borrow objects from {}, because of its name", .path.display())]
    UnnameablePath {
        /// The folder.
        path: PathBuf,
    },
    /// Git and gix would wait for what says where a worktree is.
    #[error("{} is no ordinary file, and git waits for it: move {} away, after a look at what it holds", .link.display(), .link.parent().unwrap_or(.link).display())]
    ListUnreadable {
        /// The file that says where the worktree is.
        link: PathBuf,
    },
    /// Something in the private git folder of a task is not what git puts there.
    #[error("{} is {what}, and git does not make it so", .path.display())]
    NotGits {
        /// Where.
        path: PathBuf,
        /// What it is, or is not.
        what: &'static str,
    },
    /// A branch of a task leads to something else than a commit.
    #[error("a branch leads to {id}, which is no commit")]
    NotACommit {
        /// What it leads to.
        id: String,
    },
    /// There is more in the private git folder of a task than is taken over.
    #[error("{} is more than {most} {of}, which is too much to take over", .path.display())]
    TooMuch {
        /// Where the limit was passed.
        path: PathBuf,
        /// The limit.
        most: u64,
        /// What is counted.
        of: &'static str,
    },
    /// A commit of a task is larger than what can be looked at.
    #[error("the commit {id} has {what}, which is too much to take over; it stays where it is")]
    CommitTooLarge {
        /// The commit.
        id: String,
        /// What it has too much of.
        what: String,
    },
    /// A branch of a task has more commits than can be looked at.
    #[error(
        "{tip} is more than {most} commits from where its branch began, which is too much to take over; it stays where it is"
    )]
    TooManyCommits {
        /// The last one.
        tip: String,
        /// The limit.
        most: u64,
    },
    /// Git would take another folder for the work tree of each worktree.
    #[error(
        "{key} is set for all worktrees, since extensions.worktreeConfig is set, so that git itself cannot work in a new one; \
         move it from {} to config.worktree beside it", .common_dir.join("config").display()
    )]
    SharedByWorktrees {
        /// The git folder.
        common_dir: PathBuf,
        /// What is set.
        key: &'static str,
    },
    /// What a task has named so can be kept under no name.
    #[error("nothing can be kept under the name `{name}`")]
    NoReference {
        /// The name.
        name: String,
    },
    /// The task has replaced commits that its branch began with.
    #[error("the branch `{branch}` does not contain its start {base} any more; its commits are kept as `{kept}`")]
    Rewritten {
        /// The branch.
        branch: BranchName,
        /// Where it began.
        base: CommitId,
        /// The reference that keeps the commits.
        kept: String,
    },
    /// The branch went another way here than in isolation.
    #[error(
        "the branch `{branch}` was moved here while the task worked on it in isolation; its commits are kept as `{kept}`"
    )]
    Diverged {
        /// The branch.
        branch: BranchName,
        /// The reference that keeps the commits.
        kept: String,
    },
    /// The branch was deleted here while the task worked on it in isolation.
    #[error("the branch `{branch}` does not exist here any more; its commits are kept as `{kept}`")]
    BranchGone {
        /// The branch.
        branch: BranchName,
        /// The reference that keeps the commits.
        kept: String,
    },
    /// A command of git that was to take over commits could not be followed.
    #[error("cannot follow `git {command}`")]
    Watch {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A command of git that was to take over commits did not come to an end.
    #[error("`git {command}` took too long")]
    TookTooLong {
        /// The command.
        command: String,
    },
    /// A command of git that was to take over commits failed.
    #[error("`git {command}` failed ({status}): {}", one_line(.stderr))]
    Plumbing {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed last, without control characters.
        stderr: String,
    },
    /// The command git failed.
    #[error("`git worktree add` failed ({status}): {}", one_line(.stderr))]
    Command {
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        stderr: String,
    },
}

/// What a command has printed, as one line.
fn one_line(printed: &str) -> String {
    let lines = printed.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// What git prints where a disk is full, for all or for this user, or cannot be written to.
const NO_ROOM: [&str; 3] = ["No space left on device", "Disk quota exceeded", "Read-only file system"];

/// A source of an error of the trait.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

impl GitError {
    /// Whether it comes from a disk that is full or cannot be written to any more.
    pub(crate) fn is_no_room(&self) -> bool {
        match self {
            // The errors of gix are more than a chain.
            Self::Gix(error) => error.iter_errors().any(is_no_room),
            Self::Command { stderr, .. } | Self::Plumbing { stderr, .. } => {
                NO_ROOM.iter().any(|text| stderr.contains(text))
            }
            other => is_no_room(other) || std::error::Error::source(other).is_some_and(hides_no_room),
        }
    }

    /// Whether objects, or folders for them, may have vanished while they were read or written.
    pub(crate) fn may_be_of_gc(&self) -> bool {
        match self {
            Self::Gix(_) | Self::Content { .. } | Self::ObjectMissing { .. } => true,
            Self::Shared(error) => error.may_be_of_gc(),
            _ => false,
        }
    }

    /// For `map_err` on an operation with a file or folder.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Whether one of the causes of an error is a [`GitError`] that [is for want of room](GitError::is_no_room).
fn hides_no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_no_room = |error: &(dyn std::error::Error + 'static)| {
        let boxed = || error.downcast_ref::<Box<GitError>>().map(|error| &**error);
        let shared = || error.downcast_ref::<Arc<GitError>>().map(|error| &**error);
        let error = error.downcast_ref::<GitError>().or_else(boxed).or_else(shared);
        error.is_some_and(GitError::is_no_room)
    };
    std::iter::successors(Some(error), |error| (*error).source()).any(is_no_room)
}

/// Tells the trait's caller that an error is for want of room, if it is.
pub(crate) fn or_no_room(error: WorktreeError) -> WorktreeError {
    if hides_no_room(&error) { WorktreeError::NoRoom { source: error.into() } } else { error }
}
