//! Detection of branches whose changes are in another branch although their commits are not: after a squash, a rebase or a
//! cherry-pick.
//!
//! The other branches are the targets of integration: the branch of the main work tree, its upstream, and the default branches
//! of the remotes. A branch counts as integrated only if it changes something, and only while its changes are there: if they
//! were undone later, merging the branch would bring them back, which shows it. Where a merge conflicts, since both sides have
//! changed the same lines, a commit that undoes exactly those changes shows it.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use gadugi_core::worktrees::MergedBy;
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::merge::blob::builtin_driver::text::Labels;
use gix::merge::tree::TreatAsUnresolved;
use gix::refs::{Category, FullName};
use gix::remote::Direction;
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

use crate::error::GitError;
use crate::release::patch_id::{Difference, PatchId};
use crate::release::reach::Own;
use crate::repo::ids::to_commit;
use crate::repo::refs::{HeadAt, head_in};

/// Limit of files in which all commits of a branch together may differ from their parents, for comparing them one by one.
const MAX_FILES: usize = 200_000;
/// Limit of compared commits, on the other branch from its tip on, and on the branch itself.
const MAX_COMMITS: usize = 1000;

/// A branch that work is integrated into.
pub(crate) struct IntegrationBranch {
    pub(crate) name: String,
    pub(crate) commit: ObjectId,
}

impl IntegrationBranch {
    /// All targets for which `counts` holds.
    pub(crate) fn all(repo: &gix::Repository, counts: impl Fn(&FullName) -> bool) -> Result<Vec<Self>, GitError> {
        let mut names: Vec<FullName> = Vec::new();
        if let Some(HeadAt::Branch(head)) = head_in(repo.common_dir())
            && let Ok(head) = FullName::try_from(head)
        {
            names.push(head.clone());
            // One that is not configured in full names nothing.
            names.extend(repo.branch_remote_tracking_ref_name(head.as_ref(), Direction::Fetch).and_then(Result::ok));
        }
        for reference in repo.references()?.prefixed("refs/remotes/")? {
            let reference = reference?;
            if reference.name().as_bstr().ends_with(b"/HEAD")
                && let Some(target) = reference.target().try_name()
            {
                names.push(target.to_owned());
            }
        }
        let mut found: Vec<Self> = Vec::new();
        for name in names {
            let is_branch = matches!(name.category(), Some(Category::LocalBranch | Category::RemoteBranch));
            if !is_branch || !counts(&name) || found.iter().any(|known| known.name == name.shorten().to_str_lossy()) {
                continue;
            }
            if let Some(mut reference) = repo.try_find_reference(&name)?
                && let Ok(commit) = reference.peel_to_commit()
            {
                found.push(Self { name: name.shorten().to_str_lossy().into_owned(), commit: commit.id });
            }
        }
        Ok(found)
    }
}

/// The search for integrated branches. Commits of the targets are read once for all branches.
pub(crate) struct Integration {
    repo: gix::Repository,
    pub(crate) targets: Vec<IntegrationBranch>,
    known: RefCell<Known>,
}

/// The cache of the targets' commits.
#[derive(Default)]
struct Known {
    /// The change of each commit; `None` for a merge.
    changes: HashMap<ObjectId, Option<Rc<Change>>>,
    /// The number of files in these changes.
    files: usize,
    /// The divergence of a target, by its commit, from a kept commit.
    parted: HashMap<(ObjectId, ObjectId), Option<Rc<Parted>>>,
}

/// The divergence of a target from a commit.
struct Parted {
    /// The commit that both have.
    base: ObjectId,
    /// The commits of the target since, the newest first.
    theirs: Vec<ObjectId>,
    /// The paths that differ between the two; `None` where there are too many.
    paths: Option<BTreeSet<BString>>,
}

impl Integration {
    pub(crate) fn new(repo: &gix::Repository, targets: Vec<IntegrationBranch>) -> Result<Self, GitError> {
        let mut repo = repo.clone();
        repo.object_cache_size_if_unset(16 * 1024 * 1024);
        // Larger files are not merged line by line, so that nobody has to hold them.
        let mut config = repo.config_snapshot_mut();
        config.set_value(&gix::config::tree::Core::BIG_FILE_THRESHOLD, "16m")?;
        config.commit()?;
        Ok(Self { repo, targets, known: RefCell::default() })
    }

    /// The way in which a branch that no target contains was integrated into one of them, if it was.
    pub(crate) fn find(&self, own: &Own) -> Result<Option<MergedBy>, GitError> {
        for target in &self.targets {
            if let Some(by) = self.compare(target, own)?.map(|found| found.verdict()).transpose()?.flatten() {
                return Ok(Some(by));
            }
        }
        Ok(None)
    }

