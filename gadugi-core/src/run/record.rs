//! The record of a run, folded from its events: the source of `ps`, the live view, `clean` and the report.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::{AgentReport, Used};
use crate::executor::{ExecEnd, ExecIdentity};
use crate::id::{AttemptNo, CommitId, TaskId};
use crate::plan::{EarlierConversation, Phase, PlannedTask};
use crate::run::conflict::{Counterpart, ForeseenConflict};
use crate::run::event::{Event, EventKind, StopReason, WarningKind};
use crate::run::header::RunHeader;
use crate::run::outcome::Outcome;
use crate::run::state::{IllegalTransition, TaskState};
use crate::time::Moment;
use crate::worktrees::{Counts, KeepReason, Lease, Seeded, Work};

/// The record of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRecord {
    /// Phase of the command.
    pub phase: Phase,
    /// Identity for other processes.
    pub identity: ExecIdentity,
    /// Time of its start, by the wall clock.
    pub started: Timestamp,
    /// Time that the executor took to start it; `None` for a reattached command.
    pub spawn: Option<Duration>,
    /// Reason of the stop, if it was asked to stop.
    pub stopped: Option<StopReason>,
    /// End of the command; `None` while it runs.
    pub end: Option<ExecEnd>,
}

/// The state of an attempt's worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorktreeState {
    /// It is in use, or was never released.
    InUse,
    /// It is removed; its branch holds everything.
    Released,
    /// It stays, for these reasons.
    Kept(Vec<KeepReason>),
    /// A further attempt uses it.
    HandedOver,
}

/// The record of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// Number of the attempt.
    pub number: AttemptNo,
    /// Name of its executor.
    pub executor: String,
    /// Time of its start, by the wall clock.
    pub intended: Timestamp,
    /// Lease of its worktree.
    pub lease: Option<Lease>,
    /// Time from the request for the worktree to the lease.
    pub worktree_took: Option<Duration>,
    /// Files that were copied into the worktree.
    pub seeded: Option<Seeded>,
    /// State of the worktree.
    pub worktree: WorktreeState,
    /// Its commands, in order.
    pub commands: Vec<CommandRecord>,
    /// Report of its agent.
    pub agent: Option<Box<AgentReport>>,
    /// Collected work.
    pub work: Option<Box<Work>>,
    /// Outcome, with the time by the wall clock.
    pub ended: Option<(Outcome, Timestamp)>,
    /// Error at the end of the output of the failed command, where it is in the form that git uses.
    pub said: Option<String>,
    /// Whether the machine was restarted after its worktree was made and before its work was collected. Then files
    /// there may be incomplete.
    pub restarted: bool,
}

/// The record of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRecord {
    /// The task as planned.
    pub task: PlannedTask,
    /// Its state.
    pub state: TaskState,
    /// Its attempts, the first one first. There can be many, so clones of the record share the unchanged ones.
    pub attempts: Vec<Arc<AttemptRecord>>,
    /// Time of its end, by the wall clock.
    pub finished: Option<Timestamp>,
}

/// A warning for the user, which changed no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Subject of the warning.
    pub kind: WarningKind,
    /// Task that it concerns.
    pub task: Option<TaskId>,
    /// Message, in a sentence.
    pub message: String,
}

/// A period in which a run had no driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// Time of the last event before it, by the wall clock; `None` without one.
    pub after: Option<Timestamp>,
    /// Time of the resumption, by the wall clock.
    pub resumed: Timestamp,
    /// Number of attempts under way.
    pub under_way: usize,
    /// The answer to whether the machine was restarted meanwhile; `None` where that is unknown.
    pub restarted: Option<bool>,
}

