//! Giving up commands whose executor cannot tell whether they run (`gadugi stop --forget`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use gadugi_core::executor::{
    Capabilities, CommandRef, ExecError, ExecIdentity, ExecRequest, Reattached, RunningTask, Unusable,
};
use gadugi_core::{Executor, RunId, TaskSpec, error_chain};

use crate::terminal::Terminal;

/// An executor that gives up commands that it cannot judge, with a warning.
struct Forgetting {
    inner: Arc<dyn Executor>,
    terminal: Terminal,
}

/// Wraps an executor so that it gives up commands that it cannot judge.
pub(crate) fn forgetting(inner: Arc<dyn Executor>, terminal: &Terminal) -> Arc<dyn Executor> {
    Arc::new(Forgetting { inner, terminal: terminal.clone() })
}

#[async_trait]
impl Executor for Forgetting {
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// Always usable, since it starts nothing.
    async fn probe(&self) -> Result<(), Unusable> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn accepts(&self, _: &TaskSpec) -> Result<(), Unusable> {
        Ok(())
    }

    fn terms(&self, task: &TaskSpec) -> Vec<(String, String)> {
        self.inner.terms(task)
    }

    async fn start(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
        self.inner.start(request).await
    }

    async fn running(&self, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
        self.inner.running(command).await
    }

    async fn left_by(&self) -> Result<BTreeSet<RunId>, ExecError> {
        self.inner.left_by().await
    }

    async fn collect(&self, runs: &BTreeMap<RunId, bool>) -> Result<Vec<String>, ExecError> {
        self.inner.collect(runs).await
    }

    async fn reattach(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        match self.inner.reattach(command).await {
            Err(error @ (ExecError::Watch { .. } | ExecError::Identity { .. })) => {
                let why = error_chain(&error);
                let task = &command.attempt.task;
                self.terminal.insist(&format!(
                    "warning: {task}: given up; whether it still runs, and writes to its worktree, is not known: {why}"
                ));
                Ok(Reattached::Gone { why: format!("given up by `gadugi stop --forget`: {why}") })
            }
            reattached => reattached,
        }
    }
}
