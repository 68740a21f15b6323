//! The driver of a merge: from what is known to the next step, until the target has moved or nothing more can be done.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use tokio::time::Instant;

use crate::crash_point::crash_point;
use crate::error_chain::error_chain;
use crate::id::{BranchName, CommitId, MergeId, TaskId, TreeId};
use crate::merge::event::{MergeEnd, MergeEventKind};
use crate::merge::header::MergeHeader;
use crate::merge::integration::{Integration, LandRequest, Landing, MergeError, Target};
use crate::merge::journal::{MergeJournal, MergeObserver};
use crate::merge::record::MergeRecord;
use crate::merge::runner::{MergeLog, MergeRunner, RunnerError};
use crate::merge::selection::{Members, Selection};
use crate::merge::train::{Cause, Evidence, MAX_TRIALS, Step, Train, TrialResult};
use crate::registry::RegistryError;

/// Tips of the target on which a merge is made before it gives up on one that keeps moving.
pub const MAX_TARGETS: usize = 3;

/// An error that keeps a merge from going on. It can be resumed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MergeFailure {
    /// Its journal cannot be written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The repository refused a step.
    #[error(transparent)]
    Integration(#[from] MergeError),
    /// A check or other work could not be run.
    #[error(transparent)]
    Runner(Box<dyn std::error::Error + Send + Sync>),
}

/// The reason for which a step was not finished.
pub(super) enum Halt {
    /// The merge is over.
    End(MergeEnd),
    Failed(MergeFailure),
}

impl<E: Into<MergeFailure>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RunnerError> for Halt {
    fn from(error: RunnerError) -> Self {
        match error {
            RunnerError::Stopped => Self::End(MergeEnd::Cancelled),
            RunnerError::Failed(error) => Self::Failed(MergeFailure::Runner(error)),
            error @ RunnerError::Impossible { .. } => Self::Failed(MergeFailure::Runner(Box::new(error))),
        }
    }
}

/// Merged files on top of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) tip: CommitId,
    pub(super) tree: TreeId,
}

/// What is known while a merge is made on one tip of the target.
pub(super) struct Onto {
    pub(super) target: Target,
    pub(super) train: Train,
    pub(super) prepared: HashMap<Members, Prepared>,
    /// The sets of tasks that were reported as red together.
    blamed: HashSet<Members>,
}

/// A merge that is about to be driven.
///
/// Dropping the future of [`drive`](Merge::drive) stops nothing that runs; the merge can be resumed.
#[must_use = "a merge does nothing until it is driven"]
pub struct Merge<'a> {
    pub(super) journal: MergeJournal<'a>,
    pub(super) integration: Arc<dyn Integration>,
    pub(super) runner: Arc<dyn MergeRunner + 'a>,
    pub(super) evidence: HashMap<TreeId, Evidence>,
    is_resumed: bool,
}

impl fmt::Debug for Merge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").field("merge", &self.journal.record.header.merge).finish_non_exhaustive()
    }
}

impl<'a> Merge<'a> {
    /// A new merge, with an empty log.
    pub fn new(
        header: MergeHeader,
        integration: Arc<dyn Integration>,
        runner: Arc<dyn MergeRunner + 'a>,
        log: Box<dyn MergeLog>,
    ) -> Self {
        let journal = MergeJournal::new(MergeRecord::new(header), log);
        Self { journal, integration, runner, evidence: HashMap::new(), is_resumed: false }
    }

    /// A merge whose driver has died, with its record so far. What runs is taken over, and no result is lost.
    pub fn resume(
        record: MergeRecord,
        integration: Arc<dyn Integration>,
        runner: Arc<dyn MergeRunner + 'a>,
        log: Box<dyn MergeLog>,
    ) -> Self {
        let evidence = record.evidence();
        Self { journal: MergeJournal::new(record, log), integration, runner, evidence, is_resumed: true }
    }

    /// Sets the observer of its events, which is called for each after it was recorded.
    pub fn observed_by(mut self, observer: MergeObserver<'a>) -> Self {
        self.journal.observer = Some(observer);
        self
    }

    /// Drives the merge to its end, and returns its record.
    ///
    /// Needs a Tokio runtime with its timer on.
    ///
    /// # Errors
    /// [`MergeFailure`]. The target is then where it was or where the record says that it should be, and the merge can be
    /// resumed.
    pub async fn drive(mut self) -> Result<MergeRecord, MergeFailure> {
        let started = Instant::now();
        let end = match self.bring_home().await {
            Ok(end) | Err(Halt::End(end)) => end,
            Err(Halt::Failed(failure)) => return Err(failure),
        };
        let wall = (!self.is_resumed).then(|| started.elapsed());
        self.journal.emit(MergeEventKind::Ended { end, wall })?;
        crash_point("merge-ended");
        if let Err(error) = self.integration.forget(self.id()).await {
            // Only references of ours stay, until the next merge.
            tracing::warn!(merge = %self.id(), "{}", error_chain(&error));
        }
        Ok(self.journal.record)
    }

