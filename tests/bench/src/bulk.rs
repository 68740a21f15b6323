//! Worktrees in bulk, as the first tasks of a run get them, and as they are given back.

use std::path::Path;
use std::time::Instant;

use gadugi_core::{
    AttemptNo, AttemptRef, BranchFate, PlannedTask, ReleaseRequest, WorktreeFate, WorktreeRequest, Worktrees,
};

use crate::error::BenchError;
use crate::job::{CreateFigures, CreateJob};
use crate::library::{git_worktrees, header};
use crate::machine::peak_memory;

/// Makes all worktrees by one call.
pub(crate) async fn create(job: &CreateJob) -> Result<CreateFigures, BenchError> {
    let header = header(job.worktrees, job.worktrees)?;
    let request = |task: &PlannedTask| WorktreeRequest {
        run: header.run.clone(),
        attempt: AttemptRef { task: task.spec.id.clone(), number: AttemptNo::FIRST },
        needs: Vec::new(),
        from: None,
        take_over: None,
    };
    let requests = header.plan.tasks().iter().map(request).collect();
    let worktrees = git_worktrees(&job.repository)?;
    let memory_before = peak_memory();
    let begun = Instant::now();
    let made = worktrees.create(requests).await;
    let call = begun.elapsed().as_secs_f64();
    for made in made {
        made?;
    }
    Ok(CreateFigures { call, memory_before, memory_peak: peak_memory() })
}

/// Gives all worktrees back, one after the other, and tells how many.
pub(crate) async fn release(repository: &Path) -> Result<usize, BenchError> {
    let worktrees = git_worktrees(repository)?;
    let leases = worktrees.leases().await?;
    for lease in &leases {
        let request = ReleaseRequest { branch: BranchFate::Keep, discard: false, dry_run: false };
        if worktrees.release(lease, request).await?.worktree != WorktreeFate::Removed {
            return Err(BenchError::WorktreeKept);
        }
    }
    Ok(leases.len())
}
