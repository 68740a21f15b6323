//! The record of a merge, folded from its events.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::id::{BranchName, CommitId, RunId, TaskId, TreeId};
use crate::merge::event::{MergeEnd, MergeEvent, MergeEventKind, Trial};
use crate::merge::header::MergeHeader;
use crate::merge::train::{Evidence, TrialResult};

/// The record of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRecord {
    /// The trial.
    pub trial: Trial,
    /// The run that it is part of; `None` for a result that an earlier merge has kept.
    pub run: Option<RunId>,
    /// Its end; `None` while it runs.
    pub end: Option<TrialEnd>,
}

/// The end of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialEnd {
    /// Its result; `None` where there is none, as after a stop.
    pub result: Option<TrialResult>,
    /// Reason of the result, in a few words.
    pub why: String,
    /// Time that the check took; `None` where it was not run, or not measured.
    pub took: Option<Duration>,
}

/// A reason for which a task was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetAside {
    /// It conflicts.
    Conflict {
        /// The tasks that it conflicts with; none means the target.
        with: Vec<TaskId>,
        /// The files in conflict.
        files: Vec<String>,
    },
    /// The check fails on it together with these, each of which is green without it; none: on it alone.
    Red {
        /// The other tasks.
        with: Vec<TaskId>,
    },
}

/// The record of work by an agent or a script in the course of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkRecord {
    /// The run that does it.
    pub run: RunId,
    /// The task of the agent; `None` for generated files.
    pub task: Option<TaskId>,
    /// The commit with its accepted result, if any, and the result in a few words; `None` while it runs.
    pub end: Option<(Option<CommitId>, String)>,
}

/// A landing that was intended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntendedLanding {
    /// Tip of the target before it.
    pub old: CommitId,
    /// Tip of the target after it.
    pub new: CommitId,
    /// The tasks that land.
    pub tasks: Vec<TaskId>,
}

/// The record of a merge.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeRecord {
    /// Header of the merge.
    pub header: MergeHeader,
    /// Tips of the target that the merge was made on, one after the other.
    pub targets: Vec<CommitId>,
    /// Its trials, in order.
    pub trials: Vec<TrialRecord>,
    /// Reasons for which tasks were set aside, on the last of the targets.
    pub set_aside: BTreeMap<TaskId, SetAside>,
    /// Tasks that the last of the targets has already.
    pub contained: BTreeSet<TaskId>,
    /// Work by agents and scripts, in order.
    pub work: Vec<WorkRecord>,
    /// The last landing that was intended.
    pub landing: Option<IntendedLanding>,
    /// The work trees whose files have followed, once the target has moved.
    pub landed: Option<Vec<PathBuf>>,
    /// The work tree that was in the way, with the reason, the files, and the branch that has the result.
    pub blocked: Option<(PathBuf, String, Vec<String>, BranchName)>,
    /// Number of times that it was resumed.
    pub resumed: u32,
    /// Number of its last event; 0 without events.
    pub last: u64,
    /// Time of its last event, by the wall clock.
    pub last_event: Option<Timestamp>,
    /// Its end, with the measured time; `None` while it is not over.
    pub ended: Option<(MergeEnd, Option<Duration>)>,
}

impl MergeRecord {
    /// A merge without events.
    #[must_use]
    pub fn new(header: MergeHeader) -> Self {
        Self {
            header,
            targets: Vec::new(),
            trials: Vec::new(),
            set_aside: BTreeMap::new(),
            contained: BTreeSet::new(),
            work: Vec::new(),
            landing: None,
            landed: None,
            blocked: None,
            resumed: 0,
            last: 0,
            last_event: None,
            ended: None,
        }
    }

