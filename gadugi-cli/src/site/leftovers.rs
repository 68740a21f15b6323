//! Leftovers of runs that are over: what their executors still hold, and the homes of their agents.

use std::collections::BTreeMap;
use std::sync::Arc;

use gadugi_core::{Executor, Lease, RunId, TaskId, Worktrees, error_chain};

use super::Site;
use crate::failure::Failure;

impl Site {
    /// Removes what runs that are over have left with an executor, such as a container whose gadugi died, and the homes of their
    /// agents. Returns a line for each thing removed, and the first failure.
    pub(crate) async fn collect_leftovers(
        &self,
        executors: &[Arc<dyn Executor>],
    ) -> (Vec<String>, Result<(), Failure>) {
        let (mut removed, mut collected) = (Vec::new(), Ok(()));
        for executor in executors {
            match self.collect_of(&**executor).await {
                Ok(some) => removed.extend(some),
                Err(failure) => collected = collected.and(Err(failure)),
            }
        }
        // Also where an executor is away.
        let homes = self.collect_homes(&mut removed).await;
        (removed, collected.and(homes))
    }

    async fn collect_of(&self, executor: &dyn Executor) -> Result<Vec<String>, Failure> {
        let cannot = |error| Failure::environment(error_chain(&error));
        let mut runs = BTreeMap::new();
        for run in executor.left_by().await.map_err(cannot)? {
            let known = self.is_over(&run).await;
            runs.extend(known.map(|is_over| (run, is_over)));
        }
        executor.collect(&runs).await.map_err(cannot)
    }

    /// Removes the homes of agents whose runs are over, unless a retry may resume their conversations in their worktrees. A home
    /// is created only after its run is recorded.
    async fn collect_homes(&self, removed: &mut Vec<String>) -> Result<(), Failure> {
        let Some(worktrees) = self.worktrees.get() else { return Ok(()) };
        let homes = worktrees.homes().await?;
        let leases = if homes.is_empty() { Vec::new() } else { worktrees.leases().await? };
        for (run, task) in homes {
            let is_over = self.is_over(&run).await.unwrap_or(true);
            if is_over && !(self.has_failed(&run, &task).await && self.has_worktree(&leases, &run, &task).await) {
                worktrees.remove_home(&run, &task).await?;
                removed.push(format!("home folder of the agent of {task} in run {run}"));
            }
        }
        Ok(())
    }

    /// Whether a worktree of a task is there, or was given to a retry that continues there.
    async fn has_worktree(&self, leases: &[Lease], run: &RunId, task: &TaskId) -> bool {
        for lease in leases.iter().filter(|lease| lease.attempt.task == *task) {
            if lease.run == *run || self.continues(&lease.run, run, task).await {
                return true;
            }
        }
        false
    }

    /// Whether a run continues an attempt of an earlier one at a task.
    async fn continues(&self, run: &RunId, earlier: &RunId, task: &TaskId) -> bool {
        let Ok(loaded) = self.load(run).await else { return false };
        let task = loaded.record.task(task);
        task.and_then(|task| task.task.spec.origin.earlier.as_ref()).is_some_and(|origin| origin.run == *earlier)
    }

    /// Whether a task of a run has not succeeded.
    async fn has_failed(&self, run: &RunId, task: &TaskId) -> bool {
        let Ok(loaded) = self.load(run).await else { return false };
        let outcome = loaded.record.task(task).and_then(|task| task.outcome());
        outcome.is_some_and(|outcome| !outcome.success())
    }

    /// Whether a run is over; `None` for an unknown run. A run that cannot be read may still be going.
    async fn is_over(&self, run: &RunId) -> Option<bool> {
        match self.load(run).await {
            Ok(loaded) => Some(loaded.record.ended.is_some() && !loaded.driven),
            Err(_) if self.registry.run_folder(run).exists() => Some(false),
            Err(_) => None,
        }
    }
}
