//! Driving a run: showing it, obeying signals, and reporting its end. Shared by `run`, `resume` and `stop`.

mod background;
pub(crate) mod housekeeping;
mod notify;
mod take_over;
mod witnesses;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gadugi_core::run::{Outlook, TaskState};
use gadugi_core::scheduler::{Control, ControlReceiver, control};
use gadugi_core::{Report, Run, RunError, RunId, RunRecord, TaskId, error_chain};

use self::notify::Notices;
use crate::args::DrivingArgs;
use crate::config::Config;
use crate::context::Context;
use crate::executors::TaskLifetime;
use crate::failure::{Code, Failure};
use crate::forecast::outlook;
use crate::signals::{Hangup, Signals};
use crate::site::{Site, WrittenReports, encode_event, output_formats};
use crate::terminal::Terminal;
use crate::view::{View, ViewHandle, ViewState};

pub(crate) use self::background::{Background, Role, role};
pub(crate) use self::take_over::{Purpose, TakeOver, TakeOverSettings, take_over};
pub(crate) use self::witnesses::Witnesses;

/// The audience of a run while it is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    People,
    /// Programs, which get JSON, and people.
    Programs,
    /// None: the command prints the outcomes in its own words.
    Nobody,
}

impl Audience {
    pub(crate) fn asked_for(args: &DrivingArgs) -> Self {
        if args.json { Self::Programs } else { Self::People }
    }
}

/// Passes the requests of other processes to the control of the run.
type Requests = Arc<dyn Fn(&Control) + Send + Sync>;

/// A process that is about to drive a run. Signals are received from its beginning on, before there is a run
/// to stop.
pub(crate) struct Driver {
    site: Arc<Site>,
    terminal: Terminal,
    control: Control,
    receiver: ControlReceiver,
    run: Arc<OnceLock<RunId>>,
    requests: Requests,
    signals: Signals,
    audience: Audience,
    background: Option<Background>,
    notices: Option<Notices>,
}

/// A run that was driven to its end, or until its registry failed.
struct Driven {
    record: RunRecord,
    failure: Option<Failure>,
    views: Vec<View>,
}

impl Driver {
    /// Starts to receive signals, and leaves the current folder.
    pub(crate) fn new(
        context: &Context,
        site: Arc<Site>,
        audience: Audience,
        lifetime: TaskLifetime,
        background: Option<Background>,
    ) -> Result<Self, Failure> {
        // The current folder may be a worktree, which may be removed during the run, and from a folder that is gone no
        // repository can be opened.
        let folder = site.git_folder();
        let moved = std::env::set_current_dir(folder);
        moved.map_err(|error| Failure::environment(format!("cannot go to {}: {error}", folder.display())))?;
        let terminal = context.terminal.clone();
        let (control, receiver) = control();
        let run = Arc::new(OnceLock::new());
        let requests: Requests = Arc::new(site.stop_requests(Arc::clone(&run), terminal.clone()));
        let on_request = Arc::clone(&requests);
        let hangup = if lifetime == TaskLifetime::OfParent { Hangup::Stops } else { Hangup::Ignored };
        let signals = Signals::receive(control.clone(), hangup, move |control| on_request(control))?;
        Ok(Self { site, terminal, control, receiver, run, requests, signals, audience, background, notices: None })
    }

    /// Claims the run that this process has the lock of, and announces it. A process in the background leaves its terminal
    /// now: everything that can be wrong at the start was checked.
    pub(crate) fn claim(&mut self, run: &RunId, sentence: &str) -> Result<(), Failure> {
        self.run.get_or_init(|| run.clone());
        // A request may have been left between the moment when the run was this process's and now.
        (self.requests)(&self.control);
        if self.audience != Audience::Nobody {
            self.terminal.say(sentence);
        }
        if self.site.is_busy() {
            self.terminal.say("another gadugi changes the worktrees of this repository now; the tasks wait for it");
        }
        match self.background.take() {
            Some(background) => background.leave_terminal(&self.terminal, run, &self.site.run_folder(run)),
            None => Ok(()),
        }
    }

    /// Starts to send notices of the claimed run, if the configuration asks for them.
    pub(crate) fn notify(&mut self, config: &Config) {
        let run = self.run.get().map(ToString::to_string);
        self.notices = run.and_then(|run| Notices::start(config, &self.terminal, run));
    }

    /// Requests the run to stop before it is driven.
    pub(crate) fn stop_at_once(&self, now: bool) {
        self.control.stop_all(now);
    }

