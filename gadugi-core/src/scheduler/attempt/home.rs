//! The home folder that the agent of a task keeps from one attempt to the next, where its executor shows it none of this
//! machine.

use std::path::PathBuf;

use crate::error_chain::error_chain;
use crate::executor::Executor;
use crate::plan::TaskSpec;
use crate::run::{Outcome, WarningKind};
use crate::scheduler::attempt::{Attempt, Verdict};
use crate::worktrees::WorktreeError;

impl Attempt {
    /// Finds or makes the home of the agent. A new one holds no sessions, so that none is resumed.
    pub(super) async fn find_home(&mut self) -> Result<Option<PathBuf>, Verdict> {
        if !has_home(&*self.executor, &self.spec) {
            return Ok(None);
        }
        // Once a home of this run is there, it is the one that goes on.
        if let Some(earlier) = self.conversation.as_ref().and_then(|conversation| conversation.continued.as_ref())
            && let Err(error) = self.worktrees.adopt_home(&earlier.run, &self.run, &self.attempt.task).await
        {
            self.warn(WarningKind::Worktree, error_chain(&error)).await;
        }
        let home = match self.worktrees.home(&self.run, &self.attempt.task).await {
            Ok(home) => home,
            Err(error @ WorktreeError::NoRoom { .. }) => return Err(self.no_room(error)),
            Err(error) => {
                self.warn(WarningKind::Worktree, error_chain(&error)).await;
                None
            }
        };
        let is_known = home.as_ref().is_some_and(|home| !home.is_new);
        if let Some(before) =
            self.conversation.as_mut().and_then(|conversation| conversation.before.as_mut()).filter(|_| !is_known)
        {
            before.session = None;
        }
        Ok(home.map(|home| home.path))
    }

    /// Checks the home of the agent when nothing runs there and another attempt may follow.
    pub(super) async fn check_home(&mut self, outcome: &Outcome) {
        if !outcome.retriable() || !has_home(&*self.executor, &self.spec) {
            return;
        }
        match self.worktrees.check_home(&self.run, &self.attempt.task).await {
            Ok(None) => {}
            Ok(Some(message)) => self.warn(WarningKind::Worktree, message).await,
            Err(error) => self.warn(WarningKind::Worktree, error_chain(&error)).await,
        }
    }
}

/// Whether the agent of a task has a home folder that is kept for it: only an agent that can resume needs one.
pub(crate) fn has_home(executor: &dyn Executor, spec: &TaskSpec) -> bool {
    spec.action.agent.as_ref().is_some_and(|call| call.resume.is_some()) && executor.capabilities().homes
}
