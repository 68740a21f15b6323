//! Jobs for a fresh process, and its answers, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A measurement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// A whole run through the library; answered by [`RunFigures`].
    Run(RunJob),
    /// Each adapter by itself, one task after the other; answered by [`AloneFigures`].
    Alone(AloneJob),
    /// Worktrees, all by one call; answered by [`CreateFigures`].
    Create(CreateJob),
    /// Gives all worktrees of the repository in this folder back; answered by their number.
    Release(PathBuf),
    /// Decides on the branches of tasks that are over; answered by [`CleanFigures`].
    Clean(CleanJob),
    /// Merges branches and lands the result; answered by [`MergeFigures`].
    Merge(MergeJob),
    /// Foretells the merges of all branches; answered by [`ForecastFigures`].
    Forecast(ForecastJob),
    /// Deletes what was given back in the repository in this folder.
    Sweep(PathBuf),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunJob {
    pub(crate) tasks: usize,
    pub(crate) jobs: usize,
    /// Whether each command gets a shim, which outlives the process.
    pub(crate) shim: bool,
    pub(crate) runtime: Runtime,
    pub(crate) folders: TaskFolders,
    pub(crate) records: Records,
}

/// The Tokio threads of the scheduler.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Runtime {
    /// The one that waits for the run.
    CurrentThread,
    /// Two of its own, as in the command line.
    TwoThreads,
}

/// The folders that the tasks work in.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum TaskFolders {
    /// All in this folder.
    InPlace(PathBuf),
    /// Each in a worktree of this repository.
    Worktrees(PathBuf),
}

/// The registry of the run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Records {
    /// The process; the files of attempts lie in this folder.
    Memory(PathBuf),
    /// The files in this folder.
    Disk(PathBuf),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AloneJob {
    pub(crate) tasks: usize,
    pub(crate) repository: PathBuf,
    /// The folder of the registry, and of the attempts' files.
    pub(crate) state: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateJob {
    pub(crate) repository: PathBuf,
    pub(crate) worktrees: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateFigures {
    /// Of the call alone, in seconds.
    pub(crate) call: f64,
    /// The most memory that the process had had before the call, in bytes, and at its end.
    pub(crate) memory_before: Option<u64>,
    pub(crate) memory_peak: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CleanJob {
    pub(crate) repository: PathBuf,
    /// Their number, named as [`header`](crate::library::header) names tasks.
    pub(crate) branches: usize,
    pub(crate) dry_run: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ForecastJob {
    pub(crate) repository: PathBuf,
    /// Their number, named as [`header`](crate::library::header) names tasks.
    pub(crate) branches: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ForecastFigures {
    /// The number of pairs in conflict.
    pub(crate) conflicts: usize,
    /// The most memory that the process had, in bytes.
    pub(crate) memory_peak: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CleanFigures {
    /// The number of branches that went, or would go.
    pub(crate) gone: usize,
    /// The most memory that the process had, in bytes.
    pub(crate) memory_peak: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MergeJob {
    pub(crate) repository: PathBuf,
    /// Their tips, in the order of the names that [`header`](crate::library::header) gives tasks.
    pub(crate) tips: Vec<String>,
}

/// In seconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MergeFigures {
    pub(crate) chain: f64,
    pub(crate) landing: f64,
}

/// The figures of a run, by the names that they have in the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunFigures {
    pub(crate) wall_seconds: f64,
    pub(crate) task_seconds_sum: f64,
    pub(crate) speedup: f64,
    pub(crate) worktree_seconds_sum: f64,
    pub(crate) spawn_seconds_sum: f64,
    /// Not in the report: the most memory that the process had, in bytes.
    #[serde(default)]
    pub(crate) peak_memory: Option<u64>,
}

/// The time of each part by itself: medians over the tasks, in seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AloneFigures {
    pub(crate) create: f64,
    pub(crate) snapshot: f64,
    pub(crate) release: f64,
    pub(crate) git_add: f64,
    pub(crate) git_status: f64,
    pub(crate) git_remove: f64,
    pub(crate) execute: f64,
    pub(crate) execute_with_shim: f64,
    pub(crate) plain_execute: f64,
    pub(crate) record: f64,
}
