//! Adding one branch to a chain.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use gadugi_core::merge::{Link, LinkResult, Strategy};
use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::merge::blob::builtin_driver::text::Labels;

use super::generated::{Patterns, changed, with_named_of};
use crate::error::GitError;
use crate::history::file_differences;
use crate::merge::{files_in_conflict, merge_commits};
use crate::release::merged::{Integration, IntegrationBranch};
use crate::release::reach::Own;
use crate::repo::ids::{to_commit, to_object};

/// The name of a chain's start in conflict markers.
pub(super) const TARGET: &str = "target";

/// A chain in the making.
pub(super) struct Adder<'a> {
    pub(super) repo: &'a gix::Repository,
    pub(super) start: ObjectId,
    strategy: Strategy,
    pub(super) generated: Patterns,
    pub(super) tip: ObjectId,
    pub(super) tree: ObjectId,
    pub(super) added: Vec<&'a Link>,
    /// Generated files that are to be made anew.
    pub(super) stale: BTreeSet<BString>,
    /// The search for branches that the start has in another form.
    integration: OnceCell<Integration>,
}

/// A commit, and the branch to be added to it, as trees.
#[derive(Clone, Copy)]
pub(super) struct Onto {
    pub(super) commit: ObjectId,
    pub(super) tree: ObjectId,
}

/// The result of merging two trees.
pub(super) struct Merged {
    pub(super) tree: ObjectId,
    /// The files in conflict; the tree has them with markers.
    pub(super) conflicts: Vec<String>,
}

impl<'a> Adder<'a> {
    pub(super) fn new(
        repo: &'a gix::Repository,
        start: ObjectId,
        strategy: Strategy,
        regenerate: &[String],
    ) -> Result<Self, GitError> {
        Ok(Self {
            repo,
            start,
            strategy,
            generated: Patterns::new(regenerate),
            tip: start,
            tree: tree_of(repo, start)?,
            added: Vec::new(),
            stale: BTreeSet::new(),
            integration: OnceCell::new(),
        })
    }

    /// Adds a branch, or says why not. The chain is as it was then.
    pub(super) fn add(&mut self, link: &'a Link) -> Result<LinkResult, GitError> {
        let tip = to_object(&link.tip);
        if self.repo.merge_base(tip, self.tip)?.is_some_and(|base| base.detach() == tip) {
            return Ok(LinkResult::Contained);
        }
        let (commit, tree) = match self.add_to_tip(link)? {
            Ok(added) => added,
            Err(_) if self.is_integrated(link)? => return Ok(LinkResult::Contained),
            Err(files) => {
                let with = self.blame(link, &files)?;
                return Ok(LinkResult::Conflict { files, with });
            }
        };
        let stale = self.stale_by(link)?;
        if tree == self.tree && stale.is_empty() {
            return Ok(LinkResult::Contained);
        }
        (self.tip, self.tree) = (commit, tree);
        self.stale.extend(stale);
        self.added.push(link);
        Ok(LinkResult::Added { commit: to_commit(commit) })
    }

    /// The new tip of the chain and its tree, or the files in conflict.
    fn add_to_tip(&self, link: &Link) -> Result<Result<(ObjectId, ObjectId), Vec<String>>, GitError> {
        if self.strategy == Strategy::Rebase {
            return self.replay(link);
        }
        let merged = self.merge(Onto { commit: self.tip, tree: self.tree }, link)?;
        if !merged.conflicts.is_empty() {
            return Ok(Err(merged.conflicts));
        }
        let commit = self.commit(link, self.tip, merged.tree)?;
        Ok(Ok((commit, merged.tree)))
    }

    /// Makes the commit that adds a branch to another commit.
    pub(super) fn commit(&self, link: &Link, onto: ObjectId, tree: ObjectId) -> Result<ObjectId, GitError> {
        let title = link.title.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or(&link.name);
        let trailers = format!("Gadugi-Run: {}\nGadugi-Task: {}\n", link.run, link.name);
        let commit = match self.strategy {
            Strategy::Merge => {
                let message = format!("Merge task '{}': {title}\n\n{trailers}", link.name);
                self.repo.new_commit(message, tree, [onto, to_object(&link.tip)])?
            }
            Strategy::Squash | Strategy::Rebase => {
                self.repo.new_commit(format!("{title}\n\n{trailers}"), tree, [onto])?
            }
        };
        Ok(commit.id)
    }

