//! The header of a run.

use jiff::Timestamp;

use crate::id::{CommitId, RunId};
use crate::plan::Plan;
use crate::run::settings::RunSettings;
use crate::time::Moment;

/// The header of a run: its data before its start, written once.
#[derive(Debug, Clone, PartialEq)]
pub struct RunHeader {
    /// Id of the run.
    pub run: RunId,
    /// Time of its creation.
    pub created: Timestamp,
    /// The same on the machine's monotonic clock, where it is known.
    pub moment: Option<Moment>,
    /// Commit that worktrees start from; `None` without git.
    pub base: Option<CommitId>,
    /// Name of the base for display: `main`, or the commit of a detached `HEAD`.
    pub base_name: Option<String>,
    /// Default executor, which a resumption has to use, too; `None` where it is not known.
    pub executor: Option<String>,
    /// Settings of the run.
    pub settings: RunSettings,
    /// Plan of the run.
    pub plan: Plan,
}

impl RunHeader {
    /// The header of a run that starts now, without git.
    #[must_use]
    pub fn new(plan: Plan, settings: RunSettings) -> Self {
        let created = Timestamp::now();
        let (run, moment, base, base_name, executor) = (RunId::new(created), None, None, None, None);
        Self { run, created, moment, base, base_name, executor, settings, plan }
    }
}
