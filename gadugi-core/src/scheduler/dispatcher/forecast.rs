//! Forecasts during the run: which branches conflict with that of a task that has just ended.
//!
//! One forecast is made at a time, beside the attempts; the tasks that end meanwhile are in the next one. Only the run's end waits
//! for it. What is recorded is the difference from what the record has already, so a resumed run repeats nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::debug;

use crate::error_chain::error_chain;
use crate::id::TaskId;
use crate::run::{Counterpart, EventKind, ForeseenConflict, LineOfWork, WarningKind};
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::error::RunError;
use crate::scheduler::message::{Foreseen, Message};
use crate::worktrees::{Side, Verdict, WorktreeError, Worktrees};

/// Time limit of a forecast; the end of the run may wait for it.
const FORECAST_TIMEOUT: Duration = Duration::from_secs(30);

/// The forecasts of a run.
#[derive(Default)]
pub(crate) struct Forecasts {
    /// The tasks that have ended since the last forecast began.
    waiting: BTreeSet<usize>,
    under_way: Option<AbortHandle>,
}

/// The sides of one forecast: the tasks that have ended come first.
struct Request {
    asked: usize,
    sides: Vec<Side>,
    /// The task of each side.
    tasks: Vec<TaskId>,
    /// The branch that the run started from.
    target: Option<String>,
}

impl Dispatcher {
    /// Asks for a forecast of a task that has ended, if it has made anything.
    pub(super) fn foretell(&mut self, position: usize) {
        if self.journal.record.line_of_work(position).is_some() {
            self.forecasts.waiting.insert(position);
            self.start_forecast();
        }
    }

    /// Asks for a forecast of all tasks that have ended under earlier drivers: the last one may have died before its own.
    pub(super) fn foretell_past(&mut self) {
        let tasks = self.journal.record.tasks.iter().enumerate();
        let ended: Vec<usize> = tasks.filter(|(_, task)| task.state.is_finished()).map(|(at, _)| at).collect();
        ended.into_iter().for_each(|position| self.foretell(position));
    }

    /// Starts no further forecast, and drops the one that is under way.
    pub(super) fn drop_forecasts(&mut self) {
        self.forecasts.waiting.clear();
        if let Some(under_way) = &self.forecasts.under_way {
            under_way.abort();
        }
    }

    /// Starts a forecast of the tasks that have ended, unless one is under way.
    fn start_forecast(&mut self) {
        if self.forecasts.under_way.is_some() || self.journal.has_failed() || self.stops.was_interrupted() {
            return;
        }
        let asked = std::mem::take(&mut self.forecasts.waiting);
        let (mut ended, others): (Vec<LineOfWork>, Vec<LineOfWork>) =
            self.journal.record.lines_of_work().partition(|line| asked.contains(&line.position));
        let asked = ended.len();
        ended.extend(others);
        let target = self.journal.record.header.base_name.clone();
        if asked == 0 || (ended.len() == 1 && target.is_none()) {
            return;
        }
        let task = |line: &LineOfWork| self.specs[line.position].id.clone();
        let tasks = ended.iter().map(task).collect();
        let request = Request { asked, sides: ended.into_iter().map(|line| line.side).collect(), tasks, target };
        debug!(tasks = asked, of = request.sides.len(), "forecast of merges started");
        let (worktrees, messages) = (Arc::clone(&self.plugins.worktrees), self.messages.clone());
        self.forecasts.under_way = Some(self.units.spawn(async move {
            let result = match timeout(FORECAST_TIMEOUT, request.foretell(&*worktrees)).await {
                Ok(result) => result.map_err(|error| error_chain(&error)),
                Err(_) => Err(format!("it took more than {} s", FORECAST_TIMEOUT.as_secs())),
            };
            // A dispatcher that is gone has no use for it.
            drop(messages.send(Message::Forecast(result)));
        }));
    }

    /// Records what a forecast says beyond the record, and starts the next one.
    pub(super) fn forecast_made(&mut self, result: Result<Vec<Foreseen>, String>) -> Result<(), RunError> {
        self.forecasts.under_way = None;
        match result {
            Ok(foreseen) => {
                // A task that has ended meanwhile may have lost its worktree while it was looked at; the next forecast judges it.
                let ended: Vec<TaskId> =
                    self.forecasts.waiting.iter().map(|position| self.specs[*position].id.clone()).collect();
                let is_current = |foreseen: &Foreseen| {
                    let other = if let Counterpart::Task(other) = &foreseen.other { Some(other) } else { None };
                    !ended.iter().any(|ended| *ended == foreseen.task || Some(ended) == other)
                };
                foreseen.into_iter().filter(is_current).try_for_each(|foreseen| self.note_foreseen(foreseen))?;
            }
            Err(error) => self.note_forecast_failed(&error)?,
        }
        self.start_forecast();
        Ok(())
    }

    fn note_foreseen(&mut self, foreseen: Foreseen) -> Result<(), RunError> {
        let Foreseen { task, other, verdict } = foreseen;
        let mut known = self.journal.record.conflicts.iter();
        let known = known.find(|known| known.is_between(&task, &other));
        match verdict {
            Verdict::Conflict { files } => {
                let conflict = ForeseenConflict::new(task, other, files);
                let is_known = known.is_some_and(|known| known.files == conflict.files && known.more == conflict.more);
                if is_known { Ok(()) } else { self.journal.note(EventKind::ConflictForeseen(conflict)) }
            }
            Verdict::MergesAsText if known.is_some() => self.journal.note(EventKind::ConflictGone { task, other }),
            // `gadugi conflicts` says what is unknown.
            Verdict::MergesAsText | Verdict::Unknown { .. } => Ok(()),
        }
    }

    /// Warns once that there is no forecast.
    fn note_forecast_failed(&mut self, error: &str) -> Result<(), RunError> {
        let is_said = self.journal.record.warnings.iter().any(|warning| warning.kind == WarningKind::Forecast);
        if is_said {
            return Ok(());
        }
        let message = format!("it cannot be foretold which branches merge with each other: {error}");
        self.journal.note(EventKind::Warning { kind: WarningKind::Forecast, task: None, message })
    }
}

impl Request {
    /// Makes the forecast, with the target as it is now.
    async fn foretell(self, worktrees: &dyn Worktrees) -> Result<Vec<Foreseen>, WorktreeError> {
        let Self { asked, mut sides, tasks, target } = self;
        let mut counterparts: Vec<Counterpart> = tasks.iter().cloned().map(Counterpart::Task).collect();
        // Not every name that a run can start from is a branch.
        if let Some(name) = target
            && let Some(tip) = worktrees.branch_tip(&name).await?
        {
            sides.push(Side { name: name.clone(), tip, worktree: None });
            counterparts.push(Counterpart::Target(name));
        }
        let forecast = worktrees.forecast_of_first(asked, sides).await?;
        let foreseen = forecast.pairs().map(|(one, other, verdict)| Foreseen {
            task: tasks[one].clone(),
            other: counterparts[other].clone(),
            verdict: verdict.clone(),
        });
        Ok(foreseen.collect())
    }
}
