//! What succeeded in an earlier run, and in those that it is a retry of.

use std::collections::HashSet;

use gadugi_core::agent::NeedDone;
use gadugi_core::plan::{EarlierConversation, Origin, PlannedTask, RawPlan};
use gadugi_core::run::{AttemptRecord, RunLink, TaskRecord};
use gadugi_core::worktrees::NeededTip;
use gadugi_core::{CommitId, Lease, Outcome, Plan, RunId, RunRecord, TaskId};

use crate::context::Context;
use crate::failure::Failure;
use crate::site::{LoadedRun, Site};
use crate::terminal::Terminal;

/// A run, and the runs that it is a retry of.
pub(crate) struct EarlierRuns {
    /// The latest first; at least one.
    runs: Vec<LoadedRun>,
}

/// Tasks with needs that are taken from earlier runs.
pub(crate) type TakenNeeds = Vec<(TaskId, Vec<TaskId>)>;

/// A task of one of these runs.
#[derive(Clone, Copy)]
pub(crate) struct EarlierTask<'a> {
    pub(crate) run: &'a RunRecord,
    pub(crate) task: &'a TaskRecord,
}

impl EarlierTask<'_> {
    /// Whether it has succeeded, with or without changes.
    pub(crate) fn succeeded(&self) -> bool {
        self.task.outcome().is_some_and(Outcome::success)
    }
}

impl EarlierRuns {
    /// Loads a run, and the runs that it is a retry of, as far as they are there.
    pub(crate) async fn load(context: &Context, site: &Site, run: &RunId) -> Result<Self, Failure> {
        let mut runs = vec![site.load(run).await?];
        let mut seen = HashSet::from([run.clone()]);
        while let Some(Some(RunLink::Retry { run })) = runs.last().map(|run| &run.record.header.link) {
            let run = run.clone();
            if !seen.insert(run.clone()) {
                break;
            }
            match site.load(&run).await {
                Ok(loaded) => runs.push(loaded),
                Err(failure) => {
                    let (why, _) = failure.texts();
                    context.terminal.say(&format!("warning: the earlier run {run} is left out: {why}"));
                    break;
                }
            }
        }
        Ok(Self { runs })
    }

    /// The latest of the runs.
    pub(crate) fn latest(&self) -> &LoadedRun {
        &self.runs[0]
    }

    /// The latest records of all tasks, those of the first run first.
    pub(crate) fn tasks(&self) -> Vec<EarlierTask<'_>> {
        let mut seen = HashSet::new();
        let all = self.runs.iter().rev().flat_map(|run| &run.record.tasks);
        let ids = all.map(|task| &task.task.spec.id).filter(|id| seen.insert(*id));
        ids.filter_map(|id| self.task(id)).collect()
    }

    /// The records of a task, the latest first.
    pub(crate) fn records(&self, id: &TaskId) -> impl Iterator<Item = EarlierTask<'_>> {
        self.runs.iter().filter_map(move |run| Some(EarlierTask { run: &run.record, task: run.record.task(id)? }))
    }

    /// The latest record of a task.
    pub(crate) fn task(&self, id: &TaskId) -> Option<EarlierTask<'_>> {
        self.records(id).next()
    }

    /// The latest success of a task.
    pub(crate) fn success(&self, id: &TaskId) -> Option<EarlierTask<'_>> {
        self.records(id).find(EarlierTask::succeeded)
    }

    /// The latest record of a task in which it was given a worktree.
    pub(crate) fn with_worktree(&self, id: &TaskId) -> Option<(EarlierTask<'_>, &AttemptRecord)> {
        self.records(id).find_map(|earlier| Some((earlier, earlier.task.with_branch()?)))
    }

    /// Loads the run that `--needs-from` names, if it does.
    pub(crate) async fn named(context: &Context, site: &Site, name: Option<&String>) -> Result<Option<Self>, Failure> {
        match name {
            Some(name) => Self::load(context, site, &site.find(name)?).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether a task of this name has succeeded.
    pub(crate) fn has_succeeded(&self, name: &str) -> bool {
        name.parse().is_ok_and(|id| self.success(&id).is_some())
    }

    /// Removes the needs that are not among the tasks of a plan and have succeeded here, and returns them.
    pub(crate) fn take_from(&self, raw: &mut RawPlan) -> TakenNeeds {
        let ids: HashSet<String> = raw.tasks.iter().map(|task| task.spec.id.to_string()).collect();
        let mut taken = TakenNeeds::new();
        for task in &mut raw.tasks {
            let is_taken = |need: &String| !ids.contains(need) && self.has_succeeded(need);
            let needs = task.needs.iter().filter(|(need, _)| is_taken(need)).filter_map(|(need, _)| need.parse().ok());
            taken
                .extend(Some((task.spec.id.clone(), needs.collect::<Vec<_>>())).filter(|(_, needs)| !needs.is_empty()));
            task.needs.retain(|(need, _)| !is_taken(need));
        }
        taken
    }

    /// Lets the tasks of a plan start from the results of the needs that were taken out of it.
    pub(crate) fn give_to(
        &self,
        site: &Site,
        plan: &mut Plan,
        taken: &TakenNeeds,
        base: &CommitId,
    ) -> Result<(), Failure> {
        for (id, needs) in taken {
            let Some(position) = plan.tasks().iter().position(|task| task.spec.id == *id) else { continue };
            let mut origin = plan.tasks()[position].spec.origin.clone();
            self.take_needs(site, &mut origin, (id, needs), base)?;
            plan.set_origin(position, origin);
        }
        Ok(())
    }

    /// Prints which needs were taken from here.
    pub(crate) fn announce(&self, terminal: &Terminal, taken: &TakenNeeds) {
        let mut names: Vec<&str> = taken.iter().flat_map(|(_, needs)| needs).map(TaskId::as_str).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            terminal.say(&format!("taken from run {}: {}", self.latest().record.header.run, names.join(", ")));
        }
    }

    /// Adds the results of needs, which follow the id of their dependant, to the start of its work.
    pub(crate) fn take_needs(
        &self,
        site: &Site,
        origin: &mut Origin,
        (of, needs): (&TaskId, &[TaskId]),
        base: &CommitId,
    ) -> Result<(), Failure> {
        for need in needs {
            let Some(done) = self.success(need) else { continue };
            origin.tips.extend(tip_of(site, done, base, of)?);
            origin.done.push(need_done(done.task));
        }
        if !origin.tips.is_empty() {
            origin.base = Some(base.clone());
        }
        Ok(())
    }
}

