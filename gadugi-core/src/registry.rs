//! The traits of the registry, which keeps runs, and of observers of a run.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use async_trait::async_trait;
use thiserror::Error;

use crate::id::{AttemptRef, MergeId, RunId};
use crate::run::{Event, RunHeader, RunRecord};

/// A run as the registry has kept it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunHistory {
    /// Record of the run.
    pub record: RunRecord,
    /// Number of its last event; 0 without events.
    pub last: u64,
    /// Whether a process drives the run now.
    pub driven: bool,
    /// Damage found while reading, a sentence each; empty for an undamaged run.
    pub damage: Vec<String>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunListing {
    /// Id of the run.
    pub run: RunId,
    /// Whether a process drives the run now.
    pub driven: bool,
}

/// An error of the registry.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Writing failed. Nothing is started after this.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Reading failed.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// There is no such run.
    #[error("there is no run `{run}`")]
    NoSuchRun {
        /// The id as requested.
        run: String,
    },
    /// There is no such merge.
    #[error("there is no merge `{merge}`")]
    NoSuchMerge {
        /// The id as requested.
        merge: String,
    },
    /// Another process drives the merge, or a merge with this id exists.
    #[error("the merge `{merge}` is held by another process")]
    MergeHeld {
        /// The merge.
        merge: MergeId,
    },
    /// Another process drives the run, or a run with this id exists.
    #[error("the run `{run}` is held by {holder}")]
    Held {
        /// The run.
        run: RunId,
        /// Holder of its lock, as far as it is known.
        holder: String,
    },
    /// A newer version of Gadugi wrote it.
    #[error("{} has format {found}; this version reads up to {known}", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Version of the format.
        found: u64,
        /// Newest version that can be read.
        known: u64,
    },
    /// A file cannot be parsed.
    #[error("{} is damaged: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage, in words.
        what: String,
    },
    /// The writer has stopped after an earlier error.
    #[error("the registry has stopped writing after an earlier error")]
    Stopped,
}

/// A future that is ready when an event is on disk, or could not be written.
pub type Ticket = Pin<Box<dyn Future<Output = Result<(), RegistryError>> + Send>>;

/// Keeps runs.
///
/// Obligation of an implementer: an event that a [`Ticket`] has confirmed is found by [`load`](Registry::load) after a
/// crash at any later moment, also a crash of the machine where the store is durable. Reading takes no lock and never
/// waits for a writer.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Creates a run and opens its log. A crash before the return leaves nothing, or a run without events, which no
    /// reader takes for a running one.
    ///
    /// # Errors
    /// [`RegistryError::Held`] when the id exists, [`RegistryError::Write`].
    async fn create(&self, header: &RunHeader) -> Result<Box<dyn RunLog>, RegistryError>;

    /// Resumes a run whose driver has ended: returns its history, and its log, which appends to the last event of the
    /// history. Damaged parts are set aside first. A crash at any moment leaves a run that can be resumed again.
    ///
    /// # Errors
    /// [`RegistryError::Held`] while a process drives it, those of [`load`](Registry::load), and
    /// [`RegistryError::Write`].
    async fn resume(&self, run: &RunId) -> Result<(RunHistory, Box<dyn RunLog>), RegistryError>;

    /// Loads the history of a run, also while another process drives it.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchRun`], [`RegistryError::TooNew`], [`RegistryError::Damaged`] when even the header
    /// cannot be read, [`RegistryError::Read`].
    async fn load(&self, run: &RunId) -> Result<RunHistory, RegistryError>;

    /// Lists all runs, the oldest first.
    ///
    /// # Errors
    /// [`RegistryError::Read`].
    async fn list(&self) -> Result<Vec<RunListing>, RegistryError>;
}

/// The log of a run that this process drives. Dropping it releases the run for other drivers.
///
/// Every method returns at once, keeps the order of its calls, and returns a ticket for the write of the event. After a
/// failed write all further tickets fail, or, when the store is only full, those of all further
/// [intents](RunLog::intent).
pub trait RunLog: Send {
    /// The folder for the files of an attempt. It exists once the ticket of its
    /// [`intent`](RunLog::intent) is ready.
    fn attempt_folder(&self, attempt: &AttemptRef) -> PathBuf;

    /// Writes an [`AttemptIntended`](crate::EventKind::AttemptIntended), durably. A crash before: the attempt does not
    /// exist. A crash after: it may have started, and nothing of it runs unless a start is recorded, too.
    fn intent(&mut self, event: &Event) -> Ticket;

    /// Writes a [`CommandStarted`](crate::EventKind::CommandStarted), durably. A crash before: the command may run
    /// unrecorded. A crash after: its identity finds it.
    fn started(&mut self, event: &Event) -> Ticket;

    /// Writes a [`CommandEnded`](crate::EventKind::CommandEnded) or an
    /// [`AttemptEnded`](crate::EventKind::AttemptEnded), durably. A crash before: the end is found by the identity, or
    /// the attempt is lost. A crash after: it never ends again.
    fn ended(&mut self, event: &Event) -> Ticket;

    /// Writes any other event. It may be lost in a crash of the machine, but not of the process.
    fn note(&mut self, event: &Event) -> Ticket;
}

/// An observer of every event of a run, in order, after the registry got it. A sink that fails is not called again, and
/// the run continues with a warning.
pub trait EventSink: Send {
    /// Observes an event. It must not block for long: the run waits for it.
    ///
    /// # Errors
    /// Any error; its text goes into the report.
    fn on_event(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

impl<F> EventSink for F
where
    F: FnMut(&Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send,
{
    fn on_event(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self(event)
    }
}
