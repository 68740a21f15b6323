//! The branch of an attempt.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gadugi_core::{BranchName, BranchRelease, KeepReason};
use gix::ObjectId;
use gix::refs::transaction::{PreviousValue, RefEdit};
use gix::refs::{Category, FullName, Target};

use crate::entry::{Entry, real};
use crate::error::GitError;
use crate::history::commits_beyond;
use crate::ids::to_commit;

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

/// What happens to a branch, apart from its own state.
pub(crate) struct Parting<'a> {
    /// The branch's own worktree, which is gone or about to go.
    pub(crate) own: Option<&'a Entry>,
    /// Another reference keeps the tip from now on.
    pub(crate) is_kept_elsewhere: bool,
    /// Only say what would be done.
    pub(crate) dry_run: bool,
}

/// Deletes the branch unless a worktree has it checked out, or something would be lost with it.
pub(crate) fn part(
    repo: &gix::Repository,
    branch: &BranchName,
    tip: ObjectId,
    parting: &Parting<'_>,
) -> Result<BranchRelease, GitError> {
    let own = parting.own.map(|entry| entry.admin.as_path());
    if let Some(path) = checked_out(repo, branch, own)? {
        return Ok(BranchRelease::Kept(KeepReason::CheckedOut { path }));
    }
    if !parting.is_kept_elsewhere {
        let commits = commits_beyond(repo, tip, &kept_commits(repo, Some(branch), own)?)?;
        if commits > 0 {
            return Ok(BranchRelease::Kept(KeepReason::Unmerged { commits }));
        }
    }
    if parting.dry_run || delete(repo, branch, tip)? {
        return Ok(BranchRelease::Deleted { tip: to_commit(tip) });
    }
    Ok(BranchRelease::Kept(KeepReason::Moved))
}

/// The worktree, other than `own`, that has the branch checked out.
fn checked_out(repo: &gix::Repository, branch: &BranchName, own: Option<&Path>) -> Result<Option<PathBuf>, GitError> {
    let name = full_name(branch);
    for worktree in others(repo, own)? {
        if worktree.head_name().is_ok_and(|head| head.as_ref() == Some(&name)) {
            return Ok(Some(worktree.workdir().unwrap_or(worktree.git_dir()).to_owned()));
        }
    }
    Ok(None)
}

/// Whether the `HEAD` of a worktree's entry is on a commit that no branch, tag or other worktree keeps.
pub(crate) fn is_lost_without(repo: &gix::Repository, entry: &Entry) -> Result<bool, GitError> {
    for worktree in repo.worktrees()? {
        if real(worktree.git_dir()) != real(&entry.admin) {
            continue;
        }
        // An entry that cannot be opened has no `HEAD` that could be followed.
        let Ok(worktree) = worktree.into_repo_with_possibly_inaccessible_worktree() else { continue };
        if let Ok(mut head) = worktree.head()
            && head.is_detached()
            && let Ok(commit) = head.peel_to_commit()
        {
            return Ok(commits_beyond(repo, commit.id, &kept_commits(repo, None, Some(&entry.admin))?)? > 0);
        }
    }
    Ok(false)
}

/// The commits that branches, tags, remote branches and the `HEAD`s of worktrees keep, apart from one branch and one
/// worktree.
fn kept_commits(
    repo: &gix::Repository,
    branch: Option<&BranchName>,
    own: Option<&Path>,
) -> Result<Vec<ObjectId>, GitError> {
    let branch = branch.map(full_name);
    let mut kept = BTreeSet::new();
    for reference in repo.references()?.all()? {
        let mut reference = reference?;
        let category = reference.name().category();
        let counts = matches!(category, Some(Category::LocalBranch | Category::Tag | Category::RemoteBranch));
        // A symbolic reference keeps nothing by itself: it may lead to the branch that is to go.
        let is_direct = reference.target().try_id().is_some();
        if counts
            && is_direct
            && branch.as_ref().is_none_or(|branch| reference.name() != branch.as_ref())
            && let Ok(commit) = reference.peel_to_commit()
        {
            kept.insert(commit.id);
        }
    }
    for worktree in others(repo, own)? {
        if let Ok(mut head) = worktree.head()
            && head.is_detached()
            && let Ok(commit) = head.peel_to_commit()
        {
            kept.insert(commit.id);
        }
    }
    Ok(kept.into_iter().collect())
}

/// The main worktree and all linked ones but `own`. Those that cannot be opened are passed over.
fn others(repo: &gix::Repository, own: Option<&Path>) -> Result<Vec<gix::Repository>, GitError> {
    let is_own = |other: &gix::Repository| own.is_some_and(|own| real(other.git_dir()) == real(own));
    Ok(repo.worktrees_including_main()?.filter_map(Result::ok).filter(|other| !is_own(other)).collect())
}