/// The record of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// Header of the run.
    pub header: RunHeader,
    /// Tasks, in the order of the plan.
    pub tasks: Vec<TaskRecord>,
    /// Name of the default executor, with the reason of its choice.
    pub executor: Option<(String, String)>,
    /// Warnings, in order.
    pub warnings: Vec<Warning>,
    /// Conflicts that were foreseen and are not gone, in the order in which they were first seen.
    pub conflicts: Vec<ForeseenConflict>,
    /// Time of its first event, by the wall clock.
    pub started: Option<Timestamp>,
    /// Time of its last event, by the wall clock.
    pub last_event: Option<Timestamp>,
    /// Wall time, as far as it was measured, and whether the run was stopped; `None` while it is not over.
    pub ended: Option<(Option<Duration>, bool)>,
    /// Start and end of each suspension, by the wall clock.
    pub suspensions: Vec<(Timestamp, Option<Timestamp>)>,
    /// Interruptions, in order.
    pub interruptions: Vec<Interruption>,
    /// Whether the whole run was asked to stop.
    pub stopping: bool,
    /// Tasks that were asked to stop individually.
    pub stopping_tasks: Vec<TaskId>,
    /// Start of its driver, on the machine's monotonic clock.
    pub driver_started: Option<Moment>,
    /// Largest number of attempts under way at once.
    pub peak_parallelism: usize,
    positions: HashMap<TaskId, usize>,
    under_way: usize,
}

impl RunRecord {
    /// The record of a run before its first event.
    #[must_use]
    pub fn new(header: RunHeader) -> Self {
        let plan = &header.plan;
        let tasks: Vec<TaskRecord> = plan
            .tasks()
            .iter()
            .map(|task| TaskRecord {
                state: if task.needs.is_empty() {
                    TaskState::Queued
                } else {
                    TaskState::Blocked { by: task.needs.clone() }
                },
                task: task.clone(),
                attempts: Vec::new(),
                finished: None,
            })
            .collect();
        let positions = tasks.iter().enumerate().map(|(at, task)| (task.task.spec.id.clone(), at)).collect();
        Self {
            driver_started: header.moment.clone(),
            header,
            tasks,
            executor: None,
            warnings: Vec::new(),
            conflicts: Vec::new(),
            started: None,
            last_event: None,
            ended: None,
            suspensions: Vec::new(),
            interruptions: Vec::new(),
            stopping: false,
            stopping_tasks: Vec::new(),
            peak_parallelism: 0,
            positions,
            under_way: 0,
        }
    }

