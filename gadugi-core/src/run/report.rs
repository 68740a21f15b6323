//! The data of a report: the record of a run, with figures that are derived from it. Every figure is measured, or
//! absent.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::{AgentReport, Tokens, Used};
use crate::id::TaskId;
use crate::plan::Phase;
use crate::run::conflict::{ForeseenConflict, Outlook};
use crate::run::event::WarningKind;
use crate::run::outcome::{Failure, Outcome};
use crate::run::record::{AttemptRecord, RunRecord, TaskRecord, Warning};

/// The numbers of tasks by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// All tasks of the plan.
    pub tasks: usize,
    /// Succeeded, with or without changes.
    pub succeeded: usize,
    /// Succeeded without changes.
    pub unchanged: usize,
    /// Failed, conflicts included.
    pub failed: usize,
    /// Timed out.
    pub timed_out: usize,
    /// Cancelled.
    pub cancelled: usize,
    /// Skipped.
    pub skipped: usize,
    /// Lost.
    pub lost: usize,
    /// Not finished yet.
    pub unfinished: usize,
}

/// The times of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Performance {
    /// Time from the start of the run to its end; `None` while it is not over, or where it could not be measured.
    pub wall: Option<Duration>,
    /// The sum of [`AttemptRecord::command_time`](crate::run::AttemptRecord::command_time) over all attempts.
    pub task_time: Duration,
    /// `task_time / wall`; `None` where the wall time is not known, or when nothing ran.
    pub speedup: Option<f64>,
    /// The sum of the times to make worktrees, over all attempts.
    pub worktree_time: Duration,
    /// The sum of the times to start commands, as far as executors measured them.
    pub spawn_time: Duration,
    /// The sum of [`AttemptRecord::setup_time`](crate::run::AttemptRecord::setup_time) over all attempts.
    pub setup_time: Duration,
    /// The overhead before the tasks themselves, `worktree_time + spawn_time + setup_time`, as a share of that and
    /// `task_time` together; `None` when nothing ran.
    pub setup_share: Option<f64>,
    /// The sum, over all tasks that ran, of the wall-clock time from the success of all needs to the first attempt.
    pub queue_wait: Duration,
    /// The chain of needs with the largest sum of command and setup times, and that sum: the run cannot be shorter with
    /// any number of jobs.
    pub critical_path: (Vec<TaskId>, Duration),
    /// Largest number of attempts under way at once.
    pub peak_parallelism: usize,
}

/// The cost and tokens of agents, summed over their attempts, each with its own share of its conversation. Attempts
/// without a figure are in no sum, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AgentTotals {
    /// Attempts whose agent was started.
    pub attempts: usize,
    /// Cost in US dollars, of attempts that reported it.
    pub cost_usd: f64,
    /// Attempts that reported no cost.
    pub without_cost: usize,
    /// Attempts whose cost was reckoned from that of their conversations.
    pub reckoned_cost: usize,
    /// Tokens of attempts that reported them.
    pub tokens: Tokens,
    /// Attempts that reported no tokens.
    pub without_tokens: usize,
    /// Attempts whose tokens were reckoned from those of their conversations.
    pub reckoned_tokens: usize,
}

impl AgentTotals {
    /// The totals of the attempts at a task.
    #[must_use]
    pub fn of(task: &TaskRecord) -> Self {
        let is_for_agent = task.task.spec.action.agent.is_some();
        let began = |attempt: &&Arc<AttemptRecord>| {
            let began = || attempt.commands.iter().any(|command| command.phase == Phase::Main);
            attempt.agent.is_some() || (is_for_agent && began())
        };
        let attempts = task.attempts.iter().filter(began);
        attempts.map(|attempt| Self::of_one(attempt.agent.as_deref())).fold(Self::default(), Self::plus)
    }

    /// The totals of one attempt with this report, if it has one.
    fn of_one(told: Option<&AgentReport>) -> Self {
        let (cost, tokens) = told.map_or((None, None), |told| (told.own_cost(), told.own_tokens()));
        Self {
            attempts: 1,
            cost_usd: cost.map(|cost| cost.value).unwrap_or_default(),
            without_cost: usize::from(cost.is_none()),
            reckoned_cost: usize::from(cost.is_some_and(|cost| cost.is_reckoned)),
            tokens: tokens.map(|tokens| tokens.value).unwrap_or_default(),
            without_tokens: usize::from(tokens.is_none()),
            reckoned_tokens: usize::from(tokens.is_some_and(|tokens| tokens.is_reckoned)),
        }
    }

