//! The homes of agents whose tasks are over.

use crate::error_chain::error_chain;
use crate::run::{EventKind, KeepPolicy, WarningKind};
use crate::scheduler::attempt::home::has_home;
use crate::scheduler::dispatcher::Dispatcher;

impl Dispatcher {
    /// Removes the home of a task that is over, unless a later run may resume its conversation in its worktree.
    pub(super) fn remove_home(&mut self, position: usize) {
        let task = &self.journal.record.tasks[position];
        let spec = &task.task.spec;
        let executor = self.plugins.executors.get(spec.executor.as_deref());
        let is_kept = task.outcome().is_some_and(|outcome| !outcome.success())
            && self.journal.record.header.settings.keep != KeepPolicy::Never;
        if is_kept || task.attempts.is_empty() || !executor.is_some_and(|executor| has_home(&**executor, spec)) {
            return;
        }
        let (worktrees, run, task) =
            (self.plugins.worktrees.clone(), self.journal.record.header.run.clone(), spec.id.clone());
        self.spawn_work(async move {
            let error = worktrees.remove_home(&run, &task).await.err()?;
            Some(EventKind::Warning { kind: WarningKind::Release, task: Some(task), message: error_chain(&error) })
        });
    }

    /// Whether the agent of a task keeps its sessions where its executor runs it.
    pub(super) fn keeps_sessions(&self, position: usize) -> bool {
        let executor = self.plugins.executors.get(self.specs[position].executor.as_deref());
        executor.map(|executor| executor.capabilities()).is_some_and(|can| can.homes || !can.isolates)
    }
}
