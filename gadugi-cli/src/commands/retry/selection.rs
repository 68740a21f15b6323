//! The run and the tasks that the user means.

use gadugi_core::run::{Outcome, RunLink};
use gadugi_core::{RunId, TaskId, closest};

use crate::context::Context;
use crate::failure::Failure;
use crate::prepare::earlier::{EarlierRuns, EarlierTask, all_needs};
use crate::site::{LoadedRun, Site};
use crate::terminal::Terminal;

/// Finds the earlier run, and the names of its tasks. The first word may be either.
pub(super) async fn runs(
    context: &Context,
    site: &Site,
    what: &[String],
) -> Result<(EarlierRuns, Vec<String>), Failure> {
    let latest = load(context, site, &site.find("latest")?).await?;
    let Some((first, rest)) = what.split_first() else { return over(latest, Vec::new()) };
    let named = if first == "latest" { Ok(latest.latest().record.header.run.clone()) } else { site.find(first) };
    let is_task = task_of(&latest, first).is_some();
    match named {
        // An id of a run, in full or by its word, is never meant for a task.
        Ok(run) if run.as_str() == first || first == "latest" || !is_task => {
            over(load(context, site, &run).await?, rest.to_vec())
        }
        Ok(run) => {
            let latest = &latest.latest().record.header.run;
            let message = format!("`{first}` is a task of run {latest}, and the beginning of the id of run {run}");
            let hint = format!("for the task: gadugi retry latest {first}\nfor the run: gadugi retry {run}");
            Err(Failure::usage(message).hint(hint))
        }
        Err(_) if is_task => over(latest, what.to_vec()),
        Err(failure) if failure.texts().0.contains("beginning of several") => Err(failure),
        Err(_) => {
            let message = format!("`{first}` is neither a run nor a task of run {}", latest.latest().record.header.run);
            Err(Failure::usage(message).hint(known(&latest, first)))
        }
    }
}

async fn load(context: &Context, site: &Site, run: &RunId) -> Result<EarlierRuns, Failure> {
    EarlierRuns::load(context, site, run).await
}

/// Checks that the earlier run is over.
fn over(runs: EarlierRuns, names: Vec<String>) -> Result<(EarlierRuns, Vec<String>), Failure> {
    let LoadedRun { record, driven, .. } = runs.latest();
    let run = &record.header.run;
    if let Some(RunLink::Merge { merge }) = &record.header.link {
        let message = format!("run {run} belongs to the merge {merge}, and is not retried by itself");
        return Err(Failure::usage(message).hint("`gadugi ps --all` lists the runs"));
    }
    match (record.ended, driven) {
        (None, true) => Err(Failure::usage(format!("run {run} is not over"))
            .hint(format!("`gadugi attach {run}` shows it, `gadugi stop {run}` ends it"))),
        (None, false) => Err(Failure::usage(format!("run {run} is not over: nobody drives it"))
            .hint(format!("`gadugi resume {run}` goes on with it, `gadugi stop {run}` ends it"))),
        (Some(_), _) => Ok((runs, names)),
    }
}

fn task_of<'a>(runs: &'a EarlierRuns, name: &str) -> Option<EarlierTask<'a>> {
    runs.task(&name.parse().ok()?)
}

/// A hint at the tasks that there are.
fn known(runs: &EarlierRuns, name: &str) -> String {
    let ids: Vec<String> = runs.tasks().iter().map(|earlier| earlier.task.task.spec.id.to_string()).collect();
    match closest(name, ids.iter().map(String::as_str), 2) {
        Some(like) => format!("did you mean `{like}`?"),
        None => format!("its tasks are: {}; `gadugi ps --all` lists the runs", ids.join(", ")),
    }
}

/// The tasks to run.
#[derive(Debug)]
pub(super) struct Selection {
    /// In the order of the earlier runs.
    pub(super) tasks: Vec<TaskId>,
    /// Of these, needs of others that were not named, and have not succeeded either.
    added: Vec<TaskId>,
}

/// Selects what has not succeeded, or what is named, with the needs that have not succeeded.
pub(super) fn select(runs: &EarlierRuns, names: &[String], with_message: bool) -> Result<Selection, Failure> {
    let mut chosen: Vec<TaskId> = Vec::new();
    if names.is_empty() {
        let failed = runs.tasks().into_iter().filter(|earlier| !earlier.succeeded());
        chosen.extend(failed.map(|earlier| earlier.task.task.spec.id.clone()));
        if chosen.is_empty() {
            let run = &runs.latest().record.header.run;
            let hint = format!("for a follow-up name a task: gadugi retry {run} TASK -m \"…\"");
            return Err(Failure::usage(format!("every task of run {run} has succeeded")).hint(hint));
        }
    }
    for name in names {
        let earlier = task_of(runs, name).ok_or_else(|| {
            let message = format!("run {} has no task `{name}`", runs.latest().record.header.run);
            Failure::usage(message).hint(known(runs, name))
        })?;
        let spec = &earlier.task.task.spec;
        if earlier.succeeded() && spec.action.agent.is_some() && !with_message {
            let hint =
                format!("tell its agent what is left to do: gadugi retry {} {name} -m \"…\"", earlier.run.header.run);
            return Err(Failure::usage(format!("the task `{name}` has succeeded")).hint(hint));
        }
        if !chosen.contains(&spec.id) {
            chosen.push(spec.id.clone());
        }
    }
    let has_agent = |id: &TaskId| runs.task(id).is_some_and(|earlier| earlier.task.task.spec.action.agent.is_some());
    if with_message && !chosen.iter().any(has_agent) {
        let message = "a message is for agents, and none of these tasks has one";
        return Err(Failure::usage(message).hint("leave --message out, or name a task with an agent"));
    }
    let mut added = Vec::new();
    let mut open = chosen.clone();
    while let Some(id) = open.pop() {
        let Some(earlier) = runs.task(&id) else { continue };
        for need in all_needs(&earlier.task.task) {
            let is_open = runs.task(&need).is_some() && runs.success(&need).is_none();
            if is_open && !chosen.contains(&need) {
                chosen.push(need.clone());
                added.push(need.clone());
                open.push(need);
            }
        }
    }
    let order = runs.tasks();
    chosen.sort_by_key(|id| order.iter().position(|earlier| earlier.task.task.spec.id == *id));
    Ok(Selection { tasks: chosen, added })
}

impl Selection {
    /// Prints what is run again, and why.
    pub(super) fn announce(&self, terminal: &Terminal, runs: &EarlierRuns) {
        let names: Vec<String> = self.tasks.iter().map(|id| self.described(runs, id)).collect();
        terminal.say(&format!("retry of run {}: {}", runs.latest().record.header.run, names.join(", ")));
    }

    fn described(&self, runs: &EarlierRuns, id: &TaskId) -> String {
        let outcome = runs.task(id).and_then(|earlier| earlier.task.outcome().map(Outcome::word)).unwrap_or("not over");
        let needed = if self.added.contains(id) { ", needed" } else { "" };
        format!("{id} ({outcome}{needed})")
    }
}
