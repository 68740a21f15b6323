//! Merges of the registry, and what puts branches together.

use std::sync::Arc;

use gadugi_core::merge::{Integration, MergeEvent, MergeHeader, MergeLog, MergeRecord};
use gadugi_core::registry::RegistryError;
use gadugi_core::{AttemptRef, CommitId, MergeId, Phase, RunId, error_chain};
use gadugi_registry::{MergeHistory, render};
use jiff::Timestamp;

use super::Site;
use crate::args::ReportFormat;
use crate::config::Config;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;

impl Site {
    /// What puts branches together and moves the target.
    pub(crate) fn integration(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
    ) -> Result<Arc<dyn Integration>, Failure> {
        Ok(Arc::new(self.git_worktrees(surroundings, config, base)?))
    }

    /// Creates a merge, with a later id where another one has started at the very same time.
    pub(crate) fn create_merge(&self, header: &mut MergeHeader) -> Result<Box<dyn MergeLog>, Failure> {
        loop {
            match self.registry.create_merge(header) {
                Err(RegistryError::MergeHeld { .. }) => {
                    header.created = Timestamp::now();
                    header.merge = MergeId::new(header.created);
                }
                log => return Ok(Box::new(log?)),
            }
        }
    }

    /// Loads a merge.
    pub(crate) fn load_merge(&self, merge: &MergeId) -> Result<MergeHistory, Failure> {
        Ok(self.registry.load_merge(merge)?)
    }

    /// Makes this process the driver of a merge whose driver has ended.
    pub(crate) fn resume_merge(&self, merge: &MergeId) -> Result<(MergeHistory, Box<dyn MergeLog>), Failure> {
        let (history, log) = self.registry.resume_merge(merge)?;
        Ok((history, Box::new(log)))
    }

    /// The ids of all merges, the oldest first.
    pub(crate) fn merges(&self) -> Result<Vec<MergeId>, Failure> {
        Ok(self.registry.merges()?)
    }

    /// Writes the reports of a merge into its folder, or says why not: the merge is over either way.
    pub(crate) fn keep_merge_reports(&self, terminal: &Terminal, record: &MergeRecord) {
        let folder = self.registry.merge_folder(&record.header.merge);
        if let Err(error) = render::write_merge_reports(&folder, record) {
            terminal.say(&format!("warning: the report could not be kept: {}", error_chain(&error)));
        }
    }

    /// The report of the latest merge of a run.
    pub(crate) fn merge_report(&self, run: &RunId, format: ReportFormat) -> Result<String, Failure> {
        for merge in self.merges()?.iter().rev() {
            let record = self.load_merge(merge)?.record;
            if record.header.run == *run {
                return Ok(match format {
                    ReportFormat::Md => render::merge_markdown(&record),
                    ReportFormat::Json => render::merge_json(&record),
                    ReportFormat::Junit => render::merge_junit(&record),
                });
            }
        }
        Err(Failure::usage(format!("run {run} was not merged yet")).hint("`gadugi merge` merges it"))
    }

    /// The end of what a phase of an attempt has printed; empty where there is none, or it cannot be read.
    pub(crate) fn end_of_log(&self, run: &RunId, attempt: &AttemptRef, phase: Phase) -> String {
        let path = self.registry.attempt_folder(run, attempt).join(phase.output_file());
        String::from_utf8_lossy(&render::tail(&path).unwrap_or_default()).into_owned()
    }
}

/// An event of a merge as a line of JSON.
pub(crate) fn encode_merge_event(event: &MergeEvent) -> Option<String> {
    gadugi_registry::format::merge_event_to_json(event).ok()
}
