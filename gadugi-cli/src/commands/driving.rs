//! What `run` and `resume` do alike: drive a run that is theirs, show it, obey signals, and report.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gadugi_core::{
    Control, ControlReceiver, Report, Run, RunError, RunId, RunRecord, TaskId, TaskState, control, error_chain,
};

use super::background::Background;
use super::notices::Notices;
use crate::args::DrivingArgs;
use crate::compose::{self, Site, WrittenReports};
use crate::config::Config;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::signals::Signals;
use crate::terminal::Terminal;
use crate::view::{Scene, View};

/// What is shown of a run while it is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    ToPeople,
    /// To people and, as JSON, to programs.
    ToPrograms,
    /// Nothing, for whoever tells of it in other words.
    Nothing,
}

impl Show {
    pub(super) fn asked_for(args: &DrivingArgs) -> Self {
        if args.json { Self::ToPrograms } else { Self::ToPeople }
    }
}

/// Hands on what others have asked of the run.
type Requests = Arc<dyn Fn(&Control) + Send + Sync>;

/// A process that is about to drive a run. Signals are heard from its beginning on, before there is a run
/// that somebody could want to stop.
pub(super) struct Driving {
    site: Arc<Site>,
    terminal: Terminal,
    control: Control,
    receiver: ControlReceiver,
    run: Arc<OnceLock<RunId>>,
    requests: Requests,
    signals: Signals,
    show: Show,
    background: Option<Background>,
    notices: Option<Notices>,
}

/// A run that was driven to its end, or as far as its registry let it.
struct Driven {
    record: RunRecord,
    failure: Option<Failure>,
    views: Vec<View>,
}

impl Driving {
    pub(super) fn begin(
        context: &Context,
        site: Arc<Site>,
        show: Show,
        die_with_parent: bool,
        background: Option<Background>,
    ) -> Result<Self, Failure> {
        // Whoever began this in a worktree cannot know when that goes, and from a folder that is gone no
        // repository can be opened.
        let folder = site.git_folder();
        let moved = std::env::set_current_dir(folder);
        moved.map_err(|error| Failure::environment(format!("cannot go to {}: {error}", folder.display())))?;
        let terminal = context.terminal.clone();
        let (control, receiver) = control();
        let run = Arc::new(OnceLock::new());
        let requests: Requests =
            Arc::new(compose::stop_requests(Arc::clone(&site.registry), Arc::clone(&run), terminal.clone()));
        let heard = Arc::clone(&requests);
        let signals = Signals::listen(control.clone(), die_with_parent, move |control| heard(control));
        let signals = signals.map_err(unheard)?;
        Ok(Self { site, terminal, control, receiver, run, requests, signals, show, background, notices: None })
    }

    /// Tells of the run that this process has the lock of. A process in the background leaves its terminal
    /// now: everything that can be wrong at the start has been looked at.
    pub(super) fn takes(&mut self, run: &RunId, sentence: &str) -> Result<(), Failure> {
        self.run.get_or_init(|| run.clone());
        // Somebody may have left one between the moment when the run was this process's and now.
        (self.requests)(&self.control);
        if self.show != Show::Nothing {
            self.terminal.say(sentence);
        }
        if self.site.is_busy() {
            self.terminal.say("another gadugi changes the worktrees of this repository now; the tasks wait for it");
        }
        match self.background.take() {
            Some(background) => background.leave_terminal(&self.terminal, run, &self.site.registry.run_folder(run)),
            None => Ok(()),
        }
    }

    /// Gives notice of the run that it takes, as far as the configuration asks for it.
    pub(super) fn notify(&mut self, config: &Config) {
        let run = self.run.get().map(ToString::to_string);
        self.notices = run.and_then(|run| Notices::begin(config, &self.terminal, run));
    }

    /// Asks the run to stop before it has begun.
    pub(super) fn stop_at_once(&self, now: bool) {
        self.control.stop_all(now);
    }

