//! The log of a run that this process drives.

use std::path::PathBuf;

use gadugi_core::registry::{RegistryError, RunLog, Ticket};
use gadugi_core::{AttemptRef, Event, EventKind};

use super::journal::writer::{Entry, Writer};
use super::layout::{INTENT, RunFolder};
use super::lock::RunLock;
use crate::format::{FormatError, encode};

/// Dropping it waits until everything that was handed to it is written or has failed, ends the writer's
/// thread, and then lets go of the run.
pub(crate) struct FsRunLog {
    folder: RunFolder,
    // Dropped before the lock: nothing is written to a run that is let go of.
    writer: Writer,
    _lock: RunLock,
}

impl FsRunLog {
    pub(crate) fn new(folder: RunFolder, writer: Writer, lock: RunLock) -> Self {
        Self { folder, writer, _lock: lock }
    }

    fn keep(&mut self, event: &Event, durable: bool) -> Ticket {
        let line = match encode(event) {
            Ok(line) => line,
            Err(error) => {
                let error = unwritable(self.folder.journal(), error);
                return Box::pin(async { Err(error) });
            }
        };
        let intent = match &event.kind {
            EventKind::AttemptIntended { attempt, .. } if durable => Some(self.folder.attempt(attempt).join(INTENT)),
            _ => None,
        };
        self.writer.write(Entry { line, intent, durable })
    }
}

/// Reports an event that a format cannot express as one that cannot be written.
pub(crate) fn unwritable(path: PathBuf, error: FormatError) -> RegistryError {
    RegistryError::Write { path, source: std::io::Error::new(std::io::ErrorKind::InvalidData, error) }
}

impl RunLog for FsRunLog {
    fn attempt_folder(&self, attempt: &AttemptRef) -> PathBuf {
        self.folder.attempt(attempt)
    }

    fn intent(&mut self, event: &Event) -> Ticket {
        self.keep(event, true)
    }

    fn started(&mut self, event: &Event) -> Ticket {
        self.keep(event, true)
    }

    fn ended(&mut self, event: &Event) -> Ticket {
        self.keep(event, true)
    }

    fn note(&mut self, event: &Event) -> Ticket {
        self.keep(event, false)
    }
}