    /// Returns the sum of both.
    fn plus(self, other: Self) -> Self {
        Self {
            attempts: self.attempts + other.attempts,
            cost_usd: self.cost_usd + other.cost_usd,
            without_cost: self.without_cost + other.without_cost,
            reckoned_cost: self.reckoned_cost + other.reckoned_cost,
            tokens: self.tokens.plus(other.tokens),
            without_tokens: self.without_tokens + other.without_tokens,
            reckoned_tokens: self.reckoned_tokens + other.reckoned_tokens,
        }
    }

    /// The cost in US dollars; `None` where no attempt has reported one.
    #[must_use]
    pub fn cost(self) -> Option<f64> {
        (self.without_cost < self.attempts).then_some(self.cost_usd)
    }

    /// The tokens; `None` where no attempt has reported them.
    #[must_use]
    pub fn tokens(self) -> Option<Tokens> {
        (self.without_tokens < self.attempts).then_some(self.tokens)
    }
}

/// The report of a run, finished or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Record of the run.
    pub record: RunRecord,
    /// The numbers of tasks by outcome.
    pub totals: Totals,
    /// Times of the run.
    pub performance: Performance,
    /// Cost and tokens of its agents, over all tasks.
    pub agents: AgentTotals,
    /// Warnings: of interruptions first, then those of the run, then those derived from its attempts.
    pub warnings: Vec<Warning>,
    /// What its branches can be merged as now; `None` where they were not compared.
    pub outlook: Option<Outlook>,
    /// Whether a process drives the run. Only relevant while the run has not ended.
    pub driven: bool,
}

impl Report {
    /// Sets whether a process drives the run; without this it is assumed.
    #[must_use]
    pub fn driven(self, driven: bool) -> Self {
        Self { driven, ..self }
    }

    /// Sets what the branches of the run can be merged as now.
    #[must_use]
    pub fn with_outlook(self, outlook: Option<Outlook>) -> Self {
        Self { outlook, ..self }
    }

    /// The known conflicts: as they are now, else as the run has foreseen them.
    #[must_use]
    pub fn conflicts(&self) -> &[ForeseenConflict] {
        self.outlook.as_ref().map_or(&self.record.conflicts, |outlook| &outlook.conflicts)
    }
}

impl From<RunRecord> for Report {
    fn from(record: RunRecord) -> Self {
        let (totals, performance, warnings) = (totals(&record), performance(&record), warnings(&record));
        let agents = record.tasks.iter().map(AgentTotals::of).fold(AgentTotals::default(), AgentTotals::plus);
        Self { totals, performance, agents, warnings, outlook: None, record, driven: true }
    }
}

fn warnings(record: &RunRecord) -> Vec<Warning> {
    let interruptions = record.interruptions.iter().map(|interruption| Warning {
        kind: WarningKind::Interruption,
        task: None,
        message: interruption.to_string(),
    });
    let mut warnings: Vec<Warning> = interruptions.chain(record.warnings.iter().cloned()).collect();
    let used = record.tasks.iter().map(TaskRecord::used).fold(Used::default(), Used::plus);
    let is_said = |what: &String| {
        record.warnings.iter().any(|warning| warning.kind == WarningKind::Budget && warning.message.contains(what))
    };
    if let Some(overrun) = record.header.settings.budget.overrun(used).filter(|overrun| !is_said(overrun)) {
        let message = format!("the run has overrun its budget: {overrun}");
        warnings.push(Warning { kind: WarningKind::Budget, task: None, message });
    }
    for task in &record.tasks {
        let mut warn = |kind, message| {
            warnings.push(Warning { kind, task: Some(task.task.spec.id.clone()), message });
        };
        let budget = task.task.spec.action.agent.as_ref().map(|call| call.budget).unwrap_or_default();
        let says_so = matches!(task.outcome(), Some(Outcome::Failed(Failure::Budget { .. })));
        if let Some(overrun) = budget.overrun(task.used()).filter(|_| !says_so) {
            warn(WarningKind::Budget, format!("it has overrun its budget: {overrun}"));
        }
        for attempt in &task.attempts {
            for output in attempt.commands.iter().filter_map(|command| command.end).map(|end| end.output) {
                if output.leaked {
                    let message = "it left a process behind, outside of its process group, that held its output open";
                    warn(WarningKind::LeakedProcess, message.to_owned());
                }
                if output.dropped > 0 {
                    let message =
                        format!("{} of {} bytes of its output are not in the log", output.dropped, output.bytes);
                    warn(WarningKind::DroppedOutput, message);
                }
            }
            if let Some(said) = &attempt.said {
                warn(WarningKind::Output, format!("its output ends with: {said}"));
            }
            let outcome = attempt.ended.as_ref().map(|(outcome, _)| outcome);
            let is_unchanged = matches!(outcome, Some(Outcome::Unchanged | Outcome::Failed(Failure::NothingChanged)));
            if let Some(question) = attempt.agent.as_deref().and_then(AgentReport::question).filter(|_| is_unchanged) {
                warn(WarningKind::Agent, format!("it changed nothing and ended with a question: {question}"));
            }
            if let Some(denials) =
                attempt.agent.as_ref().map(|agent| &agent.denials).filter(|denials| denials.count > 0)
            {
                warn(WarningKind::Agent, denials.to_string());
            }
            if let Some(place) = attempt.work.as_ref().and_then(|work| work.taken_over.as_ref()) {
                warn(WarningKind::Elsewhere, format!("its work was on {place}, and was taken over to its branch"));
            }
            for place in attempt.work.iter().flat_map(|work| &work.elsewhere) {
                warn(WarningKind::Elsewhere, format!("not on its branch: {place}"));
            }
            let left_out = attempt.work.as_ref().map_or(&[][..], |work| &work.left_out);
            if !left_out.is_empty() {
                let files = left_out.join(", ");
                let message = format!("these files look like secrets and are only in its worktree: {files}");
                warn(WarningKind::LeftOut, message);
            }
            let unsaved = attempt.work.as_ref().map_or(&[][..], |work| &work.unsaved);
            if !unsaved.is_empty() {
                let files: Vec<String> = unsaved.iter().map(ToString::to_string).collect();
                let message =
                    format!("these files could not be committed and are only in its worktree: {}", files.join(", "));
                warn(WarningKind::LeftOut, message);
            }
        }
    }
    warnings
}