    /// Ends the merge as it is: finishes or undoes a landing that was cut short, and gives the rest up. What it had begun to
    /// run is for the caller to stop.
    ///
    /// # Errors
    /// [`MergeFailure`].
    pub async fn abandon(mut self) -> Result<MergeRecord, MergeFailure> {
        let end = match self.recover_landing().await {
            Ok(end) => end.unwrap_or(MergeEnd::Abandoned),
            Err(Halt::End(end)) => end,
            Err(Halt::Failed(failure)) => return Err(failure),
        };
        self.journal.emit(MergeEventKind::Ended { end, wall: None })?;
        self.integration.forget(self.id()).await?;
        Ok(self.journal.record)
    }

    pub(super) fn id(&self) -> &MergeId {
        &self.journal.record.header.merge
    }

    pub(super) fn header(&self) -> &MergeHeader {
        &self.journal.record.header
    }

    async fn bring_home(&mut self) -> Result<MergeEnd, Halt> {
        if self.is_resumed
            && let Some(end) = self.take_up().await?
        {
            return Ok(end);
        }
        let branch = self.header().target.clone();
        loop {
            let Some(target) = self.integration.target(&branch).await? else { return Ok(MergeEnd::TargetGone) };
            let is_new = self.journal.record.targets.last() != Some(&target.tip);
            if is_new && self.journal.record.targets.len() == MAX_TARGETS {
                return Ok(MergeEnd::TargetMoved);
            }
            // One that has moved there and back is new as well.
            if is_new || self.journal.record.landing.is_none() {
                self.journal.emit(MergeEventKind::TargetSeen { tip: target.tip.clone() })?;
            }
            if let Some(end) = self.merge_onto(target).await? {
                return Ok(end);
            }
        }
    }

    /// Takes up what an earlier driver has left: a landing, and what it had begun to run. Returns the end of the merge if the
    /// landing was it.
    async fn take_up(&mut self) -> Result<Option<MergeEnd>, Halt> {
        self.journal.emit(MergeEventKind::Resumed)?;
        if let Some(end) = self.recover_landing().await? {
            return Ok(Some(end));
        }
        self.finish_trials().await?;
        self.finish_work().await?;
        Ok(None)
    }

    /// Finishes or undoes a landing that was cut short; returns the end of the merge if that has landed.
    async fn recover_landing(&mut self) -> Result<Option<MergeEnd>, Halt> {
        if let Some(landing) = self.integration.recover_landing(self.id()).await?
            && landing.landed
        {
            if landing.branch != self.header().target {
                return Ok(Some(MergeEnd::Kept { branch: landing.branch }));
            }
            self.journal.emit(MergeEventKind::Landed { new: landing.new, followed: landing.followed })?;
            return Ok(Some(MergeEnd::Landed));
        }
        Ok(None)
    }

    /// Merges onto one tip of the target; `None` when it has moved meanwhile.
    async fn merge_onto(&mut self, target: Target) -> Result<Option<MergeEnd>, Halt> {
        let needs: Vec<Vec<usize>> = self.header().candidates.iter().map(|candidate| candidate.needs.clone()).collect();
        let train = Train::new(Selection::new(&needs), self.header().settings.check.is_some());
        let mut onto = Onto { target, train, prepared: HashMap::new(), blamed: HashSet::new() };
        loop {
            if self.runner.is_stopped() {
                return Ok(Some(MergeEnd::Cancelled));
            }
            match onto.train.next() {
                Step::Try(_) => self.run_trials(&mut onto).await?,
                Step::Land(members) => {
                    let Some(prepared) = self.prepare(&mut onto, &members).await? else { continue };
                    self.report_blame(&mut onto)?;
                    return self.land(onto, members, prepared).await;
                }
                Step::Nothing => {
                    self.report_blame(&mut onto)?;
                    let start = Prepared { tip: onto.target.tip.clone(), tree: onto.target.tree.clone() };
                    return self.land(onto, Members::new(), start).await;
                }
                Step::BaselineRed => return Ok(Some(MergeEnd::BaselineRed)),
                Step::Environment => return Ok(Some(MergeEnd::Environment { why: self.why_not_asked() })),
            }
            self.report_blame(&mut onto)?;
        }
    }