    /// The record of a run after these events.
    ///
    /// # Errors
    /// [`IllegalTransition`] when they cannot have happened in this order.
    pub fn fold<'a>(header: RunHeader, events: impl IntoIterator<Item = &'a Event>) -> Result<Self, IllegalTransition> {
        let mut record = Self::new(header);
        for event in events {
            record.apply(event)?;
        }
        Ok(record)
    }

    /// The position of a task in [`tasks`](Self::tasks) and in the plan, if it is part of the run.
    #[must_use]
    pub fn position(&self, task: &TaskId) -> Option<usize> {
        self.positions.get(task).copied()
    }

    /// The record of a task.
    #[must_use]
    pub fn task(&self, task: &TaskId) -> Option<&TaskRecord> {
        self.position(task).map(|at| &self.tasks[at])
    }

    /// Applies the next event.
    ///
    /// # Errors
    /// [`IllegalTransition`] when it cannot happen now; the record is then as it was.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalTransition> {
        let at = event.at;
        let kind = &event.kind;
        if let Some(task) = kind.task() {
            let unknown = || IllegalTransition { state: "unknown", event: format!("of the task {task}") };
            let position = self.position(task).ok_or_else(unknown)?;
            let record = &mut self.tasks[position];
            record.state = record.state.next(task, kind)?;
            record.take(at, kind);
            if matches!(kind, EventKind::TaskFinished { .. }) {
                for dependant in self.header.plan.dependants(position) {
                    let dependant = &mut self.tasks[*dependant];
                    dependant.state = dependant.state.next(&dependant.task.spec.id, kind)?;
                }
            }
        }
        match kind {
            EventKind::ExecutorChosen { executor, reason } => self.executor = Some((executor.clone(), reason.clone())),
            EventKind::AttemptIntended { .. } => {
                self.under_way += 1;
                self.peak_parallelism = self.peak_parallelism.max(self.under_way);
            }
            EventKind::AttemptEnded { .. } => self.under_way -= 1,
            EventKind::StopRequested { tasks, .. } if tasks.is_empty() => self.stopping = true,
            EventKind::StopRequested { tasks, .. } => self.stopping_tasks.extend(tasks.iter().cloned()),
            EventKind::RunSuspended => self.suspensions.push((at, None)),
            EventKind::RunContinued => self.end_suspension(at),
            EventKind::RunResumed { moment } => {
                self.end_suspension(at);
                let restarted = self.restarted_before(moment.as_ref());
                self.interruptions.push(Interruption {
                    after: self.last_event,
                    resumed: at,
                    under_way: self.under_way,
                    restarted,
                });
                if restarted == Some(true) {
                    let open = self.tasks.iter_mut().filter_map(|task| task.attempts.last_mut());
                    let torn = open.filter(|attempt| attempt.may_be_torn());
                    torn.for_each(|attempt| Arc::make_mut(attempt).restarted = true);
                }
                self.driver_started.clone_from(moment);
            }
            EventKind::Warning { kind, task, message } => {
                self.warnings.push(Warning { kind: kind.clone(), task: task.clone(), message: message.clone() });
            }
            EventKind::ConflictForeseen(conflict) => {
                match self.conflicts.iter_mut().find(|known| known.is_between(&conflict.task, &conflict.other)) {
                    Some(known) => known.clone_from(conflict),
                    None => self.conflicts.push(conflict.clone()),
                }
            }
            EventKind::ConflictGone { task, other } => self.conflicts.retain(|known| !known.is_between(task, other)),
            EventKind::RunEnded { wall, interrupted } => self.ended = Some((*wall, *interrupted)),
            _ => {}
        }
        self.started.get_or_insert(at);
        self.last_event = Some(at);
        Ok(())
    }
}

impl RunRecord {
    /// The other sides of the conflicts that are foreseen for a task.
    pub fn in_conflict_with(&self, task: &TaskId) -> impl Iterator<Item = Counterpart> {
        self.conflicts.iter().filter_map(|conflict| conflict.other_than(task))
    }

    fn end_suspension(&mut self, at: Timestamp) {
        if let Some((_, end @ None)) = self.suspensions.last_mut() {
            *end = Some(at);
        }
    }

    /// Tells whether the machine was restarted between the start of the run's driver and `now`; `None` where that is
    /// unknown.
    #[must_use]
    pub fn restarted_before(&self, now: Option<&Moment>) -> Option<bool> {
        Some(self.driver_started.as_ref()?.boot != now?.boot)
    }

    /// Time for which the run was suspended between two moments, by the wall clock.
    #[must_use]
    pub fn suspended_between(&self, since: Timestamp, until: Timestamp) -> Duration {
        let within = |(from, to): &(Timestamp, Option<Timestamp>)| {
            let to = to.unwrap_or(until).min(until);
            Duration::try_from(to.duration_since(since.max(*from))).unwrap_or_default()
        };
        self.suspensions.iter().map(within).sum()
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%SZ");
        f.write_str("the process that drove the run ended")?;
        if let Some(after) = self.after {
            write!(f, " after {}", second(after))?;
        }
        let plural = if self.under_way == 1 { "" } else { "s" };
        write!(f, " with {} attempt{plural} under way", self.under_way)?;
        match self.restarted {
            Some(true) => f.write_str(", the machine was restarted")?,
            Some(false) => f.write_str(", which nobody drove")?,
            None => {}
        }
        write!(f, "; the run was resumed at {}", second(self.resumed))
    }
}

