//! Drives a plan to its end.
//!
//! One dispatcher owns the state of the run; every attempt is a task of its own and reports to it by
//! messages. The order on disk is: intent, worktree, identity, end. Nothing is done for an attempt before
//! its intent is kept, and no command is started before its worktree is.

mod attempt;
mod control;
mod dispatcher;
mod order;
mod settings;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use self::control::{Control, ControlReceiver, control};
use self::dispatcher::Dispatcher;
pub use self::order::start_order;
pub use self::settings::{KeepPolicy, RunSettings};
use crate::event::WarningKind;
use crate::executor::Executors;
use crate::id::TaskId;
use crate::record::RunRecord;
use crate::registry::{EventSink, RegistryError, RunHeader, RunLog};
use crate::state::IllegalTransition;
use crate::worktrees::Worktrees;

/// Why a run could not be driven to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A task asks for an executor that the run does not have. Nothing was started.
    #[error("{}: the task `{task}` asks for the executor `{executor}`, which is not there", .at)]
    UnknownExecutor {
        /// The task.
        task: TaskId,
        /// What it asks for.
        executor: String,
        /// Where it says so.
        at: crate::task::SourceLocation,
    },
    /// The registry could not keep a step. What ran at that moment went on to its end, and nothing was
    /// started after it.
    #[error("the registry failed, so the run stopped early")]
    Registry {
        /// What has happened, also what could not be kept.
        record: Box<RunRecord>,
        /// What went wrong first.
        #[source]
        source: RegistryError,
    },
    /// The scheduler contradicted itself: a defect of Gadugi.
    #[error("a defect in the scheduler")]
    Internal {
        /// The contradiction.
        #[source]
        source: IllegalTransition,
    },
}

/// A run that is about to be driven.
///
/// Dropping the future of [`drive`](Run::drive) lets go of the run: commands that were started go on, and
/// nobody records their end. To end a run, use its [`Control`].
#[must_use = "a run does nothing until it is driven"]
pub struct Run {
    header: RunHeader,
    executors: Executors,
    reason: String,
    worktrees: Arc<dyn Worktrees>,
    log: Box<dyn RunLog>,
    sinks: Vec<Box<dyn EventSink>>,
    estimates: HashMap<TaskId, Duration>,
    warnings: Vec<(WarningKind, String)>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("run", &self.header.run).field("executors", &self.executors).finish_non_exhaustive()
    }
}

impl Run {
    /// Puts a run together. `log` is what [`Registry::create`](crate::Registry::create) gave for this header.
    pub fn new(header: RunHeader, executors: Executors, worktrees: Arc<dyn Worktrees>, log: Box<dyn RunLog>) -> Self {
        let reason = "as asked".to_owned();
        let (sinks, estimates, warnings) = (Vec::new(), HashMap::new(), Vec::new());
        Self { header, executors, reason, worktrees, log, sinks, estimates, warnings }
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

    /// Drives the run until every task has ended, and gives its record.
    ///
    /// Needs a Tokio runtime with its timer on.
    ///
    /// # Errors
    /// [`RunError`]. That tasks fail is no error; the record tells.
    pub async fn drive(self, control: ControlReceiver) -> Result<RunRecord, RunError> {
        for task in self.header.plan.tasks() {
            if let Some(executor) = &task.spec.executor
                && self.executors.get(Some(executor)).is_none()
            {
                return Err(RunError::UnknownExecutor {
                    task: task.spec.id.clone(),
                    executor: executor.clone(),
                    at: task.spec.source.clone(),
                });
            }
        }
        let record = RunRecord::new(self.header);
        let (dispatcher, inbox) =
            Dispatcher::new(record, self.executors, self.worktrees, self.log, self.sinks, &self.estimates);
        dispatcher.drive(inbox, control, self.reason, self.warnings).await
    }
}
