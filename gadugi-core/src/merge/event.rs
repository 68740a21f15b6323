//! The events of a merge, as its journal keeps them and observers see them.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::id::{BranchName, CommitId, RunId, TaskId, TreeId};
use crate::merge::train::TrialResult;

/// An event of a merge.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeEvent {
    /// Number in the merge, from 1, without gaps.
    pub seq: u64,
    /// Time by the wall clock, for display only.
    pub at: Timestamp,
    /// The kind of event, with its data.
    pub kind: MergeEventKind,
}

/// A trial: the check of merged files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The commit whose files are checked.
    pub commit: CommitId,
    /// Their tree.
    pub tree: TreeId,
    /// The tasks on top of the target; none for the target alone.
    pub tasks: Vec<TaskId>,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MergeEventKind {
    /// Another process resumes a merge whose driver had ended before it.
    Resumed,
    /// The target was looked at, and the merge is made on top of it.
    TargetSeen {
        /// Its tip.
        tip: CommitId,
    },
    /// A task conflicts with others, or with the target.
    ConflictFound {
        /// The task.
        task: TaskId,
        /// The tasks that it conflicts with; none means the target.
        with: Vec<TaskId>,
        /// The files in conflict.
        files: Vec<String>,
    },
    /// The target has all of a task already, as commits or as changes.
    Contained {
        /// The task.
        task: TaskId,
    },
    /// A run of trials is about to start.
    TrialsStarted {
        /// The run.
        run: RunId,
        /// Its trials, in the order of its tasks.
        trials: Vec<Trial>,
    },
    /// A trial has ended, or its result was kept by an earlier merge.
    TrialEnded {
        /// The trial.
        trial: Trial,
        /// Its result; `None` where there is none, as after a stop.
        result: Option<TrialResult>,
        /// Reason of the result, in a few words.
        why: String,
        /// Time that the check took; `None` where it was not run, or not measured.
        took: Option<Duration>,
        /// The run that it was part of; `None` for a result that an earlier merge has kept.
        run: Option<RunId>,
    },
    /// Tasks cannot land together, since the check fails on them; a single one cannot land at all.
    Blamed {
        /// The tasks.
        tasks: Vec<TaskId>,
    },
    /// An agent is about to resolve what keeps a task from landing, or generated files are about to be made anew.
    WorkStarted {
        /// The run that does it.
        run: RunId,
        /// The task of the agent; `None` for generated files.
        task: Option<TaskId>,
    },
    /// That work has ended.
    WorkEnded {
        /// The run that did it.
        run: RunId,
        /// The task of the agent; `None` for generated files.
        task: Option<TaskId>,
        /// The commit with its result, if that was accepted.
        tip: Option<CommitId>,
        /// The result, in a few words.
        why: String,
    },
    /// The target is about to be moved.
    LandingIntended {
        /// Its tip.
        old: CommitId,
        /// Its tip afterwards.
        new: CommitId,
        /// The tasks that land.
        tasks: Vec<TaskId>,
    },
    /// The target was moved.
    Landed {
        /// Its new tip.
        new: CommitId,
        /// The work trees whose files have followed.
        followed: Vec<PathBuf>,
    },
    /// The target was not where it had been seen, and was left alone.
    TargetMoved {
        /// Its tip; `None` when it is gone.
        now: Option<CommitId>,
    },
    /// A work tree could not follow the target, which was left alone.
    LandingBlocked {
        /// The work tree.
        worktree: PathBuf,
        /// The reason.
        reason: String,
        /// The files in the way.
        files: Vec<String>,
        /// The branch that has the result.
        kept: BranchName,
    },
    /// The merge is over.
    Ended {
        /// How it ended.
        end: MergeEnd,
        /// Time since its start, measured; `None` when it was resumed.
        wall: Option<Duration>,
    },
}

/// The end of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeEnd {
    /// The target has moved.
    Landed,
    /// The result is on a branch of its own, since a work tree was in the way.
    Kept {
        /// The branch.
        branch: BranchName,
    },
    /// The target has everything already.
    UpToDate,
    /// Nothing can land: all tasks are set aside.
    Nothing,
    /// The check fails on the target alone.
    BaselineRed,
    /// The check could not be asked.
    Environment {
        /// The reason.
        why: String,
    },
    /// Too many trials were made without anything landing.
    GaveUp,
    /// The target has moved each time before the result could land.
    TargetMoved,
    /// The target is gone.
    TargetGone,
    /// It was stopped.
    Cancelled,
    /// A later merge found it unfinished, and did not go on with it.
    Abandoned,
}
