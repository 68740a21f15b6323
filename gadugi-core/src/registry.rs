//! The trait that remembers a run, and a listener for those who only want to see it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use async_trait::async_trait;
use thiserror::Error;

use crate::id::{AttemptRef, RunId};
use crate::run::{Event, RunHeader, RunRecord};

/// A run as the registry remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunHistory {
    /// What was written before its start, and all that has happened since.
    pub record: RunRecord,
    /// The number of its last event; 0 where nothing has happened.
    pub last: u64,
    /// Whether a process drives it now.
    pub driven: bool,
    /// What could not be read, a sentence each; empty for a sound run.
    pub damage: Vec<String>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunListing {
    /// Its id.
    pub run: RunId,
    /// Whether a process drives it now.
    pub driven: bool,
}

/// Why something could not be remembered or recalled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Writing failed. Nothing is started after this.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Reading failed.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no such run.
    #[error("there is no run `{run}`")]
    NoSuchRun {
        /// As it was asked for.
        run: String,
    },
    /// Another process drives the run, or a run of that id exists.
    #[error("the run `{run}` is held by {holder}")]
    Held {
        /// Which run.
        run: RunId,
        /// Who holds it, as far as is known.
        holder: String,
    },
    /// A newer version of Gadugi wrote it.
    #[error("{} has format {found}; this version reads up to {known}", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The format that it has.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// It cannot be understood at all.
    #[error("{} is damaged: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The writer has stopped after an earlier error.
    #[error("the registry has stopped writing after an earlier error")]
    Stopped,
}

/// Becomes ready when what it stands for is on disk, or cannot be.
pub type Ticket = Pin<Box<dyn Future<Output = Result<(), RegistryError>> + Send>>;

/// Remembers runs.
///
/// What an implementer owes: what a [`Ticket`] has confirmed is found by [`load`](Registry::load) after a
/// crash at any later moment, also a crash of the machine where the store is durable. Reading takes no
/// lock and never waits for a writer.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Makes a new run and opens its log. A crash before the return leaves nothing or a run without
    /// events, which no reader takes for a running one.
    ///
    /// # Errors
    /// [`RegistryError::Held`] when the id exists, [`RegistryError::Write`].
    async fn create(&self, header: &RunHeader) -> Result<Box<dyn RunLog>, RegistryError>;

    /// Takes over a run whose driver has ended: everything that is known of it, and its log, which goes on
    /// behind the last event of the history. What is damaged is set aside first. A crash at any moment
    /// leaves a run that can be taken over again.
    ///
    /// # Errors
    /// [`RegistryError::Held`] while a process drives it, those of [`load`](Registry::load), and
    /// [`RegistryError::Write`].
    async fn resume(&self, run: &RunId) -> Result<(RunHistory, Box<dyn RunLog>), RegistryError>;

    /// Everything that is known of a run, also while it is driven by another process.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchRun`], [`RegistryError::TooNew`], [`RegistryError::Damaged`] when even the header
    /// cannot be read, [`RegistryError::Read`].
    async fn load(&self, run: &RunId) -> Result<RunHistory, RegistryError>;

    /// All runs, oldest first.
    ///
    /// # Errors
    /// [`RegistryError::Read`].
    async fn list(&self) -> Result<Vec<RunListing>, RegistryError>;
}

/// The log of a run that this process drives. Dropping it lets go of the run.
///
/// Every method returns at once, keeps the order of its calls, and gives a ticket for the moment when
/// the event is kept. After a failed write all further tickets fail, or, when the store is only full, those of
/// all further [intents](RunLog::intent).
pub trait RunLog: Send {
    /// The folder for the files of an attempt. It exists once the ticket of its
    /// [`intent`](RunLog::intent) is ready.
    fn attempt_folder(&self, attempt: &AttemptRef) -> PathBuf;

    /// Keeps an [`AttemptIntended`](crate::EventKind::AttemptIntended), durably. A crash before: the
    /// attempt was never made. A crash after: it may have been begun, and nothing of it runs unless a
    /// start is recorded too.
    fn intent(&mut self, event: &Event) -> Ticket;

    /// Keeps a [`CommandStarted`](crate::EventKind::CommandStarted), durably. A crash before: the command
    /// may run unrecorded. A crash after: its identity finds it.
    fn started(&mut self, event: &Event) -> Ticket;

    /// Keeps a [`CommandEnded`](crate::EventKind::CommandEnded) or an
    /// [`AttemptEnded`](crate::EventKind::AttemptEnded), durably. A crash before: the end is found by the
    /// identity, or the attempt is lost. A crash after: it is never ended again.
    fn ended(&mut self, event: &Event) -> Ticket;

    /// Keeps any other event. It may be lost in a crash of the machine, not of the process.
    fn note(&mut self, event: &Event) -> Ticket;
}

/// Sees every event of a run, in order, after it was handed to the registry. A sink that fails is not
/// called again, and the run goes on; the report says so.
pub trait EventSink: Send {
    /// Called for each event. It must not block for long: the run waits for it.
    ///
    /// # Errors
    /// Any; its text goes into the report.
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
