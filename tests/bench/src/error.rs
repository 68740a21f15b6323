//! Errors of a benchmark.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use gadugi_core::executor::ExecError;
use gadugi_core::merge::MergeError;
use gadugi_core::plan::PlanError;
use gadugi_core::registry::RegistryError;
use gadugi_core::worktrees::WorktreeError;
use gadugi_core::{IdError, RunError};
use gadugi_worktree::OpenError;
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum BenchError {
    #[error("cannot start {program}")]
    Start { program: String, source: io::Error },
    #[error("{program} ended with {status}:\n{stderr}")]
    Failed { program: String, status: ExitStatus, stderr: String },
    #[error("what {program} printed is not what was expected")]
    Unreadable { program: String, source: serde_json::Error },
    #[error("cannot use {}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the report calls {task_seconds_sum} s / {wall_seconds} s a speed-up of {speedup}")]
    Speedup { speedup: f64, task_seconds_sum: f64, wall_seconds: f64 },
    #[error("only {succeeded} of {tasks} tasks succeeded")]
    Unsuccessful { succeeded: usize, tasks: usize },
    #[error("a fresh process was not told what to measure")]
    NoJob(#[source] serde_json::Error),
    #[error("a command could not be run")]
    Exec(#[from] ExecError),
    #[error("the worktrees could not be prepared")]
    Open(#[from] OpenError),
    #[error("a worktree failed")]
    Worktree(#[from] WorktreeError),
    #[error("a merge failed")]
    Merge(#[from] MergeError),
    #[error("a merge has not made what git makes")]
    OtherTree,
    #[error("git finds {git} conflicts, and the forecast {gadugi}")]
    OtherConflicts { git: usize, gadugi: usize },
    #[error("a worktree was not removed")]
    WorktreeKept,
    #[error("a worktree is not what was committed; git status says:\n{status}")]
    Dirty { status: String },
    #[error("the Docker daemon failed")]
    Docker(#[from] bollard::errors::Error),
    #[error("the registry failed")]
    Registry(#[from] RegistryError),
    #[error("the run failed")]
    Run(#[from] RunError),
    #[error("the plan is wrong")]
    Plan(#[from] PlanError),
    #[error("a name is wrong")]
    Id(#[from] IdError),
    #[error("the figures cannot be written")]
    Output(#[from] io::Error),
}
