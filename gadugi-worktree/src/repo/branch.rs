//! The branch of an attempt.

use gadugi_core::BranchName;
use gix::ObjectId;

use crate::error::GitError;
use crate::files::ordinary;
use crate::repo::ids::full_name;
use crate::repo::refs;

/// The commit that the branch points to; `None` when it does not exist.
pub(crate) fn tip(repo: &gix::Repository, branch: &BranchName) -> Result<Option<ObjectId>, GitError> {
    let name = full_name(branch);
    ordinary::check(&refs::path(repo, name.as_ref())?)?;
    match repo.try_find_reference(&name)? {
        Some(mut reference) => Ok(Some(reference.peel_to_commit()?.id)),
        None => Ok(None),
    }
}

/// The message that opens the reflog of a branch made here; its start commit follows.
const MADE: &str = "branch: created by gadugi from ";

/// Makes the branch.
pub(crate) fn create(repo: &gix::Repository, branch: &BranchName, start: ObjectId) -> Result<(), GitError> {
    let is_made = refs::set(repo, full_name(branch).as_ref(), None, start, &format!("{MADE}{start}"))?;
    if is_made { Ok(()) } else { Err(GitError::BranchTaken { branch: branch.clone() }) }
}

/// Moves the branch from `from` to a new commit.
pub(crate) fn advance(
    repo: &gix::Repository,
    branch: &BranchName,
    from: ObjectId,
    to: ObjectId,
    message: &str,
) -> Result<(), GitError> {
    let is_moved = refs::set(repo, full_name(branch).as_ref(), Some(from), to, message)?;
    if is_moved { Ok(()) } else { Err(GitError::BranchMoved { branch: branch.clone() }) }
}

/// Deletes the branch if it still points to `tip`. Returns whether it did; a branch that does not exist counts as deleted.
pub(crate) fn delete(repo: &gix::Repository, branch: &BranchName, tip: ObjectId) -> Result<bool, GitError> {
    refs::delete(repo, full_name(branch).as_ref(), tip)
}

/// Returns whether the newest reflog entry of the branch is its creation for one of our worktrees, at this start: by us, or by
/// git, to which we pass the start as a commit. A branch without a reflog counts as one.
pub(crate) fn is_as_made(repo: &gix::Repository, branch: &BranchName, start: ObjectId) -> Result<bool, GitError> {
    let last = refs::last_of_log(repo, full_name(branch).as_ref())?;
    let by_git = format!("branch: Created from {start}");
    Ok(last.is_none_or(|last| {
        let message = last.split_once('\t').map_or("", |(_, message)| message);
        message.strip_prefix(MADE) == Some(start.to_string().as_str()) || message == by_git
    }))
}

/// Returns whether the reflog tells that the branch was created for one of our worktrees: by us, or by git, to which we pass
/// the start as a commit. A branch without a reflog counts as none.
pub(crate) fn was_made_here(repo: &gix::Repository, branch: &BranchName) -> Result<bool, GitError> {
    refs::any_of_log(repo, full_name(branch).as_ref(), |message| {
        let by_git = message.strip_prefix(b"branch: Created from ");
        message.starts_with(MADE.as_bytes()) || by_git.is_some_and(|start| ObjectId::from_hex(start).is_ok())
    })
}

/// The branch whose name is the wanted name up to a `/`, if there is one. A number at the end of the name does not help there.
pub(crate) fn in_the_way(repo: &gix::Repository, branch: &str) -> Result<Option<String>, GitError> {
    for (at, _) in branch.match_indices('/') {
        let above = &branch[..at];
        if repo.try_find_reference(format!("refs/heads/{above}").as_str())?.is_some() {
            return Ok(Some(above.to_owned()));
        }
    }
    Ok(None)
}
