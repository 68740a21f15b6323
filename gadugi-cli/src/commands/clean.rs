//! `gadugi clean`: worktrees and merged branches of runs that are over.

use gadugi_core::{
    AttemptRecord, BranchFate, BranchRelease, CommitId, Place, Pruned, Registry, Release, ReleaseRequest, RunHistory,
    RunId, RunRecord, TaskRecord, WorktreeFate, error_chain,
};

use super::{Context, tasks};
use crate::args::CleanArgs;
use crate::compose::{self, Site};
use crate::config::Config;
use crate::failure::{Code, Failure};

pub(super) async fn clean(context: &Context, args: &CleanArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let config = tasks::config(context, &site, None)?;
    let mut code = Code::Success;
    for history in chosen(context, &site, args).await? {
        let Some(base) = history.header.base.clone() else { continue };
        let run = history.header.run.clone();
        let record = RunRecord::fold(history.header, &history.events);
        let record = record.map_err(|error| Failure::registry(format!("run {run}: {}", error_chain(&error))))?;
        if clean_run(context, &site, &config, &base, &record, args).await? == Code::TaskFailed {
            code = Code::TaskFailed;
        }
    }
    prune(context, &site, &config, args.dry_run).await?;
    Ok(code)
}

/// The runs to clean; one that goes on is refused when it was asked for, and passed over with `--all`.
async fn chosen(context: &Context, site: &Site, args: &CleanArgs) -> Result<Vec<RunHistory>, Failure> {
    let listing = site.registry.list().await?;
    let ids: Vec<RunId> = match (args.all, args.runs.is_empty()) {
        (true, _) => listing.into_iter().map(|run| run.run).collect(),
        (false, true) => listing.into_iter().map(|run| run.run).last().into_iter().collect(),
        (false, false) => args.runs.iter().map(|name| site.find(name)).collect::<Result<_, _>>()?,
    };
    let mut runs = Vec::new();
    for id in ids {
        let history = site.registry.load(&id).await?;
        match (history.driven, args.all) {
            (false, _) => runs.push(history),
            (true, true) => context.terminal.say(&format!("run {id} goes on and is left alone")),
            (true, false) => {
                return Err(Failure::registry(format!("run {id} goes on"))
                    .hint(format!("wait for its end, or end it: gadugi stop {id}")));
            }
        }
    }
    Ok(runs)
}

async fn clean_run(
    context: &Context,
    site: &Site,
    config: &Config,
    base: &CommitId,
    record: &RunRecord,
    args: &CleanArgs,
) -> Result<Code, Failure> {
    let worktrees = site.worktrees(&context.surroundings, config, base)?;
    let request = ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: args.discard, dry_run: args.dry_run };
    let mut code = Code::Success;
    let attempts = record.tasks.iter().flat_map(|task| task.attempts.iter().map(move |attempt| (task, attempt)));
    for (task, attempt) in attempts {
        let Some(lease) = &attempt.lease else { continue };
        if let Some(process) = alive(attempt) {
            let path = lease.path.display();
            context
                .terminal
                .result(&format!("kept     {path}: {process} still works there (gadugi stop ends it)\n"))?;
            continue;
        }
        match worktrees.release(lease, request).await {
            Ok(release) => {
                let branch = lease.branch.as_ref().map(ToString::to_string).unwrap_or_default();
                for line in said(task, attempt, &lease.path.display().to_string(), &branch, &release, args.dry_run) {
                    context.terminal.result(&(line + "\n"))?;
                }
            }
            Err(error) => {
                context.terminal.insist(&format!("error: {}", error_chain(&error)));
                code = Code::TaskFailed;
            }
        }
    }
    Ok(code)
}

/// The process of an attempt that nobody drives any more and that still runs.
fn alive(attempt: &AttemptRecord) -> Option<String> {
    let command = attempt.commands.last().filter(|command| command.end.is_none())?;
    let runs = compose::is_alive(&command.identity) != Some(false);
    runs.then(|| command.identity.token.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

/// What became of a worktree and its branch, a line each; nothing of what was gone before.
fn said(
    task: &TaskRecord,
    attempt: &AttemptRecord,
    path: &str,
    branch: &str,
    release: &Release,
    dry: bool,
) -> Vec<String> {
    let id = &task.task.spec.id;
    let removed = if dry { "would go" } else { "removed " };
    let mut lines = Vec::new();
    match &release.worktree {
        WorktreeFate::Removed => lines.push(format!("{removed} {path}")),
        WorktreeFate::Absent if attempt.place != Place::Released => {
            lines.push(format!("gone     {path}: it was not there any more ({id})"))
        }
        WorktreeFate::Absent => {}
        WorktreeFate::Kept(reasons) => {
            let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            lines.push(format!("kept     {path}: {}", reasons.join(", ")));
        }
    }
    if !release.dropped.is_empty() {
        lines.push(format!("{removed} for good: {} (of {id})", release.dropped.join(", ")));
    }
    match &release.branch {
        BranchRelease::Deleted { tip } => lines.push(format!("{removed} {branch} (was {})", tip.short())),
        BranchRelease::Absent => {}
        BranchRelease::Kept(reason) => lines.push(format!("kept     {branch}: {reason}")),
    }
    lines
}

async fn prune(context: &Context, site: &Site, config: &Config, dry_run: bool) -> Result<(), Failure> {
    let base = site.base(&Config { base: "HEAD".to_owned(), ..config.clone() })?;
    let worktrees = site.worktrees(&context.surroundings, config, &base.commit)?;
    let removed = if dry_run { "would go" } else { "removed " };
    for pruned in worktrees.prune(dry_run).await? {
        if let Pruned::Entry { name, path } = pruned {
            context.terminal.result(&format!("{removed} git's entry {name} of {}, which is gone\n", path.display()))?;
        }
    }
    Ok(())
}
