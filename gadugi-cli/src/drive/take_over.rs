//! Taking over a run that no process drives, to resume it or to end it.

use std::sync::Arc;

use gadugi_core::{Run, RunRecord};

use super::{Driver, housekeeping};
use crate::config::Config;
use crate::context::Context;
use crate::executors::{TaskLifetime, choose_recorded, executors, forgetting};
use crate::failure::Failure;
use crate::prepare::{disk_space, programs};
use crate::site::{LoadedRun, Site, output_formats};

/// The outcome of taking over a run.
pub(crate) enum TakeOver {
    /// Another process has brought the run to its end meanwhile.
    Ended(Box<RunRecord>),
    /// This process is the driver of the run, and drives it next.
    Ours { driver: Driver, run: Box<Run>, record: Box<RunRecord> },
}

/// The purpose of taking over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To bring it to its end.
    Resume,
    /// To stop its tasks.
    Stop,
    /// To stop the tasks that can be stopped, and to give up those whose executor cannot tell whether they run.
    Forget,
}

/// The settings of the process that takes over a run.
#[derive(Clone, Copy)]
pub(crate) struct TakeOverSettings<'a> {
    pub(crate) config: &'a Config,
    pub(crate) lifetime: TaskLifetime,
    pub(crate) purpose: Purpose,
}

/// Takes over a run. Nothing is changed before it is known that everything is there to resume it.
pub(crate) async fn take_over(
    context: &Context,
    site: &Arc<Site>,
    seen: LoadedRun,
    mut driver: Driver,
    settings: TakeOverSettings<'_>,
) -> Result<TakeOver, Failure> {
    let TakeOverSettings { config, lifetime, purpose } = settings;
    let id = &seen.record.header.run.clone();
    let resumes = purpose == Purpose::Resume;
    let mut available = executors(context, Some(site), config, lifetime);
    if purpose == Purpose::Forget {
        available = available.into_iter().map(|executor| forgetting(executor, &context.terminal)).collect();
    }
    let chosen = choose_recorded(available, config, &seen.record, lifetime).await?;
    // A task that is only to be stopped needs no program any more.
    if resumes {
        let left = seen.record.tasks.iter().filter(|task| !task.state.is_finished()).map(|task| &task.task.spec);
        programs::require(context, left, &chosen, config)?;
    }
    let base = match &seen.record.header.base {
        Some(base) => base.clone(),
        None => site.base(config)?.commit,
    };
    let worktrees = site.worktrees(&context.surroundings, config, &base)?;
    // It is read anew under the lock, and may be large.
    drop(seen);
    let (history, log) = site.resume_run(id).await?;
    for damage in &history.damage {
        context.terminal.say(&format!("warning: {damage}"));
    }
    if history.record.ended.is_some() {
        return Ok(TakeOver::Ended(Box::new(history.record)));
    }
    let record = history.record.clone();
    tracing::debug!(run = %id, purpose = ?purpose, interruptions = record.interruptions.len(), "run resumed");
    let over = record.tasks.iter().filter(|task| task.state.is_finished()).count();
    driver.claim(id, &format!("run {id}: resumed, {over} of {} tasks over", record.tasks.len()))?;
    if resumes && let Ok(Some(space)) = disk_space::survey(context, site, config, &base) {
        disk_space::warn_of_rest(context, &space, &record);
    }
    // What the last driver left unfinished when it ended is removed before worktrees are looked for.
    // That may have to wait for another gadugi, as stopping must not.
    if resumes {
        driver.unless_interrupted(housekeeping::prune(Arc::clone(&worktrees), context.terminal.clone())).await;
    }
    let used = chosen.used_by(&record.header.plan);
    tokio::spawn(housekeeping::collect(Arc::clone(site), used, context.terminal.clone()));
    let reason = chosen.reason().to_owned();
    let run = Run::resume(history, gadugi_exec::moment(), chosen.into_executors(), worktrees, log);
    Ok(TakeOver::Ours {
        driver,
        run: Box::new(run.reason(reason).output_formats(output_formats())),
        record: Box::new(record),
    })
}
