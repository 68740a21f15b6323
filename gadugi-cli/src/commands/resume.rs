//! `gadugi resume`, and what `stop` needs of it: taking over a run that nobody drives.

use std::ffi::OsStr;
use std::sync::Arc;

use gadugi_core::{Registry, RegistryError, Report, Run, RunRecord};

use super::background::{self, Place};
use super::driving::{Driving, Show, code_of, keep_reports};
use super::run::{collect, prune};
use super::{programs, room};
use crate::args::ResumeArgs;
use crate::compose::{self, Site};
use crate::config::Config;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::runs::LoadedRun;

pub(super) async fn resume(context: &Context, args: &ResumeArgs) -> Result<Code, Failure> {
    let background = match background::place(context, args.driving.detach).await? {
        Place::Drive(background) => background,
        Place::Left(code) => return Ok(code),
    };
    let site = Arc::new(Site::open(&context.surroundings)?);
    let seen = site.load_or_unfinished(context, args.run.as_deref()).await?;
    if let Some(code) = over(context, &site, &seen.record) {
        delete_what_is_left(context, &site).await;
        return Ok(code);
    }
    let config = prepare::config(context, &site, None)?;
    let estimates = site.registry.earlier_durations(Some(&seen.record.header.run))?;
    require_secrets(context, &seen)?;
    let (show, die_with_parent) = (Show::asked_for(&args.driving), args.driving.die_with_parent);
    let driving = Driving::begin(context, Arc::clone(&site), show, die_with_parent, background)?;
    match take_over(context, &site, seen, &config, driving, die_with_parent, Purpose::GoOn).await? {
        Taken::Over(record) => {
            site.leave_deletion(&context.terminal);
            Ok(over(context, &site, &record).unwrap_or(Code::Success))
        }
        Taken::Ours { mut driving, run, record } => {
            driving.notify(&config);
            driving.report(*run, *record, estimates).await
        }
    }
}

/// Lets what a killed process has given back be deleted; never a reason to end otherwise.
async fn delete_what_is_left(context: &Context, site: &Arc<Site>) {
    let config = prepare::config_or_default(context, site);
    let base = site.base(&Config { base: "HEAD".to_owned(), ..config.clone() });
    if let Ok(worktrees) = base.and_then(|base| site.worktrees(&context.surroundings, &config, &base.commit)) {
        prune(worktrees, context.terminal.clone()).await;
        collect(Arc::clone(site), Vec::new(), context.terminal.clone()).await;
        site.leave_deletion(&context.terminal);
    }
}

/// What became of the attempt to take a run over.
pub(super) enum Taken {
    /// Another process has brought it to its end meanwhile.
    Over(Box<RunRecord>),
    /// It is driven by this process, or about to be.
    Ours { driving: Driving, run: Box<Run>, record: Box<RunRecord> },
}

/// What a run is taken over for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    GoOn,
    Stop,
    /// To stop what can be stopped, and to give up what cannot be judged.
    Forget,
}

/// Takes over a run. Nothing is changed before it is known that everything is there to go on with it.
pub(super) async fn take_over(
    context: &Context,
    site: &Arc<Site>,
    seen: LoadedRun,
    config: &Config,
    mut driving: Driving,
    die_with_parent: bool,
    purpose: Purpose,
) -> Result<Taken, Failure> {
    let id = &seen.record.header.run.clone();
    let forgets = purpose == Purpose::Forget;
    let to_stop = purpose != Purpose::GoOn;
    let chosen = compose::recorded_executor(context, site, config, &seen.record, die_with_parent, forgets).await?;
    if !to_stop {
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
    // What was asked of the driver that has ended is not asked of this one.
    if !site.registry.is_driven(id)? {
        site.registry.take_requests(id)?;
    }
    let (history, log) = site.registry.resume(id).await.map_err(held)?;
    for damage in &history.damage {
        context.terminal.say(&format!("warning: {damage}"));
    }
    if history.record.ended.is_some() {
        return Ok(Taken::Over(Box::new(history.record)));
    }
    let record = history.record.clone();
    let over = record.tasks.iter().filter(|task| task.state.is_finished()).count();
    driving.takes(id, &format!("run {id}: resumed, {over} of {} tasks over", record.tasks.len()))?;
    if !to_stop && let Ok(Some(room)) = room::look(context, site, config, &base) {
        room::warn_of_rest(context, &room, &record);
    }
    // What the driver left half made when it ended is cleared away before worktrees are looked for.
    // That may have to wait for another gadugi, as stopping must not.
    if !to_stop {
        driving.unless_interrupted(prune(Arc::clone(&worktrees), context.terminal.clone())).await;
    }
    let executors = chosen.those_that_run(&record.header.plan);
    tokio::spawn(collect(Arc::clone(site), executors, context.terminal.clone()));
    let reason = chosen.reason().to_owned();
    let run = Run::resume(history, compose::moment(), chosen.into_executors(), worktrees, log);
    Ok(Taken::Ours {
        driving,
        run: Box::new(run.reason(reason).output_formats(compose::output_formats())),
        record: Box::new(record),
    })
}

/// Says of a run that is over how it ended and where its report is.
fn over(context: &Context, site: &Site, record: &RunRecord) -> Option<Code> {
    record.ended?;
    let run = &record.header.run;
    let code = code_of(record);
    let how = match code {
        Code::Success => "all of its tasks succeeded",
        Code::Interrupted => "it was stopped",
        _ => "not all of its tasks succeeded",
    };
    let report = site.registry.run_folder(run).join("report.md");
    // Its driver may have ended between the end of the run and its report.
    if !report.exists() {
        keep_reports(&context.terminal, site, &Report::from(record.clone()));
    }
    context.terminal.say(&format!("run {run} is over: {how}; its report: {}", report.display()));
    Some(code)
}

fn held(error: RegistryError) -> Failure {
    let hint = match &error {
        RegistryError::Held { run, .. } => format!("`gadugi attach {run}` shows it, `gadugi stop {run}` stops it"),
        _ => return error.into(),
    };
    Failure::from(error).hint(hint)
}

/// The variables are not kept with the run, so whoever resumes it brings them.
fn require_secrets(context: &Context, run: &LoadedRun) -> Result<(), Failure> {
    let is_set = |name: &&String| context.surroundings.env.contains_key(OsStr::new(name.as_str()));
    let mut missing = Vec::new();
    for task in run.record.tasks.iter().filter(|task| !task.state.is_finished()) {
        let spec = &task.task.spec;
        missing.extend(spec.secrets.iter().filter(|name| !is_set(name)).map(|name| format!("{}: `{name}`", spec.id)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("variables that tasks need are not set here: {}", missing.join(", "));
    Err(Failure::usage(message).hint("values of secrets are kept nowhere; set them as for `gadugi run`"))
}
