//! The branch of an attempt.

use gadugi_core::{BranchName, BranchRelease, KeepReason, ReleaseRequest};
use gix::ObjectId;
use gix::refs::transaction::{PreviousValue, RefEdit};
use gix::refs::{FullName, Target};

use crate::error::GitError;
use crate::ids::to_commit;
use crate::keepers::Keepers;

pub(crate) fn full_name(branch: &BranchName) -> FullName {
    branch.full().try_into().expect("cannot fail because a branch name follows git's rules for references")
}

/// The commit that the branch points to; `None` when it does not exist.
pub(crate) fn tip(repo: &gix::Repository, branch: &BranchName) -> Result<Option<ObjectId>, GitError> {
    match repo.try_find_reference(&full_name(branch))? {
        Some(mut reference) => Ok(Some(reference.peel_to_commit()?.id)),
        None => Ok(None),
    }
}

/// Deletes the branch if it still points to `tip`. Answers whether it did; a branch that does not exist counts as
/// deleted.
pub(crate) fn delete(repo: &gix::Repository, branch: &BranchName, tip: ObjectId) -> Result<bool, GitError> {
    let expected = PreviousValue::MustExistAndMatch(Target::Object(tip));
    match repo.edit_reference(RefEdit::delete(full_name(branch), expected)) {
        Ok(_) => Ok(true),
        Err(error) => match self::tip(repo, branch)? {
            None => Ok(true),
            Some(now) if now != tip => Ok(false),
            Some(_) => Err(error.into()),
        },
    }
}

/// Deletes the branch unless a worktree has it checked out, or something would be lost with it. Discarded work is
/// kept elsewhere.
pub(crate) fn part(
    repo: &gix::Repository,
    keepers: &Keepers<'_>,
    branch: &BranchName,
    tip: ObjectId,
    request: ReleaseRequest,
) -> Result<BranchRelease, GitError> {
    if let Some(path) = keepers.worktree_on(branch) {
        return Ok(BranchRelease::Kept(KeepReason::CheckedOut { path }));
    }
    let commits = if request.discard { 0 } else { keepers.at_stake(tip, Some(branch))? };
    if commits > 0 {
        return Ok(BranchRelease::Kept(KeepReason::Unmerged { commits }));
    }
    if request.dry_run || delete(repo, branch, tip)? {
        return Ok(BranchRelease::Deleted { tip: to_commit(tip) });
    }
    Ok(BranchRelease::Kept(KeepReason::Moved))
}
