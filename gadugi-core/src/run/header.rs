//! The header of a run.

use jiff::Timestamp;

use crate::id::{CommitId, MergeId, RunId};
use crate::plan::Plan;
use crate::run::settings::RunSettings;
use crate::time::Moment;

/// What a run belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunLink {
    /// An earlier run, of which it is a retry.
    Retry {
        /// The earlier run.
        run: RunId,
    },
    /// A merge, which it checks. Such a run is not listed among those of the user.
    Merge {
        /// The merge.
        merge: MergeId,
    },
}

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
    /// What the run belongs to, if it does not stand for itself.
    pub link: Option<RunLink>,
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
        let (run, moment, base, base_name) = (RunId::new(created), None, None, None);
        Self { run, created, moment, base, base_name, link: None, executor: None, settings, plan }
    }

    /// Whether the run belongs to a merge.
    #[must_use]
    pub fn is_of_merge(&self) -> bool {
        matches!(self.link, Some(RunLink::Merge { .. }))
    }
}