    /// Waits for work that may take long, such as for the lock of the repository; `None` after an interrupt.
    pub(crate) async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.signals.interrupted() => None,
        }
    }

    /// Drives the run to its end and prints the report. `record` is the part that was shown before.
    pub(crate) async fn drive_and_report(
        mut self,
        run: Run,
        record: RunRecord,
        estimates: HashMap<TaskId, Duration>,
    ) -> Result<Code, Failure> {
        let driven = self.drive(run, record, estimates).await;
        self.leave_deletion(&driven);
        let Some(Driven { record, failure, views }) = driven? else { return Ok(Code::Interrupted) };
        let code = exit_code(&record);
        let with_report = self.audience == Audience::People;
        let notices = self.notices.take();
        let known = notices.is_some().then(|| record.clone());
        let Some(outlook) = self.outlook(&record).await else { return Ok(Code::Interrupted) };
        let shown = tokio::task::spawn_blocking({
            let (terminal, site) = (self.terminal.clone(), Arc::clone(&self.site));
            move || show_end(&terminal, &site, &Report::from(record).with_outlook(outlook), views, with_report)
        });
        // A reader that does not read must not keep the command from ending.
        tokio::select! {
            _ = shown => {}
            () = self.signals.interrupted() => return Ok(Code::Interrupted),
        }
        if let Some((notices, record)) = notices.zip(known) {
            tokio::select! {
                () = notices.finish(&record, failure.as_ref().map_or(code, |failure| failure.code)) => {}
                () = self.signals.interrupted() => {}
            }
        }
        failure.map_or(Ok(code), Err)
    }

    /// Drives the run to its end and writes its reports; `None` when the user left before.
    pub(crate) async fn drive_quietly(mut self, run: Run, record: RunRecord) -> Result<Option<RunRecord>, Failure> {
        let driven = self.drive(run, record, HashMap::new()).await;
        self.leave_deletion(&driven);
        let Some(Driven { record, failure, .. }) = driven? else { return Ok(None) };
        let Some(outlook) = self.outlook(&record).await else { return Ok(None) };
        keep_reports(&self.terminal, &self.site, &Report::from(record.clone()).with_outlook(outlook));
        failure.map_or(Ok(Some(record)), Err)
    }

    /// What the branches of a run that is over can be merged as, if that can be told; `None` after an interrupt.
    async fn outlook(&self, record: &RunRecord) -> Option<Option<Outlook>> {
        let Some(worktrees) = self.site.known_worktrees() else { return Some(None) };
        self.unless_interrupted(outlook(&self.site, &worktrees, record)).await
    }

    /// Lets another process delete the worktrees that the run has released. That waits for worktrees that are being created or removed,
    /// so it is left out when the user has left.
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
        if self.audience != Audience::Nobody {
            let folder = self.site.attempt_folders(&id);
            let state = ViewState { record, estimates, folder, formats: output_formats(), drives: true };
            let (view, sink) = View::for_people(self.terminal.clone(), state)?;
            view.announce_for(&self.site.announcer);
            views.push(view);
            run = run.sink(sink);
        }
        if self.audience == Audience::Programs {
            let (view, sink) = View::for_programs(self.terminal.clone(), encode_event)?;
            views.push(view);
            run = run.sink(sink);
        }
        if let Some(notices) = &self.notices {
            run = run.sink(notices.sink());
        }
        let handles: Vec<_> = views.iter().map(View::handle).collect();
        let clear = move || handles.iter().for_each(ViewHandle::clear);
        self.signals.suspend_with(self.control.clone(), clear)?;
        let (_, unused) = control();
        let receiver = std::mem::replace(&mut self.receiver, unused);
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

/// Writes the reports and prints the one for people, after the views have ended. The tasks are over: an error here
/// changes neither their outcomes nor the exit code.
fn show_end(terminal: &Terminal, site: &Site, report: &Report, views: Vec<View>, with_report: bool) {
    views.into_iter().for_each(View::finish);
    let kept = keep_reports(terminal, site, report);
    if !with_report {
        return;
    }
    // It is rendered once: for a long run that takes a while.
    let kept = kept.and_then(|kept| std::fs::read_to_string(kept.markdown).ok());
    if let Err(error) = terminal.result(&kept.unwrap_or_else(|| site.markdown(report))) {
        Failure::from(error).print(terminal);
    }
}

/// Writes the reports into the folder of the run; `None`, with a warning, if that fails.
pub(crate) fn keep_reports(terminal: &Terminal, site: &Site, report: &Report) -> Option<WrittenReports> {
    let kept = site.write_reports(report);
    if let Err(error) = &kept {
        terminal.say(&format!("warning: the report could not be kept: {}", error_chain(error)));
    }
    kept.ok()
}

/// The exit code of a command that has seen a run to its end.
pub(crate) fn exit_code(record: &RunRecord) -> Code {
    let succeeded = |state: &TaskState| matches!(state, TaskState::Finished(outcome) if outcome.success());
    match record.ended {
        Some((_, true)) => Code::Interrupted,
        _ if record.tasks.iter().all(|task| succeeded(&task.state)) => Code::Success,
        _ => Code::TaskFailed,
    }
}
