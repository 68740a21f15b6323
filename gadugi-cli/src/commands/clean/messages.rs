//! The messages of `gadugi clean`, a line for each thing.

use gadugi_core::Lease;
use gadugi_core::worktrees::{
    BranchRelease, KeepReason, Paths, Pruned, Release, ReleaseDetails, ReleaseRequest, WorktreeFate,
};

/// The word before a thing that is removed.
pub(super) fn removed(dry_run: bool) -> &'static str {
    if dry_run { "would go" } else { "removed " }
}

/// Returns lines about a worktree and its branch; none about what was gone before.
pub(super) fn released(lease: &Lease, release: &Release, request: ReleaseRequest) -> Vec<String> {
    let ReleaseRequest { discard, dry_run, .. } = request;
    let removed = removed(dry_run);
    let path = lease.path.display();
    let branch = lease.branch.as_ref().map(ToString::to_string).unwrap_or_default();
    let task = &lease.attempt.task;
    let stays = release.kept_as.as_ref().map(|name| format!("; it stays as {name} for 14 days")).unwrap_or_default();
    let branch_goes = matches!(release.branch, BranchRelease::Deleted { .. });
    let mut lines = Vec::new();
    match &release.worktree {
        WorktreeFate::Removed if discard && branch_goes => lines.push(format!("{removed} {path}: discarded")),
        WorktreeFate::Removed if discard => lines.push(format!("{removed} {path}: discarded{stays}")),
        WorktreeFate::Removed => lines.push(format!("{removed} {path}: everything is on {branch}")),
        WorktreeFate::Absent => {}
        WorktreeFate::Kept(reasons) => {
            let reasons: Vec<_> = reasons.iter().map(|reason| kept(reason, &release.details)).collect();
            lines.push(format!("kept     {path}: {}", reasons.join(", ")));
        }
    }
    // Parts of an isolated task that could not be imported or committed go to the trash, and their texts say so.
    let is_in_trash = |what: &&String| what.starts_with(".git: ") || what.starts_with("./: ");
    let (aside, gone): (Vec<_>, Vec<_>) = release.dropped.iter().partition(is_in_trash);
    let names = |dropped: &[&String]| dropped.iter().map(|what| what.as_str()).collect::<Vec<_>>().join(", ");
    if !gone.is_empty() {
        lines.push(format!("{removed} for good: {} (of {task})", names(&gone)));
    }
    if !aside.is_empty() {
        lines.push(format!("{removed} {} (of {task})", names(&aside)));
    }
    match &release.branch {
        BranchRelease::Deleted { tip, by } => {
            lines.push(format!("{removed} {branch} (was {}): {by}{stays}", tip.short()));
        }
        BranchRelease::Absent => {}
        BranchRelease::Kept(reason) => lines.push(format!("kept     {branch}: {}", kept(reason, &release.details))),
    }
    lines
}

/// The reason why something is kept, with details.
fn kept(reason: &KeepReason, details: &ReleaseDetails) -> String {
    let ReleaseDetails { changed, untracked, compared_with, only_in } = details;
    match reason {
        KeepReason::Uncommitted { .. } if changed.count + untracked.count > 0 => {
            let kinds = [(changed, "changed"), (untracked, "untracked")];
            let kinds = kinds.iter().filter(|(paths, _)| paths.count > 0);
            let kinds: Vec<_> = kinds.map(|(paths, kind)| format!("{} {kind}: {}", paths.count, some(paths))).collect();
            format!("{reason} ({})", kinds.join("; "))
        }
        KeepReason::Unmerged { .. } => {
            let but =
                only_in.as_ref().map(|branch| format!(" but {branch}, whose task did not succeed")).unwrap_or_default();
            let changes = match compared_with.is_empty() {
                true => String::new(),
                false => format!(", and not all that it changes is in {}", compared_with.join(" or ")),
            };
            format!("{reason}{but}{changes}")
        }
        _ => reason.to_string(),
    }
}

fn some(paths: &Paths) -> String {
    let more = if paths.count > paths.first.len() as u64 { ", …" } else { "" };
    format!("{}{more}", paths.first.join(", "))
}

/// Returns the line about a leftover.
pub(super) fn pruned(pruned: &Pruned, dry_run: bool) -> Option<String> {
    let removed = removed(dry_run);
    Some(match pruned {
        Pruned::Entry { name, path } => {
            format!("{removed} git's entry {name} of {}, which is gone", path.display())
        }
        Pruned::EntryKept { name, path } => format!(
            "kept     git's entry {name} of {}, which is not there: `git worktree repair <path>` where it was moved, `git worktree prune` \
             where it is gone for good",
            path.display()
        ),
        Pruned::HalfMade { path } => format!("{removed} {}, which was never finished", path.display()),
        Pruned::Stray { path, branch } => {
            format!("{removed} {}, which git does not know any more: everything is on {branch}", path.display())
        }
        Pruned::StrayKept { path, why } => format!(
            "kept     {}, which git does not know any more: {why}; copy out what you need, and delete it",
            path.display()
        ),
        Pruned::Expired { reference } => format!("{removed} {reference}, which has kept its commits for 14 days"),
        _ => return None,
    })
}