    /// Compares a branch with a target; `None` where the two are unrelated, or the branch changes files that are in the target
    /// as they were before, so that merging it would change them.
    fn compare<'a>(&'a self, target: &'a IntegrationBranch, own: &Own) -> Result<Option<Comparison<'a>>, GitError> {
        let repo = &self.repo;
        let leaves = own.leaves.first().copied().filter(|_| own.leaves.len() == 1);
        // What the target and the branch have in common is what the target has in common with that commit.
        let parted = match leaves {
            Some(leaves) => self.parted(target, leaves)?,
            None => parted(repo, target, own.tip)?.map(Rc::new),
        };
        let Some(parted) = parted else { return Ok(None) };
        let whole = Difference::between(repo, Some(tree(repo, parted.base)?), tree(repo, own.tip)?)?;
        let Some(whole) = whole else { return Ok(None) };
        if let Some(theirs) = &parted.paths
            && !whole.is_empty()
            && !whole.paths().iter().any(|path| theirs.contains(&**path))
        {
            return Ok(None);
        }
        let ours = match leaves == Some(parted.base) {
            true => own.commits.iter().copied().take(MAX_COMMITS).collect(),
            false => beyond(repo, own.tip, target.commit)?,
        };
        let mut each = if ours.len() < MAX_COMMITS { Some(Vec::new()) } else { None };
        let mut files = 0;
        for commit in ours {
            // With one that is passed over, the others say nothing.
            let Some(mut known) = each.take() else { break };
            if let Some(change) = change(repo, commit)?
                && files + change.difference.len() <= MAX_FILES
            {
                files += change.difference.len();
                known.push(change);
                each = Some(known);
            }
        }
        Ok(Some(Comparison { of: self, target, tip: own.tip, whole, each, parted }))
    }

    /// The divergence of a target from a kept commit.
    fn parted(&self, target: &IntegrationBranch, from: ObjectId) -> Result<Option<Rc<Parted>>, GitError> {
        if let Some(known) = self.known.borrow().parted.get(&(target.commit, from)) {
            return Ok(known.clone());
        }
        let found = parted(&self.repo, target, from)?.map(Rc::new);
        self.known.borrow_mut().parted.insert((target.commit, from), found.clone());
        Ok(found)
    }

    /// The change of a target's commit; `None` for a merge.
    fn change(&self, commit: ObjectId) -> Result<Option<Rc<Change>>, GitError> {
        if let Some(known) = self.known.borrow().changes.get(&commit) {
            return Ok(known.clone());
        }
        let change = change(&self.repo, commit)?.map(Rc::new);
        let mut known = self.known.borrow_mut();
        let files = known.files + change.as_ref().map_or(0, |change| change.difference.len());
        if files <= MAX_FILES {
            known.files = files;
            known.changes.insert(commit, change.clone());
        }
        Ok(change)
    }
}

/// The divergence of a target from a commit; `None` where the two are unrelated.
fn parted(repo: &gix::Repository, target: &IntegrationBranch, from: ObjectId) -> Result<Option<Parted>, GitError> {
    let Some(base) = repo.merge_base(from, target.commit)?.map(gix::Id::detach) else { return Ok(None) };
    let theirs = beyond(repo, target.commit, from)?;
    let since = Difference::between(repo, Some(tree(repo, base)?), tree(repo, target.commit)?)?;
    let paths = since.map(|since| since.paths().into_iter().map(ToOwned::to_owned).collect());
    Ok(Some(Parted { base, theirs, paths }))
}

fn tree(repo: &gix::Repository, commit: ObjectId) -> Result<ObjectId, GitError> {
    Ok(repo.find_commit(commit)?.tree_id()?.detach())
}

/// The change of a commit against its first parent.
struct Change {
    commit: ObjectId,
    tree: ObjectId,
    difference: Difference,
    /// Computed on first use.
    patch_id: OnceCell<PatchId>,
}

impl Change {
    fn patch_id(&self, repo: &gix::Repository) -> Result<&PatchId, GitError> {
        if let Some(known) = self.patch_id.get() {
            return Ok(known);
        }
        let id = self.difference.patch_id(repo)?;
        Ok(self.patch_id.get_or_init(|| id))
    }
}

/// The effect of merging a branch into another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Merge {
    Nothing,
    Something,
    /// Both sides have changed the same lines.
    Unknown,
}

struct Comparison<'a> {
    of: &'a Integration,
    target: &'a IntegrationBranch,
    tip: ObjectId,
    /// The whole change of the branch.
    whole: Difference,
    /// The change of each of its commits; `None` where there is a merge among them, or there are too many.
    each: Option<Vec<Change>>,
    parted: Rc<Parted>,
}