/// The conversation of an attempt with its agent, which goes on with this message; `None` where no session is known.
pub(crate) fn conversation(task: &TaskRecord, attempt: &AttemptRecord, message: String) -> Option<EarlierConversation> {
    let lease = attempt.lease.as_ref()?;
    let is_in = |other: &Lease| other.path == lease.path;
    let reports: Vec<_> = task
        .attempts
        .iter()
        .filter(|other| other.number <= attempt.number && other.lease.as_ref().is_some_and(is_in))
        .filter_map(|other| other.agent.as_deref())
        .collect();
    let origin = task.task.spec.origin.earlier.as_ref();
    let before = origin.filter(|origin| origin.lease.as_ref().is_some_and(is_in));
    let before = before.and_then(|origin| origin.conversation.as_ref()).map(EarlierConversation::report);
    let all = || before.into_iter().chain(reports.iter().copied()).rev();
    let session = all().find_map(|report| report.session.clone())?;
    let of_session = || all().filter(|report| report.session.as_ref() == Some(&session));
    let cost = of_session().find_map(|report| report.cost_usd);
    let tokens = of_session().find_map(|report| report.tokens);
    Some(EarlierConversation::new(session, message, cost, tokens))
}

/// All needs of a task: also those that were done before its run.
pub(crate) fn all_needs(task: &PlannedTask) -> Vec<TaskId> {
    let done = task.spec.origin.done.iter().map(|done| &done.task);
    done.chain(&task.needs).cloned().collect()
}

fn need_done(task: &TaskRecord) -> NeedDone {
    let spec = &task.task.spec;
    let last_message = task.last().and_then(|attempt| attempt.agent.as_ref()?.last_message.clone());
    NeedDone { task: spec.id.clone(), title: spec.title.clone(), last_message }
}

/// The tip of a task's work: that of its branch, if it has only been added to, else as it was recorded. `None` where
/// nothing has to be merged into the base.
fn tip_of(site: &Site, done: EarlierTask<'_>, base: &CommitId, of: &TaskId) -> Result<Option<NeededTip>, Failure> {
    let task = done.task.task.spec.id.clone();
    let Some(attempt) = done.task.with_branch() else { return Ok(None) };
    let Some(recorded) = attempt.work.as_ref().and_then(|work| work.tip.clone()) else { return Ok(None) };
    if Some(&recorded) == done.run.header.base.as_ref() {
        return Ok(None);
    }
    match site.end_of_work(attempt, &recorded)? {
        Some(tip) if site.is_merged(&tip, base)? => Ok(None),
        Some(tip) => Ok(Some(NeededTip { task, tip })),
        None => {
            let branch = attempt.lease.as_ref().and_then(|lease| lease.branch.as_ref());
            let branch = branch.map(|branch| format!(", and neither is its branch `{branch}`")).unwrap_or_default();
            let message = format!(
                "the work of `{task}`, which `{of}` needs, is gone: its commit {} is not there any more{branch}",
                recorded.short()
            );
            Err(Failure::usage(message)
                .hint(format!("`gadugi retry {} {task} {of}` makes it again", done.run.header.run)))
        }
    }
}
