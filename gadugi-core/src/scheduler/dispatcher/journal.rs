//! The journal of a run: its record, with the log and the observers that every event goes to.

use std::path::PathBuf;

use jiff::Timestamp;
use tracing::debug;

use crate::crash_point::crash_point;
use crate::error_chain::error_chain;
use crate::id::AttemptRef;
use crate::registry::{EventSink, RegistryError, RunLog, Ticket};
use crate::run::{Event, EventKind, RunRecord, WarningKind};
use crate::scheduler::error::RunError;

/// The cause of a stop before the end of the run.
pub(crate) enum StopCause {
    /// An event could not be recorded.
    Registry(RegistryError),
    /// The disk was full or could not be written to.
    NoRoom(Box<dyn std::error::Error + Send + Sync>),
}

impl StopCause {
    /// The word for it in traces.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Registry(_) => "registry",
            Self::NoRoom(_) => "no room",
        }
    }
}

/// The record of a run, and everything that an event is written to.
pub(crate) struct Journal {
    /// The record, folded from all events so far.
    pub(crate) record: RunRecord,
    log: Box<dyn RunLog>,
    sinks: Vec<Box<dyn EventSink>>,
    /// Number of the last event.
    seq: u64,
    /// Tickets of events that the dispatcher itself recorded.
    tickets: Vec<Ticket>,
    /// First failure, after which nothing more can be recorded or made.
    failure: Option<StopCause>,
}

impl Journal {
    /// The journal of a run whose last event has the number `seq`.
    pub(crate) fn new(record: RunRecord, log: Box<dyn RunLog>, sinks: Vec<Box<dyn EventSink>>, seq: u64) -> Self {
        Self { record, log, sinks, seq, tickets: Vec::new(), failure: None }
    }

    /// Applies an event to the record, and hands it to the log and the sinks.
    pub(super) fn emit(&mut self, kind: EventKind) -> Result<Ticket, RunError> {
        self.seq += 1;
        let event = Event { seq: self.seq, at: Timestamp::now(), kind };
        self.record.apply(&event)?;
        let task = event.kind.task();
        let state = task.and_then(|task| self.record.task(task)).map(|task| task.state.word());
        debug!(seq = event.seq, task = task.map(tracing::field::display), state, "{}", event.kind.name());
        let ticket = match &event.kind {
            EventKind::AttemptIntended { .. } => self.log.intent(&event),
            EventKind::CommandStarted { .. } => self.log.started(&event),
            // The end of the run makes everything before it durable, too: a run that was reported as ended is not resumed.
            EventKind::CommandEnded { .. } | EventKind::AttemptEnded { .. } | EventKind::RunEnded { .. } => {
                self.log.ended(&event)
            }
            _ => self.log.note(&event),
        };
        self.show(&event)?;
        Ok(ticket)
    }

    /// Emits an event whose ticket is awaited at the end of the run.
    pub(super) fn note(&mut self, kind: EventKind) -> Result<(), RunError> {
        let ticket = self.emit(kind)?;
        self.tickets.push(ticket);
        Ok(())
    }

    /// Shows an event to the sinks. One that fails is dropped, with a warning for the others.
    fn show(&mut self, event: &Event) -> Result<(), RunError> {
        let mut failed = Vec::new();
        self.sinks.retain_mut(|sink| match sink.on_event(event) {
            Ok(()) => true,
            Err(error) => {
                failed.push(error_chain(&*error));
                false
            }
        });
        for message in failed {
            self.note(EventKind::Warning { kind: WarningKind::Observer, task: None, message })?;
        }
        Ok(())
    }

    /// The folder for the files of an attempt.
    pub(super) fn attempt_folder(&self, attempt: &AttemptRef) -> PathBuf {
        self.log.attempt_folder(attempt)
    }

    /// Keeps the first failure of the run.
    pub(super) fn fail(&mut self, cause: StopCause) {
        self.failure.get_or_insert(cause);
    }

    /// Whether the run has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Returns the error of a run that has failed, and else the journal.
    pub(super) fn into_result(mut self) -> Result<Self, RunError> {
        let Some(cause) = self.failure.take() else { return Ok(self) };
        let record = Box::new(self.record);
        Err(match cause {
            StopCause::Registry(source) => RunError::Registry { record, source },
            StopCause::NoRoom(source) => RunError::NoRoom { record, source },
        })
    }

    /// Waits until all events are on disk, and returns the record.
    pub(super) async fn close(self) -> Result<RunRecord, RunError> {
        let mut failure = None;
        for ticket in self.tickets {
            if let Err(error) = ticket.await {
                failure.get_or_insert(error);
            }
        }
        match failure {
            None => {
                crash_point("run-ended");
                Ok(self.record)
            }
            Some(source) => Err(RunError::Registry { record: Box::new(self.record), source }),
        }
    }
}
