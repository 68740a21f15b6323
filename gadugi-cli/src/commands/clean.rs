//! `gadugi clean`: worktrees and merged branches of runs that are over.

mod owners;
mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gadugi_core::{
    AttemptRecord, BranchFate, BranchName, BranchRelease, Executor, Lease, Outcome, Pruned, Registry, ReleaseRequest,
    RunId, RunRecord, WorktreeError, Worktrees, error_chain,
};

use self::owners::Owners;
use crate::activity::Activity;
use crate::args::CleanArgs;
use crate::compose::{self, Site};
use crate::config::Config;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::runs::{LoadedRun, process_name};

/// How many runs are held at once: each takes a file handle, and branches of runs that are held together are decided on together.
const RUNS_AT_ONCE: usize = 128;

pub(super) async fn clean(context: &Context, args: &CleanArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let config = prepare::config(context, &site, None)?;
    let head = site.base(&Config { base: "HEAD".to_owned(), ..config.clone() })?;
    let worktrees = site.worktrees_to_clean(&context.surroundings, &config, &head.commit)?;
    // Before the runs are read, so that the run of each worktree that is there can be found.
    let there = worktrees.leases().await?;
    let mut executors = compose::executors(context, Some(&site), &config, false);
    let mut runs = runs(context, &site).await?;
    let attempts = || runs.values().flat_map(|run| &run.record.tasks).flat_map(|task| &task.attempts);
    // Others hold nothing of a run, whether they can be used here or not.
    executors.retain(|executor| attempts().any(|attempt| attempt.executor == executor.name()));
    let chosen = chosen(context, &site, args, &runs).await?;
    let over = chosen.iter().filter(|(_, goes_on)| args.discard && goes_on.is_none());
    let discarded = over.filter_map(|(id, _)| runs.get(id)).flat_map(|run| places(&run.record, &there));
    let discarded = discarded.map(|(lease, _)| lease.path.as_path()).collect();
    let strays = prune(context, &worktrees, &discarded, args.dry_run).await?;
    if !args.dry_run {
        collect(context, &site, &executors).await?;
    }
    let mut code = Code::Success;
    let mut over = Vec::new();
    for (id, goes_on) in &chosen {
        let Some(why) = goes_on else {
            over.push(id);
            continue;
        };
        for lease in there.iter().filter(|lease| lease.run == *id) {
            context.terminal.line(&format!("kept     {}: {why}", lease.path.display()))?;
        }
    }
    let mut gone = BTreeSet::new();
    for some in over.chunks(RUNS_AT_ONCE) {
        // Nobody may begin to drive them or to clean them meanwhile, and what was read of them may have changed.
        let (held, is_whole) = hold_all(context, &site, some, &mut runs).await?;
        let there = worktrees.leases().await?;
        let owners = Owners::new(runs.values().map(|run| &run.record), &there);
        let mut still = Vec::new();
        let ours = |lease: &Lease| owners.still_has(lease) && !strays.contains(&lease.path);
        let records = held.iter().filter_map(|(id, _)| Some(&runs.get(id)?.record));
        let places = records.flat_map(|record| places(record, &there));
        for (lease, attempt) in places.filter(|(lease, _)| ours(lease)) {
            match in_use(activity(&site, &executors, lease, attempt).await) {
                Some(why) => context.terminal.line(&format!("kept     {}: {why}", lease.path.display()))?,
                None => still.push(lease.clone()),
            }
        }
        // In a dry run those of the runs before are still there.
        let no_keepers = owners.unproven().chain(gone.iter()).cloned().collect();
        if !release(context, &worktrees, still, no_keepers, &mut gone, args).await? || !is_whole {
            code = Code::TaskFailed;
        }
    }
    if args.runs.is_empty() {
        for lease in there.iter().filter(|lease| !runs.contains_key(&lease.run)) {
            let line = format!("kept     {}: its run is not known ({})", lease.path.display(), lease.run);
            context.terminal.line(&line)?;
        }
    }
    if args.wait {
        worktrees.swept().await.map_err(undeleted)?;
    } else if !args.dry_run && site.leave_deletion(&context.terminal) {
        context.terminal.detail("what was removed is deleted in the background; `gadugi clean --wait` waits for that");
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

/// The runs to clean; one that is not over is refused when it was asked for, and passed over with `--all`. In a dry run it
/// is among them, with the reason why nothing of it would go.
async fn chosen(
    context: &Context,
    site: &Site,
    args: &CleanArgs,
    runs: &BTreeMap<RunId, LoadedRun>,
) -> Result<Vec<(RunId, Option<String>)>, Failure> {
    let goes_on = |failure: Failure| failure.texts().0;
    if args.all {
        let mut chosen = Vec::new();
        for (id, run) in runs {
            match not_over(run, run.driven) {
                Some(failure) if args.dry_run => chosen.push((id.clone(), Some(goes_on(failure)))),
                Some(failure) => {
                    let (what, remedy) = failure.texts();
                    context.terminal.say(&format!("{what}, and is left alone ({remedy})"));
                }
                None => chosen.push((id.clone(), None)),
            }
        }
        return Ok(chosen);
    }
    let ids: Vec<RunId> = if args.runs.is_empty() {
        site.registry.list().await?.into_iter().map(|listed| listed.run).next_back().into_iter().collect()
    } else {
        args.runs.iter().map(|name| site.find(name)).collect::<Result<_, _>>()?
    };
    let mut chosen = Vec::new();
    for id in ids {
        // One that could not be read is read again, which says why; or it began a moment ago.
        let read_again = if runs.contains_key(&id) { None } else { Some(site.load(&id).await?) };
        match read_again.as_ref().or(runs.get(&id)).and_then(|run| not_over(run, run.driven)) {
            Some(failure) if !args.dry_run => return Err(failure),
            failure => chosen.push((id, failure.map(goes_on))),
        }
    }
    Ok(chosen)
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

/// Holds runs that are over, and reads them again, in place of what was read of them before; and whether that are all.
async fn hold_all(
    context: &Context,
    site: &Site,
    some: &[&RunId],
    runs: &mut BTreeMap<RunId, LoadedRun>,
) -> Result<(Vec<(RunId, compose::HeldRun)>, bool), Failure> {
    let (mut all, mut is_whole) = (Vec::with_capacity(some.len()), true);
    for id in some.iter().copied() {
        let Some(held) = hold(site, id).await? else {
            context.terminal.insist(&format!("error: another process drives or cleans run {id}"));
            is_whole = false;
            continue;
        };
        // Two of each would take twice the memory.
        runs.remove(id);
        let run = site.load(id).await?;
        if let Some(failure) = not_over(&run, false) {
            failure.print(&context.terminal);
            is_whole = false;
        } else if run.record.header.base.is_some() {
            // One without git has no worktrees.
            all.push((id.clone(), held));
        }
        runs.insert(id.clone(), run);
    }
    Ok((all, is_whole))
}

/// That something which was removed could not be deleted. It stays beside the worktrees, and the next command tries again.
fn undeleted(error: WorktreeError) -> Failure {
    let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), error_chain);
    let failure = Failure::undone(format!("not all that was removed could be deleted: {why}"));
    match compose::foreign_files(&error) {
        Some(hint) => failure.hint(hint),
        None => failure,
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
    let mut places: Vec<_> = attempts.filter_map(|attempt| Some((attempt.lease.as_ref()?, Some(&**attempt)))).collect();
    for lease in there.iter().filter(|lease| lease.run == record.header.run) {
        if !places.iter().any(|(known, _)| known.attempt == lease.attempt) {
            places.push((lease, None));
        }
    }
    places
}

/// Why a worktree is not to be touched, if something still works there or that cannot be told.
fn in_use(activity: Activity) -> Option<String> {
    match activity {
        Activity::Still => None,
        Activity::Runs { identity, .. } => Some(format!("{} still works there", process_name(&identity))),
        Activity::Unknown { why, .. } => Some(format!("it cannot be told whether it is in use: {why}")),
    }
}

/// Gives worktrees back, says what became of each, and notes the branches that are gone. Whether all could be looked at.
async fn release(
    context: &Context,
    worktrees: &dyn Worktrees,
    leases: Vec<Lease>,
    no_keepers: BTreeSet<BranchName>,
    gone: &mut BTreeSet<BranchName>,
    args: &CleanArgs,
) -> Result<bool, Failure> {
    let request = ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: args.discard, dry_run: args.dry_run };
    let requests = leases.iter().map(|lease| (lease.clone(), request)).collect();
    let mut is_whole = true;
    for (lease, released) in leases.iter().zip(worktrees.release_all(requests, no_keepers).await) {
        match released {
            Ok(release) => {
                for line in said::released(lease, &release, args.discard, args.dry_run) {
                    context.terminal.line(&line)?;
                }
                if matches!(release.branch, BranchRelease::Deleted { .. }) {
                    gone.extend(lease.branch.clone());
                }
            }
            Err(error) => {
                context.terminal.insist(&format!("error: {}", error_chain(&error)));
                is_whole = false;
            }
        }
    }
    Ok(is_whole)
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

/// Removes what runs that are over have left with their executors, and the homes of their agents. An executor that is not there may hold nothing, or be asked
/// another time.
async fn collect(context: &Context, site: &Site, executors: &[Arc<dyn Executor>]) -> Result<(), Failure> {
    let (removed, collected) = compose::collect(site, executors).await;
    for what in removed {
        context.terminal.line(&format!("{} {what}", said::removed(false)))?;
    }
    if let Err(failure) = collected {
        context.terminal.say(&format!("warning: {}", failure.texts().0));
    }
    Ok(())
}

/// Clears away what crashes left, and the entries of worktrees that somebody else has removed. Gives the folders that git
/// has forgotten, of which all is said then. The entries of those that are `discarded` go afterwards.
async fn prune(
    context: &Context,
    worktrees: &dyn Worktrees,
    discarded: &BTreeSet<&Path>,
    dry_run: bool,
) -> Result<Vec<PathBuf>, Failure> {
    let mut strays = Vec::new();
    for pruned in worktrees.prune(dry_run).await? {
        if matches!(&pruned, Pruned::EntryKept { path, .. } if discarded.contains(path.as_path())) {
            continue;
        }
        if let Some(line) = said::pruned(&pruned, dry_run) {
            context.terminal.line(&line)?;
        }
        match pruned {
            Pruned::StrayKept { path, .. } => strays.push(path),
            Pruned::Stray { path, .. } if dry_run => strays.push(path),
            _ => {}
        }
    }
    Ok(strays)
}
