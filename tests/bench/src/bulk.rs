//! Worktrees in bulk, as the first tasks of a run get them, and as they are given back.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use gadugi_core::merge::{ChainRequest, Integration, LandRequest, Landing, Link, LinkResult, Strategy};
use gadugi_core::plan::PlannedTask;
use gadugi_core::worktrees::{BranchFate, BranchRelease, ReleaseRequest, Side, Verdict, WorktreeFate, WorktreeRequest};
use gadugi_core::{AttemptNo, AttemptRef, BranchName, Lease, MergeId, Worktrees};

use crate::error::BenchError;
use crate::job::{
    CleanFigures, CleanJob, CreateFigures, CreateJob, ForecastFigures, ForecastJob, MergeFigures, MergeJob,
};
use crate::library::{git_worktrees, header, name};
use crate::machine::peak_memory;

/// Makes all worktrees by one call.
pub(crate) async fn create(job: &CreateJob) -> Result<CreateFigures, BenchError> {
    let header = header(job.worktrees, job.worktrees)?;
    let request = |task: &PlannedTask| WorktreeRequest {
        run: header.run.clone(),
        attempt: AttemptRef { task: task.spec.id.clone(), number: AttemptNo::FIRST },
        base: None,
        needs: Vec::new(),
        from: None,
        reuse: None,
    };
    let requests = header.plan.tasks().iter().map(request).collect();
    let worktrees = git_worktrees(&job.repository, false)?;
    let memory_before = peak_memory();
    let begun = Instant::now();
    let made = worktrees.create(requests).await;
    let call = begun.elapsed().as_secs_f64();
    for made in made {
        made?;
    }
    Ok(CreateFigures { call, memory_before, memory_peak: peak_memory() })
}

/// Gives all worktrees back, as `gadugi clean` does, and tells how many. Their files are deleted by [`sweep`].
pub(crate) async fn release(repository: &Path) -> Result<usize, BenchError> {
    let worktrees = git_worktrees(repository, true)?;
    let request = ReleaseRequest { branch: BranchFate::Keep, discard: false, dry_run: false };
    let requests: Vec<_> = worktrees.leases().await?.into_iter().map(|lease| (lease, request)).collect();
    let number = requests.len();
    for released in worktrees.release_all(requests, BTreeSet::new()).await {
        if released?.worktree != WorktreeFate::Removed {
            return Err(BenchError::WorktreeKept);
        }
    }
    Ok(number)
}

/// Gives back what tasks had that are over, as `gadugi clean` does: their worktrees are gone, their branches are there.
pub(crate) async fn clean(job: &CleanJob) -> Result<CleanFigures, BenchError> {
    let header = header(job.branches, 1)?;
    let worktrees = git_worktrees(&job.repository, true)?;
    let folder = job.repository.with_extension("gadugi");
    let request = ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: false, dry_run: job.dry_run };
    let mut requests = Vec::with_capacity(job.branches);
    for task in header.plan.tasks() {
        let id = task.spec.id.clone();
        let (path, branch) = (folder.join(id.as_str()), Some(format!("gadugi/{id}").parse()?));
        let attempt = AttemptRef { task: id, number: AttemptNo::FIRST };
        requests.push((Lease { run: header.run.clone(), attempt, path, branch, base: None }, request));
    }
    let mut gone = 0;
    for released in worktrees.release_all(requests, BTreeSet::new()).await {
        gone += usize::from(matches!(released?.branch, BranchRelease::Deleted { .. }));
    }
    Ok(CleanFigures { gone, memory_peak: peak_memory() })
}

/// Merges branches into the one that is checked out, as `gadugi merge --no-check` does.
pub(crate) async fn merge(job: &MergeJob) -> Result<MergeFigures, BenchError> {
    let (header, worktrees) = (header(job.tips.len(), 1)?, git_worktrees(&job.repository, false)?);
    let merge: MergeId = header.run.as_str().parse()?;
    let branch: BranchName = "main".parse()?;
    let begun = Instant::now();
    let target = worktrees.target(&branch).await?.ok_or(BenchError::OtherTree)?;
    let mut links = Vec::with_capacity(job.tips.len());
    for (task, tip) in header.plan.tasks().iter().zip(&job.tips) {
        let (name, base, tip) = (task.spec.id.to_string(), target.tip.clone(), tip.parse()?);
        links.push(Link { title: name.clone(), name, run: header.run.clone(), tip, base });
    }
    let (onto, strategy) = (target.tip.clone(), Strategy::Merge);
    let request = ChainRequest { merge: merge.clone(), onto, links, strategy, regenerate: Vec::new() };
    let chain = worktrees.chain(request).await?;
    let chained = begun.elapsed().as_secs_f64();
    let request = LandRequest { merge: merge.clone(), branch, old: Some(target.tip), new: chain.tip };
    let landing = worktrees.land(request).await?;
    let is_landed = matches!(landing, Landing::Landed { followed } if followed.len() == 1);
    let is_whole = chain.links.iter().all(|link| matches!(link, LinkResult::Added { .. }));
    worktrees.forget(&merge).await?;
    let whole = begun.elapsed().as_secs_f64();
    if is_landed && is_whole {
        Ok(MergeFigures { chain: chained, landing: whole - chained })
    } else {
        Err(BenchError::OtherTree)
    }
}

/// Foretells the merges of every two branches, as `gadugi conflicts` does.
pub(crate) async fn forecast(job: &ForecastJob) -> Result<ForecastFigures, BenchError> {
    let worktrees = git_worktrees(&job.repository, false)?;
    let mut sides = Vec::with_capacity(job.branches);
    for number in 0..job.branches {
        let name = format!("gadugi/{}", name(number));
        let tip = worktrees.branch_tip(&name).await?.ok_or(BenchError::OtherTree)?;
        sides.push(Side { name, tip, worktree: None });
    }
    let forecast = worktrees.forecast(sides).await?;
    let unknown = forecast.pairs().filter(|(_, _, verdict)| matches!(verdict, Verdict::Unknown { .. })).count();
    if unknown > 0 {
        return Err(BenchError::Unsuccessful { succeeded: forecast.pairs().count() - unknown, tasks: unknown });
    }
    Ok(ForecastFigures { conflicts: forecast.conflicts().count(), memory_peak: peak_memory() })
}

/// Deletes what was given back, as the process does that `gadugi clean` leaves behind.
pub(crate) async fn sweep(repository: &Path) -> Result<(), BenchError> {
    Ok(git_worktrees(repository, true)?.swept().await?)
}
