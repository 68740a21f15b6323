//! The tasks whose work a merge may bring home, and the order in which it does.

use std::sync::Arc;

use gadugi_core::merge::{Candidate, Link};
use gadugi_core::worktrees::{Forecast, Side, merge_order};
use gadugi_core::{CommitId, Outcome, TaskId, Worktrees};
use jiff::Timestamp;

use crate::failure::Failure;
use crate::prepare::earlier::{EarlierRuns, EarlierTask, all_needs};
use crate::site::Site;

/// The work of a run and of the runs that it retries.
pub(crate) struct Gathered {
    /// What may land, in no particular order yet.
    candidates: Vec<Found>,
    /// Tasks of which nothing can land, with the reason.
    pub(crate) passed_over: Vec<(TaskId, String)>,
}

/// A task with work of its own.
struct Found {
    task: TaskId,
    link: Link,
    /// The tasks that it needs, with or without work of their own.
    needs: Vec<TaskId>,
    finished: Option<Timestamp>,
}

/// Gathers what the tasks of a run, and of those that it retries, have made. Of a task that was run again, the latest
/// success counts.
pub(crate) fn gather(site: &Site, runs: &EarlierRuns) -> Result<Gathered, Failure> {
    let mut gathered = Gathered { candidates: Vec::new(), passed_over: Vec::new() };
    for task in runs.tasks() {
        let id = &task.task.task.spec.id;
        match found(site, runs.success(id).unwrap_or(task))? {
            Ok(found) => gathered.candidates.push(found),
            Err(why) => gathered.passed_over.push((id.clone(), why)),
        }
    }
    Ok(gathered)
}

/// The work of a task, or the reason why there is none.
fn found(site: &Site, earlier: EarlierTask<'_>) -> Result<Result<Found, String>, Failure> {
    let task = earlier.task;
    let spec = &task.task.spec;
    match task.outcome() {
        Some(Outcome::Unchanged) => return Ok(Err("it has changed nothing".to_owned())),
        Some(outcome) if outcome.success() => {}
        Some(outcome) => return Ok(Err(outcome.to_string())),
        None => return Ok(Err("it is not over".to_owned())),
    }
    let work = task
        .with_branch()
        .and_then(|attempt| Some((attempt, attempt.work.as_ref()?.tip.as_ref()?, task.base_of(attempt)?.clone())));
    let Some((attempt, recorded, base)) = work else { return Ok(Err("it has no commits".to_owned())) };
    if *recorded == base {
        return Ok(Err("it has no commits".to_owned()));
    }
    // What the user has added to the branch comes along.
    let Some(tip) = site.end_of_work(attempt, recorded)? else {
        return Ok(Err(format!("its commits are gone ({})", recorded.short())));
    };
    let run = earlier.run.header.run.clone();
    let link = Link { name: spec.id.to_string(), title: spec.title.clone(), run, tip, base };
    Ok(Ok(Found { task: spec.id.clone(), link, needs: all_needs(&task.task), finished: task.finished }))
}

impl Gathered {
    /// Leaves out all tasks but these and those that they need.
    pub(crate) fn only(mut self, names: &[TaskId]) -> Result<Self, Failure> {
        if names.is_empty() {
            return Ok(self);
        }
        for name in names {
            if let Some((_, why)) = self.passed_over.iter().find(|(task, _)| task == name) {
                let hint = "`gadugi retry` runs what did not succeed again";
                return Err(Failure::usage(format!("`{name}` cannot be merged: {why}")).hint(hint));
            }
            if !self.candidates.iter().any(|found| found.task == *name) {
                let all: Vec<&str> = self.candidates.iter().map(|found| found.task.as_str()).collect();
                let hint = format!("the tasks with work are: {}", all.join(", "));
                return Err(Failure::usage(format!("there is no task `{name}`")).hint(hint));
            }
        }
        let mut wanted: Vec<TaskId> = names.to_vec();
        let mut at = 0;
        while let Some(name) = wanted.get(at).cloned() {
            let needs = self.needs_of(&name);
            wanted.extend(needs.into_iter().filter(|need| !wanted.contains(need)).collect::<Vec<_>>());
            at += 1;
        }
        self.candidates.retain(|found| wanted.contains(&found.task));
        self.passed_over.clear();
        Ok(self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The candidates that a task needs, also through tasks that have no work of their own.
    fn needs_of(&self, task: &TaskId) -> Vec<TaskId> {
        let Some(found) = self.candidates.iter().find(|found| found.task == *task) else { return Vec::new() };
        found.needs.iter().filter(|need| self.candidates.iter().any(|found| found.task == **need)).cloned().collect()
    }

    /// Puts the candidates in the order of merging: what a task needs before it, then the fewest conflicts, then the oldest.
    pub(crate) async fn ordered(
        mut self,
        worktrees: &Arc<dyn Worktrees>,
        target: &CommitId,
    ) -> Result<Vec<Candidate>, Failure> {
        self.candidates.sort_by_key(|found| found.finished);
        let side = |name: &str, tip: &CommitId| Side { name: name.to_owned(), tip: tip.clone(), worktree: None };
        let mut sides: Vec<Side> =
            self.candidates.iter().map(|found| side(&found.link.name, &found.link.tip)).collect();
        sides.push(side("target", target));
        let count = sides.len();
        // Without a forecast the order is that of the ends of the tasks.
        let forecast = match worktrees.forecast(sides).await {
            Ok(forecast) => forecast,
            Err(error) => Forecast::unknown(count, &gadugi_core::error_chain(&error)),
        };
        let position = |task: &TaskId| self.candidates.iter().position(|found| found.task == *task);
        let needs: Vec<Vec<usize>> = self
            .candidates
            .iter()
            .map(|found| self.needs_of(&found.task).iter().filter_map(position).collect())
            .collect();
        let order = merge_order(&forecast, &needs);
        let place = |old: &usize| order.iter().position(|position| position == old);
        let candidate = |position: &usize| {
            let found = &self.candidates[*position];
            let needs = needs[*position].iter().filter_map(place).collect();
            Candidate { task: found.task.clone(), link: found.link.clone(), needs }
        };
        Ok(order.iter().map(candidate).collect())
    }
}
