//! Giving worktrees back without losing anything.

use std::io;

use gadugi_core::{
    BranchFate, BranchName, BranchRelease, KeepReason, Lease, Release, ReleaseRequest, WorktreeFate, crash_point,
    error_chain,
};
use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::refs::FullName;

use crate::aside;
use crate::branch;
use crate::checkout::Checkout;
use crate::entry::{Entry, remove_if_empty};
use crate::error::GitError;
use crate::hidden::Hidden;
use crate::history::is_ancestor;
use crate::keepers::{Keepers, is_lost_with};
use crate::private;
use crate::references;
use crate::save::save;
use crate::secrets::looks_like_a_secret;
use crate::snapshot::message;
use crate::worktrees::WorktreeSettings;

/// Removes a worktree that holds nothing of its own, and its branch where nothing is lost with it. The caller has taken over
/// what was committed in isolation, and holds the repository's lock.
pub(crate) fn release(
    settings: &WorktreeSettings,
    lease: &Lease,
    request: ReleaseRequest,
    mut taken: Taken,
) -> Result<Release, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let mut dropped = Vec::new();
    if !request.dry_run && taken == Taken::default() {
        // What has come since; nothing is to be done in most cases.
        taken = take_over(settings, lease, request)?;
    }
    let worktree = match lease.path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => clear_absent(settings, lease, request.dry_run)?,
        Err(error) => return Err(GitError::io("look at", &lease.path)(error)),
        Ok(_) if is_of_another(settings, lease)? => WorktreeFate::Absent,
        Ok(_) => remove(settings, lease, branch, request, &taken, &mut dropped)?,
    };
    if !request.dry_run && !matches!(worktree, WorktreeFate::Kept(_)) {
        let what = match &taken.failure {
            Some(why) => Some(format!("what was committed in isolation ({why})")),
            None if taken.left > 0 => Some("what was staged in isolation".to_owned()),
            None => None,
        };
        if let Some(what) = what {
            let folder = private::discard(settings, lease)?;
            dropped.extend(folder.map(|folder| format!(".git: {what}; it stays at {} for 14 days", folder.display())));
        } else {
            private::remove(settings, lease)?;
        }
    }
    let repo = settings.repository.open(&[])?;
    let own = Entry::of_lease(settings.repository.common_dir(), lease)?;
    let keepers = Keepers::without(own.as_ref(), &settings.repository, &repo)?;
    let branch = match (branch::tip(&repo, branch)?, request.branch, &worktree) {
        (None, ..) => BranchRelease::Absent,
        (_, BranchFate::Keep, _) => BranchRelease::Kept(KeepReason::Requested),
        (_, _, WorktreeFate::Kept(_)) => BranchRelease::Kept(KeepReason::CheckedOut { path: lease.path.clone() }),
        (Some(tip), ..) => {
            // A worktree that was there has been put into the trash with its branch.
            let is_free = keepers.worktree_on(branch).is_none();
            if request.discard && !request.dry_run && is_free && worktree == WorktreeFate::Absent {
                keep_in_trash(&repo, lease, tip)?;
            }
            let parted = branch::part(&repo, &keepers, branch, tip, request)?;
            if !request.dry_run && matches!(parted, BranchRelease::Deleted { .. }) {
                crash_point("release-branch-deleted");
            }
            parted
        }
    };
    if !request.dry_run {
        // That it stays would do no harm.
        remove_if_empty(&settings.folder).ok();
    }
    Ok(Release { worktree, branch, dropped })
}

/// What became of what was committed in isolation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Whether the branch has not what was committed to it; then it is kept by another reference.
    is_apart: bool,
    /// How many files were staged only, and could not be taken over.
    left: u64,
    /// Why it could not be taken over, which only what is discarded may be.
    failure: Option<String>,
}

/// Takes over what was committed in isolation. It may take long, and nobody who makes worktrees has to wait for it: the
/// repository's lock need not be held.
pub(crate) fn take_over(
    settings: &WorktreeSettings,
    lease: &Lease,
    request: ReleaseRequest,
) -> Result<Taken, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    match private::import(settings, lease, branch) {
        Ok(imported) => Ok(Taken { is_apart: imported.apart.is_some(), left: imported.left, failure: None }),
        Err(error) if request.discard => Ok(Taken { failure: Some(error_chain(&error)), ..Taken::default() }),
        Err(error) => Err(error),
    }
}

/// Whether git's list has a worktree in the folder of a lease that was made for another attempt, or not by us.
fn is_of_another(settings: &WorktreeSettings, lease: &Lease) -> Result<bool, GitError> {
    let entry = Entry::of(settings.repository.common_dir(), &lease.path)?;
    Ok(entry.is_some_and(|entry| entry.marker().is_none_or(|marker| !marker.is_of(lease))))
}

