//! `gadugi run`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::run::{RunLink, WarningKind};
use gadugi_core::{Plan, Run, RunHeader, RunId, RunRecord, RunSettings, TaskId};

use super::image;
use crate::args::{DrivingArgs, RunArgs};
use crate::config::Config;
use crate::context::Context;
use crate::drive::{Audience, Background, Driver, Role, housekeeping, role};
use crate::executors::{Chosen, TaskLifetime, choose_executor, limits};
use crate::failure::{Code, Failure};
use crate::merge::{MergeRequest, Merging, unfinished};
use crate::prepare::disk_space::{self, WorktreeCount};
use crate::prepare::earlier::EarlierRuns;
use crate::prepare::{self, programs};
use crate::site::{Base, Site, output_formats};

pub(super) async fn run(context: &Context, args: &RunArgs) -> Result<Code, Failure> {
    let background = match role(context, &args.driving).await? {
        Role::Foreground => None,
        Role::Background(background) => Some(background),
        Role::Parent(code) => return Ok(code),
    };
    let site = Arc::new(Site::open(&context.surroundings)?);
    let config = prepare::config(context, &site, Some(&args.tasks))?;
    let earlier = EarlierRuns::named(context, &site, args.tasks.needs_from.as_ref()).await?;
    let (mut plan, taken) = prepare::plan(context, &config, &args.tasks, earlier.as_ref())?;
    let base = site.base(&config)?;
    if let Some(earlier) = &earlier {
        earlier.give_to(&site, &mut plan, &taken, &base.commit)?;
        earlier.announce(&context.terminal, &taken);
    }
    site.check_branches(&config)?;
    let estimates = site.earlier_durations(None)?;
    if let Some(space) = disk_space::survey(context, &site, &config, &base.commit)? {
        disk_space::check(context, &space, WorktreeCount::of(&plan, &config, &estimates), &config, args.force)?;
    }
    if args.pull {
        image::fetch_missing(context, &site, &config, &plan).await?;
    }
    let lifetime = TaskLifetime::asked_for(&args.driving);
    let chosen = choose_executor(context, &site, &config, &mut plan, lifetime).await?;
    prepare::complete_agent_calls(context, &mut plan, &chosen, &config, &args.tasks)?;
    let (settings, link) = (config.run_settings(), None);
    let new = NewRun { site, config, plan, base, settings, link, chosen, estimates, merges: args.merge };
    start(context, new, &args.driving, background).await
}

/// A run that is checked, and starts next.
pub(super) struct NewRun {
    pub(super) site: Arc<Site>,
    pub(super) config: Config,
    pub(super) plan: Plan,
    pub(super) base: Base,
    pub(super) settings: RunSettings,
    /// What the run belongs to.
    pub(super) link: Option<RunLink>,
    pub(super) chosen: Chosen,
    /// Durations of tasks in earlier runs.
    pub(super) estimates: HashMap<TaskId, Duration>,
    /// Whether its work is merged at its end.
    pub(super) merges: bool,
}

/// Starts a run, drives it to its end and prints the report.
pub(super) async fn start(
    context: &Context,
    new: NewRun,
    driving: &DrivingArgs,
    background: Option<Background>,
) -> Result<Code, Failure> {
    let NewRun { site, config, plan, base, settings, link, chosen, estimates, merges } = new;
    let (terminal, lifetime) = (&context.terminal, TaskLifetime::asked_for(driving));
    programs::require(context, plan.tasks().iter().map(|task| &task.spec), &chosen, &config)?;
    let worktrees = site.worktrees(&context.surroundings, &config, &base.commit)?;
    warn_of_uncommitted(context, &site);
    let (base, base_name, moment) = (Some(base.commit), Some(base.name), gadugi_exec::moment());
    let executor = Some(chosen.name().to_owned());
    let mut header = RunHeader { base, base_name, moment, link, executor, ..RunHeader::new(plan, settings) };
    let audience = Audience::asked_for(driving);
    let mut driver = Driver::new(context, Arc::clone(&site), audience, lifetime, background)?;
    let log = site.create_run(&mut header).await?;
    let plural = if header.plan.tasks().len() == 1 { "" } else { "s" };
    driver.claim(&header.run, &format!("run {}: {} task{plural}", header.run, header.plan.tasks().len()))?;
    driver.notify(&config);
    // What a crash left half created would only be in the way. It may have to wait for another gadugi.
    let prune = tokio::spawn(housekeeping::prune(Arc::clone(&worktrees), terminal.clone()));
    let used = chosen.used_by(&header.plan);
    let collect = tokio::spawn(housekeeping::collect(Arc::clone(&site), used, terminal.clone()));
    let mut warnings = chosen.warnings().to_vec();
    let budgets = limits::budgets_not_held(&header.plan, &config);
    warnings.extend(budgets.into_iter().map(|message| (WarningKind::NotHeld, message)));
    let reason = chosen.reason().to_owned();
    let record = RunRecord::new(header.clone());
    let run = Run::new(header, chosen.into_executors(), worktrees, log).reason(reason).output_formats(output_formats());
    let run = warnings.into_iter().fold(run, |run, (kind, message)| run.warning(kind, message));
    let id = record.header.run.clone();
    let code = driver.drive_and_report(run, record, estimates).await;
    prune.abort();
    collect.abort();
    match code? {
        code @ (Code::Success | Code::TaskFailed) if merges => {
            let merged = merge(context, &site, &config, driving.json, &id).await?;
            Ok(if merged == Code::Success { code } else { merged })
        }
        code => Ok(code),
    }
}

/// Merges what a run has made that is over.
async fn merge(
    context: &Context,
    site: &Arc<Site>,
    config: &Config,
    as_json: bool,
    run: &RunId,
) -> Result<Code, Failure> {
    if let Some(unfinished) = unfinished(site)? {
        let message = format!("the run is not merged: merge {} was cut short", unfinished.header.merge);
        let hint = "`gadugi merge` goes on with it; `gadugi merge` once more merges this run";
        return Err(Failure::registry(message).hint(hint));
    }
    let request = MergeRequest { runs: EarlierRuns::load(context, site, run).await?, tasks: Vec::new() };
    Merging::new(context, site, config, as_json)?.merge(request).await
}

/// Warns of uncommitted files: tasks see only what is committed, which is easily forgotten.
fn warn_of_uncommitted(context: &Context, site: &Site) {
    match site.uncommitted() {
        Ok(0) => {}
        Ok(files) => {
            let plural = if files == 1 { "" } else { "s" };
            context.terminal.say(&format!(
                "note: {files} uncommitted file{plural} of yours: the tasks do not see them, and they stay as they are"
            ));
        }
        Err(message) => context.terminal.detail(&format!("cannot tell whether there are uncommitted files: {message}")),
    }
}