/// Replaces a value that equals an earlier one by a clone of that, which shares its text.
fn share<T: Clone + PartialEq>(value: &mut T, earlier: &T) {
    if value == earlier {
        value.clone_from(earlier);
    }
}

/// The start of the work on a branch with this `base`: the base of the first earlier attempt in an unbroken chain, in
/// which each starts at the tip of the one before.
pub(crate) fn base_of_work<'a>(
    earlier: impl DoubleEndedIterator<Item = &'a AttemptRecord>,
    base: &'a CommitId,
) -> &'a CommitId {
    earlier.rev().fold(base, |base, attempt| {
        let ended_there = attempt.work.as_ref().is_some_and(|work| work.tip.as_ref() == Some(base));
        let began = attempt.lease.as_ref().and_then(|lease| lease.base.as_ref());
        began.filter(|_| ended_there).unwrap_or(base)
    })
}

impl TaskRecord {
    fn take(&mut self, at: Timestamp, kind: &EventKind) {
        if let EventKind::AttemptIntended { attempt, executor } = kind {
            self.attempts.push(Arc::new(AttemptRecord {
                number: attempt.number,
                executor: executor.clone(),
                intended: at,
                lease: None,
                worktree_took: None,
                seeded: None,
                worktree: WorktreeState::InUse,
                commands: Vec::new(),
                agent: None,
                work: None,
                ended: None,
                said: None,
                restarted: false,
            }));
        }
        if matches!(kind, EventKind::TaskFinished { .. }) {
            self.finished = Some(at);
        }
        let Some(number) = kind.attempt().map(|attempt| attempt.number) else { return };
        if let EventKind::WorktreeReady { lease, .. } = kind {
            let is_it = |earlier: &Lease| (&earlier.path, &earlier.branch) == (&lease.path, &lease.branch);
            let in_use =
                |earlier: &&mut Arc<AttemptRecord>| earlier.number < number && earlier.worktree == WorktreeState::InUse;
            let earlier = self.attempts.iter_mut().filter(in_use);
            let handed_over = earlier.filter(|earlier| earlier.lease.as_ref().is_some_and(is_it));
            handed_over.for_each(|earlier| Arc::make_mut(earlier).worktree = WorktreeState::HandedOver);
        }
        let Some(position) = self.attempts.iter().rposition(|attempt| attempt.number == number) else { return };
        let (earlier, rest) = self.attempts.split_at_mut(position);
        let earlier = earlier.last().and_then(|earlier| earlier.lease.as_ref());
        let attempt = Arc::make_mut(&mut rest[0]);
        match kind {
            EventKind::WorktreeReady { lease, seeded, took } => {
                let mut lease = lease.clone();
                if let Some(earlier) = earlier {
                    share(&mut lease.run, &earlier.run);
                    share(&mut lease.attempt.task, &earlier.attempt.task);
                    share(&mut lease.base, &earlier.base);
                }
                attempt.lease = Some(lease);
                attempt.seeded = *seeded;
                attempt.worktree_took = *took;
                attempt.restarted = false;
            }
            EventKind::CommandStarted { phase, identity, took, .. } => {
                // Most attempts have one, and a run can have many attempts.
                attempt.commands.reserve_exact(1);
                attempt.commands.push(CommandRecord {
                    phase: *phase,
                    identity: identity.clone(),
                    started: at,
                    spawn: *took,
                    stopped: None,
                    end: None,
                });
            }
            EventKind::StopSent { reason, .. } => {
                if let Some(command) = attempt.commands.last_mut() {
                    command.stopped = Some(*reason);
                }
            }
            EventKind::CommandEnded { end, .. } => {
                if let Some(command) = attempt.commands.last_mut() {
                    command.end = Some(*end);
                }
            }
            EventKind::AgentReported { report, .. } => attempt.agent = Some(Box::new(report.clone())),
            EventKind::WorkCollected { work, .. } => attempt.work = Some(Box::new(work.clone())),
            EventKind::AttemptEnded { outcome, said, .. } => {
                attempt.ended = Some((outcome.clone(), at));
                attempt.said.clone_from(said);
            }
            EventKind::WorktreeReleased { .. } => attempt.worktree = WorktreeState::Released,
            EventKind::WorktreeKept { reasons, .. } => attempt.worktree = WorktreeState::Kept(reasons.clone()),
            _ => {}
        }
    }

