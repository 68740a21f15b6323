//! `gadugi retry`: a new run of what did not succeed in an earlier one.

mod continuation;
mod plan;
mod selection;

use std::sync::Arc;

use gadugi_core::RunSettings;
use gadugi_core::run::RunLink;

use self::continuation::Continuation;
use self::plan::Given;
use super::run::{NewRun, start};
use crate::args::RetryArgs;
use crate::config::ConfigLayer;
use crate::context::Context;
use crate::drive::{Role, role};
use crate::executors::{TaskLifetime, choose_executor};
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::prepare::disk_space::{self, WorktreeCount};
use crate::site::Site;

pub(super) async fn retry(context: &Context, args: &RetryArgs) -> Result<Code, Failure> {
    let background = match role(context, &args.driving).await? {
        Role::Foreground => None,
        Role::Background(background) => Some(background),
        Role::Parent(code) => return Ok(code),
    };
    let site = Arc::new(Site::open(&context.surroundings)?);
    let (runs, names) = selection::runs(context, &site, &args.what).await?;
    let selection = selection::select(&runs, &names, args.message.is_some())?;
    let task_args = args.as_task_args();
    let mut config = prepare::config(context, &site, Some(&task_args))?;
    let flags = prepare::flags(&task_args)?;
    let header = &runs.latest().record.header;
    if let (None, Some(recorded)) = (&args.executor, &header.executor) {
        // A task that started in a container is not repeated on this machine unasked.
        config.executor.clone_from(recorded);
    }
    let base = site.base(&config)?;
    site.check_branches(&config)?;
    selection.announce(&context.terminal, &runs);
    let given = Given { message: args.message.as_deref(), flags: &flags };
    let mut plan = plan::plan(&site, &runs, &selection, &base.commit, given)?;
    let estimates = site.earlier_durations(None)?;
    if let Some(space) = disk_space::survey(context, &site, &config, &base.commit)? {
        disk_space::check(context, &space, WorktreeCount::of(&plan, &config, &estimates), &config, args.force)?;
    }
    let lifetime = TaskLifetime::asked_for(&args.driving);
    let chosen = choose_executor(context, &site, &config, &mut plan, lifetime).await?;
    prepare::complete_agent_calls(context, &mut plan, &chosen, &config, &task_args)?;
    let terminal = &context.terminal;
    let continuation =
        Continuation { terminal, site: &site, runs: &runs, from: args.from, message: args.message.as_deref() };
    continuation.apply(&mut plan, &chosen).await?;
    let settings = settings(header.settings, &flags);
    let link = Some(RunLink::Retry { run: header.run.clone() });
    let new = NewRun { site, config, plan, base, settings, link, chosen, estimates, merges: false };
    start(context, new, &args.driving, background).await
}

/// The settings of the earlier run, with those that flags of this call change.
fn settings(recorded: RunSettings, flags: &ConfigLayer) -> RunSettings {
    let mut settings = recorded;
    settings.jobs = flags.jobs.unwrap_or(settings.jobs);
    settings.fail_fast = flags.fail_fast.unwrap_or(settings.fail_fast);
    settings.keep = flags.keep.unwrap_or(settings.keep);
    settings.budget.cost_usd = flags.run_max_cost.or(settings.budget.cost_usd);
    settings.budget.tokens = flags.run_max_tokens.or(settings.budget.tokens);
    settings
}