    /// Waits for something that may take long, such as the lock of the repository; `None` when somebody has
    /// interrupted it.
    pub(super) async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.signals.interrupted() => None,
        }
    }

    /// Drives the run to its end and prints the report. `record` is what is known of it and not shown again.
    pub(super) async fn report(
        mut self,
        run: Run,
        record: RunRecord,
        estimates: HashMap<TaskId, Duration>,
    ) -> Result<Code, Failure> {
        let driven = self.drive(run, record, estimates).await;
        self.leave_deletion(&driven);
        let Some(Driven { record, failure, views }) = driven? else { return Ok(Code::Interrupted) };
        let code = code_of(&record);
        let with_report = self.show == Show::ToPeople;
        let notices = self.notices.take();
        let known = notices.is_some().then(|| record.clone());
        let shown = tokio::task::spawn_blocking({
            let (terminal, site) = (self.terminal.clone(), Arc::clone(&self.site));
            move || show_end(&terminal, &site, &Report::from(record), views, with_report)
        });
        // A reader that does not read must not keep the command from ending.
        tokio::select! {
            _ = shown => {}
            () = self.signals.interrupted() => return Ok(Code::Interrupted),
        }
        if let Some((notices, record)) = notices.zip(known) {
            tokio::select! {
                () = notices.end(&record, failure.as_ref().map_or(code, |failure| failure.code)) => {}
                () = self.signals.interrupted() => {}
            }
        }
        failure.map_or(Ok(code), Err)
    }

    /// Drives the run to its end and keeps its reports; `None` when somebody did not want to wait for it.
    pub(super) async fn quietly(mut self, run: Run, record: RunRecord) -> Result<Option<RunRecord>, Failure> {
        let driven = self.drive(run, record, HashMap::new()).await;
        self.leave_deletion(&driven);
        let Some(Driven { record, failure, .. }) = driven? else { return Ok(None) };
        keep_reports(&self.terminal, &self.site, &Report::from(record.clone()));
        failure.map_or(Ok(Some(record)), Err)
    }

    /// Lets another process delete what the run has given back. That waits for worktrees that are being made or removed, which
    /// is not done for a user who has left.
    fn leave_deletion(&self, driven: &Result<Option<Driven>, Failure>) {
        if !matches!(driven, Ok(None)) {
            self.site.leave_deletion(&self.terminal);
        }
    }

    async fn drive(
        &mut self,
        run: Run,
        record: RunRecord,
        estimates: HashMap<TaskId, Duration>,
    ) -> Result<Option<Driven>, Failure> {
        let id = record.header.run.clone();
        let mut run = run.estimates(estimates.clone());
        let mut views = Vec::new();
        if self.show != Show::Nothing {
            let folder = self.site.attempt_folders(&id);
            let scene = Scene { record, estimates, folder, drives: true };
            let (view, sink) = View::for_people(self.terminal.clone(), scene)?;
            view.announce_for(&self.site.announcer);
            views.push(view);
            run = run.sink(sink);
        }
        if self.show == Show::ToPrograms {
            let (view, sink) = View::for_programs(self.terminal.clone())?;
            views.push(view);
            run = run.sink(sink);
        }
        if let Some(notices) = &self.notices {
            run = run.sink(notices.sink());
        }
        let curtains: Vec<_> = views.iter().map(View::curtain).collect();
        let clear = move || curtains.iter().for_each(|curtain| curtain.draw());
        self.signals.suspend_with(self.control.clone(), clear).map_err(unheard)?;
        let (_, nobody) = control();
        let receiver = std::mem::replace(&mut self.receiver, nobody);
        // A task of its own, so that this one can leave without waiting for what it does.
        let driver = tokio::spawn(run.drive(receiver));
        let driven = tokio::select! {
            driven = driver => driven,
            () = self.signals.third_interrupt() => {
                views.into_iter().for_each(View::finish);
                self.terminal.insist(&format!(
                    "left run {id} before it was over; what was killed ends without this process"
                ));
                self.terminal.insist(&format!("hint: `gadugi resume {id}` records how it ended"));
                return Ok(None);
            }
        };
        let driven = driven.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let (record, failure) = match driven {
            Ok(record) => (record, None),
            Err(RunError::Registry { record, source }) => {
                let failure = Failure::from(RunError::Registry { record: record.clone(), source });
                (*record, Some(failure))
            }
            Err(RunError::NoRoom { record, source }) => {
                let failure = Failure::from(RunError::NoRoom { record: record.clone(), source });
                (*record, Some(failure))
            }
            Err(error) => {
                views.into_iter().for_each(View::finish);
                return Err(error.into());
            }
        };
        Ok(Some(Driven { record, failure, views }))
    }
}

fn unheard(error: std::io::Error) -> Failure {
    Failure::environment(format!("cannot listen to signals: {error}"))
}

/// Keeps the reports and prints the one for people, after all that was said before. The tasks are through:
/// what cannot be said or kept now changes nothing of how they ended, and so not the exit code.
fn show_end(terminal: &Terminal, site: &Site, report: &Report, views: Vec<View>, with_report: bool) {
    views.into_iter().for_each(View::finish);
    let kept = keep_reports(terminal, site, report);
    if !with_report {
        return;
    }
    // It is made once: of a long run that takes a while.
    let kept = kept.and_then(|kept| std::fs::read_to_string(kept.markdown).ok());
    if let Err(error) = terminal.result(&kept.unwrap_or_else(|| site.markdown(report))) {
        Failure::from(error).print(terminal);
    }
}

/// Keeps the reports with the run; that they cannot be kept changes nothing of it.
pub(super) fn keep_reports(terminal: &Terminal, site: &Site, report: &Report) -> Option<WrittenReports> {
    let kept = site.write_reports(report);
    if let Err(error) = &kept {
        terminal.say(&format!("warning: the report could not be kept: {}", error_chain(error)));
    }
    kept.ok()
}

/// What a command exits with that has seen a run to its end.
pub(super) fn code_of(record: &RunRecord) -> Code {
    let succeeded = |state: &TaskState| matches!(state, TaskState::Finished(outcome) if outcome.success());
    match record.ended {
        Some((_, true)) => Code::Interrupted,
        _ if record.tasks.iter().all(|task| succeeded(&task.state)) => Code::Success,
        _ => Code::TaskFailed,
    }
}
