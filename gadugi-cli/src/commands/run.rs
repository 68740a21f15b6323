//! `gadugi run`.

use std::sync::{Arc, OnceLock};

use gadugi_core::{
    Outcome, Registry, RegistryError, Report, Run, RunError, RunHeader, RunId, RunLog, RunRecord, TaskState, Worktrees,
    control, error_chain,
};
use jiff::Timestamp;

use super::{Context, tasks};
use crate::args::RunArgs;
use crate::compose::{self, Site};
use crate::failure::{Code, Failure};
use crate::signals::Signals;
use crate::terminal::Terminal;
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
    // Signals are heard before there is a run that somebody could want to stop.
    let (control, receiver) = control();
    let run_id = Arc::new(OnceLock::new());
    let requests = compose::stop_requests(Arc::clone(&site.registry), Arc::clone(&run_id), terminal.clone());
    let signals = Signals::listen(control, requests);
    let signals = signals.map_err(|error| Failure::environment(format!("cannot listen to signals: {error}")))?;
    let log = create_run(&site, &mut header).await?;
    let run_id = run_id.get_or_init(|| header.run.clone());
    let plural = if header.plan.tasks().len() == 1 { "" } else { "s" };
    terminal.say(&format!("run {run_id}: {} task{plural}", header.plan.tasks().len()));
    if site.is_busy() {
        terminal.say("another gadugi changes the worktrees of this repository now; the tasks wait for it");
    }
    // What a crash left half made would only be in the way. It may have to wait for another gadugi.
    let prune = tokio::spawn(prune(Arc::clone(&worktrees), terminal.clone()));
    let folder = site.attempt_folders(run_id);
    let (view, sink) = View::for_people(terminal.clone(), header.clone(), estimates.clone(), folder)?;
    let mut views = vec![view];
    let warnings = chosen.warnings().to_vec();
    let reason = chosen.reason().to_owned();
    let run = Run::new(header, chosen.into_executors(), worktrees, log).reason(reason).estimates(estimates).sink(sink);
    let mut run = warnings.into_iter().fold(run, |run, (kind, message)| run.warning(kind, message));
    if args.json {
        let (view, sink) = View::for_programs(terminal.clone())?;
        views.push(view);
        run = run.sink(sink);
    }
    let driven = run.drive(receiver).await;
    prune.abort();
    let (record, failure) = match driven {
        Ok(record) => (record, None),
        Err(RunError::Registry { record, source }) => {
            let failure = Failure::from(RunError::Registry { record: record.clone(), source });
            (*record, Some(failure))
        }
        Err(error) => return Err(error.into()),
    };
    let code = code(&record);
    let shown = tokio::task::spawn_blocking({
        let (terminal, json) = (terminal.clone(), args.json);
        move || show_end(&terminal, &site, &Report::from(record), views, json)
    });
    // A reader that does not read must not keep the command from ending.
    tokio::select! {
        _ = shown => {}
        () = signals.interrupted() => return Ok(Code::Interrupted),
    }
    failure.map_or(Ok(code), Err)
}

async fn prune(worktrees: Arc<dyn Worktrees>, terminal: Terminal) {
    if let Err(error) = worktrees.prune(false).await {
        terminal.detail(&error_chain(&error));
    }
}

/// Keeps the reports and prints the one for people, after all that was said before. The tasks are through:
/// what cannot be said or kept now changes nothing of how they ended, and so not the exit code.
fn show_end(terminal: &Terminal, site: &Site, report: &Report, views: Vec<View>, json: bool) {
    views.into_iter().for_each(View::finish);
    if let Err(error) = site.write_reports(report) {
        terminal.say(&format!("warning: the report could not be kept: {}", error_chain(&error)));
    }
    if !json && let Err(error) = terminal.result(&site.markdown(report)) {
        Failure::from(error).print(terminal);
    }
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

fn code(record: &RunRecord) -> Code {
    let succeeded = |state: &TaskState| matches!(state, TaskState::Finished(Outcome::Succeeded));
    match record.ended {
        Some((_, true)) => Code::Interrupted,
        _ if record.tasks.iter().all(|task| succeeded(&task.state)) => Code::Success,
        _ => Code::TaskFailed,
    }
}
