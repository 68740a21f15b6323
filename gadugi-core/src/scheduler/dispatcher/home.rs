//! The homes of agents whose tasks are over.

use crate::error_chain::error_chain;
use crate::run::{EventKind, WarningKind};
use crate::scheduler::attempt::home::has_home;
use crate::scheduler::dispatcher::Dispatcher;

impl Dispatcher {
    /// Removes the home of a task that is over.
    pub(crate) fn forget_home(&mut self, position: usize) {
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
    pub(crate) fn keeps_conversations(&self, position: usize) -> bool {
        let executor = self.executors.get(self.specs[position].executor.as_deref());
        executor.map(|executor| executor.capabilities()).is_some_and(|can| can.homes || !can.isolates)
    }
}
