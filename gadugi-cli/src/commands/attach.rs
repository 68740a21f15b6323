//! `gadugi attach`: the view of a run that another process drives, or nobody.

use std::sync::Arc;
use std::time::Duration;

use gadugi_core::{Event, EventSink, Executor, Report, RunRecord};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval};

use super::driving::code_of;
use crate::activity::{ASK_AGAIN, Activity};
use crate::args::AttachArgs;
use crate::compose::Site;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::runs::{LoadedRun, process_name};
use crate::view::{Scene, View};

/// How often the journal is looked at. Polling works on every file system.
const TICK: Duration = Duration::from_millis(50);

/// The views, and the sinks that feed them.
struct Shown {
    views: Vec<View>,
    sinks: Vec<Box<dyn EventSink>>,
}

/// How following a run ended.
enum End {
    /// With the run.
    Over,
    /// Nobody drives the run, and nothing of it runs.
    Still,
    Interrupted,
}

pub(super) async fn attach(context: &Context, args: &AttachArgs) -> Result<Code, Failure> {
    let terminal = &context.terminal;
    let site = Site::open(&context.surroundings)?;
    let id = site.find_or_unfinished(context, args.run.as_deref()).await?;
    let unheard = |error| Failure::environment(format!("cannot listen to signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut run = site.follow(&id).await?;
    for damage in &run.run().damage {
        terminal.say(&format!("warning: {damage}"));
    }
    // Of a run that is over nothing goes on, so there is nothing to show but its report.
    let show_people = run.run().record.ended.is_none();
    let mut shown = Shown::begin(context, &site, &run.run().record, show_people, args.json)?;
    run.tell_past(|events| shown.take(events))?;
    let mut told = false;
    let (mut witnesses, mut last_asked) = (None, None);
    let mut ticks = interval(TICK);
    let end = loop {
        let seen = run.run();
        if seen.record.ended.is_some() {
            break End::Over;
        }
        let is_due = last_asked.is_none_or(|last: Instant| last.elapsed() >= ASK_AGAIN);
        if seen.driven {
            (told, last_asked) = (false, None);
        } else if is_due {
            let executors = witnesses.get_or_insert_with(|| prepare::witnesses(context, &site));
            let running = tokio::select! {
                running = running(&site, executors, seen) => running,
                () = heard(&mut interrupt) => break End::Interrupted,
                () = heard(&mut terminate) => break End::Interrupted,
            };
            let Some(running) = running else { break End::Still };
            last_asked = Some(Instant::now());
            if !told {
                let tasks = running.join(", ");
                shown.say(&format!(
                    "nobody drives run {id}, and its tasks go on ({tasks}); `gadugi resume {id}` takes it over"
                ));
                told = true;
            }
        }
        tokio::select! {
            _ = ticks.tick() => {}
            () = heard(&mut interrupt) => break End::Interrupted,
            () = heard(&mut terminate) => break End::Interrupted,
        }
        shown.take(&run.read_on().await?);
    };
    let record = &run.run().record;
    let report = matches!(end, End::Over).then(|| site.markdown(&Report::from(record.clone())));
    let printed = tokio::task::spawn_blocking({
        let (terminal, report) = (terminal.clone(), report.filter(|_| !args.json));
        move || {
            shown.finish();
            report.map_or(Ok(()), |report| terminal.result(&report))
        }
    });
    tokio::select! {
        printed = printed => printed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?,
        // A reader that does not read must not keep the command from ending.
        () = heard(&mut interrupt) => return Ok(Code::Interrupted),
        () = heard(&mut terminate) => return Ok(Code::Interrupted),
    }
    match end {
        End::Over => Ok(code_of(record)),
        End::Still => {
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

/// The tasks whose commands still run, with their processes; what nobody can tell may run. `None` when none does.
async fn running(site: &Site, executors: &[Arc<dyn Executor>], run: &LoadedRun) -> Option<Vec<String>> {
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
    Some(running).filter(|running| !running.is_empty())
}

async fn heard(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // The runtime is going down: nothing will be heard any more.
        std::future::pending::<()>().await;
    }
}

impl Shown {
    fn begin(
        context: &Context,
        site: &Site,
        record: &RunRecord,
        to_people: bool,
        to_programs: bool,
    ) -> Result<Self, Failure> {
        let mut shown = Self { views: Vec::new(), sinks: Vec::new() };
        if to_people {
            let header = record.header.clone();
            let folder = site.attempt_folders(&header.run);
            let estimates = site.registry.earlier_durations(Some(&header.run))?;
            let scene = Scene { record: RunRecord::new(header), estimates, folder, drives: false };
            shown.add(View::for_people(context.terminal.clone(), scene)?);
        }
        if to_programs {
            shown.add(View::for_programs(context.terminal.clone())?);
        }
        Ok(shown)
    }

    fn add(&mut self, (view, sink): (View, Box<dyn EventSink>)) {
        self.views.push(view);
        self.sinks.push(sink);
    }

    fn say(&self, text: &str) {
        self.views.iter().for_each(|view| view.say(text.to_owned()));
    }

    /// A view that takes no more is left out from then on.
    fn take(&mut self, events: &[Event]) {
        for event in events {
            self.sinks.retain_mut(|sink| sink.on_event(event).is_ok());
        }
    }

    fn finish(self) {
        self.views.into_iter().for_each(View::finish);
    }
}
