//! A run as its files tell of it.

use gadugi_core::registry::RegistryError;
use gadugi_core::run::IllegalTransition;
use gadugi_core::{Event, RunRecord, error_chain};

use super::rebuild::rebuild;
use super::{Journal, JournalState};
use crate::format::StoredRun;
use crate::fs::layout::RunFolder;

/// The content of a journal, or its reconstruction.
pub(in crate::fs) struct History {
    pub(in crate::fs) journal: Journal,
    /// The run after all events, unless they contradict one another.
    pub(in crate::fs) record: Result<RunRecord, RegistryError>,
    /// All events, where the journal is damaged and they were put together from what is left. Of a sound journal they
    /// are not kept, since there can be more of them than fit into the memory.
    pub(in crate::fs) rebuilt: Option<Vec<Event>>,
}

/// The run that was read last, to be resumed without reading its journal again.
#[derive(Debug, Clone)]
pub(in crate::fs) struct LastRead {
    state: JournalState,
    journal: Journal,
    record: RunRecord,
}

impl LastRead {
    /// The content of a sound journal that was in this state before it was read, while the run had no driver. `None` where the
    /// next driver has to read it again.
    pub(in crate::fs) fn new(state: Option<JournalState>, told: &History) -> Option<Self> {
        let record = told.record.as_ref().ok().filter(|_| told.rebuilt.is_none() && !told.journal.over)?;
        Some(Self { state: state?, journal: told.journal.clone(), record: record.clone() })
    }

    /// The same, if it is of this run and its journal has not been touched since.
    pub(in crate::fs) fn still(self, run: &StoredRun, folder: &RunFolder) -> Option<History> {
        let is_same = self.record.header == run.header && JournalState::of(&folder.journal()) == Some(self.state);
        is_same.then_some(History { journal: self.journal, record: Ok(self.record), rebuilt: None })
    }
}

/// Folds the events of a journal as they are read. `lost_end` says what is missing behind the end of a sound one.
pub(in crate::fs) fn read_history(
    run: &StoredRun,
    folder: &RunFolder,
    lost_end: impl FnOnce(&Journal, &RunRecord) -> Result<Option<String>, RegistryError>,
) -> Result<History, RegistryError> {
    let path = folder.journal();
    let contradiction =
        |error: IllegalTransition| RegistryError::Damaged { path: path.clone(), what: error_chain(&error) };
    let mut record = RunRecord::new(run.header.clone());
    let mut folded = Ok(());
    let journal = super::read(&path, |event| {
        if folded.is_ok() {
            folded = record.apply(&event);
        }
    })?;
    let lost = if journal.broken { None } else { lost_end(&journal, &record)? };
    if !journal.broken && lost.is_none() {
        return Ok(History { journal, record: folded.map(|()| record).map_err(contradiction), rebuilt: None });
    }
    let mut events = Vec::new();
    let mut journal = super::read(&path, |event| events.push(event))?;
    if let Some(lost) = lost {
        journal.breaks(lost);
    }
    let (journal, events) = rebuild(run, folder, journal, events);
    let record = RunRecord::fold(run.header.clone(), &events).map_err(contradiction);
    Ok(History { journal, record, rebuilt: Some(events) })
}
