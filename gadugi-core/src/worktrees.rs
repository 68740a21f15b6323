//! The trait that gives every attempt a place to work in, and keeps what it made there.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use async_trait::async_trait;
use thiserror::Error;

use crate::elsewhere::Elsewhere;
use crate::id::{AttemptRef, BranchName, CommitId, RunId, TaskId};
use crate::mount::Mount;

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

/// A source error of an adapter.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no worktree, or why its work could not be kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorktreeError {
    /// The branches of the needed tasks cannot be merged.
    #[error("the branches of {} do not merge: {}", .tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" and "), .files.join(", "))]
    Conflict {
        /// The two tasks whose branches do not merge; more where only several together do not.
        tasks: Vec<TaskId>,
        /// The files in conflict, as paths in the repository.
        files: Vec<String>,
    },
    /// A worktree could not be made. Nothing of it was left behind.
    #[error("cannot make the worktree of {attempt} at {}", .path.display())]
    Create {
        /// The attempt that it was for.
        attempt: AttemptRef,
        /// Where it should have been.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// A worktree could not be prepared for commands that are kept from the rest of the machine.
    #[error("cannot isolate the worktree {}", .path.display())]
    Isolate {
        /// The worktree.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// The home folder of an agent could not be made, looked at or removed.
    #[error("cannot keep the home folder of the agent of {task}")]
    Home {
        /// The agent's task.
        task: TaskId,
        /// Why.
        #[source]
        source: Source,
    },
    /// What an attempt committed in isolation could not be taken over. The worktree stays as it is.
    #[error("cannot take over what was committed in {}", .path.display())]
    Import {
        /// The worktree.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// What an attempt made could not be committed. The worktree stays as it is.
    #[error("cannot take the snapshot of {}", .path.display())]
    Snapshot {
        /// The worktree.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// A worktree could not be looked at or removed.
    #[error("cannot release the worktree {}", .path.display())]
    Release {
        /// The worktree.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// There is no room on the disk, or it cannot be written to any more. It says nothing of the attempt: the scheduler
    /// starts nothing more, and leaves the attempt to be gone on with when there is room.
    #[error("the disk is full or cannot be written to")]
    NoRoom {
        /// What could not be done.
        #[source]
        source: Source,
    },
    /// The repository itself could not be read or locked.
    #[error("cannot use the repository {}", .path.display())]
    Repository {
        /// The repository.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
}

/// The folder that an agent has as its home in all attempts at its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHome {
    /// Where it is.
    pub path: PathBuf,
    /// Whether there is nothing in it.
    pub is_new: bool,
}

/// Gives every attempt a place of its own and keeps what it made there.
///
/// What an implementer owes:
/// - **Crash.** After a crash at any moment nothing that an attempt made is lost, and what is half made
///   is found by [`prune`](Worktrees::prune) or overwritten by nothing.
/// - **Cancel.** A caller may drop a future at any await. The work that it began is finished or undone
///   in the background; it is never left half done on purpose.
/// - **Concurrency.** Methods are called from many tasks at once; the implementation serialises what
///   the repository cannot bear at the same time, also against other processes.
#[async_trait]
pub trait Worktrees: Send + Sync {
    /// Makes a place for each request, in bulk, so that an implementation can share work among them. The
    /// answers are in the order of the requests; one that fails does not hinder the others.
    async fn create(&self, requests: Vec<WorktreeRequest>) -> Vec<Result<Made, WorktreeError>>;

    /// Prepares the place for commands that see nothing else of this machine: git is to work there, and nothing that they
    /// do may reach what all places share. Tells what such a command has to see besides the place itself. Asked before
    /// each command of the attempt; what is prepared already stays as it is.
    ///
    /// # Errors
    /// [`WorktreeError::Isolate`].
    async fn isolate(&self, lease: &Lease) -> Result<Vec<Mount>, WorktreeError> {
        let _ = lease;
        Ok(Vec::new())
    }

    /// Finds or makes the folder that the agent of a task has as its home in all its attempts, where its executor shows it
    /// none of this machine. It lies in no place, and nobody but the user of this process comes as far as to it. `None` for an
    /// implementation that makes none.
    ///
    /// # Errors
    /// [`WorktreeError::Home`].
    async fn home(&self, run: &RunId, task: &TaskId) -> Result<Option<AgentHome>, WorktreeError> {
        let _ = (run, task);
        Ok(None)
    }

    /// Looks at the home of a task while nothing runs there. One that takes more room than an implementation lets it have is
    /// removed; a sentence says so.
    ///
    /// # Errors
    /// [`WorktreeError::Home`].
    async fn check_home(&self, run: &RunId, task: &TaskId) -> Result<Option<String>, WorktreeError> {
        let _ = (run, task);
        Ok(None)
    }

    /// Removes the home of a task that is over, if there is one. As with places, the room may be given back later.
    ///
    /// # Errors
    /// [`WorktreeError::Home`].
    async fn forget_home(&self, run: &RunId, task: &TaskId) -> Result<(), WorktreeError> {
        let _ = (run, task);
        Ok(())
    }

    /// Brings what an attempt has committed in isolation to its branch, once its commands have ended. Nothing happens in
    /// a place that was not isolated, or when there is nothing new, so that it may be repeated.
    ///
    /// # Errors
    /// [`WorktreeError::Import`] when it cannot be taken over as a whole: then the branch is as it was, and the place, with
    /// all that was committed there, stays until it is released with [`ReleaseRequest::discard`].
    async fn import(&self, lease: &Lease) -> Result<(), WorktreeError> {
        let _ = lease;
        Ok(())
    }

    /// Collects what the attempt made. With [`SnapshotRequest::commit`], uncommitted and untracked files
    /// become one commit on its branch, without running anything from the worktree.
    ///
    /// # Errors
    /// [`WorktreeError::Snapshot`]; the worktree is then as it was.
    async fn snapshot(&self, lease: &Lease, request: SnapshotRequest) -> Result<Work, WorktreeError>;

    /// Gives the place back. A worktree that holds something which is on no branch stays, and the answer
    /// says why. A place that was given to another attempt since is not this lease's any more: it counts
    /// as absent.
    ///
    /// The place is gone when this returns. The room that it takes may be given back later; an implementation that does
    /// so says how to wait for that.
    ///
    /// # Errors
    /// [`WorktreeError::Release`] when it cannot be looked at or removed; nothing is lost then.
    async fn release(&self, lease: &Lease, request: ReleaseRequest) -> Result<Release, WorktreeError>;

    /// Gives places back in bulk, so that an implementation can look at them side by side. The answers are in the order
    /// of the requests; one that fails does not hinder the others. Branches are decided on together, by the same rules in a
    /// dry run; those of `no_keepers`, whose tasks did not succeed, are no reason for another one to go.
    async fn release_all(
        &self,
        requests: Vec<(Lease, ReleaseRequest)>,
        no_keepers: BTreeSet<BranchName>,
    ) -> Vec<Result<Release, WorktreeError>> {
        // One by one, no branch is decided on beside another.
        drop(no_keepers);
        let mut released = Vec::with_capacity(requests.len());
        for (lease, request) in requests {
            released.push(self.release(&lease, request).await);
        }
        released
    }

    /// All places that it has made, for whatever run, and that are still there; also those that a crash kept
    /// from being recorded, but not those that a crash left half made. None for an implementation that makes
    /// none.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when they cannot be listed.
    async fn leases(&self) -> Result<Vec<Lease>, WorktreeError> {
        Ok(Vec::new())
    }

    /// Lock files that were made in the repository since this moment and that nobody holds, as a git leaves them that is killed
    /// with its task. They hinder others, so the run tells of them; they stay.
    async fn left_locks(&self, _since: SystemTime) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Clears away what crashes left behind: never anything that holds work, and never what this
    /// implementation did not make.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when the leftovers cannot be listed.
    async fn prune(&self, dry_run: bool) -> Result<Vec<Pruned>, WorktreeError>;
}

/// No worktrees: every attempt works in one folder, which is neither made nor removed. For embedders
/// whose tasks need no isolation from one another.
#[derive(Debug, Clone)]
pub struct InPlace {
    folder: PathBuf,
}

impl InPlace {
    /// Every attempt works in `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

#[async_trait]
impl Worktrees for InPlace {
    async fn create(&self, requests: Vec<WorktreeRequest>) -> Vec<Result<Made, WorktreeError>> {
        let lease = |request: WorktreeRequest| Lease {
            run: request.run,
            attempt: request.attempt,
            path: self.folder.clone(),
            branch: None,
            base: None,
        };
        requests.into_iter().map(|request| Ok(lease(request).into())).collect()
    }

    async fn snapshot(&self, _: &Lease, _: SnapshotRequest) -> Result<Work, WorktreeError> {
        Ok(Work::default())
    }

    async fn release(&self, _: &Lease, _: ReleaseRequest) -> Result<Release, WorktreeError> {
        Ok(Release::new(WorktreeFate::Kept(vec![KeepReason::Requested]), BranchRelease::Absent))
    }

    async fn prune(&self, _: bool) -> Result<Vec<Pruned>, WorktreeError> {
        Ok(Vec::new())
    }
}
