//! `gadugi clean`: worktrees and merged branches of runs that are over.

mod messages;
mod owners;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gadugi_core::run::{AttemptRecord, RunLink};
use gadugi_core::worktrees::{BranchFate, BranchRelease, Pruned, ReleaseRequest, WorktreeError};
use gadugi_core::{BranchName, Executor, Lease, Outcome, RunId, RunRecord, Worktrees, error_chain};

use self::owners::Owners;
use crate::args::CleanArgs;
use crate::context::Context;
use crate::executors::{TaskLifetime, executors};
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::site::{Activity, HeldRun, LoadedRun, Site, foreign_files, process_name};

/// Runs that are held at once: each takes a file handle, and branches of runs that are held together are decided on together.
const MAX_HELD: usize = 128;

pub(super) async fn clean(context: &Context, args: &CleanArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let config = prepare::config(context, &site, None)?;
    let worktrees = site.worktrees_to_clean(&context.surroundings, &config, &site.head().commit)?;
    // Before the runs are read, so that the run of each existing worktree can be found.
    let existing = worktrees.leases().await?;
    let mut executors = executors(context, Some(&site), &config, TaskLifetime::Own);
    let mut runs = load_all(context, &site).await?;
    let attempts = || runs.values().flat_map(|run| &run.record.tasks).flat_map(|task| &task.attempts);
    // Other executors hold nothing of a run, whether they can be used here or not.
    executors.retain(|executor| attempts().any(|attempt| attempt.executor == executor.name()));
    let chosen = chosen(context, &site, args, &runs).await?;
    let over = chosen.iter().filter(|run| args.discard && run.not_over.is_none());
    let discarded = over.filter_map(|run| runs.get(&run.id)).flat_map(|run| leases_of(&run.record, &existing));
    let discarded = discarded.map(|(lease, _)| lease.path.as_path()).collect();
    let strays = prune(context, &worktrees, &discarded, args.dry_run).await?;
    if !args.dry_run {
        collect(context, &site, &executors).await?;
    }
    for run in &chosen {
        let Some(why) = &run.not_over else { continue };
        for lease in existing.iter().filter(|lease| lease.run == run.id) {
            context.terminal.line(&format!("kept     {}: {why}", lease.path.display()))?;
        }
    }
    let over: Vec<_> = chosen.iter().filter(|run| run.not_over.is_none()).map(|run| &run.id).collect();
    let mut cleaning = Cleaning {
        context,
        site: &site,
        worktrees: &worktrees,
        executors: &executors,
        args,
        strays: &strays,
        gone: BTreeSet::new(),
    };
    let mut code = Code::Success;
    for some in over.chunks(MAX_HELD) {
        if !cleaning.clean(some, &mut runs).await? {
            code = Code::TaskFailed;
        }
    }
    if args.runs.is_empty() {
        for lease in existing.iter().filter(|lease| !runs.contains_key(&lease.run)) {
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

/// Loads all runs: also a run that is not to be cleaned may own a worktree or a branch. A run that cannot be read does not hinder
/// the others.
async fn load_all(context: &Context, site: &Site) -> Result<BTreeMap<RunId, LoadedRun>, Failure> {
    let mut runs = BTreeMap::new();
    for id in site.run_ids().await? {
        match site.load(&id).await {
            Ok(run) => drop(runs.insert(id, run)),
            Err(failure) => context.terminal.say(&format!("warning: {}", failure.texts().0)),
        }
    }
    Ok(runs)
}

/// A run to clean.
struct ChosenRun {
    id: RunId,
    /// In a dry run, why nothing of it would be removed.
    not_over: Option<String>,
}

/// Chooses the runs to clean. A run that is not over is refused if it was named, and passed over with `--all`; in a dry run it
/// is chosen, with the reason.
async fn chosen(
    context: &Context,
    site: &Site,
    args: &CleanArgs,
    runs: &BTreeMap<RunId, LoadedRun>,
) -> Result<Vec<ChosenRun>, Failure> {
    let mut chosen = Vec::new();
    if args.all {
        for (id, run) in runs {
            match not_over(run, run.driven) {
                Some(failure) if !args.dry_run => {
                    let (what, remedy) = failure.texts();
                    context.terminal.say(&format!("{what}, and is left alone ({remedy})"));
                }
                failure => {
                    chosen.push(ChosenRun { id: id.clone(), not_over: failure.map(|failure| failure.texts().0) })
                }
            }
        }
        return Ok(chosen);
    }
    let ids: Vec<RunId> = if args.runs.is_empty() {
        let is_of_user = |id: &RunId| runs.get(id).is_none_or(|run| !run.record.header.is_of_merge());
        let latest = site.run_ids().await?.into_iter().rfind(is_of_user);
        // What a retry took as done was made by the runs before it.
        std::iter::successors(latest, |id| retried_by(runs.get(id)?)).collect()
    } else {
        args.runs.iter().map(|name| site.find(name)).collect::<Result<_, _>>()?
    };
    for id in ids {
        // A run that could not be read is read again, which says why; or it was started a moment ago.
        let read_again = if runs.contains_key(&id) { None } else { Some(site.load(&id).await?) };
        match read_again.as_ref().or(runs.get(&id)).and_then(|run| not_over(run, run.driven)) {
            Some(failure) if !args.dry_run => return Err(failure),
            failure => chosen.push(ChosenRun { id, not_over: failure.map(|failure| failure.texts().0) }),
        }
    }
    Ok(chosen)
}

/// The run that a run retries.
fn retried_by(run: &LoadedRun) -> Option<RunId> {
    match &run.record.header.link {
        // It began before: a damaged link leads round in no circle.
        Some(RunLink::Retry { run: earlier }) if *earlier < run.record.header.run => Some(earlier.clone()),
        _ => None,
    }
}

/// Returns why a run is not to be cleaned: the work of its tasks so far is still needed.
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

/// Reports that removed files could not be deleted. They stay beside the worktrees, and the next command tries again.
fn undeleted(error: WorktreeError) -> Failure {
    let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), error_chain);
    let failure = Failure::undone(format!("not all that was removed could be deleted: {why}"));
    match foreign_files(&error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The leases of a run: those in its journal, and those that a crash kept from being recorded.
fn leases_of<'a>(record: &'a RunRecord, existing: &'a [Lease]) -> Vec<(&'a Lease, Option<&'a AttemptRecord>)> {
    let attempts = record.tasks.iter().flat_map(|task| &task.attempts);
    let mut leases: Vec<_> = attempts.filter_map(|attempt| Some((attempt.lease.as_ref()?, Some(&**attempt)))).collect();
    for lease in existing.iter().filter(|lease| lease.run == record.header.run) {
        if !leases.iter().any(|(known, _)| known.attempt == lease.attempt) {
            leases.push((lease, None));
        }
    }
    leases
}

/// The removal of the worktrees and branches of runs.
struct Cleaning<'a> {
    context: &'a Context,
    site: &'a Site,
    worktrees: &'a dyn Worktrees,
    executors: &'a [Arc<dyn Executor>],
    args: &'a CleanArgs,
    /// Folders that git does not know any more, and that were reported.
    strays: &'a [PathBuf],
    /// Branches that were deleted.
    gone: BTreeSet<BranchName>,
}

impl Cleaning<'_> {
    /// Cleans some runs. Returns whether all of them could be cleaned.
    async fn clean(&mut self, some: &[&RunId], runs: &mut BTreeMap<RunId, LoadedRun>) -> Result<bool, Failure> {
        // No other process may drive them or clean them meanwhile, and what was read of them may have changed.
        let (held, all_held) = self.hold_all(some, runs).await?;
        let existing = self.worktrees.leases().await?;
        let owners = Owners::new(runs.values().map(|run| &run.record), &existing);
        let mut unused = Vec::new();
        let ours = |lease: &Lease| owners.still_has(lease) && !self.strays.contains(&lease.path);
        let records = held.iter().filter_map(|(id, _)| Some(&runs.get(id)?.record));
        let leases = records.flat_map(|record| leases_of(record, &existing));
        for (lease, attempt) in leases.filter(|(lease, _)| ours(lease)) {
            match in_use(self.activity(lease, attempt).await) {
                Some(why) => self.context.terminal.line(&format!("kept     {}: {why}", lease.path.display()))?,
                None => unused.push(lease.clone()),
            }
        }
        // In a dry run the branches that would be deleted are still there, and keep no commits either.
        let no_keepers = owners.unproven().chain(self.gone.iter()).cloned().collect();
        Ok(self.release(unused, no_keepers).await? && all_held)
    }

    /// Holds runs that are over, and loads them again. Returns also whether that are all.
    async fn hold_all(
        &self,
        some: &[&RunId],
        runs: &mut BTreeMap<RunId, LoadedRun>,
    ) -> Result<(Vec<(RunId, HeldRun)>, bool), Failure> {
        let Self { context, site, .. } = self;
        let (mut all, mut is_whole) = (Vec::with_capacity(some.len()), true);
        for id in some.iter().copied() {
            let Some(held) = site.hold(id).await? else {
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
                // A run without git has no worktrees.
                all.push((id.clone(), held));
            }
            runs.insert(id.clone(), run);
        }
        Ok((all, is_whole))
    }

    /// The activity of a worktree's attempt. If a crash kept the attempt from being recorded, every executor is asked.
    async fn activity(&self, lease: &Lease, attempt: Option<&AttemptRecord>) -> Activity {
        match attempt {
            // A command of a lost attempt may still run.
            Some(AttemptRecord { ended: Some((outcome, _)), .. }) if !matches!(outcome, Outcome::Lost { .. }) => {
                Activity::Still
            }
            _ => self.site.activity_of(self.executors, &lease.run, &lease.attempt, attempt).await,
        }
    }

    /// Releases worktrees, prints the fate of each, and notes the deleted branches. Returns whether all could be inspected.
    async fn release(&mut self, leases: Vec<Lease>, no_keepers: BTreeSet<BranchName>) -> Result<bool, Failure> {
        let CleanArgs { discard, dry_run, .. } = *self.args;
        let request = ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard, dry_run };
        let requests = leases.iter().map(|lease| (lease.clone(), request)).collect();
        let mut is_whole = true;
        for (lease, released) in leases.iter().zip(self.worktrees.release_all(requests, no_keepers).await) {
            match released {
                Ok(release) => {
                    for line in messages::released(lease, &release, request) {
                        self.context.terminal.line(&line)?;
                    }
                    if matches!(release.branch, BranchRelease::Deleted { .. }) {
                        self.gone.extend(lease.branch.clone());
                    }
                }
                Err(error) => {
                    self.context.terminal.insist(&format!("error: {}", error_chain(&error)));
                    is_whole = false;
                }
            }
        }
        Ok(is_whole)
    }
}

/// Returns why a worktree is in use, or may be.
fn in_use(activity: Activity) -> Option<String> {
    match activity {
        Activity::Still => None,
        Activity::Runs { identity, .. } => Some(format!("{} still works there", process_name(&identity))),
        Activity::Unknown { why, .. } => Some(format!("it cannot be told whether it is in use: {why}")),
    }
}

/// Removes what runs that are over have left with their executors, and the homes of their agents. An executor that is away may hold
/// nothing, or be asked another time.
async fn collect(context: &Context, site: &Site, executors: &[Arc<dyn Executor>]) -> Result<(), Failure> {
    let (removed, collected) = site.collect_leftovers(executors).await;
    for what in removed {
        context.terminal.line(&format!("{} {what}", messages::removed(false)))?;
    }
    if let Err(failure) = collected {
        context.terminal.say(&format!("warning: {}", failure.texts().0));
    }
    Ok(())
}

/// Removes what crashes left, and git's entries of worktrees that were removed by other means. Returns the folders that git does not
/// know any more, about which all is printed then. The entries of `discarded` folders are removed later.
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
        if let Some(line) = messages::pruned(&pruned, dry_run) {
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
