//! The report's data: the record of a run, with the figures that are made from it. Every figure is a
//! measured one, or absent.

use std::time::Duration;

use crate::agent::Tokens;
use crate::event::WarningKind;
use crate::id::TaskId;
use crate::record::{RunRecord, Warning};
use crate::state::Outcome;

/// How many tasks ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// All tasks of the plan.
    pub tasks: usize,
    /// Succeeded.
    pub succeeded: usize,
    /// Failed, for whatever reason of its own, conflicts included.
    pub failed: usize,
    /// Timed out.
    pub timed_out: usize,
    /// Cancelled.
    pub cancelled: usize,
    /// Skipped.
    pub skipped: usize,
    /// Lost.
    pub lost: usize,
    /// Not over yet.
    pub unfinished: usize,
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Performance {
    /// From the start of the run to its end; `None` while it goes on, and where nobody could measure it.
    pub wall: Option<Duration>,
    /// The sum of [`AttemptRecord::command_time`](crate::AttemptRecord::command_time) over all attempts.
    pub task_time: Duration,
    /// `task_time / wall`; `None` where the wall time is not known, or when nothing ran.
    pub speedup: Option<f64>,
    /// The sum of the times that worktrees took, over all attempts.
    pub worktree_time: Duration,
    /// The sum of the times that executors took to start commands, as far as they were measured.
    pub spawn_time: Duration,
    /// The sum of [`AttemptRecord::setup_time`](crate::AttemptRecord::setup_time) over all attempts.
    pub setup_time: Duration,
    /// What went before the tasks themselves, `worktree_time + spawn_time + setup_time`, as a share of that and `task_time`
    /// together; `None` when nothing ran.
    pub setup_share: Option<f64>,
    /// The sum, over all tasks that ran, of the wall-clock time from the moment when all needs had
    /// succeeded to the first attempt.
    pub queue_wait: Duration,
    /// The chain of tasks that need one another whose command times, with what prepares their worktrees, add up to the
    /// most, and that sum: the run cannot be shorter with any number of jobs.
    pub critical_path: (Vec<TaskId>, Duration),
    /// The most attempts that were under way at once.
    pub peak_parallelism: usize,
}

/// What agents have told of their attempts, all together. What an attempt did not tell is in no sum, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AgentTotals {
    /// The attempts of which an agent has told anything.
    pub attempts: usize,
    /// What those have cost that told it, in US dollars.
    pub cost_usd: f64,
    /// Those that told no cost.
    pub without_cost: usize,
    /// The tokens of those that told them.
    pub tokens: Tokens,
    /// Those that told no tokens.
    pub without_tokens: usize,
}

/// What a finished run, or one that goes on, is reported as.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// All that has happened.
    pub record: RunRecord,
    /// How many tasks ended how.
    pub totals: Totals,
    /// The figures.
    pub performance: Performance,
    /// What its agents have told.
    pub agents: AgentTotals,
    /// Where the run was interrupted, then its warnings, then what its attempts left behind, dropped or left out.
    pub warnings: Vec<Warning>,
    /// Whether a process drives the run. Only of interest while the run has not ended.
    pub driven: bool,
}

impl Report {
    /// The same, of a run that a process drives, as is assumed, or that none does.
    #[must_use]
    pub fn driven(self, driven: bool) -> Self {
        Self { driven, ..self }
    }
}

impl From<RunRecord> for Report {
    fn from(record: RunRecord) -> Self {
        let (totals, performance, warnings) = (totals(&record), performance(&record), warnings(&record));
        Self { totals, performance, agents: agents(&record), warnings, record, driven: true }
    }
}

fn warnings(record: &RunRecord) -> Vec<Warning> {
    let interruptions = record.interruptions.iter().map(|interruption| Warning {
        kind: WarningKind::Interruption,
        task: None,
        message: interruption.to_string(),
    });
    let mut warnings: Vec<Warning> = interruptions.chain(record.warnings.iter().cloned()).collect();
    for task in &record.tasks {
        let mut warn = |kind, message| {
            warnings.push(Warning { kind, task: Some(task.task.spec.id.clone()), message });
        };
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
            let left_out = attempt.work.as_ref().map_or(&[][..], |work| &work.left_out);
            if !left_out.is_empty() {
                let files = left_out.join(", ");
                let message = format!("these files look like secrets and are only in its worktree: {files}");
                warn(WarningKind::LeftOut, message);
            }
        }
    }
    warnings
}

fn agents(record: &RunRecord) -> AgentTotals {
    let attempts = record.tasks.iter().flat_map(|task| &task.attempts);
    attempts.filter_map(|attempt| attempt.agent.as_ref()).fold(AgentTotals::default(), |sum, report| AgentTotals {
        attempts: sum.attempts + 1,
        cost_usd: sum.cost_usd + report.cost_usd.unwrap_or_default(),
        without_cost: sum.without_cost + usize::from(report.cost_usd.is_none()),
        tokens: sum.tokens.plus(report.tokens.unwrap_or_default()),
        without_tokens: sum.without_tokens + usize::from(report.tokens.is_none()),
    })
}

fn totals(record: &RunRecord) -> Totals {
    let mut totals = Totals { tasks: record.tasks.len(), ..Totals::default() };
    for task in &record.tasks {
        *match task.outcome() {
            Some(Outcome::Succeeded) => &mut totals.succeeded,
            Some(Outcome::Failed(_) | Outcome::Conflict { .. }) => &mut totals.failed,
            Some(Outcome::TimedOut(_)) => &mut totals.timed_out,
            Some(Outcome::Cancelled) => &mut totals.cancelled,
            Some(Outcome::Skipped { .. }) => &mut totals.skipped,
            Some(Outcome::Lost { .. }) => &mut totals.lost,
            None => &mut totals.unfinished,
        } += 1;
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

/// How long a task that ran had waited for room. Zero where the wall clock was set back meanwhile.
fn queue_wait(record: &RunRecord, at: usize) -> Duration {
    let Some(first) = record.tasks[at].attempts.first() else { return Duration::ZERO };
    let needs = record.header.plan.needs(at).iter().filter_map(|need| record.tasks[*need].finished);
    let Some(ready) = needs.max().or(record.started) else { return Duration::ZERO };
    Duration::try_from(first.intended.duration_since(ready)).unwrap_or(Duration::ZERO)
}
