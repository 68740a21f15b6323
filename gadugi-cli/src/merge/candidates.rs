//! The tasks whose work a merge may bring home, and the order in which it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use gadugi_core::merge::{Candidate, Link};
use gadugi_core::run::{RunLink, TaskRecord, TaskState};
use gadugi_core::worktrees::{Forecast, Side, merge_order};
use gadugi_core::{CommitId, Outcome, RunId, RunRecord, TaskId, Worktrees};
use jiff::Timestamp;

use crate::failure::Failure;
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

/// A run and the runs that it retries, the newest first.
pub(crate) async fn lineage(site: &Site, run: RunRecord) -> Result<Vec<RunRecord>, Failure> {
    let mut lineage = vec![run];
    while let Some(RunLink::Retry { run }) = lineage.last().and_then(|run| run.header.link.clone()) {
        // A run never retries itself; a circle would be damage.
        if lineage.iter().any(|known| known.header.run == run) {
            break;
        }
        lineage.push(site.load(&run).await?.record);
    }
    Ok(lineage)
}

/// Gathers what the tasks of a run, and of those that it retries, have made. Of a task that was run again, the newest
/// success counts.
pub(crate) fn gather(lineage: &[RunRecord]) -> Gathered {
    let mut newest: BTreeMap<TaskId, Vec<(&RunRecord, &TaskRecord)>> = BTreeMap::new();
    let mut order: Vec<TaskId> = Vec::new();
    // From the oldest run on, so that tasks stand in the order of the plan that had them first.
    for run in lineage.iter().rev() {
        for task in &run.tasks {
            let id = task.task.spec.id.clone();
            if !order.contains(&id) {
                order.push(id.clone());
            }
            newest.entry(id).or_default().push((run, task));
        }
    }
    let mut gathered = Gathered { candidates: Vec::new(), passed_over: Vec::new() };
    for id in order {
        let attempts = &newest[&id];
        match found(&id, attempts) {
            Ok(found) => gathered.candidates.push(found),
            Err(why) => gathered.passed_over.push((id, why)),
        }
    }
    gathered
}

/// The work of a task, from its records in several runs, the oldest first; or the reason why there is none.
fn found(id: &TaskId, records: &[(&RunRecord, &TaskRecord)]) -> Result<Found, String> {
    let outcome = |task: &TaskRecord| match &task.state {
        TaskState::Finished(outcome) => Some(outcome.clone()),
        _ => None,
    };
    let is_success = |task: &TaskRecord| outcome(task).is_some_and(|outcome| outcome.success());
    let Some(at) = records.iter().rposition(|(_, task)| is_success(task)) else {
        let last = records.last().and_then(|(_, task)| outcome(task));
        return Err(last.map_or_else(|| "it is not over".to_owned(), |outcome| outcome.to_string()));
    };
    let (run, task) = records[at];
    if outcome(task) == Some(Outcome::Unchanged) {
        return Err("it has changed nothing".to_owned());
    }
    let work = task.last().and_then(|attempt| Some((attempt.lease.as_ref()?, attempt.work.as_ref()?.tip.clone()?)));
    let Some((lease, tip)) = work else { return Err("nothing of it is recorded".to_owned()) };
    let Some(base) = lease.base.clone() else { return Err("it had no branch".to_owned()) };
    let base = first_base(&records[..=at], base);
    if base == tip {
        return Err("it has no commits".to_owned());
    }
    let planned = run.header.plan.tasks().iter().position(|planned| planned.spec.id == *id);
    let needs = planned.map(|position| run.header.plan.needs(position)).unwrap_or_default();
    let needs = needs.iter().map(|need| run.header.plan.tasks()[*need].spec.id.clone());
    let needs = needs.chain(task.task.spec.origin.tips.iter().map(|tip| tip.task.clone())).collect();
    let title = task.task.spec.title.clone();
    let link = Link { name: id.to_string(), title, run: run.header.run.clone(), tip, base };
    Ok(Found { task: id.clone(), link, needs, finished: task.finished })
}

/// The commit that a branch started from, over all attempts that went on where an earlier one had ended.
fn first_base(records: &[(&RunRecord, &TaskRecord)], mut base: CommitId) -> CommitId {
    let attempts = records.iter().flat_map(|(_, task)| &task.attempts).rev();
    for attempt in attempts {
        let tip = attempt.work.as_ref().and_then(|work| work.tip.as_ref());
        let start = attempt.lease.as_ref().and_then(|lease| lease.base.as_ref());
        if let (Some(tip), Some(start)) = (tip, start)
            && *tip == base
        {
            base = start.clone();
        }
    }
    base
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

/// The run of a merge for messages: `run 20261122-083355-k7q`, with those that it retries.
pub(crate) fn described(run: &RunId, lineage: &[RunRecord]) -> String {
    let earlier: Vec<&str> = lineage.iter().skip(1).map(|run| run.header.run.as_str()).collect();
    match earlier.is_empty() {
        true => format!("run {run}"),
        false => format!("run {run} and what it retries ({})", earlier.join(", ")),
    }
}
