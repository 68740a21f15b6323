//! The header of a run.

use jiff::Timestamp;

use crate::id::{CommitId, RunId};
use crate::plan::Plan;
use crate::run::settings::RunSettings;
use crate::time::Moment;

/// What is known of a run before it starts; written once.
#[derive(Debug, Clone, PartialEq)]
pub struct RunHeader {
    /// Its id.
    pub run: RunId,
    /// When it was made.
    pub created: Timestamp,
    /// The same on the machine's own clock, where whoever made it knows it.
    pub moment: Option<Moment>,
    /// The commit that worktrees start from; `None` where there is no git.
    pub base: Option<CommitId>,
    /// How the base was named, for people: `main`, or the commit of a detached `HEAD`.
    pub base_name: Option<String>,
    /// The executor that was chosen for the tasks that name none; whoever resumes the run takes no other. `None` for a run
    /// of which that is not known.
    pub executor: Option<String>,
    /// How it is driven.
    pub settings: RunSettings,
    /// What it consists of.
    pub plan: Plan,
}

impl RunHeader {
    /// A run that begins now, without git.
    #[must_use]
    pub fn new(plan: Plan, settings: RunSettings) -> Self {
        let created = Timestamp::now();
        let (run, moment, base, base_name, executor) = (RunId::new(created), None, None, None, None);
        Self { run, created, moment, base, base_name, executor, settings, plan }
    }
}
