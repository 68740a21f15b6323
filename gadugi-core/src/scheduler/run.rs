//! A run that is about to be driven.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::OutputFormats;
use crate::executor::Executors;
use crate::id::TaskId;
use crate::registry::{EventSink, RunHistory, RunLog};
use crate::run::{RunHeader, RunRecord, WarningKind};
use crate::scheduler::control::ControlReceiver;
use crate::scheduler::dispatcher::recover::{Beginning, Resumption};
use crate::scheduler::dispatcher::{Dispatcher, Plugins};
use crate::scheduler::error::RunError;
use crate::time::Moment;
use crate::worktrees::Worktrees;

/// A run that is about to be driven.
///
/// Dropping the future of [`drive`](Run::drive) lets go of the run: commands that were started go on, and
/// nobody records their end. To end a run, use its [`Control`](crate::Control).
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
    /// Puts a run together. `log` is what [`Registry::create`](crate::Registry::create) gave for this header.
    pub fn new(header: RunHeader, executors: Executors, worktrees: Arc<dyn Worktrees>, log: Box<dyn RunLog>) -> Self {
        Self::of(RunRecord::new(header), 0, None, executors, worktrees, log)
    }

    /// Takes over a run whose driver has ended: its commands that still run are looked after, those that have
    /// ended are recorded, and the rest is started. `history` and `log` are what
    /// [`Registry::resume`](crate::Registry::resume) gave; `moment` is now, where the caller knows it. The
    /// default executor should be the one that the history tells of.
    pub fn resume(
        history: RunHistory,
        moment: Option<Moment>,
        executors: Executors,
        worktrees: Arc<dyn Worktrees>,
        log: Box<dyn RunLog>,
    ) -> Self {
        Self::of(history.record, history.last, Some(Resumption { moment }), executors, worktrees, log)
    }

    fn of(
        record: RunRecord,
        seq: u64,
        resumption: Option<Resumption>,
        executors: Executors,
        worktrees: Arc<dyn Worktrees>,
        log: Box<dyn RunLog>,
    ) -> Self {
        let reason = "as asked".to_owned();
        let (sinks, estimates, warnings) = (Vec::new(), HashMap::new(), Vec::new());
        let formats = OutputFormats::new();
        Self { record, seq, resumption, executors, reason, worktrees, log, sinks, estimates, warnings, formats }
    }

    /// Says why the default executor is what it is; stands in the journal and in the report.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Adds a listener.
    pub fn sink(mut self, sink: Box<dyn EventSink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Adds a warning that is known before the run begins; it stands in the journal and in the report.
    pub fn warning(mut self, kind: WarningKind, message: impl Into<String>) -> Self {
        self.warnings.push((kind, message.into()));
        self
    }

    /// How long tasks took in earlier runs. Longer chains are started first.
    pub fn estimates(mut self, estimates: HashMap<TaskId, Duration>) -> Self {
        self.estimates = estimates;
        self
    }

    /// Reads what agents print by these formats.
    pub fn output_formats(mut self, formats: OutputFormats) -> Self {
        self.formats = formats;
        self
    }

    /// Drives the run until every task has ended, and gives its record.
    ///
    /// Needs a Tokio runtime with its timer on.
    ///
    /// # Errors
    /// [`RunError`]. That tasks fail is no error; the record tells.
    pub async fn drive(self, control: ControlReceiver) -> Result<RunRecord, RunError> {
        for task in self.record.header.plan.tasks() {
            if let Some(executor) = &task.spec.executor
                && self.executors.get(Some(executor)).is_none()
            {
                return Err(RunError::UnknownExecutor {
                    task: task.spec.id.clone(),
                    executor: executor.clone(),
                    at: task.spec.source.clone(),
                });
            }
            if let Some(agent) = &task.spec.action.agent
                && !self.formats.contains_key(&agent.output)
            {
                let (task, at) = (task.spec.id.clone(), task.spec.source.clone());
                return Err(RunError::UnknownFormat { task, format: agent.output.clone(), at });
            }
        }
        let Self { record, seq, executors, worktrees, log, sinks, estimates, formats, .. } = self;
        let plugins = Plugins { executors, worktrees, formats };
        let (dispatcher, inbox) = Dispatcher::new(record, plugins, log, sinks, &estimates, seq);
        let beginning = Beginning { reason: self.reason, warnings: self.warnings, resumption: self.resumption };
        dispatcher.drive(inbox, control, beginning).await
    }
}