    /// Use of its agents over all attempts, as far as they have reported it.
    #[must_use]
    pub fn used(&self) -> Used {
        let reports = self.attempts.iter().filter_map(|attempt| attempt.agent.as_deref());
        reports.map(AgentReport::used).fold(Used::default(), Used::plus)
    }

    /// Reports of the agents of the attempts before this one, in order, after that of an earlier run whose conversation goes on.
    pub fn reports_before(&self, number: AttemptNo) -> impl DoubleEndedIterator<Item = &AgentReport> + Clone {
        let before = self.attempts.iter().filter(move |attempt| attempt.number < number);
        let earlier = self.task.spec.origin.earlier.as_ref().and_then(|earlier| earlier.conversation.as_ref());
        let earlier = earlier.map(EarlierConversation::report);
        earlier.into_iter().chain(before.filter_map(|attempt| attempt.agent.as_deref()))
    }

    /// The attempt whose branch has the work of the task: the last one with a branch.
    #[must_use]
    pub fn with_branch(&self) -> Option<&AttemptRecord> {
        let has_branch = |attempt: &&AttemptRecord| attempt.lease.as_ref().is_some_and(|lease| lease.branch.is_some());
        self.attempts.iter().map(Arc::as_ref).rfind(has_branch)
    }

    /// The start of the work on an attempt's branch; `None` without a branch.
    #[must_use]
    pub fn base_of<'a>(&'a self, attempt: &'a AttemptRecord) -> Option<&'a CommitId> {
        let earlier = self.attempts.iter().filter(|earlier| earlier.number < attempt.number);
        let base = base_of_work(earlier.map(Arc::as_ref), attempt.lease.as_ref()?.base.as_ref()?);
        Some(self.task.spec.origin.start_of_work(base))
    }

    /// The size of the task's work on an attempt's branch, including earlier attempts that it continues. `None` where
    /// that was not counted, as by versions that counted each attempt by itself.
    #[must_use]
    pub fn made(&self, attempt: &AttemptRecord) -> Option<Counts> {
        let work = attempt.work.as_ref()?;
        let began_there = || self.base_of(attempt) == attempt.lease.as_ref().and_then(|lease| lease.base.as_ref());
        work.of_task.or_else(|| began_there().then(|| work.own()))
    }

    /// The last attempt.
    #[must_use]
    pub fn last(&self) -> Option<&AttemptRecord> {
        self.attempts.last().map(Arc::as_ref)
    }

    /// The outcome of the task; `None` while it is not finished.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            TaskState::Finished(outcome) => Some(outcome),
            _ => None,
        }
    }
}

impl AttemptRecord {
    /// Whether a restart of the machine now may lose its files: they are not synced before they are collected.
    pub(crate) fn may_be_torn(&self) -> bool {
        self.lease.is_some() && self.work.is_none() && self.ended.is_none()
    }

    /// The time of its own command and its check, as far as they have ended, measured by the executor; zero when
    /// neither has. The setup does not count.
    #[must_use]
    pub fn command_time(&self) -> Duration {
        self.time_of(|phase| phase != Phase::Setup)
    }

    /// The time of its setup, measured by the executor; zero when none has ended.
    #[must_use]
    pub fn setup_time(&self) -> Duration {
        self.time_of(|phase| phase == Phase::Setup)
    }

    fn time_of(&self, counts: impl Fn(Phase) -> bool) -> Duration {
        let ended = self.commands.iter().filter(|command| counts(command.phase)).filter_map(|command| command.end);
        ended.map(|end| end.took).sum()
    }
}
