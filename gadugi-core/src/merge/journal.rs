//! The journal of a merge that is driven: its record, its log and its observer.

use jiff::Timestamp;

use crate::merge::event::{MergeEvent, MergeEventKind};
use crate::merge::record::MergeRecord;
use crate::merge::runner::MergeLog;
use crate::registry::RegistryError;

/// An observer of a merge, which sees each event with the record after it.
pub type MergeObserver<'a> = Box<dyn FnMut(&MergeEvent, &MergeRecord) + Send + 'a>;

pub(super) struct MergeJournal<'a> {
    pub(super) record: MergeRecord,
    pub(super) log: Box<dyn MergeLog>,
    pub(super) observer: Option<MergeObserver<'a>>,
}

impl MergeJournal<'_> {
    pub(super) fn new(record: MergeRecord, log: Box<dyn MergeLog>) -> Self {
        Self { record, log, observer: None }
    }

    /// Records an event, and shows it.
    pub(super) fn emit(&mut self, kind: MergeEventKind) -> Result<(), RegistryError> {
        let event = MergeEvent { seq: self.record.last + 1, at: Timestamp::now(), kind };
        self.log.write(&event)?;
        self.record.apply(&event);
        if let Some(observer) = &mut self.observer {
            observer(&event, &self.record);
        }
        Ok(())
    }
}
