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

/// What the log of a branch that was made here says of that; its start follows.
const MADE: &str = "branch: created by gadugi from ";

/// Makes the branch.
pub(crate) fn create(repo: &gix::Repository, branch: &BranchName, start: ObjectId) -> Result<(), GitError> {
    let is_made = refs::set(repo, full_name(branch).as_ref(), None, start, &format!("{MADE}{start}"))?;
    if is_made { Ok(()) } else { Err(GitError::BranchTaken { branch: branch.clone() }) }
}

/// Lets the branch, which is at `from`, lead to a new commit.
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

/// Deletes the branch if it still points to `tip`. Answers whether it did; a branch that does not exist counts as
/// deleted.
pub(crate) fn delete(repo: &gix::Repository, branch: &BranchName, tip: ObjectId) -> Result<bool, GitError> {
    refs::delete(repo, full_name(branch).as_ref(), tip)
}

/// Whether the last thing that its log tells of the branch is that it was made for a worktree of ours, with this
/// start: by us, or by git, to which we name it as a commit. Where no log is kept it counts as made so.
pub(crate) fn is_as_made(repo: &gix::Repository, branch: &BranchName, start: ObjectId) -> Result<bool, GitError> {
    let last = refs::last_of_log(repo, full_name(branch).as_ref())?;
    let by_git = format!("branch: Created from {start}");
    Ok(last.is_none_or(|last| {
        let message = last.split_once('\t').map_or("", |(_, message)| message);
        message.strip_prefix(MADE) == Some(start.to_string().as_str()) || message == by_git
    }))
}

/// Whether its log tells that it was made for a worktree of ours: by us, or by git, to which we name the start as a commit.
/// It does not where no log is kept.
pub(crate) fn was_made_here(repo: &gix::Repository, branch: &BranchName) -> Result<bool, GitError> {
    refs::any_of_log(repo, full_name(branch).as_ref(), |message| {
        let by_git = message.strip_prefix(b"branch: Created from ");
        message.starts_with(MADE.as_bytes()) || by_git.is_some_and(|start| ObjectId::from_hex(start).is_ok())
    })
}

/// A branch whose name is the beginning of the wanted one, up to a `/`. No number at the end helps there.
pub(crate) fn in_the_way(repo: &gix::Repository, branch: &str) -> Result<Option<String>, GitError> {
    for (at, _) in branch.match_indices('/') {
        let above = &branch[..at];
        if repo.try_find_reference(format!("refs/heads/{above}").as_str())?.is_some() {
            return Ok(Some(above.to_owned()));
        }
    }
    Ok(None)
}