    /// Merges a branch as a whole into a commit.
    pub(super) fn merge(&self, onto: Onto, link: &Link) -> Result<Merged, GitError> {
        let tip = to_object(&link.tip);
        let theirs = tree_of(self.repo, tip)?;
        // Generated files are on both sides as they are in the chain: they neither conflict nor change.
        let (theirs, differs) = with_named_of(self.repo, theirs, onto.tree, &self.generated)?;
        if let Some(tree) = self.apart(onto, link, theirs)? {
            return Ok(Merged { tree, conflicts: Vec::new() });
        }
        if self.strategy == Strategy::Merge {
            let theirs = match differs {
                true => self.repo.new_commit("without generated files", theirs, [tip])?.id,
                false => tip,
            };
            let name = self.name_of(onto.commit);
            let mut outcome = merge_commits(self.repo, (onto.commit, &name), (theirs, &link.name))?;
            let conflicts = files_in_conflict(&outcome.tree_merge);
            return Ok(Merged { tree: outcome.tree_merge.tree.write()?.detach(), conflicts });
        }
        let base = self.base_tree(link)?;
        self.merge_trees(base, onto.tree, theirs, &link.name)
    }

    /// The merged tree where the other side has left all files alone that the branch has changed: these then come from the
    /// branch, and all others from the other side. `None` where both have changed a file, or there is not one base.
    fn apart(&self, onto: Onto, link: &Link, theirs: ObjectId) -> Result<Option<ObjectId>, GitError> {
        let base = match self.strategy {
            Strategy::Merge => {
                let bases = self.repo.merge_bases_many(onto.commit, &[to_object(&link.tip)])?;
                let [base] = bases[..] else { return Ok(None) };
                tree_of(self.repo, base.detach())?
            }
            Strategy::Squash | Strategy::Rebase => self.base_tree(link)?,
        };
        self.applied(base, onto.tree, theirs)
    }

    /// A tree with the changes between two others, if it has none of its own in the same files.
    pub(super) fn applied(
        &self,
        base: ObjectId,
        ours: ObjectId,
        theirs: ObjectId,
    ) -> Result<Option<ObjectId>, GitError> {
        let changes = file_differences(self.repo, base, theirs)?;
        let our_tree = self.repo.find_tree(ours)?;
        for change in &changes {
            let mut path = change.path.split_str("/").map(BStr::new).peekable();
            let mut folder = our_tree.clone();
            let mut found = None;
            while let Some(name) = path.next() {
                let entry = folder.iter().find_map(|entry| entry.ok().filter(|entry| entry.filename() == name));
                let Some((mode, id)) = entry.map(|entry| (entry.mode(), entry.object_id())) else { break };
                if path.peek().is_none() {
                    found = Some((mode, id));
                } else if mode.is_tree() {
                    folder = self.repo.find_tree(id)?;
                } else {
                    // A file is where the other side has a folder.
                    return Ok(None);
                }
            }
            if found != change.before {
                return Ok(None);
            }
        }
        let mut editor = self.repo.edit_tree(ours)?;
        // Removed first, where a folder takes the place of a file.
        for change in changes.iter().filter(|change| change.after.is_none()) {
            editor.remove(change.path.as_bstr())?;
        }
        for change in &changes {
            if let Some((mode, id)) = change.after {
                editor.upsert(change.path.as_bstr(), mode.kind(), id)?;
            }
        }
        Ok(Some(editor.write()?.detach()))
    }

