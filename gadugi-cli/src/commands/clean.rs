//! `gadugi clean`: worktrees and merged branches of runs that are over.

mod owners;

use std::collections::BTreeMap;
use std::sync::Arc;

use gadugi_core::{
    AttemptRecord, BranchFate, BranchRelease, Executor, Lease, Outcome, Pruned, Registry, Release, ReleaseRequest,
    RunId, RunRecord, WorktreeFate, Worktrees, error_chain,
};

use self::owners::Owners;
use super::{Context, tasks};
use crate::activity::Activity;
use crate::args::CleanArgs;
use crate::compose::{self, Site};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::runs::{LoadedRun, process_name};

pub(super) async fn clean(context: &Context, args: &CleanArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let config = tasks::config(context, &site, None)?;
    let head = site.base(&Config { base: "HEAD".to_owned(), ..config.clone() })?;
    let worktrees = site.worktrees(&context.surroundings, &config, &head.commit)?;
    // Before the runs are read, so that the run of each worktree that is there can be found.
    let there = worktrees.leases().await?;
    let executors = compose::executors(context, Some(&site), &config, false);
    let runs = runs(context, &site).await?;
    let chosen = chosen(context, &site, args, &runs).await?;
    prune(context, worktrees.as_ref(), args.dry_run).await?;
    if !args.dry_run {
        collect(context, &site, &executors).await?;
    }
    let mut code = Code::Success;
    for id in &chosen {
        // Nobody may begin to drive it or to clean it meanwhile, and what was read of it may have changed.
        let Some(held) = hold(&site, id).await? else {
            context.terminal.insist(&format!("error: another process drives or cleans run {id}"));
            code = Code::TaskFailed;
            continue;
        };
        let run = site.load(id).await?;
        if let Some(failure) = not_over(&run, false) {
            failure.print(&context.terminal);
            code = Code::TaskFailed;
            continue;
        }
        let record = &run.record;
        let Some(base) = &record.header.base else { continue };
        let worktrees = site.worktrees(&context.surroundings, &config, base)?;
        let there = worktrees.leases().await?;
        let owners = Owners::new(runs.values().map(|run| &run.record), &there);
        for (lease, attempt) in places(record, &there).into_iter().filter(|(lease, _)| owners.still_has(lease)) {
            let activity = activity(&site, &executors, lease, attempt).await;
            if clean_place(context, worktrees.as_ref(), lease, activity, args).await? == Code::TaskFailed {
                code = Code::TaskFailed;
            }
        }
        drop(held);
    }
    if args.runs.is_empty() {
        for lease in there.iter().filter(|lease| !runs.contains_key(&lease.run)) {
            let line = format!("kept     {}: its run is not known ({})\n", lease.path.display(), lease.run);
            context.terminal.result(&line)?;
        }
    }
    Ok(code)
}

/// All runs: also one that is not to be cleaned may own what is there. One that cannot be read does not hinder
/// the others.
async fn runs(context: &Context, site: &Site) -> Result<BTreeMap<RunId, LoadedRun>, Failure> {
    let mut runs = BTreeMap::new();
    for listed in site.registry.list().await? {
        match site.load(&listed.run).await {
            Ok(run) => drop(runs.insert(listed.run, run)),
            Err(failure) => context.terminal.say(&format!("warning: {}", failure.texts().0)),
        }
    }
    Ok(runs)
}

/// The runs to clean; one that is not over is refused when it was asked for, and passed over with `--all`.
async fn chosen(
    context: &Context,
    site: &Site,
    args: &CleanArgs,
    runs: &BTreeMap<RunId, LoadedRun>,
) -> Result<Vec<RunId>, Failure> {
    if args.all {
        let mut chosen = Vec::new();
        for (id, run) in runs {
            match not_over(run, run.driven) {
                Some(failure) => {
                    let (what, remedy) = failure.texts();
                    context.terminal.say(&format!("{what}, and is left alone ({remedy})"));
                }
                None => chosen.push(id.clone()),
            }
        }
        return Ok(chosen);
    }
    let ids: Vec<RunId> = if args.runs.is_empty() {
        site.registry.list().await?.into_iter().map(|listed| listed.run).next_back().into_iter().collect()
    } else {
        args.runs.iter().map(|name| site.find(name)).collect::<Result<_, _>>()?
    };
    for id in &ids {
        // One that could not be read is read again, which says why; or it began a moment ago.
        let read_again = if runs.contains_key(id) { None } else { Some(site.load(id).await?) };
        if let Some(failure) = read_again.as_ref().or(runs.get(id)).and_then(|run| not_over(run, run.driven)) {
            return Err(failure);
        }
    }
    Ok(ids)
}

/// Why a run is not to be cleaned: what its tasks made so far is still needed.
fn not_over(run: &LoadedRun, driven: bool) -> Option<Failure> {
    let id = &run.record.header.run;
    match (run.record.ended, driven) {
        (Some(_), _) => None,
        (None, true) => Some(
            Failure::registry(format!("run {id} goes on"))
                .hint(format!("wait for its end, or end it: gadugi stop {id}")),
        ),
        (None, false) => {
            Some(Failure::undone(format!("run {id} is not over, and nobody drives it")).hint(format!(
                "first `gadugi resume {id}`, which goes on with it, or `gadugi stop {id}`, which ends it"
            )))
        }
    }
}