/// The folder is gone; its entry in git's list goes too, unless it is locked or the only one to know a commit.
fn clear_absent(settings: &WorktreeSettings, lease: &Lease, dry_run: bool) -> Result<WorktreeFate, GitError> {
    if let Some(entry) = Entry::of_lease(settings.repository.common_dir(), lease)?
        && entry.lock_reason().is_none()
        && !dry_run
        && !is_lost_with(&entry, &settings.repository, &settings.repository.open(&[])?)?
    {
        entry.remove()?;
    }
    if !dry_run {
        // What a release that was cut short has left of it.
        for leftover in aside::leftovers_of(&lease.path)? {
            aside::delete(&leftover)?;
        }
    }
    Ok(WorktreeFate::Absent)
}

fn remove(
    settings: &WorktreeSettings,
    lease: &Lease,
    branch: &BranchName,
    request: ReleaseRequest,
    taken: &Taken,
    dropped: &mut Vec<String>,
) -> Result<WorktreeFate, GitError> {
    let mut checkout = Checkout::look(settings, lease, branch)?;
    let mut reasons = checkout.reasons_to_keep()?;
    if taken.is_apart && !reasons.contains(&KeepReason::HeadElsewhere) {
        // Where its files come from is the `HEAD` that the task knows.
        reasons.push(KeepReason::HeadElsewhere);
    }
    if taken.left > 0 && !reasons.iter().any(|reason| matches!(reason, KeepReason::Uncommitted { .. })) {
        reasons.push(KeepReason::Uncommitted { files: taken.left });
    }
    if request.discard {
        // Whoever has locked it wants it to stay.
        reasons.retain(|reason| matches!(reason, KeepReason::Locked { .. }));
    }
    if !reasons.is_empty() {
        return Ok(WorktreeFate::Kept(reasons));
    }
    if request.discard {
        let Hidden { files, nested } = std::mem::take(&mut checkout.hidden);
        checkout.changes.untracked.extend(files);
        checkout.changes.nested.extend(nested);
        dropped.extend(
            checkout
                .changes
                .untracked
                .iter()
                .filter(|path| looks_like_a_secret(path.as_bstr()))
                .map(ToString::to_string),
        );
        dropped.extend(checkout.changes.nested.iter().map(ToString::to_string));
    }
    if request.dry_run {
        return Ok(WorktreeFate::Removed);
    }
    if request.discard {
        let last = last_state(&checkout, lease)?;
        keep_in_trash(&checkout.repo, lease, last)?;
    }
    let Checkout { entry, .. } = checkout;
    let aside = aside::put_aside(&entry.folder)?;
    crash_point("release-renamed-aside");
    entry.remove()?;
    crash_point("release-entry-removed");
    aside::delete(&aside).map_err(|source| GitError::Remains { folder: aside, source: source.into() })?;
    Ok(WorktreeFate::Removed)
}

/// A commit from which everything in the worktree can be reached, but ignored files and those that look
/// like secrets: the tip of the branch, or a new commit.
fn last_state(checkout: &Checkout, lease: &Lease) -> Result<ObjectId, GitError> {
    let mut parents: Vec<ObjectId> = checkout.head.into_iter().collect();
    if let Some(tip) = checkout.tip
        && !checkout.head.map_or(Ok(false), |head| is_ancestor(&checkout.repo, tip, head))?
    {
        parents.push(tip);
    }
    let saved = save(checkout)?;
    let repo = &checkout.repo;
    match parents[..] {
        [only] if repo.find_commit(only)?.tree_id()? == saved.tree => Ok(only),
        _ => Ok(repo.new_commit(message(lease), saved.tree, parents)?.id),
    }
}

/// Keeps a commit under `refs/gadugi/trash/<run>/<task>`; further ones of the task get `@2`, `@3` and so on at the
/// end, which no task's name has.
fn keep_in_trash(repo: &gix::Repository, lease: &Lease, commit: ObjectId) -> Result<(), GitError> {
    let name = format!("refs/gadugi/trash/{}/{}", lease.run, lease.attempt.task);
    for number in 1_u32.. {
        let name = if number == 1 { name.clone() } else { format!("{name}@{number}") };
        let name: FullName = name.try_into().expect("cannot fail because ids follow git's rules for references");
        match repo.try_find_reference(name.as_ref())? {
            Some(existing) if existing.target().try_id() == Some(&commit) => return Ok(()),
            Some(_) => {}
            None => {
                if references::set(repo, name.as_ref(), None, commit, "gadugi: discarded")? {
                    return Ok(());
                }
            }
        }
    }
    unreachable!("cannot happen because a task has fewer than four thousand million attempts")
}
