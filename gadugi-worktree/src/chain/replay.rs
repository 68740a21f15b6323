//! Adding each commit of a branch once more, as `git rebase` does.
//!
//! A merge commit becomes an ordinary one with all that it has brought to the branch. Leaving it out and replaying what it has
//! merged, as git does, would lose what was changed in the merge itself.

use std::collections::HashSet;

use gadugi_core::merge::Link;
use gix::ObjectId;

use super::add::{Adder, Merged, tree_of};
use super::generated::with_named_of;
use crate::error::GitError;
use crate::release::patch_id::{Difference, PatchId};
use crate::repo::ids::to_object;

/// Limit of commits of the chain's start that are compared with one that conflicts.
const MAX_COMPARED: usize = 1000;

impl Adder<'_> {
    /// Replays a branch on the chain. Returns the new tip and its tree, or the files in conflict. Commits that change nothing
    /// there are left out.
    pub(super) fn replay(&self, link: &Link) -> Result<Result<(ObjectId, ObjectId), Vec<String>>, GitError> {
        let (mut tip, mut tree) = (self.tip, self.tree);
        for id in self.commits_of(link)? {
            let commit = self.repo.find_commit(id)?;
            let parents: Vec<ObjectId> = commit.parent_ids().map(gix::Id::detach).collect();
            let own_tree = commit.tree_id()?.detach();
            let (theirs, differs) = with_named_of(self.repo, own_tree, tree, &self.generated)?;
            if parents == [tip] && !differs {
                (tip, tree) = (id, own_tree);
                continue;
            }
            let base = match parents.first() {
                Some(parent) => tree_of(self.repo, *parent)?,
                None => self.repo.empty_tree().id,
            };
            let merged = match self.applied(base, tree, theirs)? {
                Some(tree) => Merged { tree, conflicts: Vec::new() },
                None => self.merge_trees(base, tree, theirs, &link.name)?,
            };
            if !merged.conflicts.is_empty() {
                if parents.len() == 1 && self.is_in_start(link, base, own_tree)? {
                    continue;
                }
                return Ok(Err(merged.conflicts));
            }
            if merged.tree != tree {
                (tip, tree) = (self.commit_again(&commit, tip, merged.tree)?, merged.tree);
            }
        }
        Ok(Ok((tip, tree)))
    }

    /// The commits from the start of a branch to its tip, along the first parents, the oldest first.
    fn commits_of(&self, link: &Link) -> Result<Vec<ObjectId>, GitError> {
        let tip = to_object(&link.tip);
        let walk = self.repo.rev_walk([tip]).with_hidden([to_object(&link.base), self.start]).all()?;
        let own: HashSet<ObjectId> = walk.map(|commit| Ok(commit?.id)).collect::<Result<_, GitError>>()?;
        let mut commits = Vec::new();
        let mut next = Some(tip);
        while let Some(id) = next.filter(|id| own.contains(id)) {
            commits.push(id);
            next = self.repo.find_commit(id)?.parent_ids().next().map(gix::Id::detach);
        }
        commits.reverse();
        Ok(commits)
    }

    /// A commit with the author and message of another one.
    fn commit_again(&self, commit: &gix::Commit<'_>, parent: ObjectId, tree: ObjectId) -> Result<ObjectId, GitError> {
        let mut again = commit.decode()?.into_owned()?;
        let committer = self.repo.committer().ok_or(GitError::NoCommitter)??;
        again.committer = committer.into();
        (again.tree, again.parents) = (tree, [parent].into_iter().collect());
        // A signature is of the old one.
        again.extra_headers.clear();
        Ok(self.repo.write_object(again)?.detach())
    }

    /// Whether the chain's start has the change between two trees as one of the commits that the branch does not have.
    fn is_in_start(&self, link: &Link, from: ObjectId, to: ObjectId) -> Result<bool, GitError> {
        let Some(wanted) = Difference::between(self.repo, Some(from), to)? else { return Ok(false) };
        let wanted_id: PatchId = wanted.patch_id(self.repo)?;
        let walk = self.repo.rev_walk([self.start]).with_hidden([to_object(&link.tip)]).all()?;
        for commit in walk.take(MAX_COMPARED) {
            let commit = self.repo.find_commit(commit?.id)?;
            let parents: Vec<ObjectId> = commit.parent_ids().map(gix::Id::detach).collect();
            let [parent] = parents[..] else { continue };
            let theirs = Difference::between(self.repo, Some(tree_of(self.repo, parent)?), commit.tree_id()?.detach())?;
            // Only what changes the same files needs to be read.
            if let Some(theirs) = theirs.filter(|theirs| theirs.paths() == wanted.paths())
                && theirs.patch_id(self.repo)? == wanted_id
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