/// Keeps others from driving a run; `None` when somebody does. It may have to wait for a moment.
async fn hold(site: &Site, run: &RunId) -> Result<Option<compose::HeldRun>, Failure> {
    let (registry, run) = (Arc::clone(&site.registry), run.clone());
    let held = tokio::task::spawn_blocking(move || registry.hold(&run)).await;
    Ok(held.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?)
}

/// The worktrees of a run: those that its journal tells of, and those that a crash kept from being recorded.
fn places<'a>(record: &'a RunRecord, there: &'a [Lease]) -> Vec<(&'a Lease, Option<&'a AttemptRecord>)> {
    let attempts = record.tasks.iter().flat_map(|task| &task.attempts);
    let mut places: Vec<_> = attempts.filter_map(|attempt| Some((attempt.lease.as_ref()?, Some(attempt)))).collect();
    for lease in there.iter().filter(|lease| lease.run == record.header.run) {
        if !places.iter().any(|(known, _)| known.attempt == lease.attempt) {
            places.push((lease, None));
        }
    }
    places
}

async fn clean_place(
    context: &Context,
    worktrees: &dyn Worktrees,
    lease: &Lease,
    activity: Activity,
    args: &CleanArgs,
) -> Result<Code, Failure> {
    let path = lease.path.display();
    match activity {
        Activity::Still => {}
        Activity::Runs { identity, .. } => {
            let process = process_name(&identity);
            context.terminal.result(&format!("kept     {path}: {process} still works there\n"))?;
            return Ok(Code::Success);
        }
        Activity::Unknown { why, .. } => {
            context.terminal.result(&format!("kept     {path}: it cannot be told whether it is in use: {why}\n"))?;
            return Ok(Code::Success);
        }
    }
    let request = ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: args.discard, dry_run: args.dry_run };
    match worktrees.release(lease, request).await {
        Ok(release) => {
            for line in said(lease, &release, args.dry_run) {
                context.terminal.result(&(line + "\n"))?;
            }
            Ok(Code::Success)
        }
        Err(error) => {
            context.terminal.insist(&format!("error: {}", error_chain(&error)));
            Ok(Code::TaskFailed)
        }
    }
}

/// What the attempt of a worktree does. Where a crash kept the attempt from being recorded, every executor is asked.
async fn activity(
    site: &Site,
    executors: &[Arc<dyn Executor>],
    lease: &Lease,
    attempt: Option<&AttemptRecord>,
) -> Activity {
    match attempt {
        // Of one that is lost something may still run.
        Some(AttemptRecord { ended: Some((outcome, _)), .. }) if !matches!(outcome, Outcome::Lost { .. }) => {
            Activity::Still
        }
        _ => site.activity_of(executors, &lease.run, &lease.attempt, attempt).await,
    }
}

fn removed(dry_run: bool) -> &'static str {
    if dry_run { "would go" } else { "removed " }
}

/// What became of a worktree and its branch, a line each; nothing of what was gone before.
fn said(lease: &Lease, release: &Release, dry_run: bool) -> Vec<String> {
    let removed = removed(dry_run);
    let path = lease.path.display();
    let branch = lease.branch.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut lines = Vec::new();
    match &release.worktree {
        WorktreeFate::Removed => lines.push(format!("{removed} {path}")),
        WorktreeFate::Absent => {}
        WorktreeFate::Kept(reasons) => {
            let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            lines.push(format!("kept     {path}: {}", reasons.join(", ")));
        }
    }
    // What could not be taken over of an isolated task goes to the trash, and says so.
    let (aside, gone): (Vec<_>, Vec<_>) = release.dropped.iter().partition(|what| what.starts_with(".git: "));
    let task = &lease.attempt.task;
    let names = |dropped: &[&String]| dropped.iter().map(|what| what.as_str()).collect::<Vec<_>>().join(", ");
    if !gone.is_empty() {
        lines.push(format!("{removed} for good: {} (of {task})", names(&gone)));
    }
    if !aside.is_empty() {
        lines.push(format!("{removed} {} (of {task})", names(&aside)));
    }
    match &release.branch {
        BranchRelease::Deleted { tip } => lines.push(format!("{removed} {branch} (was {})", tip.short())),
        BranchRelease::Absent => {}
        BranchRelease::Kept(reason) => lines.push(format!("kept     {branch}: {reason}")),
    }
    lines
}

/// Removes what runs that are over have left with their executors. One that is not there may hold nothing, or be asked
/// another time.
async fn collect(context: &Context, site: &Site, executors: &[Arc<dyn Executor>]) -> Result<(), Failure> {
    match compose::collect(site, executors).await {
        Ok(removed) => {
            for what in removed {
                context.terminal.result(&format!("{} {what}\n", self::removed(false)))?;
            }
        }
        Err(failure) => context.terminal.say(&format!("warning: {}", failure.texts().0)),
    }
    Ok(())
}

/// Clears away what crashes left, and the entries of worktrees that somebody else has removed.
async fn prune(context: &Context, worktrees: &dyn Worktrees, dry_run: bool) -> Result<(), Failure> {
    let removed = removed(dry_run);
    for pruned in worktrees.prune(dry_run).await? {
        let line = match pruned {
            Pruned::Entry { name, path } => {
                format!("{removed} git's entry {name} of {}, which is gone\n", path.display())
            }
            Pruned::HalfMade { path } => format!("{removed} {}, which was never finished\n", path.display()),
            _ => continue,
        };
        context.terminal.result(&line)?;
    }
    Ok(())
}
