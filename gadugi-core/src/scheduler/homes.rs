//! The home folder that the agent of a task keeps from one attempt to the next, where its executor shows it none of this
//! machine.

use std::path::PathBuf;

use crate::error_chain::error_chain;
use crate::executor::Executor;
use crate::plan::TaskSpec;
use crate::run::{EventKind, Outcome, WarningKind};
use crate::scheduler::attempt::{Attempt, Verdict};
use crate::scheduler::dispatcher::Dispatcher;
use crate::worktrees::WorktreeError;

impl Attempt {
    /// Finds or makes the home of the agent. In one in which there is nothing it knows of no conversation, so none goes on.
    pub(super) async fn find_home(&mut self) -> Result<Option<PathBuf>, Verdict> {
        if !has_home(&*self.executor, &self.spec) {
            return Ok(None);
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
        if let Some(before) = self.talk.as_mut().and_then(|talk| talk.before.as_mut()).filter(|_| !is_known) {
            before.conversation = None;
        }
        Ok(home.map(|home| home.path))
    }

    /// Looks at the home of the agent when nothing runs there and another attempt may follow.
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

impl Dispatcher {
    /// Removes the home of a task that is over.
    pub(super) fn forget_home(&mut self, position: usize) {
        let task = &self.record.tasks[position];
        let spec = &task.task.spec;
        let executor = self.executors.get(spec.executor.as_deref());
        if task.attempts.is_empty() || !executor.is_some_and(|executor| has_home(&**executor, spec)) {
            return;
        }
        let (worktrees, run, task) = (self.worktrees.clone(), self.record.header.run.clone(), spec.id.clone());
        self.spawn_telling(async move {
            let error = worktrees.forget_home(&run, &task).await.err()?;
            Some(EventKind::Warning { kind: WarningKind::Release, task: Some(task), message: error_chain(&error) })
        });
    }

    /// Whether the agent of a task finds its conversations again where its executor starts it.
    pub(super) fn keeps_conversations(&self, position: usize) -> bool {
        let executor = self.executors.get(self.specs[position].executor.as_deref());
        executor.map(|executor| executor.capabilities()).is_some_and(|can| can.homes || !can.isolates)
    }
}

/// Whether the agent of a task has a home folder that is kept for it: nobody else needs one.
fn has_home(executor: &dyn Executor, spec: &TaskSpec) -> bool {
    spec.action.agent.as_ref().is_some_and(|call| call.resume.is_some()) && executor.capabilities().homes
}