    /// The reason for which the check could not be asked.
    fn why_not_asked(&self) -> String {
        let ends = self.journal.record.trials.iter().rev().filter_map(|trial| trial.end.as_ref());
        let mut unasked = ends.filter(|end| end.result == Some(TrialResult::Environment));
        unasked.next().map_or_else(String::new, |end| end.why.clone())
    }

    /// Records the sets of tasks that are known to be red together since the last call.
    fn report_blame(&mut self, onto: &mut Onto) -> Result<(), Halt> {
        let red = onto.train.exclusions().into_iter().filter(|exclusion| exclusion.cause == Cause::Red);
        for exclusion in red {
            if onto.blamed.insert(exclusion.members.clone()) {
                let tasks = self.tasks(&exclusion.members);
                self.journal.emit(MergeEventKind::Blamed { tasks })?;
            }
        }
        Ok(())
    }

    /// The ids of tasks at these positions.
    pub(super) fn tasks(&self, members: &Members) -> Vec<TaskId> {
        members.iter().map(|position| self.header().candidates[*position].task.clone()).collect()
    }

    /// The trials that may still be made.
    pub(super) fn trials_left(&self) -> Result<usize, Halt> {
        match MAX_TRIALS.saturating_sub(self.journal.record.checks()) {
            0 => Err(Halt::End(MergeEnd::GaveUp)),
            left => Ok(left),
        }
    }

    /// Resolves what is set aside, if an agent is to do so, and moves the target; `None` when it has moved meanwhile.
    async fn land(&mut self, onto: Onto, members: Members, prepared: Prepared) -> Result<Option<MergeEnd>, Halt> {
        let (members, prepared) = self.resolve_rest(members, prepared).await?;
        if members.is_empty() {
            return Ok(Some(MergeEnd::Nothing));
        }
        if prepared.tip == onto.target.tip {
            return Ok(Some(MergeEnd::UpToDate));
        }
        if self.runner.is_stopped() {
            return Ok(Some(MergeEnd::Cancelled));
        }
        let (old, new, tasks) = (onto.target.tip, prepared.tip, self.tasks(&members));
        let is_new = |task: &TaskId| !self.journal.record.contained.contains(task);
        let tasks = tasks.into_iter().filter(is_new).collect();
        let intended = MergeEventKind::LandingIntended { old: old.clone(), new: new.clone(), tasks };
        self.journal.emit(intended)?;
        crash_point("merge-landing-intended");
        let branch = self.header().target.clone();
        let landing = self.move_branch(branch, Some(old), new.clone()).await?;
        crash_point("merge-branch-moved");
        Ok(match landing {
            Landing::Landed { followed } => {
                self.journal.emit(MergeEventKind::Landed { new, followed })?;
                Some(MergeEnd::Landed)
            }
            Landing::Moved { now } => {
                self.journal.emit(MergeEventKind::TargetMoved { now })?;
                None
            }
            Landing::Blocked { worktree, reason, files } => {
                let kept = self.keep(new).await?;
                let blocked = MergeEventKind::LandingBlocked { worktree, reason, files, kept: kept.clone() };
                self.journal.emit(blocked)?;
                Some(MergeEnd::Kept { branch: kept })
            }
        })
    }

    async fn move_branch(&self, branch: BranchName, old: Option<CommitId>, new: CommitId) -> Result<Landing, Halt> {
        let request = LandRequest { merge: self.id().clone(), branch, old, new };
        Ok(self.integration.land(request).await?)
    }

    /// Keeps a result that cannot land on a branch of its own.
    async fn keep(&self, new: CommitId) -> Result<BranchName, Halt> {
        let name = format!("{MERGED_PREFIX}{}", self.header().run);
        let branch: BranchName = name.parse().expect("cannot fail because a run's id is valid in a branch's name");
        // An earlier merge of the run may have left its result there; it is an ancestor of this one, or stays.
        let before = self.integration.target(&branch).await?.map(|kept| kept.tip);
        if before.as_ref() == Some(&new) {
            return Ok(branch);
        }
        match self.move_branch(branch.clone(), before, new.clone()).await? {
            Landing::Landed { .. } => Ok(branch),
            _ => {
                let branch = format!("{MERGED_PREFIX}{}", self.id());
                let branch: BranchName = branch.parse().expect("cannot fail because a merge's id is valid in a name");
                self.move_branch(branch.clone(), None, new).await?;
                Ok(branch)
            }
        }
    }
}

/// Beginning of the branches that keep results which could not land.
pub const MERGED_PREFIX: &str = "gadugi/merged/";
