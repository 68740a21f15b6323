//! `gadugi resume`.

use std::ffi::OsStr;
use std::sync::Arc;

use gadugi_core::{Report, RunRecord};

use crate::args::ResumeArgs;
use crate::context::Context;
use crate::drive::{
    Audience, Driver, Purpose, Role, TakeOver, TakeOverSettings, exit_code, housekeeping, keep_reports, role, take_over,
};
use crate::executors::TaskLifetime;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::site::{LoadedRun, Site};

pub(super) async fn resume(context: &Context, args: &ResumeArgs) -> Result<Code, Failure> {
    let background = match role(context, &args.driving).await? {
        Role::Foreground => None,
        Role::Background(background) => Some(background),
        Role::Parent(code) => return Ok(code),
    };
    let site = Arc::new(Site::open(&context.surroundings)?);
    let seen = site.load_or_unfinished(&context.terminal, args.run.as_deref()).await?;
    if let Some(code) = over(context, &site, &seen.record) {
        housekeeping::delete_leftovers(context, &site).await;
        return Ok(code);
    }
    let config = prepare::config(context, &site, None)?;
    let estimates = site.earlier_durations(Some(&seen.record.header.run))?;
    require_secrets(context, &seen)?;
    let lifetime = TaskLifetime::asked_for(&args.driving);
    let driver = Driver::new(context, Arc::clone(&site), Audience::asked_for(&args.driving), lifetime, background)?;
    let settings = TakeOverSettings { config: &config, lifetime, purpose: Purpose::Resume };
    match take_over(context, &site, seen, driver, settings).await? {
        TakeOver::Ended(record) => {
            site.leave_deletion(&context.terminal);
            Ok(over(context, &site, &record).unwrap_or(Code::Success))
        }
        TakeOver::Ours { mut driver, run, record } => {
            driver.notify(&config);
            driver.drive_and_report(*run, *record, estimates).await
        }
    }
}

/// Prints the outcome of a run that is over and the path of its report.
fn over(context: &Context, site: &Site, record: &RunRecord) -> Option<Code> {
    record.ended?;
    let run = &record.header.run;
    let code = exit_code(record);
    let how = match code {
        Code::Success => "all of its tasks succeeded",
        Code::Interrupted => "it was stopped",
        _ => "not all of its tasks succeeded",
    };
    let report = site.run_folder(run).join("report.md");
    // Its driver may have ended between the end of the run and its report.
    if !report.exists() {
        keep_reports(&context.terminal, site, &Report::from(record.clone()));
    }
    context.terminal.say(&format!("run {run} is over: {how}; its report: {}", report.display()));
    Some(code)
}

/// Checks that the secrets of unfinished tasks are set: their values are not kept with the run.
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
