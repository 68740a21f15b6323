//! A run that is about to be driven.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument as _, info_span};

use crate::agent::OutputFormats;
use crate::executor::Executors;
use crate::id::TaskId;
use crate::registry::{EventSink, RunHistory, RunLog};
use crate::run::{RunHeader, RunRecord, WarningKind};
use crate::scheduler::control::ControlReceiver;
use crate::scheduler::dispatcher::{Dispatcher, DriverStart, Journal, Plugins, Resumption};
use crate::scheduler::error::RunError;
use crate::time::Moment;
use crate::worktrees::Worktrees;

/// A run that is about to be driven.
///
/// Dropping the future of [`drive`](Run::drive) releases the run: its commands run on, and their end is not recorded. To end a
/// run, use its [`Control`](crate::scheduler::Control).
#[must_use = "a run does nothing until it is driven"]
pub struct Run {
    record: RunRecord,
    seq: u64,
    resumption: Option<Resumption>,
    executors: Executors,
    reason: String,
    worktrees: Arc<dyn Worktrees>,
    log: Box<dyn RunLog>,
    sinks: Vec<Box<dyn EventSink>>,
    estimates: HashMap<TaskId, Duration>,
    warnings: Vec<(WarningKind, String)>,
    formats: OutputFormats,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("run", &self.record.header.run)
            .field("executors", &self.executors)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// A new run. `log` comes from [`Registry::create`](crate::Registry::create) with the same header.
    pub fn new(header: RunHeader, executors: Executors, worktrees: Arc<dyn Worktrees>, log: Box<dyn RunLog>) -> Self {
        Self::of(RunRecord::new(header), executors, worktrees, log)
    }

    /// A run whose driver has died: its running commands are supervised again, the ends of others are recorded, and the rest is
    /// started. `history` and `log` come from [`Registry::resume`](crate::Registry::resume); `moment` is now, where the caller
    /// knows it. The default executor should be the one in the history.
    pub fn resume(
        history: RunHistory,
        moment: Option<Moment>,
        executors: Executors,
        worktrees: Arc<dyn Worktrees>,
        log: Box<dyn RunLog>,
    ) -> Self {
        let run = Self::of(history.record, executors, worktrees, log);
        Self { seq: history.last, resumption: Some(Resumption { moment }), ..run }
    }

    fn of(record: RunRecord, executors: Executors, worktrees: Arc<dyn Worktrees>, log: Box<dyn RunLog>) -> Self {
        Self {
            record,
            seq: 0,
            resumption: None,
            executors,
            reason: "as asked".to_owned(),
            worktrees,
            log,
            sinks: Vec::new(),
            estimates: HashMap::new(),
            warnings: Vec::new(),
            formats: OutputFormats::new(),
        }
    }

    /// Sets the reason for the choice of the default executor, for the journal and the report.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Adds an observer.
    pub fn sink(mut self, sink: Box<dyn EventSink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Adds a warning that is known before the start, for the journal and the report.
    pub fn warning(mut self, kind: WarningKind, message: impl Into<String>) -> Self {
        self.warnings.push((kind, message.into()));
        self
    }

    /// Sets the durations of tasks in earlier runs. Longer chains are started first.
    pub fn estimates(mut self, estimates: HashMap<TaskId, Duration>) -> Self {
        self.estimates = estimates;
        self
    }

    /// Sets the formats of agents' output.
    pub fn output_formats(mut self, formats: OutputFormats) -> Self {
        self.formats = formats;
        self
    }

    /// Drives the run until every task has ended, and returns its record.
    ///
    /// Needs a Tokio runtime with its timer on.
    ///
    /// # Errors
    /// [`RunError`]. Failed tasks are no error; they are in the record.
    pub async fn drive(self, control: ControlReceiver) -> Result<RunRecord, RunError> {
        self.look_up_plugins()?;
        let span = info_span!("run", id = %self.record.header.run);
        let plugins = Plugins { executors: self.executors, worktrees: self.worktrees, formats: self.formats };
        let journal = Journal::new(self.record, self.log, self.sinks, self.seq);
        let (dispatcher, inbox) = Dispatcher::new(journal, plugins, &self.estimates);
        let start = DriverStart { reason: self.reason, warnings: self.warnings, resumption: self.resumption };
        dispatcher.drive(inbox, control, start).instrument(span).await
    }

    /// Checks that all executors and output formats of the plan exist, before anything starts.
    fn look_up_plugins(&self) -> Result<(), RunError> {
        for task in self.record.header.plan.tasks() {
            let (task, at) = (&task.spec, || task.spec.source.clone());
            if let Some(executor) = &task.executor
                && self.executors.get(Some(executor)).is_none()
            {
                return Err(RunError::UnknownExecutor { task: task.id.clone(), executor: executor.clone(), at: at() });
            }
            if let Some(agent) = &task.action.agent
                && !self.formats.contains_key(&agent.output)
            {
                return Err(RunError::UnknownFormat { task: task.id.clone(), format: agent.output.clone(), at: at() });
            }
        }
        Ok(())
    }
}
