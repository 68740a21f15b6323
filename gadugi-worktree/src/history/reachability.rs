//! References that keep commits: branches, tags, remote branches, and the `HEAD`s of worktrees.

use std::collections::BTreeSet;
use std::path::PathBuf;

use gadugi_core::BranchName;
use gix::ObjectId;
use gix::refs::Category;

use crate::error::GitError;
use crate::history::commits_beyond;
use crate::lease::admin_folder::Entry;
use crate::lease::marker::Marker;
use crate::repo::Repository;
use crate::repo::ids::full_name;
use crate::repo::refs::{HeadAt, head_in};

/// All that keeps commits, apart from one worktree that is to be removed.
pub(crate) struct Keepers<'a> {
    repo: &'a gix::Repository,
    /// The `HEAD`s of the other worktrees, and the branches that were made for them, with their folders.
    heads: Vec<(PathBuf, HeadAt)>,
}

impl<'a> Keepers<'a> {
    pub(crate) fn without(
        entry: Option<&Entry>,
        repository: &Repository,
        repo: &'a gix::Repository,
    ) -> Result<Self, GitError> {
        let others = Entry::all(repository.common_dir())?.into_iter();
        let others = others.filter(|other| entry.is_none_or(|entry| entry.admin != other.admin));
        let main = (repository.root().to_owned(), repository.common_dir().to_owned());
        let folders = std::iter::once(main).chain(others.map(|other| (other.folder, other.admin)));
        let mut heads = Vec::new();
        for (folder, git_dir) in folders {
            // A worktree of ours holds the branch that was made for it, wherever its `HEAD` is now.
            let made_for = Marker::read(&git_dir).map(|marker| HeadAt::Branch(marker.branch.full()));
            heads.extend(head_in(&git_dir).into_iter().chain(made_for).map(|head| (folder.clone(), head)));
        }
        Ok(Self { repo, heads })
    }

    /// The worktree that has a branch checked out, or that the branch was made for.
    pub(crate) fn worktree_on(&self, branch: &BranchName) -> Option<PathBuf> {
        let name = HeadAt::Branch(branch.full());
        self.heads.iter().find(|(_, head)| *head == name).map(|(folder, _)| folder.clone())
    }

    /// The number of commits that can be reached from `tip` and that only `branch` keeps.
    pub(crate) fn at_stake(&self, tip: ObjectId, branch: Option<&BranchName>) -> Result<u64, GitError> {
        commits_beyond(self.repo, tip, &self.commits(branch)?.into_iter().collect::<Vec<_>>())
    }

    /// The commits at the tips of all that keeps commits.
    fn commits(&self, branch: Option<&BranchName>) -> Result<BTreeSet<ObjectId>, GitError> {
        let branch = branch.map(full_name);
        let mut kept = BTreeSet::new();
        for reference in self.repo.references()?.all()? {
            let mut reference = reference?;
            let counts = matches!(
                reference.name().category(),
                Some(Category::LocalBranch | Category::Tag | Category::RemoteBranch)
            );
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
        let detached = self.heads.iter().filter_map(|(_, head)| match head {
            HeadAt::Commit(id) => Some(self.repo.find_commit(*id).ok()?.id),
            HeadAt::Branch(_) => None,
        });
        kept.extend(detached);
        Ok(kept)
    }
}
