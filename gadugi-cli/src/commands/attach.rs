//! `gadugi attach`: the view of a run that another process drives, or none.

use std::sync::Arc;
use std::time::Duration;

use gadugi_core::registry::EventSink;
use gadugi_core::{Event, Executor, Report, RunRecord};
use tokio::time::interval;

use crate::args::AttachArgs;
use crate::context::Context;
use crate::drive::{Witnesses, exit_code};
use crate::failure::{Code, Failure};
use crate::signals::Interrupts;
use crate::site::{Activity, FollowedRun, LoadedRun, Site, encode_event, output_formats, process_name};
use crate::terminal::Terminal;
use crate::view::{View, ViewState};

/// Interval between polls of the journal. Polling works on every file system.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The reason why the view of a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The run is over.
    RunEnded,
    /// No process drives the run, and none of its commands runs.
    Abandoned,
    /// The user has interrupted the view.
    Interrupted,
}

pub(super) async fn attach(context: &Context, args: &AttachArgs) -> Result<Code, Failure> {
    let terminal = &context.terminal;
    let site = Site::open(&context.surroundings)?;
    let id = site.find_or_unfinished(terminal, args.run.as_deref()).await?;
    let mut interrupts = Interrupts::receive()?;
    let mut run = site.follow(&id).await?;
    for damage in &run.run().damage {
        terminal.say(&format!("warning: {damage}"));
    }
    let mut views = Views::start(context, &site, &run.run().record, args)?;
    run.read_past(|events| views.show(events))?;
    let end = watch(context, &site, &mut run, &mut views, &mut interrupts).await?;
    let record = &run.run().record;
    // Programs have read every event, so the report is for people only.
    let report = (end == End::RunEnded && !args.json).then(|| site.markdown(&Report::from(record.clone())));
    if !print_rest(terminal.clone(), views, report, &mut interrupts).await? {
        return Ok(Code::Interrupted);
    }
    match end {
        End::RunEnded => Ok(exit_code(record)),
        End::Abandoned => {
            terminal.insist(&format!(
                "run {id} is not over, nobody drives it, and nothing of it runs\nhint: `gadugi resume {id}` goes on with it"
            ));
            Ok(Code::TaskFailed)
        }
        End::Interrupted => {
            terminal.insist(&format!(
                "left run {id}, which goes on; `gadugi attach {id}` shows it again, `gadugi stop {id}` stops it"
            ));
            Ok(Code::Interrupted)
        }
    }
}

/// Shows events of the run as they come, until one of the reasons to end.
async fn watch(
    context: &Context,
    site: &Site,
    run: &mut FollowedRun<'_>,
    views: &mut Views,
    interrupts: &mut Interrupts,
) -> Result<End, Failure> {
    let id = run.run().record.header.run.clone();
    let mut witnesses = Witnesses::new(context, site);
    let mut announced = false;
    let mut ticks = interval(POLL_INTERVAL);
    loop {
        let seen = run.run();
        if seen.record.ended.is_some() {
            return Ok(End::RunEnded);
        }
        if seen.driven {
            // Should this driver end too, that is found out and announced again.
            announced = false;
            witnesses.reset();
        } else {
            // Without a driver nothing is recorded any more: only the executors know whether something still runs.
            let running = tokio::select! {
                running = witnesses.ask(async |executors| running_tasks(site, executors, seen).await) => running,
                () = interrupts.received() => return Ok(End::Interrupted),
            };
            match running {
                Some(running) if running.is_empty() => return Ok(End::Abandoned),
                Some(running) if !announced => {
                    let tasks = running.join(", ");
                    views.announce(&format!(
                        "nobody drives run {id}, and its tasks go on ({tasks}); `gadugi resume {id}` takes it over"
                    ));
                    announced = true;
                }
                _ => {}
            }
        }
        tokio::select! {
            _ = ticks.tick() => {}
            () = interrupts.received() => return Ok(End::Interrupted),
        }
        views.show(&run.read_on().await?);
    }
}

/// The tasks whose commands still run, with their processes. A command whose executor cannot tell may run.
async fn running_tasks(site: &Site, executors: &[Arc<dyn Executor>], run: &LoadedRun) -> Vec<String> {
    // All questions first, so that the answers come at the same time.
    let asked: Vec<_> =
        run.record.tasks.iter().map(|task| (&task.task.spec.id, site.ask(executors, &run.record, task))).collect();
    let mut running = Vec::new();
    for (id, question) in asked {
        match question.answer().await {
            Activity::Runs { identity, .. } => running.push(format!("{id}: {}", process_name(&identity))),
            Activity::Unknown { why, .. } => running.push(format!("{id}: unknown: {why}")),
            Activity::Still => {}
        }
    }
    running
}

/// Waits until the views have shown everything, and prints the report. Returns `false` if it was interrupted: a reader that does not
/// read must not keep the command from ending.
async fn print_rest(
    terminal: Terminal,
    views: Views,
    report: Option<String>,
    interrupts: &mut Interrupts,
) -> Result<bool, Failure> {
    let printed = tokio::task::spawn_blocking(move || {
        views.finish();
        report.map_or(Ok(()), |report| terminal.result(&report))
    });
    tokio::select! {
        printed = printed => printed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?,
        () = interrupts.received() => return Ok(false),
    }
    Ok(true)
}

/// The views of a run, and the sinks that feed them.
struct Views {
    views: Vec<View>,
    sinks: Vec<Box<dyn EventSink>>,
}

impl Views {
    /// Starts the view for people, unless the run is over and only its report is left to show, and with `--json` the view for programs.
    fn start(context: &Context, site: &Site, record: &RunRecord, args: &AttachArgs) -> Result<Self, Failure> {
        let mut views = Self { views: Vec::new(), sinks: Vec::new() };
        if record.ended.is_none() {
            let header = record.header.clone();
            let folder = site.attempt_folders(&header.run);
            let estimates = site.earlier_durations(Some(&header.run))?;
            let record = RunRecord::new(header);
            let state = ViewState { record, estimates, folder, formats: output_formats(), drives: false };
            views.add(View::for_people(context.terminal.clone(), state)?);
        }
        if args.json {
            views.add(View::for_programs(context.terminal.clone(), encode_event)?);
        }
        Ok(views)
    }

    fn add(&mut self, (view, sink): (View, Box<dyn EventSink>)) {
        self.views.push(view);
        self.sinks.push(sink);
    }

    fn announce(&self, text: &str) {
        self.views.iter().for_each(|view| view.announce(text.to_owned()));
    }

    /// Shows events. A view that takes no more gets no later ones.
    fn show(&mut self, events: &[Event]) {
        for event in events {
            self.sinks.retain_mut(|sink| sink.on_event(event).is_ok());
        }
    }

    fn finish(self) {
        self.views.into_iter().for_each(View::finish);
    }
}
