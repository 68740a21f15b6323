//! The worktree of an attempt: made, its work collected, released.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::crash_point::crash_point;
use crate::error_chain::error_chain;
use crate::id::CommitId;
use crate::plan::{Changes, RetryFrom, TaskSpec};
use crate::registry::{RegistryError, Ticket};
use crate::run::{EventKind, Failure, KeepPolicy, Outcome, WarningKind, base_of_work};
use crate::scheduler::attempt::outcome::judged_by_work;
use crate::scheduler::attempt::{Attempt, Verdict};
use crate::scheduler::message::StopLevel;
use crate::worktrees::{
    BranchFate, CreatedWorktree, Lease, ReleaseRequest, SnapshotRequest, WorktreeError, WorktreeFate, WorktreeRequest,
    Worktrees,
};

/// The reason for which an attempt has no worktree.
#[derive(Debug)]
pub(crate) enum NoWorktree {
    Failed(WorktreeError),
    /// Its intent is not on disk, so that nothing may be done for it.
    Unrecorded(RegistryError),
}

/// The answer to the request for a worktree, with the time that it took to make it.
pub(crate) type WorktreeResult = Result<(CreatedWorktree, Duration), NoWorktree>;

/// A request for the worktree of an attempt at a task.
pub(crate) struct AskedWorktree {
    pub(crate) request: WorktreeRequest,
    pub(crate) spec: Arc<TaskSpec>,
    /// Ticket of the attempt's intent.
    pub(crate) intent: Ticket,
    /// Sender to the attempt.
    pub(crate) worktree: oneshot::Sender<WorktreeResult>,
}

/// Makes the worktrees of a batch, once the intents are on disk, and hands them out. Those of attempts that no longer wait are
/// not made, or released.
pub(crate) async fn make_worktrees(worktrees: Arc<dyn Worktrees>, batch: Vec<AskedWorktree>) {
    let (mut requests, mut senders) = (Vec::new(), Vec::new());
    for AskedWorktree { request, spec, intent, worktree } in batch {
        match intent.await {
            Ok(()) => {
                senders.push((worktree, spec, request.reuse.is_none()));
                requests.push(request);
            }
            // An attempt that is gone needs no answer, here and below.
            Err(error) => drop(worktree.send(Err(NoWorktree::Unrecorded(error)))),
        }
    }
    crash_point("intent-kept");
    let asked = Instant::now();
    if requests.is_empty() {
        return;
    }
    let none_waits = async {
        for (sender, _, _) in &mut senders {
            sender.closed().await;
        }
    };
    let answers = tokio::select! {
        biased;
        answers = worktrees.create(requests) => answers,
        () = none_waits => return,
    };
    let took = asked.elapsed();
    let mut untaken = Vec::new();
    for (answer, (sender, spec, is_new)) in answers.into_iter().zip(senders) {
        if let Err(Ok((made, _))) = sender.send(answer.map(|made| (made, took)).map_err(NoWorktree::Failed))
            && is_new
        {
            untaken.push((made.lease, spec));
        }
    }
    for (lease, spec) in untaken {
        let request = release_request(&spec, BranchFate::DeleteIfMerged);
        // A worktree that cannot be released is found by its mark.
        drop(worktrees.release(&lease, request).await);
    }
}

impl Attempt {
    /// The start of the task's work, where that is in an earlier attempt that this one continues.
    fn earlier_start(&self, lease: &Lease) -> Option<CommitId> {
        let base = lease.base.as_ref()?;
        let start = self.spec.origin.start_of_work(base_of_work(self.earlier.iter().map(Arc::as_ref), base));
        (start != base).then(|| start.clone())
    }

    /// Collects the work of the attempt. A success whose work cannot be kept is none.
    pub(super) async fn collect(&mut self, lease: &Lease, outcome: Outcome) -> Verdict {
        let since = self.earlier_start(lease);
        let has_earlier = since.is_some();
        if let Some(work) = self.recovered.as_ref().and_then(|recovered| recovered.work.as_ref()) {
            let outcome = judged_by_work(outcome, work, has_earlier, self.spec.changes);
            return Verdict::Outcome(outcome);
        }
        let is_start_of_next = self.spec.retry_from == RetryFrom::Previous && outcome.retriable();
        let commit = outcome.success() || self.keep == KeepPolicy::Never || is_start_of_next;
        let imported = self.worktrees.import(lease).await;
        crash_point("work-imported");
        let collected = match imported {
            Ok(()) => {
                let subject = Some(self.spec.commit_subject.fill(&self.spec.title, &self.run, &self.attempt));
                self.worktrees.snapshot(lease, SnapshotRequest { commit, subject, since }).await
            }
            Err(error) => Err(error),
        };
        match collected {
            Ok(work) => {
                crash_point("snapshot-made");
                let outcome = judged_by_work(outcome, &work, has_earlier, self.spec.changes);
                self.note(EventKind::WorkCollected { attempt: self.attempt.clone(), work }).await;
                Verdict::Outcome(outcome)
            }
            // A run that is asked to stop has to end without room, too.
            Err(error @ WorktreeError::NoRoom { .. }) if *self.stop.borrow() == StopLevel::Not => self.no_room(error),
            Err(error) if outcome.success() => {
                Verdict::Outcome(Outcome::Failed(Failure::Snapshot { message: error_chain(&error) }))
            }
            Err(error) => {
                self.warn(WarningKind::Snapshot, error_chain(&error)).await;
                Verdict::Outcome(outcome)
            }
        }
    }

    /// Releases the worktree of an attempt that has ended.
    pub(crate) async fn release(&mut self, lease: &Lease) {
        let request = release_request(&self.spec, BranchFate::Keep);
        let attempt = self.attempt.clone();
        let released = self.worktrees.release(lease, request).await;
        crash_point("worktree-released");
        match released.map(|release| release.worktree) {
            Ok(WorktreeFate::Kept(reasons)) => self.note(EventKind::WorktreeKept { attempt, reasons }).await,
            Ok(WorktreeFate::Removed | WorktreeFate::Absent) => {
                self.note(EventKind::WorktreeReleased { attempt }).await;
            }
            Err(error) => self.warn(WarningKind::Release, error_chain(&error)).await,
        }
    }
}

/// The request to release the worktree of an attempt at a task; `branch` is the fate of a branch that has work.
fn release_request(spec: &TaskSpec, branch: BranchFate) -> ReleaseRequest {
    let discard = spec.changes == Changes::Discarded;
    ReleaseRequest { branch: if discard { BranchFate::Delete } else { branch }, discard, dry_run: false }
}

/// Whether the worktree of an attempt with this outcome is released.
pub(crate) fn is_released(spec: &TaskSpec, keep: KeepPolicy, outcome: &Outcome) -> bool {
    match keep {
        _ if spec.changes == Changes::Discarded => true,
        KeepPolicy::Failed => outcome.success(),
        KeepPolicy::Always => false,
        // A command of a lost attempt may still run there.
        KeepPolicy::Never => !matches!(outcome, Outcome::Lost { .. }),
    }
}
