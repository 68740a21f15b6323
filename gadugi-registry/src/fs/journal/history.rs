//! A run as its files tell of it.

use gadugi_core::{Event, IllegalTransition, RegistryError, RunRecord, error_chain};

use super::rebuild::rebuild;
use super::{Journal, JournalState};
use crate::format::StoredRun;
use crate::fs::layout::RunFolder;

/// What a journal tells, or what is put in its place.
pub(in crate::fs) struct Told {
    pub(in crate::fs) journal: Journal,
    /// The run after all events, unless they contradict one another.
    pub(in crate::fs) record: Result<RunRecord, RegistryError>,
    /// All events, where the journal is damaged and they were put together from what is left. Of a sound journal they
    /// are not kept, since there can be more of them than fit into the memory.
    pub(in crate::fs) rebuilt: Option<Vec<Event>>,
}

/// A run as it was read last, to be taken over without reading its journal once more.
#[derive(Debug, Clone)]
pub(in crate::fs) struct Seen {
    state: JournalState,
    journal: Journal,
    record: RunRecord,
}

impl Seen {
    /// What a sound journal tells that was in this state before it was read, while nobody drove the run. `None` where
    /// it has to be read again by whoever takes the run over.
    pub(in crate::fs) fn new(state: Option<JournalState>, told: &Told) -> Option<Self> {
        let record = told.record.as_ref().ok().filter(|_| told.rebuilt.is_none() && !told.journal.over)?;
        Some(Self { state: state?, journal: told.journal.clone(), record: record.clone() })
    }

    /// The same, if it is of this run and its journal has not been touched since.
    pub(in crate::fs) fn still(self, run: &StoredRun, folder: &RunFolder) -> Option<Told> {
        let is_same = self.record.header == run.header && JournalState::of(&folder.journal()) == Some(self.state);
        is_same.then_some(Told { journal: self.journal, record: Ok(self.record), rebuilt: None })
    }
}

/// Folds the events of a journal as they are read. `lost_end` says what is missing behind the end of a sound one.
pub(in crate::fs) fn tell(
    run: &StoredRun,
    folder: &RunFolder,
    lost_end: impl FnOnce(&Journal, &RunRecord) -> Result<Option<String>, RegistryError>,
) -> Result<Told, RegistryError> {
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
        return Ok(Told { journal, record: folded.map(|()| record).map_err(contradiction), rebuilt: None });
    }
    let mut events = Vec::new();
    let mut journal = super::read(&path, |event| events.push(event))?;
    if let Some(lost) = lost {
        journal.breaks(lost);
    }
    let (journal, events) = rebuild(run, folder, journal, events);
    let record = RunRecord::fold(run.header.clone(), &events).map_err(contradiction);
    Ok(Told { journal, record, rebuilt: Some(events) })
}
