//! Lines of work: what each task of a run has made so far, as a side of a forecast of merges.

use crate::id::{BranchName, CommitId};
use crate::plan::Changes;
use crate::run::record::{RunRecord, TaskRecord, WorktreeState};
use crate::worktrees::Side;

/// The state of the task whose line of work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineState {
    /// The task has succeeded; all of its work is on its branch.
    Succeeded,
    /// An attempt is under way; its worktree may hold work that is not committed.
    UnderWay,
    /// Its last attempt has ended without success, and its work was kept.
    Left,
}

/// What a task has made so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineOfWork {
    /// Position of the task in the run.
    pub position: usize,
    /// State of the task.
    pub state: LineState,
    /// Its branch.
    pub branch: BranchName,
    /// The commit that the work began at.
    pub base: CommitId,
    /// The newest recorded commit, and the worktree where that may hold more.
    pub side: Side,
}

impl LineOfWork {
    /// Whether commits are recorded. Without them, only a look into the worktree tells whether there is any work.
    #[must_use]
    pub fn has_commits(&self) -> bool {
        self.side.tip != self.base
    }
}

impl RunRecord {
    /// The line of work of a task; `None` for one that has no branch, or is known to have made nothing.
    #[must_use]
    pub fn line_of_work(&self, position: usize) -> Option<LineOfWork> {
        self.tasks.get(position)?.line_of_work(position)
    }

    /// The lines of work of all tasks, in the order of the plan.
    pub fn lines_of_work(&self) -> impl Iterator<Item = LineOfWork> {
        (0..self.tasks.len()).filter_map(|position| self.line_of_work(position))
    }
}

impl TaskRecord {
    fn line_of_work(&self, position: usize) -> Option<LineOfWork> {
        if self.task.spec.changes == Changes::Discarded {
            return None;
        }
        let attempt = self.with_branch()?;
        let lease = attempt.lease.as_ref()?;
        let (branch, start) = (lease.branch.clone()?, lease.base.clone()?);
        let state = match &attempt.ended {
            None => LineState::UnderWay,
            Some((outcome, _)) if outcome.success() => LineState::Succeeded,
            Some(_) => LineState::Left,
        };
        let work = attempt.work.as_deref();
        let has_worktree = matches!(attempt.worktree, WorktreeState::InUse | WorktreeState::Kept(_));
        // Of an attempt that has ended, the collected work tells whether files were left.
        let may_hold_more = has_worktree
            && match state {
                LineState::Succeeded => false,
                LineState::UnderWay => true,
                LineState::Left => work.is_none_or(|work| work.uncommitted > 0),
            };
        let tip = work.and_then(|work| work.tip.clone()).unwrap_or(start);
        let base = self.base_of(attempt)?.clone();
        let worktree = may_hold_more.then(|| lease.clone());
        let side = Side { name: self.task.spec.id.to_string(), tip, worktree };
        let line = LineOfWork { position, state, branch, base, side };
        (line.has_commits() || may_hold_more).then_some(line)
    }
}
