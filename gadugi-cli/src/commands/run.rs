//! `gadugi run`.

use std::sync::Arc;

use gadugi_core::{
    Event, EventSink, Outcome, Registry, RegistryError, Report, Run, RunError, RunHeader, RunId, RunLog, RunRecord,
    TaskState, control, error_chain,
};
use jiff::Timestamp;

use super::{Context, tasks};
use crate::args::RunArgs;
use crate::compose::{self, Site};
use crate::failure::{Code, Failure};
use crate::signals::Signals;
use crate::view::View;

pub(super) async fn run(context: &Context, args: &RunArgs) -> Result<Code, Failure> {
    let terminal = &context.terminal;
    let site = Site::open(&context.surroundings)?;
    let config = tasks::config(context, &site, Some(&args.tasks))?;
    let plan = tasks::plan(context, &config, &args.tasks)?;
    let base = site.base(&config)?;
    let chosen = compose::choose_executor(context, &config, &plan).await?;
    let worktrees = site.worktrees(&context.surroundings, &config, &base.commit)?;
    warn_of_uncommitted(context, &site);
    let base_name = Some(base.name);
    let mut header = RunHeader { base: Some(base.commit), base_name, ..RunHeader::new(plan, config.run_settings()) };
    let estimates = site.registry.earlier_durations()?;
    let log = create_run(&site, &mut header).await?;
    let run_id = header.run.clone();
    // What a crash left half made would only be in the way.
    if let Err(error) = worktrees.prune(false).await {
        terminal.detail(&error_chain(&error));
    }
    terminal.say(&format!("run {run_id}: {} tasks", header.plan.tasks().len()));
    let (control, receiver) = control();
    let requests = compose::stop_requests(Arc::clone(&site.registry), run_id.clone(), terminal.clone());
    let signals = Signals::listen(terminal.clone(), control, requests);
    let signals = signals.map_err(|error| Failure::environment(format!("cannot listen to signals: {error}")))?;
    let reason = chosen.reason().to_owned();
    let mut run =
        Run::new(header.clone(), chosen.into_executors(), worktrees, log).reason(reason).estimates(estimates.clone());
    let folder = site.attempt_folders(&run_id);
    let (view, sink) = View::begin(terminal, header, estimates, folder);
    run = run.sink(sink);
    if args.json {
        run = run.sink(json_lines(terminal.clone()));
    }
    let driven = run.drive(receiver).await;
    drop(signals);
    view.finish().await;
    let (record, failure) = match driven {
        Ok(record) => (record, None),
        Err(RunError::Registry { record, source }) => {
            let failure = Failure::from(RunError::Registry { record: record.clone(), source });
            (*record, Some(failure))
        }
        Err(error) => return Err(error.into()),
    };
    let code = code(&record);
    let report = Report::from(record);
    if let Err(error) = site.write_reports(&report) {
        terminal.say(&format!("warning: the report could not be kept: {}", error_chain(&error)));
    }
    if !args.json {
        terminal.result(&site.markdown(&report))?;
    }
    failure.map_or(Ok(code), Err)
}

/// Makes the run in the registry, with a later id where another run has begun at the very same time.
async fn create_run(site: &Site, header: &mut RunHeader) -> Result<Box<dyn RunLog>, Failure> {
    loop {
        match site.registry.create(header).await {
            Err(RegistryError::Held { .. }) => {
                header.created = Timestamp::now();
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

fn json_lines(terminal: crate::terminal::Terminal) -> Box<dyn EventSink> {
    let sink = move |event: &Event| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(terminal.result(&(compose::event_line(event)? + "\n"))?)
    };
    Box::new(sink)
}

fn code(record: &RunRecord) -> Code {
    let succeeded = |state: &TaskState| matches!(state, TaskState::Finished(Outcome::Succeeded));
    match record.ended {
        Some((_, true)) => Code::Interrupted,
        _ if record.tasks.iter().all(|task| succeeded(&task.state)) => Code::Success,
        _ => Code::TaskFailed,
    }
}
