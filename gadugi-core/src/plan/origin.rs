//! The start of a task's work: a base of its own, results of an earlier run, and an attempt that it continues.

use crate::agent::{AgentReport, Figure, NeedDone, OwnPart, Tokens};
use crate::id::{CommitId, RunId};
use crate::worktrees::{Lease, NeededTip};

/// The start of a task's work, where that is not what its run and its needs make it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// Commit that its worktrees start from, instead of the base of the run. The tips of its needs are merged into it.
    pub base: Option<CommitId>,
    /// Tips of tasks of an earlier run that it needs, merged into the base like those of needs, and before them.
    pub tips: Vec<NeededTip>,
    /// These and other tasks of the earlier run that it needs, for the prompt of its agent.
    pub done: Vec<NeedDone>,
    /// The attempt of an earlier run that its first attempt continues.
    pub earlier: Option<Box<EarlierAttempt>>,
}

impl Origin {
    /// The start of the task's work, which in this run started from `base`: in an earlier run, where that is its end there.
    #[must_use]
    pub fn start_of_work<'a>(&'a self, base: &'a CommitId) -> &'a CommitId {
        let continued = self.earlier.as_ref().filter(|earlier| earlier.tip.as_ref() == Some(base));
        continued.and_then(|earlier| earlier.since.as_ref()).unwrap_or(base)
    }
}

/// An attempt of an earlier run that the first attempt of this run continues.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierAttempt {
    /// Run of the attempt.
    pub run: RunId,
    /// Its worktree, which is used again if it is still there; `None` for a new one.
    pub lease: Option<Lease>,
    /// Commit that a new worktree starts from; `None` for the base.
    pub tip: Option<CommitId>,
    /// Start of the task's work, where `tip` is that of earlier attempts.
    pub since: Option<CommitId>,
    /// The conversation with its agent, if that can be resumed.
    pub conversation: Option<EarlierConversation>,
    /// Its check, if that has failed.
    pub check: Option<FailedCheck>,
}

/// The conversation of an earlier attempt with its agent. It can be resumed only in its worktree.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierConversation {
    /// Next message to the agent.
    pub message: String,
    /// The agent's report on the conversation so far. None of it is the share of this run.
    report: AgentReport,
}

impl EarlierConversation {
    /// The conversation of this session, for which the agent has reported this use.
    #[must_use]
    pub fn new(session: String, message: String, cost_usd: Option<f64>, tokens: Option<Tokens>) -> Self {
        let nothing =
            OwnPart { cost_usd: Some(Figure::reported(0.0)), tokens: Some(Figure::reported(Tokens::default())) };
        let report = AgentReport { session: Some(session), cost_usd, tokens, own: nothing, ..AgentReport::default() };
        Self { message, report }
    }

    /// Session id for resuming the conversation.
    #[must_use]
    pub fn session(&self) -> &str {
        self.report.session.as_deref().unwrap_or_default()
    }

    /// The agent's report on the conversation so far, with no share of this run.
    #[must_use]
    pub fn report(&self) -> &AgentReport {
        &self.report
    }
}

/// A check that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCheck {
    /// End of the check, such as `exit code 1`.
    pub status: String,
    /// End of its output.
    pub output: String,
}
