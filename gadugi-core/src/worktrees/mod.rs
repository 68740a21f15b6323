//! The trait that gives every attempt a worktree of its own, and keeps the work done there.

mod elsewhere;
mod error;
mod forecast;
mod in_place;
mod lease;
mod release;
mod work;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use async_trait::async_trait;

pub use self::elsewhere::Elsewhere;
pub use self::error::WorktreeError;
pub use self::forecast::{Forecast, Side, Verdict, merge_order};
pub use self::in_place::InPlace;
pub use self::lease::{AgentHome, CreatedWorktree, Lease, NeededTip, Seeded, WorktreeRequest};
pub use self::release::{
    BranchFate, BranchRelease, KeepReason, MergedBy, Paths, Pruned, Release, ReleaseDetails, ReleaseRequest,
    WorktreeFate,
};
pub use self::work::{CommitSubject, Counts, IgnoredFiles, SnapshotRequest, Unsaved, Work};
use crate::id::{BranchName, CommitId, RunId, TaskId};
use crate::mount::Mount;

/// Gives every attempt a worktree of its own and keeps its work.
///
/// What an implementer owes:
/// - **Crash.** After a crash at any moment nothing that an attempt made is lost, and what is half made
///   is found by [`prune`](Worktrees::prune) or overwritten by nothing.
/// - **Cancel.** A caller may drop a future at any await. Work that was started is finished or undone
///   in the background; it is never left half done on purpose.
/// - **Concurrency.** Methods are called from many tasks at once; the implementation serialises what
///   the repository cannot bear at the same time, also against other processes.
#[async_trait]
pub trait Worktrees: Send + Sync {
    /// Makes a worktree for each request, in bulk, so that an implementation can share work among them. The answers are
    /// in the order of the requests; a failure does not affect the others.
    async fn create(&self, requests: Vec<WorktreeRequest>) -> Vec<Result<CreatedWorktree, WorktreeError>>;

    /// Prepares the worktree for commands that see nothing else of this machine: git must work there, and the commands
    /// must not reach anything that all worktrees share. Returns the mounts that such a command needs besides the
    /// worktree itself. Called before each command of the attempt; a prepared worktree stays as it is.
    ///
    /// # Errors
    /// [`WorktreeError::Isolate`].
    async fn isolate(&self, lease: &Lease) -> Result<Vec<Mount>, WorktreeError> {
        let _ = lease;
        Ok(Vec::new())
    }

    /// Finds or makes the home folder of a task's agent for all its attempts, where the executor mounts none of this
    /// machine. It lies in no worktree, and only the user of this process can reach it. `None` for an implementation
    /// that makes none.
    ///
    /// # Errors
    /// [`WorktreeError::Home`].
    async fn home(&self, run: &RunId, task: &TaskId) -> Result<Option<AgentHome>, WorktreeError> {
        let _ = (run, task);
        Ok(None)
    }

    /// Gives the home of a task in an earlier run to the same task of a run that continues there. Does nothing where that is
    /// gone, or where the task has a home in this run already, so that it may be repeated.
    ///
    /// # Errors
    /// [`WorktreeError::Home`].
    async fn adopt_home(&self, earlier: &RunId, run: &RunId, task: &TaskId) -> Result<(), WorktreeError> {
        let _ = (earlier, run, task);
        Ok(())
    }

    /// Checks the home of a task while nothing runs there. One that exceeds the size limit of the implementation is
    /// removed; then it returns a sentence about that.
    ///
    /// # Errors
    /// [`WorktreeError::Home`].
    async fn check_home(&self, run: &RunId, task: &TaskId) -> Result<Option<String>, WorktreeError> {
        let _ = (run, task);
        Ok(None)
    }

    /// Removes the home of a finished task, if there is one. As with worktrees, its disk space may be freed later.
    ///
    /// # Errors
    /// [`WorktreeError::Home`].
    async fn remove_home(&self, run: &RunId, task: &TaskId) -> Result<(), WorktreeError> {
        let _ = (run, task);
        Ok(())
    }

    /// Imports the commits of an isolated attempt to its branch, once its commands have ended. Does nothing for a
    /// worktree that was not isolated, or without new commits, so that it may be repeated.
    ///
    /// # Errors
    /// [`WorktreeError::Import`] when not all of it can be imported: then the branch is as it was, and the worktree,
    /// with all commits there, stays until it is released with [`ReleaseRequest::discard`].
    async fn import(&self, lease: &Lease) -> Result<(), WorktreeError> {
        let _ = lease;
        Ok(())
    }

    /// Collects the work of the attempt. With [`SnapshotRequest::commit`], uncommitted and untracked files become one
    /// commit on its branch, without running anything from the worktree.
    ///
    /// # Errors
    /// [`WorktreeError::Snapshot`]; the worktree is then as it was.
    async fn snapshot(&self, lease: &Lease, request: SnapshotRequest) -> Result<Work, WorktreeError>;

    /// Releases the worktree. One that holds work which is on no branch stays, and the answer gives the reasons. A
    /// worktree that belongs to another attempt by now counts as absent.
    ///
    /// The worktree is gone when this returns. Its disk space may be freed later; an implementation that does so
    /// documents how to wait for that.
    ///
    /// # Errors
    /// [`WorktreeError::Release`] when it cannot be inspected or removed; nothing is lost then.
    async fn release(&self, lease: &Lease, request: ReleaseRequest) -> Result<Release, WorktreeError>;

    /// Releases worktrees in bulk, so that an implementation can inspect them in parallel. The answers are in the order
    /// of the requests; a failure does not affect the others. Branches are decided on together, by the same rules in a
    /// dry run; those of `no_keepers`, whose tasks did not succeed, do not count as a reason to delete another one.
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

    /// Foretells which of several lines of work merge with each other, as text. Nothing is changed, and no object is kept.
    ///
    /// # Errors
    /// Those of [`forecast_of_first`](Self::forecast_of_first).
    async fn forecast(&self, sides: Vec<Side>) -> Result<Forecast, WorktreeError> {
        self.forecast_of_first(sides.len(), sides).await
    }

    /// The same, only for the pairs in which one of the first `asked` sides stands.
    ///
    /// The default can tell nothing.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when the repository cannot be read. A failure with one pair only is its verdict.
    async fn forecast_of_first(&self, asked: usize, sides: Vec<Side>) -> Result<Forecast, WorktreeError> {
        let _ = asked;
        Ok(Forecast::unknown(sides.len(), "merges cannot be tried here"))
    }

    /// The newest commit of a branch, by its name without `refs/heads/`; `None` when there is no such branch.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when the repository cannot be read.
    async fn branch_tip(&self, name: &str) -> Result<Option<CommitId>, WorktreeError> {
        let _ = name;
        Ok(None)
    }

    /// All existing worktrees that it has made, of any run; also those that are not recorded because of a crash, but
    /// not those that a crash left half made. None for an implementation that makes none.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when they cannot be listed.
    async fn leases(&self) -> Result<Vec<Lease>, WorktreeError> {
        Ok(Vec::new())
    }

    /// Lock files in the repository that were made since this moment and that no process holds, such as those of a git
    /// that was killed with its task. They block other commands, so the run warns about them; they stay.
    async fn left_locks(&self, _since: SystemTime) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Removes leftovers of crashes: never anything that holds work, and never anything that this implementation did
    /// not make.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when the leftovers cannot be listed.
    async fn prune(&self, dry_run: bool) -> Result<Vec<Pruned>, WorktreeError>;
}