    /// Merges the difference between two trees into a third one.
    pub(super) fn merge_trees(
        &self,
        base: ObjectId,
        ours: ObjectId,
        theirs: ObjectId,
        name: &str,
    ) -> Result<Merged, GitError> {
        let ours_name = self.name_of(self.tip);
        let labels = Labels {
            ancestor: Some("base".into()),
            current: Some(BStr::new(ours_name.as_bytes())),
            other: Some(BStr::new(name.as_bytes())),
        };
        let options = self.repo.tree_merge_options()?;
        let mut outcome = self.repo.merge_trees(base, ours, theirs, labels, options)?;
        let conflicts = files_in_conflict(&outcome);
        Ok(Merged { tree: outcome.tree.write()?.detach(), conflicts })
    }

    /// The name of a commit of the chain, for conflict markers.
    fn name_of(&self, commit: ObjectId) -> String {
        match commit == self.tip && !self.added.is_empty() {
            true => {
                let names: Vec<&str> = self.added.iter().map(|link| &*link.name).collect();
                format!("{TARGET} with {}", names.join(", "))
            }
            false => TARGET.to_owned(),
        }
    }

    /// The tree that a branch started from. A branch that has been moved off its start counts from where it parted.
    pub(super) fn base_tree(&self, link: &Link) -> Result<ObjectId, GitError> {
        let (base, tip) = (to_object(&link.base), to_object(&link.tip));
        let parted = self.repo.merge_base(base, tip)?.map(gix::Id::detach);
        let base = match parted == Some(base) {
            true => parted,
            false => self.repo.merge_base(tip, self.start)?.map(gix::Id::detach),
        };
        base.map_or_else(|| Ok(self.repo.empty_tree().id), |base| tree_of(self.repo, base))
    }

    /// The generated files that the branch has changed, or the chain since they parted.
    fn stale_by(&self, link: &Link) -> Result<Vec<BString>, GitError> {
        if self.generated.is_empty() {
            return Ok(Vec::new());
        }
        let base = match self.strategy {
            Strategy::Merge => match self.repo.merge_base(to_object(&link.tip), self.tip)? {
                Some(base) => tree_of(self.repo, base.detach())?,
                None => self.repo.empty_tree().id,
            },
            Strategy::Squash | Strategy::Rebase => self.base_tree(link)?,
        };
        let mut stale = changed(self.repo, base, tree_of(self.repo, to_object(&link.tip))?)?;
        stale.extend(changed(self.repo, base, self.tree)?);
        Ok(stale.into_iter().filter(|path| self.generated.name(path.as_bstr())).collect())
    }

    /// Whether the chain's start has the changes of a branch already, as other commits.
    fn is_integrated(&self, link: &Link) -> Result<bool, GitError> {
        let tip = to_object(&link.tip);
        let parted = self.repo.merge_base(tip, self.start)?.map(gix::Id::detach);
        if parted == Some(self.start) {
            return Ok(false);
        }
        if self.integration.get().is_none() {
            let target = IntegrationBranch { name: TARGET.to_owned(), commit: self.start };
            let integration = Integration::new(self.repo, vec![target])?;
            self.integration.get_or_init(|| integration);
        }
        let Some(integration) = self.integration.get() else { return Ok(false) };
        Ok(integration.find(&self.own(tip)?)?.is_some())
    }

    /// The commits of a branch that the chain's start does not have.
    fn own(&self, tip: ObjectId) -> Result<Own, GitError> {
        let walk = self.repo.rev_walk([tip]).with_hidden([self.start]).all()?;
        let commits: Vec<ObjectId> = walk.map(|commit| Ok(commit?.id)).collect::<Result<_, GitError>>()?;
        let mut leaves = BTreeSet::new();
        for commit in &commits {
            leaves.extend(self.repo.find_commit(*commit)?.parent_ids().map(gix::Id::detach));
        }
        leaves.retain(|leaf| !commits.contains(leaf));
        Ok(Own { tip, commits, leaves })
    }
}

pub(super) fn tree_of(repo: &gix::Repository, commit: ObjectId) -> Result<ObjectId, GitError> {
    Ok(repo.find_commit(commit)?.tree_id()?.detach())
}
