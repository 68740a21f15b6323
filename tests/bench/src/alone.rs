//! Each adapter by itself: one task after the other, so that nothing waits for anything else, and beside
//! each the nearest thing that a shell would do.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use gadugi_core::executor::ExecRequest;
use gadugi_core::plan::PlannedTask;
use gadugi_core::registry::RunLog;
use gadugi_core::worktrees::{BranchFate, InPlace, ReleaseRequest, SnapshotRequest, WorktreeFate, WorktreeRequest};
use gadugi_core::{AttemptNo, AttemptRef, Event, EventKind, Executor, Phase, Registry, RunHeader, Worktrees};
use gadugi_registry::FsRegistry;

use crate::error::BenchError;
use crate::job::{AloneFigures, AloneJob};
use crate::library::{COMMAND, drive, executor, git_worktrees, header};
use crate::sample::Sample;

/// Measures all parts. Ours and the shell's take turns.
pub(crate) async fn measure(job: &AloneJob) -> Result<AloneFigures, BenchError> {
    let header = header(job.tasks, 1)?;
    let worktrees = git_worktrees(&job.repository, false)?;
    let (plain, shimmed) = (executor(false), executor(true));
    let mut times = Times::default();
    for task in header.plan.tasks() {
        worktree(&worktrees, &header, task, &mut times).await?;
        worktree_by_git(&job.repository, task, &mut times)?;
        times.execute.push(execute(&plain, &header, task, job, "plain").await?);
        times.execute_with_shim.push(execute(&shimmed, &header, task, job, "shim").await?);
        execute_plainly(&job.repository, &mut times)?;
    }
    record(&header, job, &mut times).await?;
    Ok(times.medians())
}

/// One figure for each task, in seconds.
#[derive(Default)]
struct Times {
    create: Vec<f64>,
    snapshot: Vec<f64>,
    release: Vec<f64>,
    git_add: Vec<f64>,
    git_status: Vec<f64>,
    git_remove: Vec<f64>,
    execute: Vec<f64>,
    execute_with_shim: Vec<f64>,
    plain_execute: Vec<f64>,
    record: Vec<f64>,
}

impl Times {
    fn medians(self) -> AloneFigures {
        let median = |times: Vec<f64>| times.into_iter().collect::<Sample>().median();
        AloneFigures {
            create: median(self.create),
            snapshot: median(self.snapshot),
            release: median(self.release),
            git_add: median(self.git_add),
            git_status: median(self.git_status),
            git_remove: median(self.git_remove),
            execute: median(self.execute),
            execute_with_shim: median(self.execute_with_shim),
            plain_execute: median(self.plain_execute),
            record: median(self.record),
        }
    }
}

fn attempt_of(task: &PlannedTask) -> AttemptRef {
    AttemptRef { task: task.spec.id.clone(), number: AttemptNo::FIRST }
}

/// The worktree calls for a successful task without changes.
async fn worktree(
    worktrees: &dyn Worktrees,
    header: &RunHeader,
    task: &PlannedTask,
    times: &mut Times,
) -> Result<(), BenchError> {
    let request = WorktreeRequest {
        run: header.run.clone(),
        attempt: attempt_of(task),
        base: None,
        needs: Vec::new(),
        from: None,
        reuse: None,
    };
    let begun = Instant::now();
    let leases = worktrees.create(vec![request]).await;
    times.create.push(begun.elapsed().as_secs_f64());
    for lease in leases {
        let lease = lease?.lease;
        let begun = Instant::now();
        worktrees.snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None }).await?;
        times.snapshot.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let request = ReleaseRequest { branch: BranchFate::Keep, discard: false, dry_run: false };
        let release = worktrees.release(&lease, request).await?;
        times.release.push(begun.elapsed().as_secs_f64());
        if release.worktree != WorktreeFate::Removed {
            return Err(BenchError::WorktreeKept);
        }
    }
    Ok(())
}

fn worktree_by_git(repository: &Path, task: &PlannedTask, times: &mut Times) -> Result<(), BenchError> {
    let id = task.spec.id.as_str();
    let (branch, folder) = (format!("by-hand/{id}"), repository.with_extension("by-hand").join(id));
    let git = |folder: &Path| {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder);
        git
    };
    let mut add = git(repository);
    add.args(["worktree", "add", "-q", "-b", &branch]).arg(&folder);
    times.git_add.push(run(add)?);
    let mut status = git(&folder);
    status.args(["status", "--porcelain"]);
    times.git_status.push(run(status)?);
    let mut remove = git(repository);
    remove.args(["worktree", "remove"]).arg(&folder);
    times.git_remove.push(run(remove)?);
    Ok(())
}

/// From the request to the end.
async fn execute(
    executor: &dyn Executor,
    header: &RunHeader,
    task: &PlannedTask,
    job: &AloneJob,
    way: &str,
) -> Result<f64, BenchError> {
    let files = job.state.join("files").join(way).join(task.spec.id.as_str());
    std::fs::create_dir_all(&files).map_err(|source| BenchError::File { path: files.clone(), source })?;
    let request = ExecRequest {
        run: header.run.clone(),
        attempt: attempt_of(task),
        phase: Phase::Main,
        program: task.spec.action.program.clone(),
        stdin: None,
        folder: job.repository.clone(),
        env: task.spec.env.clone(),
        secrets: Vec::new(),
        files,
        resources: task.spec.resources.clone(),
        mounts: Vec::new(),
        home: None,
        stop_signal: gadugi_core::executor::StopSignal::default(),
    };
    let begun = Instant::now();
    executor.start(&request).await?.wait().await?;
    Ok(begun.elapsed().as_secs_f64())
}

fn execute_plainly(folder: &Path, times: &mut Times) -> Result<(), BenchError> {
    let mut command = Command::new(COMMAND);
    command.current_dir(folder);
    times.plain_execute.push(run(command)?);
    Ok(())
}

/// Runs a command to its end and gives its time in seconds.
fn run(mut command: Command) -> Result<f64, BenchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().map_err(|source| BenchError::Start { program: program.clone(), source })?;
    let wall = begun.elapsed().as_secs_f64();
    if status.success() { Ok(wall) } else { Err(BenchError::Failed { program, status, stderr: String::new() }) }
}

/// Writes the events of a run once more, each durable one awaited before the next. A task's share is all
/// between its intent and the next one's.
async fn record(header: &RunHeader, job: &AloneJob, times: &mut Times) -> Result<(), BenchError> {
    let first = FsRegistry::new(job.state.join("first"));
    drive(header.clone(), Arc::new(InPlace::new(&job.repository)), &first, false).await?;
    let events = first.events(&header.run)?;
    let mut log = FsRegistry::new(job.state.join("registry")).create(header).await?;
    let mut begun: Option<Instant> = None;
    for event in &events {
        if matches!(event.kind, EventKind::AttemptIntended { .. } | EventKind::RunEnded { .. })
            && let Some(begun) = begun.replace(Instant::now())
        {
            times.record.push(begun.elapsed().as_secs_f64());
        }
        keep(&mut *log, event).await?;
    }
    Ok(())
}

async fn keep(log: &mut dyn RunLog, event: &Event) -> Result<(), BenchError> {
    let ticket = match &event.kind {
        EventKind::AttemptIntended { .. } => log.intent(event),
        EventKind::CommandStarted { .. } => log.started(event),
        EventKind::CommandEnded { .. } | EventKind::AttemptEnded { .. } => log.ended(event),
        _ => {
            // The scheduler does not wait for these either.
            drop(log.note(event));
            return Ok(());
        }
    };
    Ok(ticket.await?)
}