    /// Folds events into a record.
    #[must_use]
    pub fn fold<'a>(header: MergeHeader, events: impl IntoIterator<Item = &'a MergeEvent>) -> Self {
        let mut record = Self::new(header);
        events.into_iter().for_each(|event| record.apply(event));
        record
    }

    /// Applies an event.
    pub fn apply(&mut self, event: &MergeEvent) {
        (self.last, self.last_event) = (event.seq, Some(event.at));
        match &event.kind {
            MergeEventKind::Resumed => self.resumed += 1,
            MergeEventKind::TargetSeen { tip } => {
                self.targets.push(tip.clone());
                self.set_aside.clear();
                self.contained.clear();
            }
            MergeEventKind::ConflictFound { task, with, files } => {
                let reason = SetAside::Conflict { with: with.clone(), files: files.clone() };
                self.set_aside.insert(task.clone(), reason);
            }
            MergeEventKind::Contained { task } => {
                self.contained.insert(task.clone());
            }
            MergeEventKind::TrialsStarted { run, trials } => {
                self.trials.extend(trials.iter().map(|trial| TrialRecord {
                    trial: trial.clone(),
                    run: Some(run.clone()),
                    end: None,
                }))
            }
            MergeEventKind::TrialEnded { trial, result, why, took, run } => {
                let end = TrialEnd { result: *result, why: why.clone(), took: *took };
                self.end_trial(trial, run.as_ref(), end);
            }
            MergeEventKind::Blamed { tasks } => self.blame(tasks),
            MergeEventKind::WorkStarted { run, task } => {
                self.work.push(WorkRecord { run: run.clone(), task: task.clone(), end: None });
            }
            MergeEventKind::WorkEnded { run, tip, why, .. } => {
                if let Some(work) = self.work.iter_mut().rfind(|work| work.run == *run) {
                    work.end = Some((tip.clone(), why.clone()));
                }
            }
            MergeEventKind::LandingIntended { old, new, tasks } => {
                self.landing = Some(IntendedLanding { old: old.clone(), new: new.clone(), tasks: tasks.clone() });
            }
            MergeEventKind::Landed { followed, .. } => self.landed = Some(followed.clone()),
            MergeEventKind::TargetMoved { .. } => self.landing = None,
            MergeEventKind::LandingBlocked { worktree, reason, files, kept } => {
                self.blocked = Some((worktree.clone(), reason.clone(), files.clone(), kept.clone()));
            }
            MergeEventKind::Ended { end, wall } => self.ended = Some((end.clone(), *wall)),
        }
    }

    fn end_trial(&mut self, trial: &Trial, run: Option<&RunId>, end: TrialEnd) {
        let started = self
            .trials
            .iter_mut()
            .find(|known| known.end.is_none() && known.run.as_ref() == run && known.trial.commit == trial.commit);
        match started {
            Some(started) => started.end = Some(end),
            None => self.trials.push(TrialRecord { trial: trial.clone(), run: run.cloned(), end: Some(end) }),
        }
    }

    /// Sets tasks aside that cannot land together: the last of them, in the order of merging, is the one that does not.
    fn blame(&mut self, tasks: &[TaskId]) {
        if let Some((last, with)) = tasks.split_last() {
            self.set_aside.insert(last.clone(), SetAside::Red { with: with.to_vec() });
        }
    }

    /// What the trials have shown of each tree, by those of this merge and by those that earlier merges have kept.
    #[must_use]
    pub fn evidence(&self) -> HashMap<TreeId, Evidence> {
        let mut evidence: HashMap<TreeId, Evidence> = HashMap::new();
        for trial in &self.trials {
            if let Some(result) = trial.end.as_ref().and_then(|end| end.result) {
                let earlier = evidence.get(&trial.trial.tree).copied();
                evidence.insert(trial.trial.tree.clone(), Evidence::with(earlier, result));
            }
        }
        evidence
    }

    /// Number of checks that were run, without those whose results were known.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.trials.iter().filter(|trial| trial.run.is_some()).count()
    }

    /// Number of trees on which the check has both failed and succeeded.
    #[must_use]
    pub fn flakes(&self) -> usize {
        self.evidence().values().filter(|evidence| **evidence == Evidence::Flaky).count()
    }

    /// The tasks that have landed, or are on the branch that keeps the result.
    #[must_use]
    pub fn merged(&self) -> &[TaskId] {
        let is_there =
            matches!(self.ended, Some((MergeEnd::Landed | MergeEnd::Kept { .. }, _))) || self.landed.is_some();
        self.landing.as_ref().filter(|_| is_there).map_or(&[], |landing| &landing.tasks)
    }
}
