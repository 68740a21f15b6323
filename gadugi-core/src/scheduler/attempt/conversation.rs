//! The conversation of an attempt with its agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::{AgentReport, NeedDone, OutputFormat, OwnPart, RateLimit, Used};
use crate::plan::{Changes, EarlierAttempt, Phase, TaskSpec};
use crate::run::{AttemptRecord, Failure, Outcome};
use crate::scheduler::attempt::agent_log::AgentLog;
use crate::time::Clock;

/// The context of an attempt with an agent, besides its task.
pub(crate) struct Conversation {
    /// Format of the agent's output.
    pub(crate) format: Arc<dyn OutputFormat>,
    /// Tasks that it needed.
    pub(crate) needs: Vec<NeedDone>,
    /// The attempt before this one, where that has a consequence.
    pub(crate) before: Option<Before>,
    /// The attempt of an earlier run that this one continues, until an attempt of this run has ended by itself.
    pub(crate) continued: Option<EarlierAttempt>,
    /// The report of an earlier run on the same conversation.
    pub(crate) told: Option<AgentReport>,
    /// The earlier attempts at the task.
    pub(crate) earlier: Vec<Arc<AttemptRecord>>,
    /// Use of the earlier attempts.
    pub(crate) used: Used,
    /// Cost limit of the call, where its agent takes one.
    pub(crate) max_cost: Option<f64>,
    /// The limit of the run's budget that was reached, once it is.
    pub(crate) run_budget: watch::Receiver<Option<String>>,
    /// Report that an earlier driver has recorded.
    pub(crate) recorded: Option<AgentReport>,
    /// Log of the agent, once it is read.
    pub(crate) log: Option<AgentLog>,
    /// Last refusal that was reported to the dispatcher.
    pub(crate) refused: Option<RateLimit>,
    /// Number of the vendor's answers that were reported to it.
    pub(crate) answers: u64,
    /// Whether the agent is isolated from this machine.
    pub(crate) is_isolated: bool,
}

impl Conversation {
    /// The share of this attempt in the figures of its agent.
    pub(crate) fn own_part(&self, report: &AgentReport) -> OwnPart {
        let reports = self.earlier.iter().filter_map(|earlier| earlier.agent.as_deref());
        report.own_part(self.told.iter().chain(reports))
    }

    /// Opens the log of the agent, or returns the open one.
    pub(crate) fn open_log(&mut self, files: &Path) -> &mut AgentLog {
        let log = files.join(Phase::Main.output_file());
        self.log.get_or_insert_with(|| {
            let reader = if self.is_isolated { self.format.isolated_reader() } else { self.format.reader() };
            AgentLog::new(reader, log)
        })
    }
}

/// The attempts at the task before this one.
#[derive(Default)]
pub(crate) struct Before {
    /// End and log of the check of the last attempt that got so far; `None` when no check has failed.
    pub(crate) check: Option<(String, PathBuf)>,
    /// Whether the requests of the last one were refused.
    pub(crate) was_refused: bool,
    /// Whether the last one had used up its share of the run's budget.
    pub(crate) was_out_of_share: bool,
    /// Clock that stopped the agent of the last one, and its time limit.
    pub(crate) timed_out: Option<(Clock, Duration)>,
    /// Session that can be resumed, and the worktree where it can.
    pub(crate) session: Option<(String, PathBuf)>,
}

/// Whether the session of an attempt with this outcome, other than a refusal, can be resumed.
pub(crate) fn can_continue(outcome: &Outcome) -> bool {
    outcome.is_out_of_share()
        || matches!(outcome, Outcome::Failed(Failure::Check(_)) | Outcome::TimedOut(Clock::Wall | Clock::Idle))
}

/// Whether a further attempt may use the worktree of one with this outcome. Then it is released only when the task is finished.
pub(crate) fn may_be_reused(spec: &TaskSpec, outcome: &Outcome) -> bool {
    if spec.changes == Changes::Discarded {
        return false;
    }
    let resumes = spec.action.agent.as_ref().is_some_and(|call| call.resume.is_some());
    outcome.refused() || (resumes && can_continue(outcome))
}