impl Comparison<'_> {
    fn verdict(&self) -> Result<Option<MergedBy>, GitError> {
        let merge = self.merge()?;
        if merge == Merge::Something || (self.whole.is_empty() && self.each.as_ref().is_none_or(Vec::is_empty)) {
            return Ok(None);
        }
        let found = self.counterparts()?;
        if self.whole.is_empty() {
            // All that it did it has undone itself. Then only its very commits show that somebody took them over.
            return Ok(found.rebased.filter(|_| !found.is_undone));
        }
        let by = match self.each.as_deref() {
            Some([_]) => found.rebased.or(found.squashed),
            _ => found.squashed.or(found.rebased),
        };
        let by = by.or(found.same_tree);
        match merge {
            Merge::Unknown => Ok(by.filter(|_| !found.is_undone)),
            _ => Ok(by.or_else(|| Some(MergedBy::NothingLeft { into: self.target.name.clone() }))),
        }
    }

    /// Merges the branch into the other one, in memory. Where the user has configured other merge drivers, a merge without
    /// changes would prove nothing.
    fn merge(&self) -> Result<Merge, GitError> {
        let mut repo = self.of.repo.clone().with_object_memory();
        repo.object_cache_size_if_unset(16 * 1024 * 1024);
        let config = repo.config_snapshot();
        let own_ways = config.plumbing().sections_by_name("merge").into_iter().flatten();
        if own_ways.into_iter().any(|section| section.value("driver").is_some()) {
            return Ok(Merge::Unknown);
        }
        let options = repo.tree_merge_options()?.into();
        let mut outcome = repo.merge_commits(self.target.commit, self.tip, Labels::default(), options)?;
        if outcome.tree_merge.has_unresolved_conflicts(TreatAsUnresolved::git()) {
            return Ok(Merge::Unknown);
        }
        let merged = outcome.tree_merge.tree.write()?;
        let is_same = merged == repo.find_commit(self.target.commit)?.tree_id()?;
        Ok(if is_same { Merge::Nothing } else { Merge::Something })
    }

    /// Looks for the changes of the branch among the commits of the other one.
    fn counterparts(&self) -> Result<Counterparts, GitError> {
        let repo = &self.of.repo;
        let into = &self.target.name;
        let tree = tree(repo, self.tip)?;
        let each: Vec<_> = self.each.iter().flatten().filter(|change| !change.difference.is_empty()).collect();
        let mut wanted: Vec<&Difference> = each.iter().map(|change| &change.difference).collect();
        wanted.push(&self.whole);
        // Only what changes the same files needs to be read.
        let paths: BTreeSet<_> = wanted.iter().map(|difference| difference.paths()).collect();
        let whole = self.whole.patch_id(repo)?;
        let mut undo: Vec<PatchId> = Vec::new();
        let mut open: HashMap<PatchId, u64> = HashMap::new();
        for change in &each {
            *open.entry(change.patch_id(repo)?.clone()).or_default() += 1;
        }
        for difference in &wanted {
            if !difference.is_empty() {
                undo.push(difference.reversed().patch_id(repo)?);
            }
        }
        let mut found = Counterparts::default();
        let is_something = !self.whole.is_empty();
        for commit in &self.parted.theirs {
            let change = self.of.change(*commit)?;
            let theirs = change.as_ref().map_or_else(|| self::tree(repo, *commit), |change| Ok(change.tree))?;
            if is_something && theirs == tree && found.same_tree.is_none() {
                found.same_tree = Some(MergedBy::SameTree { commit: to_commit(*commit), of: into.clone() });
            }
            let Some(change) = change else { continue };
            if !paths.contains(&change.difference.paths()) {
                continue;
            }
            let id = change.patch_id(repo)?;
            let is_done = found.same_tree.is_some() || found.squashed.is_some() || open.values().any(|left| *left == 0);
            found.is_undone |= !is_done && undo.contains(id);
            if is_something && *id == whole && found.squashed.is_none() {
                found.squashed = Some(MergedBy::Squash { commit: to_commit(change.commit), into: into.clone() });
            }
            if let Some(left) = open.get_mut(id) {
                *left = left.saturating_sub(1);
            }
        }
        let commits = self.each.as_ref().map_or(0, Vec::len) as u64;
        if !each.is_empty() && open.values().all(|left| *left == 0) {
            found.rebased = Some(MergedBy::Rebase { commits, onto: into.clone() });
        }
        Ok(found)
    }
}

#[derive(Default)]
struct Counterparts {
    squashed: Option<MergedBy>,
    rebased: Option<MergedBy>,
    same_tree: Option<MergedBy>,
    /// Whether a commit undoes changes of the branch, and none makes them again after it.
    is_undone: bool,
}

/// The commits that can be reached from one and not from the other, the newest first, up to the limit.
fn beyond(repo: &gix::Repository, from: ObjectId, without: ObjectId) -> Result<Vec<ObjectId>, GitError> {
    let newest_first = Sorting::ByCommitTime(CommitTimeOrder::NewestFirst);
    let walk = repo.rev_walk([from]).sorting(newest_first).with_hidden([without]).all()?;
    walk.take(MAX_COMMITS).map(|commit| Ok(commit?.id)).collect()
}

/// The change of a commit; `None` for a merge, and for one that is too large.
fn change(repo: &gix::Repository, id: ObjectId) -> Result<Option<Change>, GitError> {
    let commit = repo.find_commit(id)?;
    let parents: Vec<_> = commit.parent_ids().collect();
    let parent = match parents[..] {
        [] => None,
        [parent] => Some(repo.find_commit(parent)?.tree_id()?.detach()),
        _ => return Ok(None),
    };
    let difference = Difference::between(repo, parent, commit.tree_id()?.detach())?;
    let tree = commit.tree_id()?.detach();
    Ok(difference.map(|difference| Change { commit: id, tree, difference, patch_id: OnceCell::new() }))
}
