//! `gadugi run`.

use std::sync::Arc;

use gadugi_core::{
    Executor, Registry, RegistryError, Run, RunHeader, RunId, RunLog, RunRecord, WarningKind, Worktrees, error_chain,
};
use jiff::Timestamp;

use super::background::{self, Place};
use super::driving::{Driving, Show};
use super::room::{self, Crowd};
use super::{budgets, image, programs};
use crate::args::RunArgs;
use crate::compose::{self, Site};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::terminal::Terminal;

pub(super) async fn run(context: &Context, args: &RunArgs) -> Result<Code, Failure> {
    let background = match background::place(context, args.driving.detach).await? {
        Place::Drive(background) => background,
        Place::Left(code) => return Ok(code),
    };
    let terminal = &context.terminal;
    let site = Arc::new(Site::open(&context.surroundings)?);
    let config = prepare::config(context, &site, Some(&args.tasks))?;
    let mut plan = prepare::plan(context, &config, &args.tasks)?;
    let base = site.base(&config)?;
    site.check_branches(&config)?;
    let estimates = site.registry.earlier_durations(None)?;
    if let Some(room) = room::look(context, &site, &config, &base.commit)? {
        room::check(context, &room, Crowd::of(&plan, &config, &estimates), &config, args.force)?;
    }
    if args.pull {
        image::fetch_missing(context, &site, &config, &plan).await?;
    }
    let die_with_parent = args.driving.die_with_parent;
    let chosen = compose::choose_executor(context, &site, &config, &mut plan, die_with_parent).await?;
    prepare::place_agents(context, &mut plan, &chosen, &config, args.tasks.unsafe_host)?;
    programs::require(context, plan.tasks().iter().map(|task| &task.spec), &chosen, &config)?;
    let worktrees = site.worktrees(&context.surroundings, &config, &base.commit)?;
    warn_of_uncommitted(context, &site);
    let (base, base_name, moment) = (Some(base.commit), Some(base.name), compose::moment());
    let executor = Some(chosen.name().to_owned());
    let mut header = RunHeader { base, base_name, moment, executor, ..RunHeader::new(plan, config.run_settings()) };
    let show = Show::asked_for(&args.driving);
    let mut driving = Driving::begin(context, Arc::clone(&site), show, die_with_parent, background)?;
    let log = create_run(&site, &mut header).await?;
    let plural = if header.plan.tasks().len() == 1 { "" } else { "s" };
    driving.takes(&header.run, &format!("run {}: {} task{plural}", header.run, header.plan.tasks().len()))?;
    driving.notify(&config);
    // What a crash left half made would only be in the way. It may have to wait for another gadugi.
    let prune = tokio::spawn(prune(Arc::clone(&worktrees), terminal.clone()));
    let collect = tokio::spawn(collect(Arc::clone(&site), chosen.those_that_run(&header.plan), terminal.clone()));
    let mut warnings = chosen.warnings().to_vec();
    warnings.extend(budgets::not_held(&header.plan, &config).into_iter().map(|what| (WarningKind::NotHeld, what)));
    let reason = chosen.reason().to_owned();
    let record = RunRecord::new(header.clone());
    let run = Run::new(header, chosen.into_executors(), worktrees, log)
        .reason(reason)
        .output_formats(compose::output_formats());
    let run = warnings.into_iter().fold(run, |run, (kind, message)| run.warning(kind, message));
    let code = driving.report(run, record, estimates).await;
    prune.abort();
    collect.abort();
    code
}

/// Clears away what a crash has left half made; never a reason not to go on.
pub(super) async fn prune(worktrees: Arc<dyn Worktrees>, terminal: Terminal) {
    if let Err(error) = worktrees.prune(false).await {
        terminal.detail(&error_chain(&error));
    }
}

/// Clears away what runs that are over have left with the executors of this one; never a reason not to go on.
pub(super) async fn collect(site: Arc<Site>, executors: Vec<Arc<dyn Executor>>, terminal: Terminal) {
    let (removed, collected) = compose::collect(&site, &executors).await;
    removed.iter().for_each(|what| terminal.detail(&format!("removed {what}")));
    if let Err(failure) = collected {
        terminal.detail(&failure.texts().0);
    }
}

/// Makes the run in the registry, with a later id where another run has begun at the very same time.
async fn create_run(site: &Site, header: &mut RunHeader) -> Result<Box<dyn RunLog>, Failure> {
    loop {
        match site.registry.create(header).await {
            Err(RegistryError::Held { .. }) => {
                header.created = Timestamp::now();
                header.moment = compose::moment();
                header.run = RunId::new(header.created);
            }
            result => return Ok(result?),
        }
    }
}

/// Tasks see only what is committed; that is easily forgotten.
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
