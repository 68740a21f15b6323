//! The traits of what a merge runs and where it is recorded.

use async_trait::async_trait;
use thiserror::Error;

use crate::id::{CommitId, RunId, TaskId, TreeId};
use crate::merge::event::{MergeEvent, Trial};
use crate::merge::record::TrialEnd;
use crate::merge::train::TrialResult;
use crate::registry::RegistryError;

/// Work in the course of a merge whose result is a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// Generated files are made anew.
    Regenerate {
        /// The commit to start from.
        onto: CommitId,
        /// The scripts that make them, in order.
        scripts: Vec<String>,
    },
    /// An agent resolves what keeps a task from landing.
    Resolve {
        /// The commit to start from: the merged files, with conflict markers where they conflict.
        onto: CommitId,
        /// The task whose agent goes on.
        task: TaskId,
        /// The run of that task.
        run: RunId,
        /// The message to the agent.
        message: String,
    },
}

/// The end of such work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkEnd {
    /// The commit with what it made; `None` when it failed.
    pub tip: Option<CommitId>,
    /// The outcome, in a few words.
    pub why: String,
}

/// An error of a [`MergeRunner`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The user has stopped the merge.
    #[error("the merge was stopped")]
    Stopped,
    /// This one thing cannot be run, such as an agent of a task that has none. The merge goes on without.
    #[error("{why}")]
    Impossible {
        /// The reason.
        why: String,
    },
    /// Nothing can be run.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Runs what a merge needs to be run: checks, scripts for generated files, and agents. Each is a run of the registry, with
/// a worktree for each task, so that another process can go on with it after a crash.
#[async_trait]
pub trait MergeRunner: Send + Sync {
    /// Creates a run of checks, one for each trial, and starts nothing. A crash leaves a run without events at most.
    ///
    /// # Errors
    /// [`RunnerError`].
    async fn begin_trials(&self, trials: &[Trial]) -> Result<RunId, RunnerError>;

    /// Drives a run of checks to its end, wherever an earlier process has left it, and returns the ends in the order of the
    /// trials.
    ///
    /// # Errors
    /// [`RunnerError`]; then the run can be finished later.
    async fn finish_trials(&self, run: &RunId) -> Result<Vec<TrialEnd>, RunnerError>;

    /// The last lines that the check of a trial has printed; empty where it printed nothing, or that is not known.
    async fn last_output(&self, run: &RunId, trial: &Trial) -> String;

    /// Creates a run for other work, and starts nothing.
    ///
    /// # Errors
    /// [`RunnerError`].
    async fn begin_work(&self, work: &Work) -> Result<RunId, RunnerError>;

    /// Drives such a run to its end, wherever an earlier process has left it.
    ///
    /// # Errors
    /// [`RunnerError`]; then the run can be finished later.
    async fn finish_work(&self, run: &RunId) -> Result<WorkEnd, RunnerError>;

    /// Whether the user has stopped the merge. Asked between its steps.
    fn is_stopped(&self) -> bool;
}

/// Records a merge.
pub trait MergeLog: Send {
    /// Writes an event durably: it is found after a crash of the machine at any later moment.
    ///
    /// # Errors
    /// [`RegistryError::Write`]; nothing is written after it.
    fn write(&mut self, event: &MergeEvent) -> Result<(), RegistryError>;

    /// The result of a check that was kept for files with this tree; `None` where none was.
    fn kept_check(&self, tree: &TreeId, key: &str) -> Option<TrialResult>;

    /// Keeps the result of a check for later merges. Only a success is worth keeping: a failure may have had causes beside
    /// the files.
    ///
    /// # Errors
    /// [`RegistryError::Write`]. The merge goes on without.
    fn keep_check(&mut self, tree: &TreeId, key: &str) -> Result<(), RegistryError>;
}
