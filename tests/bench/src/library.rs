//! A whole run through the library, as a program that embeds it does it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use gadugi_core::plan::{Program, RawPlan, RawTask};
use gadugi_core::scheduler::control;
use gadugi_core::worktrees::InPlace;
use gadugi_core::{Executor, Executors, Plan, Registry, Report, Run, RunHeader, RunSettings, TaskSpec, Worktrees};
use gadugi_exec::{ShimProgram, SubprocessExecutor, SubprocessSettings};
use gadugi_registry::{FsRegistry, MemoryRegistry};
use gadugi_worktree::{GitWorktrees, Repository, WorktreeSettings};

use crate::error::BenchError;
use crate::job::{Records, RunFigures, RunJob, TaskFolders};
use crate::machine;

/// The command of every task.
pub(crate) const COMMAND: &str = "true";

/// Makes the run, and checks that all its tasks have succeeded.
pub(crate) async fn run(job: &RunJob) -> Result<RunFigures, BenchError> {
    let header = header(job.tasks, job.jobs)?;
    let worktrees: Arc<dyn Worktrees> = match &job.folders {
        TaskFolders::InPlace(folder) => Arc::new(InPlace::new(folder)),
        TaskFolders::Worktrees(repository) => Arc::new(git_worktrees(repository, false)?),
    };
    let registry: Box<dyn Registry> = match &job.records {
        Records::Memory(files) => Box::new(MemoryRegistry::new(files)),
        Records::Disk(state) => Box::new(FsRegistry::new(state)),
    };
    let report = drive(header, worktrees, &*registry, job.shim).await?;
    let figures = &report.performance;
    Ok(RunFigures {
        wall_seconds: figures.wall.unwrap_or_default().as_secs_f64(),
        task_seconds_sum: figures.task_time.as_secs_f64(),
        speedup: figures.speedup.unwrap_or(f64::NAN),
        worktree_seconds_sum: figures.worktree_time.as_secs_f64(),
        spawn_seconds_sum: figures.spawn_time.as_secs_f64(),
        peak_memory: machine::peak_memory(),
    })
}

/// A plan of so many tasks that need nothing.
pub(crate) fn header(tasks: usize, jobs: usize) -> Result<RunHeader, BenchError> {
    let task = |number| -> Result<RawTask, BenchError> {
        let program = Program::Argv(vec![COMMAND.to_owned()]);
        Ok(RawTask { spec: TaskSpec::new(name(number).parse()?, program), needs: Vec::new() })
    };
    let plan = RawPlan { tasks: (0..tasks).map(task).collect::<Result<_, _>>()? };
    let jobs = NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN);
    Ok(RunHeader::new(Plan::try_from(plan)?, RunSettings { jobs, ..RunSettings::default() }))
}

/// The id of a task.
pub(crate) fn name(number: usize) -> String {
    format!("t{number:04}")
}

/// Drives a run by subprocesses to its end.
pub(crate) async fn drive(
    header: RunHeader,
    worktrees: Arc<dyn Worktrees>,
    registry: &dyn Registry,
    shim: bool,
) -> Result<Report, BenchError> {
    let log = registry.create(&header).await?;
    let run = Run::new(header, Executors::new(Arc::new(executor(shim))), worktrees, log);
    // Dropped only at the end of the run, as by a program that could stop it.
    let (_control, receiver) = control();
    let report = Report::from(run.drive(receiver).await?);
    let (succeeded, tasks) = (report.totals.succeeded, report.totals.tasks);
    if succeeded == tasks { Ok(report) } else { Err(BenchError::Unsuccessful { succeeded, tasks }) }
}

/// Subprocesses, each with a shim of its own or without.
pub(crate) fn executor(shim: bool) -> impl Executor {
    let mut settings = SubprocessSettings::new(std::env::vars_os());
    settings.shim = shim.then(ShimProgram::this_program);
    SubprocessExecutor::new(settings)
}

/// Worktrees beside a repository, from its current commit.
pub(crate) fn git_worktrees(repository: &Path, defer_deletion: bool) -> Result<GitWorktrees, BenchError> {
    let repository = Repository::discover(repository)?;
    let (base, folder) = (repository.head_commit().clone(), repository.default_worktrees_folder());
    let settings = WorktreeSettings::new(repository, base, folder);
    Ok(GitWorktrees::new(WorktreeSettings { defer_deletion, ..settings })?)
}
