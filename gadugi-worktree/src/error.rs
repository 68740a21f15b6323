//! Errors inside the adapter; those of the trait and of [`Repository`](crate::Repository) carry these as their source.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::worktrees::WorktreeError;
use gadugi_core::{BranchName, CommitId, IdError, is_no_room};
use thiserror::Error;

/// The reason why a step in the repository failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitError {
    /// Reading or writing git's data failed.
    #[error(transparent)]
    Gix(#[from] gix::Error),
    /// A file or folder could not be used.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// The operation, for the message.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is mounted in a folder that is to be deleted. It is not ours to unmount.
    #[error("something is mounted at {}; `umount {}` first", .path.display(), .path.display())]
    Mounted {
        /// Where.
        path: PathBuf,
    },
    /// A file or folder that is to be deleted is immutable.
    #[error("cannot remove {}: it is immutable; `chattr -i {}` first", .path.display(), .path.display())]
    Immutable {
        /// The file or folder.
        path: PathBuf,
    },
    /// The prefix and the task make no valid branch name.
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
    /// Too much is not committed to be held in memory.
    #[error("{} MiB of files that are not committed are too many to be merged in memory", .bytes >> 20)]
    TooMuchUncommitted {
        /// The size of the files.
        bytes: u64,
    },
    /// The branch of a lease is gone.
    #[error("the branch `{branch}` does not exist any more")]
    BranchMissing {
        /// Its name.
        branch: BranchName,
    },
    /// The branch of an attempt is gone, and so is the commit that it led to.
    #[error("the branch `{branch}` of its work does not exist any more, {}", match .tip {
        Some(tip) => format!("and the commit {} that it led to is gone too", tip.short()),
        None => "and no commit of it is recorded".to_owned(),
    })]
    WorkGone {
        /// The branch.
        branch: BranchName,
        /// Its recorded tip.
        tip: Option<CommitId>,
    },
    /// The caller has given up waiting.
    #[error("nobody waits for it any more")]
    GivenUp,
    /// A step in making or releasing a worktree exceeded its time limit.
    #[error("it took longer than {limit:?} (`worktree_timeout`)")]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// Git exceeded the time limit for making a worktree.
    #[error("`git worktree add` took longer than {limit:?} (`worktree_timeout`), and was killed; {}", if *.has_hook {
        "there is a post-checkout hook, which may not have come to its end"
    } else {
        "it may wait for a filter, or for the network"
    })]
    GitTooSlow {
        /// The limit.
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
        /// The problem with the branch.
        #[source]
        source: Box<GitError>,
    },
    /// The branch of the attempt's name is another one by now.
    #[error("the branch `{branch}` is not the one that was made for this attempt")]
    AnotherBranch {
        /// Its name.
        branch: BranchName,
    },
    /// Git's list of worktrees has no entry for this folder, or one of another attempt or user.
    #[error("{} is not a worktree of this repository that was made for this attempt", .path.display())]
    NotAWorktree {
        /// The folder.
        path: PathBuf,
    },
    /// Git's files in a worktree's entry were changed to lead elsewhere.
    #[error("git's entry of the worktree leads to {} instead", .path.display())]
    Redirected {
        /// The target.
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
        /// The process, or the lock file.
        who: String,
    },
    /// The branch appeared between the check and its creation.
    #[error("the branch `{branch}` was made by somebody else in the meantime")]
    BranchTaken {
        /// Its name.
        branch: BranchName,
    },
    /// The branch was moved between the check and our change.
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
    /// A file needs a filter, and git was not asked to run it: the configuration has changed a moment ago.
    #[error("{path} needs a filter")]
    Filtered {
        /// Its path in the repository.
        path: String,
    },
    /// One error of several operations.
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
        /// The message of the panic.
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
    /// The file that says where a worktree is would block git and gix.
    #[error("{} is no ordinary file, and git waits for it: move {} away, after a look at what it holds", .link.display(), .link.parent().unwrap_or(.link).display())]
    ListUnreadable {
        /// The file that says where the worktree is.
        link: PathBuf,
    },
    /// Something in the private git folder of a task is not what git puts there.
    #[error("{} is {what}, and git does not make it so", .path.display())]
    NotGits {
        /// The file or folder.
        path: PathBuf,
        /// The kind of file that is there, or that is missing.
        what: &'static str,
    },
    /// A branch of a task leads to something else than a commit.
    #[error("a branch leads to {id}, which is no commit")]
    NotACommit {
        /// The object that it leads to.
        id: String,
    },
    /// The private git folder of a task exceeds a limit of the import.
    #[error("{} is more than {most} {of}, which is too much to take over", .path.display())]
    TooMuch {
        /// Where the limit was passed.
        path: PathBuf,
        /// The limit.
        most: u64,
        /// The unit that is counted.
        of: &'static str,
    },
    /// A commit of a task is too large to be checked.
    #[error("the commit {id} has {what}, which is too much to take over; it stays where it is")]
    CommitTooLarge {
        /// The commit.
        id: String,
        /// The part that is too large.
        what: String,
    },
    /// A branch of a task has too many commits to be checked.
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
        /// The key.
        key: &'static str,
    },
    /// A name from a task under which nothing can be kept.
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
        /// The commit that it began at.
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
    /// A branch is to be moved to a commit that does not contain the one that it is at.
    #[error("{new} does not contain {old}, which the branch is at")]
    NotADescendant {
        /// The commit that it is at.
        old: String,
        /// The commit that it is to be moved to.
        new: String,
    },
    /// A branch is another name of a second one.
    #[error("the branch `{branch}` is a symbolic reference; name the branch that it leads to")]
    SymbolicBranch {
        /// Its name.
        branch: BranchName,
    },
    /// A landing in a process of its own has failed.
    #[error("{message}")]
    LandingFailed {
        /// The error there, with its causes.
        message: String,
        /// Whether a full or read-only disk is the cause.
        is_no_room: bool,
    },
    /// A git command of the import could not be followed.
    #[error("cannot follow `git {command}`")]
    Watch {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A git command of the import exceeded its time limit.
    #[error("`git {command}` took too long")]
    TookTooLong {
        /// The command.
        command: String,
    },
    /// A git command of the import failed.
    #[error("`git {command}` failed ({status}): {}", one_line(.stderr))]
    Plumbing {
        /// The command.
        command: String,
        /// The exit status.
        status: ExitStatus,
        /// The end of its output, without control characters.
        stderr: String,
    },
    /// The command git failed.
    #[error("`git worktree add` failed ({status}): {}", one_line(.stderr))]
    Command {
        /// The exit status.
        status: ExitStatus,
        /// Its output.
        stderr: String,
    },
}

/// The output of a command, as one line.
fn one_line(printed: &str) -> String {
    let lines = printed.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// The messages of git where a disk, or a user's quota, is full, or the disk is read-only.
const NO_ROOM: [&str; 3] = ["No space left on device", "Disk quota exceeded", "Read-only file system"];

/// A source of an error of the trait.
pub(crate) type BoxedError = Box<dyn std::error::Error + Send + Sync>;

impl GitError {
    /// Whether a full or read-only disk is the cause.
    pub(crate) fn is_no_room(&self) -> bool {
        match self {
            Self::LandingFailed { is_no_room, .. } => *is_no_room,
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

/// Turns an error for want of room into [`WorktreeError::NoRoom`].
pub(crate) fn or_no_room(error: WorktreeError) -> WorktreeError {
    if hides_no_room(&error) { WorktreeError::NoRoom { source: error.into() } } else { error }
}
