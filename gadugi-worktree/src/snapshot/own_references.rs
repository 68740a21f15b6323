//! Commits that only a worktree's own git folder leads to. They get references before it is removed:
//! `refs/gadugi/kept/<run>/<task>/<attempt>/…`.

use gadugi_core::Lease;
use gix::ObjectId;
use gix::bstr::BString;

use crate::error::GitError;
use crate::history::is_ancestor;
use crate::history::reachability::Keepers;
use crate::inspect::checkout::Checkout;
use crate::isolation;
use crate::lease::admin_folder::Entry;
use crate::repo::Repository;
use crate::repo::refs::{HeadAt, head_in};

/// Commits of a worktree that no other reference keeps, with a name for each.
pub(crate) fn at_stake(
    entry: &Entry,
    repository: &Repository,
    repo: &gix::Repository,
    tip: Option<ObjectId>,
) -> Result<Vec<(BString, ObjectId)>, GitError> {
    let mut found: Vec<(BString, ObjectId)> = Vec::new();
    for (name, id) in isolation::own_references(&entry.admin, repo.object_hash())? {
        // What is gone cannot be kept, and what is no commit leads to none.
        let Ok(commit) = repo.find_object(id).and_then(|object| object.peel_to_commit()) else { continue };
        let is_known = found.iter().any(|(_, known)| *known == commit.id);
        if !is_known && !tip.map_or(Ok(false), |tip| is_ancestor(repo, commit.id, tip))? {
            found.push((name, commit.id));
        }
    }
    if found.is_empty() {
        return Ok(found);
    }
    let keepers = Keepers::without(Some(entry), repository, repo)?;
    let mut lost = Vec::new();
    for (name, id) in found {
        if keepers.at_stake(id, None)? > 0 {
            lost.push((name, id));
        }
    }
    Ok(lost)
}

/// Keeps those commits, and a commit of the staged files, if there is one.
pub(crate) fn keep(
    repository: &Repository,
    checkout: &Checkout,
    lease: &Lease,
    tip: Option<ObjectId>,
    staged: Option<ObjectId>,
) -> Result<(), GitError> {
    let mut commits = at_stake(&checkout.entry, repository, &checkout.repo, tip)?;
    commits.extend(staged.map(|commit| ("staged".into(), commit)));
    isolation::keep(&checkout.repo, lease, commits)
}

/// Whether the `HEAD` of a worktree's entry, or a reference of its own, is on a commit that would be lost with the entry.
pub(crate) fn is_lost_with(entry: &Entry, repository: &Repository, repo: &gix::Repository) -> Result<bool, GitError> {
    match head_in(&entry.admin) {
        Some(HeadAt::Commit(head)) if repo.find_commit(head).is_ok() => {
            Ok(Keepers::without(Some(entry), repository, repo)?.at_stake(head, None)? > 0)
        }
        _ => Ok(!at_stake(entry, repository, repo, None)?.is_empty()),
    }
}
