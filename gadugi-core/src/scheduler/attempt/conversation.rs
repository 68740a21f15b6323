//! The conversation of an attempt with its agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::{AgentReport, NeedDone, OutputFormat, OwnPart, RateLimit, Used};
use crate::plan::{Phase, TaskSpec};
use crate::run::{AttemptRecord, Failure, Outcome};
use crate::scheduler::attempt::agent_log::Listener;
use crate::time::Clock;

/// What an attempt with an agent knows besides its task.
pub(crate) struct Talk {
    pub(crate) format: Arc<dyn OutputFormat>,
    pub(crate) needs: Vec<NeedDone>,
    /// What came before this attempt.
    pub(crate) before: Option<Before>,
    /// The earlier attempts at the task.
    pub(crate) earlier: Vec<Arc<AttemptRecord>>,
    /// What those have used up.
    pub(crate) used: Used,
    /// What its agent may cost, if it is told that.
    pub(crate) max_cost: Option<f64>,
    /// Whether the run has used up what it may, and what that is.
    pub(crate) run_budget: watch::Receiver<Option<String>>,
    /// What an earlier driver has recorded.
    pub(crate) recorded: Option<AgentReport>,
    pub(crate) listener: Option<Listener>,
    /// The refusal that the dispatcher has been told of.
    pub(crate) refused: Option<RateLimit>,
    /// How many answers of the vendor it has been told of.
    pub(crate) answers: u64,
    /// Whether the agent is isolated from this machine.
    pub(crate) is_isolated: bool,
}

impl Talk {
    /// The part of this attempt in what its agent has told.
    pub(crate) fn own_part(&self, report: &AgentReport) -> OwnPart {
        report.own_part(self.earlier.iter().filter_map(|earlier| earlier.agent.as_deref()))
    }

    /// Begins to listen to the command, if nobody does yet.
    pub(crate) fn listen_to(&mut self, files: &std::path::Path) -> &mut Listener {
        let log = files.join(Phase::Main.output_file());
        self.listener.get_or_insert_with(|| {
            let reader = if self.is_isolated { self.format.isolated_reader() } else { self.format.reader() };
            Listener::new(reader, log)
        })
    }
}

/// What has happened to the task before this attempt.
pub(crate) struct Before {
    /// How the check of the last attempt that came so far ended, and where its output is; `None` when no check has failed.
    pub(crate) check: Option<(String, PathBuf)>,
    /// Whether the requests of the last one were refused.
    pub(crate) was_refused: bool,
    /// Whether the last one had used up its share of the run's budget.
    pub(crate) was_out_of_share: bool,
    /// The clock by which the agent of the last one was stopped, and for how long it runs.
    pub(crate) timed_out: Option<(Clock, Duration)>,
    /// The conversation that can go on, and the folder where it can.
    pub(crate) conversation: Option<(String, PathBuf)>,
}

/// Whether the conversation can go on in which an attempt ended so, that was not refused.
pub(crate) fn talks_on(outcome: &Outcome) -> bool {
    outcome.is_out_of_share()
        || matches!(outcome, Outcome::Failed(Failure::Check(_)) | Outcome::TimedOut(Clock::Wall | Clock::Idle))
}

/// Whether a further attempt may go on where one has ended so. Then the worktree is not given back before the task is over.
pub(crate) fn may_be_gone_on_in(spec: &TaskSpec, outcome: &Outcome) -> bool {
    let talks = spec.action.agent.as_ref().is_some_and(|call| call.resume.is_some());
    outcome.refused() || (talks && talks_on(outcome))
}
