//! The trait that gives every attempt a worktree of its own, and keeps the work done there.

mod elsewhere;
mod error;
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
pub use self::in_place::InPlace;
pub use self::lease::{AgentHome, Lease, Made, NeededTip, Seeded, WorktreeRequest};
pub use self::release::{
    BranchFate, BranchRelease, KeepReason, MergedBy, Paths, Pruned, Release, ReleaseDetails, ReleaseRequest,
    WorktreeFate,
};
pub use self::work::{Counts, IgnoredFiles, SnapshotRequest, Unsaved, Work};
use crate::id::{BranchName, RunId, TaskId};
use crate::mount::Mount;

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