fn totals(record: &RunRecord) -> Totals {
    let mut totals = Totals { tasks: record.tasks.len(), ..Totals::default() };
    for task in &record.tasks {
        *match task.outcome() {
            Some(Outcome::Succeeded | Outcome::Unchanged) => &mut totals.succeeded,
            Some(Outcome::Failed(_) | Outcome::Conflict { .. }) => &mut totals.failed,
            Some(Outcome::TimedOut(_)) => &mut totals.timed_out,
            Some(Outcome::Cancelled) => &mut totals.cancelled,
            Some(Outcome::Skipped { .. }) => &mut totals.skipped,
            Some(Outcome::Lost { .. }) => &mut totals.lost,
            None => &mut totals.unfinished,
        } += 1;
        totals.unchanged += usize::from(task.outcome() == Some(&Outcome::Unchanged));
    }
    totals
}

fn performance(record: &RunRecord) -> Performance {
    let attempts = || record.tasks.iter().flat_map(|task| &task.attempts);
    let task_time: Duration = attempts().map(|attempt| attempt.command_time()).sum();
    let worktree_time: Duration = attempts().filter_map(|attempt| attempt.worktree_took).sum();
    let setup_time: Duration = attempts().map(|attempt| attempt.setup_time()).sum();
    let spawn_time: Duration =
        attempts().flat_map(|attempt| &attempt.commands).filter_map(|command| command.spawn).sum();
    let wall = record.ended.and_then(|(wall, _)| wall);
    let ratio = |part: Duration, whole: Duration| {
        (!part.is_zero() && !whole.is_zero()).then(|| part.as_secs_f64() / whole.as_secs_f64())
    };
    let before = worktree_time + spawn_time + setup_time;
    let plan = &record.header.plan;
    let time_of = |at: usize| -> Duration {
        record.tasks[at].attempts.iter().map(|attempt| attempt.command_time() + attempt.setup_time()).sum()
    };
    let path = plan.critical_path(|at| time_of(at).as_secs_f64());
    Performance {
        wall,
        task_time,
        speedup: wall.and_then(|wall| ratio(task_time, wall)),
        worktree_time,
        spawn_time,
        setup_time,
        setup_share: ratio(before, before + task_time),
        queue_wait: (0..record.tasks.len()).map(|at| queue_wait(record, at)).sum(),
        critical_path: (
            path.iter().map(|at| record.tasks[*at].task.spec.id.clone()).collect(),
            path.iter().map(|at| time_of(*at)).sum(),
        ),
        peak_parallelism: record.peak_parallelism,
    }
}

/// Time that a task had waited for a free job before its first attempt. Zero where the wall clock was set back
/// meanwhile.
fn queue_wait(record: &RunRecord, at: usize) -> Duration {
    let Some(first) = record.tasks[at].attempts.first() else { return Duration::ZERO };
    let needs = record.header.plan.needs(at).iter().filter_map(|need| record.tasks[*need].finished);
    let Some(ready) = needs.max().or(record.started) else { return Duration::ZERO };
    Duration::try_from(first.intended.duration_since(ready)).unwrap_or(Duration::ZERO)
}
