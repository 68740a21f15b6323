//! The decision which of several branches may be deleted, taken for all of them together: a dry run and a clean decide by the
//! same code, and no two branches are deleted because of each other.
//!
//! A branch is deleted if its tip is in something that stays: a branch of the user, a tag, a remote branch, a commit that is
//! checked out, or the branch of a successful task. The branch of an unsuccessful task may be discarded later, and keeps no
//! other one.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::rc::Rc;

use gadugi_core::worktrees::{BranchFate, KeepReason, MergedBy, ReleaseRequest, WorktreeFate};
use gadugi_core::{BranchName, Lease};
use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::hashtable::{HashMap, HashSet};
use gix::refs::{Category, FullName};

use crate::error::GitError;
use crate::release::heads::{Heads, Keeper, Witness};
use crate::release::merged::{Integration, IntegrationBranch};
use crate::release::reach::{Reach, reached_from};
use crate::repo::branch;
use crate::repo::ids::full_name;
use crate::settings::WorktreeSettings;

/// A branch to decide on.
pub(crate) struct BranchRequest<'a> {
    pub(crate) lease: &'a Lease,
    pub(crate) request: ReleaseRequest,
    /// The fate of its worktree, in a dry run the expected one.
    pub(crate) worktree: &'a WorktreeFate,
    /// Whether its worktree is absent and still in git's list, with the branch checked out.
    pub(crate) may_come_back: bool,
}

/// The decision about a branch.
#[derive(Default)]
pub(crate) struct Decision {
    pub(crate) fate: Fate,
    /// If it stays since its commits are nowhere else: the branches that were searched for its changes.
    pub(crate) compared_with: Vec<String>,
    /// If it stays: a branch that contains it and keeps no commits.
    pub(crate) only_in: Option<String>,
}

#[derive(Default)]
pub(crate) enum Fate {
    /// The branch does not exist.
    #[default]
    Absent,
    Kept(KeepReason),
    MayGo {
        tip: ObjectId,
        by: MergedBy,
        /// The reference or `HEAD` that keeps its commits.
        keeper: Option<Witness>,
    },
}

impl From<Fate> for Decision {
    fn from(fate: Fate) -> Self {
        Self { fate, ..Self::default() }
    }
}

/// Full names of branches.
type Names = std::collections::HashSet<String>;

/// A branch that is deleted if its commits are kept.
struct Candidate<'a> {
    /// Its index in the list of asked branches.
    place: usize,
    branch: &'a BranchName,
    tip: ObjectId,
    /// Whether it keeps others if it stays.
    keeps: bool,
}

impl Candidate<'_> {
    fn goes_for(&self, keeper: &Keeper) -> Decision {
        let by = MergedBy::Reachable { from: keeper.name.clone() };
        Fate::MayGo { tip: self.tip, by, keeper: Some(keeper.witness.clone()) }.into()
    }

    fn as_keeper(&self) -> Keeper {
        let witness = Witness::reference(full_name(self.branch), self.tip);
        Keeper { name: self.branch.to_string(), witness }
    }
}

/// Decides on branches. Those of `no_keepers` keep no others. One that cannot be judged does not affect the others.
pub(crate) fn decide(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    asked: &[BranchRequest<'_>],
    no_keepers: &BTreeSet<BranchName>,
) -> Result<Vec<Result<Decision, GitError>>, GitError> {
    if asked.iter().all(|asked| asked.request.branch == BranchFate::Keep) {
        return Ok(asked.iter().map(|asked| without_history(repo, None, asked).map(Decision::from)).collect());
    }
    let gone = asked.iter().filter(|asked| *asked.worktree == WorktreeFate::Removed).map(|asked| asked.lease);
    let heads = Heads::without(settings, &gone.collect::<Vec<_>>())?;
    let mut decided: Vec<Result<Decision, GitError>> = Vec::with_capacity(asked.len());
    let mut candidates = Vec::new();
    for (place, asked) in asked.iter().enumerate() {
        decided.push(without_history(repo, Some(&heads), asked).map(|fate| match fate {
            Fate::MayGo { tip, by: MergedBy::Reachable { .. }, .. } => {
                let branch = asked.lease.branch.as_ref();
                candidates.extend(branch.map(|branch| Candidate {
                    place,
                    branch,
                    tip,
                    keeps: !no_keepers.contains(branch),
                }));
                Decision::default()
            }
            fate => fate.into(),
        }));
    }
    if candidates.is_empty() {
        return Ok(decided);
    }
    let history = History::of(repo, &heads, &candidates, no_keepers)?;
    for (place, of_one) in history.decide(&candidates) {
        decided[place] = of_one;
    }
    Ok(decided)
}

/// The decision about a branch from its own state alone. One that is deleted if its commits are kept counts as reachable from
/// nothing yet.
fn without_history(repo: &gix::Repository, heads: Option<&Heads>, asked: &BranchRequest<'_>) -> Result<Fate, GitError> {
    let branch = asked.lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let Some(tip) = branch::tip(repo, branch)? else { return Ok(Fate::Absent) };
    if asked.request.branch == BranchFate::Keep {
        return Ok(Fate::Kept(KeepReason::Requested));
    }
    if asked.may_come_back || matches!(asked.worktree, WorktreeFate::Kept(_)) {
        return Ok(Fate::Kept(KeepReason::CheckedOut { path: asked.lease.path.clone() }));
    }
    if let Some(path) = heads.and_then(|heads| heads.worktree_on(branch, asked.lease)) {
        return Ok(Fate::Kept(KeepReason::CheckedOut { path }));
    }
    let is_discarded = asked.request.discard || asked.request.branch == BranchFate::Delete;
    let by = if is_discarded { MergedBy::Discarded } else { MergedBy::Reachable { from: String::new() } };
    Ok(Fate::MayGo { tip, by, keeper: None })
}

/// The keepers of commits, and the candidates' commits that none of them keeps.
struct History {
    keepers: Vec<Keeper>,
    /// The wanted commits in the branch of the main work tree, which is the first of the keepers.
    on_main: HashSet<ObjectId>,
    reach: Reach,
    /// Branches that keep no commits, and are not asked about.
    powerless: HashMap<ObjectId, String>,
    integration: Integration,
}

impl History {
    fn of(
        repo: &gix::Repository,
        heads: &Heads,
        candidates: &[Candidate<'_>],
        no_keepers: &BTreeSet<BranchName>,
    ) -> Result<Self, GitError> {
        let going: Names = candidates.iter().map(|candidate| candidate.branch.full()).collect();
        let powerless_names: Names = no_keepers.iter().map(BranchName::full).collect();
        let mut keepers: Vec<Keeper> = heads.keepers().collect();
        let mut powerless = HashMap::default();
        for reference in repo.references()?.all()? {
            // One that cannot be read, or leads to no commit, keeps nothing. A symbolic one neither: it may lead to a branch
            // that is to go.
            let Ok(mut reference) = reference else { continue };
            let category = reference.name().category();
            let counts = matches!(category, Some(Category::LocalBranch | Category::Tag | Category::RemoteBranch));
            let kind = if category == Some(Category::Tag) { "the tag " } else { "" };
            let name = reference.name().to_owned();
            let full = name.as_bstr().to_str_lossy();
            if !counts || reference.target().try_id().is_none() || going.contains(&*full) {
                continue;
            }
            let Ok(commit) = reference.peel_to_commit().map(|commit| commit.id) else { continue };
            let short = name.shorten().to_str_lossy().into_owned();
            if powerless_names.contains(&*full) {
                powerless.entry(commit).or_insert(short);
                continue;
            }
            let witness = Witness::reference(name, commit);
            keepers.push(Keeper { name: format!("{kind}{short}"), witness });
        }
        let main = heads.main_branch();
        let is_main = |keeper: &Keeper| main.as_deref().is_some_and(|main| keeper.witness.is_reference(main));
        keepers.sort_by_cached_key(|keeper| (!is_main(keeper), keeper.name.clone()));
        let tips: Vec<ObjectId> = candidates.iter().map(|candidate| candidate.tip).collect();
        let on_main = keepers.first().filter(|first| is_main(first));
        let on_main =
            on_main.map(|main| reached_from(repo, main.witness.commit(), &tips)).transpose()?.unwrap_or_default();
        let wanted = tips.into_iter().chain(powerless.keys().copied());
        let wanted: Vec<ObjectId> = wanted.filter(|tip| !on_main.contains(tip)).collect();
        let commits: Vec<ObjectId> = keepers.iter().map(|keeper| keeper.witness.commit()).collect();
        let reach = Reach::of(repo, &wanted, &commits)?;
        let is_target = |name: &FullName| {
            let name = name.as_bstr().to_str_lossy();
            !going.contains(&*name) && !powerless_names.contains(&*name)
        };
        let mut targets = IntegrationBranch::all(repo, is_target)?;
        // What is at stake is in none of these: they are kept, and so is all that they contain.
        targets.retain(|target| commits.contains(&target.commit));
        let integration = Integration::new(repo, targets)?;
        Ok(Self { keepers, on_main, reach, powerless, integration })
    }

    /// The keeper of a commit, apart from candidates.
    fn keeper(&self, tip: ObjectId) -> Option<&Keeper> {
        let place = if self.on_main.contains(&tip) { Some(0) } else { self.reach.keeper(tip) };
        place.and_then(|place| self.keepers.get(place))
    }

    /// Decides on each candidate, and returns its index with the decision.
    fn decide(&self, candidates: &[Candidate<'_>]) -> Vec<(usize, Result<Decision, GitError>)> {
        let mut decided = Vec::with_capacity(candidates.len());
        let mut at: HashMap<ObjectId, Vec<&Candidate<'_>>> = HashMap::default();
        for candidate in candidates {
            match self.keeper(candidate.tip) {
                Some(keeper) => decided.push((candidate.place, Ok(candidate.goes_for(keeper)))),
                None => at.entry(candidate.tip).or_default().push(candidate),
            }
        }
        for candidates in at.values_mut() {
            // Of those that keep others the last one stays.
            candidates.sort_by_key(|candidate| (!candidate.keeps, Reverse(candidate.place)));
        }
        let tips = candidates.iter().map(|candidate| candidate.tip).chain(self.powerless.keys().copied());
        let order = self.reach.in_order(&tips.collect::<Vec<_>>());
        let mut kept_by: HashMap<ObjectId, Rc<Keeper>> = HashMap::default();
        let mut only_in: HashMap<ObjectId, Rc<str>> = HashMap::default();
        let mut staying = Vec::new();
        // Children come before their parents, so that the branch that is named contains all of a chain, and stays.
        for id in &order {
            if let Some(name) = self.powerless.get(id) {
                only_in.entry(*id).or_insert_with(|| name.as_str().into());
            }
            for candidate in at.remove(id).unwrap_or_default() {
                if let Some(keeper) = kept_by.get(id) {
                    decided.push((candidate.place, Ok(candidate.goes_for(keeper))));
                    continue;
                }
                match self.integration.find(&self.reach.own(candidate.tip)) {
                    Ok(Some(by)) => {
                        let fate = Fate::MayGo { tip: candidate.tip, by, keeper: None };
                        decided.push((candidate.place, Ok(fate.into())));
                        continue;
                    }
                    Ok(None) => staying.push((candidate, only_in.get(id).cloned())),
                    Err(error) => decided.push((candidate.place, Err(error))),
                }
                if candidate.keeps {
                    kept_by.insert(*id, Rc::new(candidate.as_keeper()));
                } else {
                    only_in.entry(*id).or_insert_with(|| candidate.branch.as_str().into());
                }
            }
            for parent in self.reach.parents(*id) {
                if let Some(keeper) = kept_by.get(id).cloned() {
                    kept_by.entry(*parent).or_insert(keeper);
                }
                if let Some(name) = only_in.get(id).cloned() {
                    only_in.entry(*parent).or_insert(name);
                }
            }
        }
        let counted = self.count(&order, &staying.iter().map(|(candidate, _)| *candidate).collect::<Vec<_>>());
        decided.extend(staying.into_iter().zip(counted).map(|((candidate, only_in), commits)| {
            let compared_with = self.integration.targets.iter().map(|target| target.name.clone()).collect();
            let only_in = only_in.map(|name| name.to_string());
            let fate = Fate::Kept(KeepReason::Unmerged { commits });
            (candidate.place, Ok(Decision { fate, compared_with, only_in }))
        }));
        decided
    }

    /// The number of commits of each staying branch that are on no other branch which stays and keeps others.
    fn count(&self, order: &[ObjectId], staying: &[&Candidate<'_>]) -> Vec<u64> {
        // The branch that has a commit; `None` where several have it.
        let mut owner: HashMap<ObjectId, Option<usize>> = HashMap::default();
        owner.extend(staying.iter().filter(|it| it.keeps).map(|candidate| (candidate.tip, Some(candidate.place))));
        for id in order {
            let Some(of) = owner.get(id).copied() else { continue };
            for parent in self.reach.parents(*id) {
                owner
                    .entry(*parent)
                    .and_modify(|known| *known = known.filter(|known| Some(*known) == of))
                    .or_insert(of);
            }
        }
        let count = |candidate: &&Candidate<'_>| {
            let is_own = |id: &ObjectId| owner.get(id).is_none_or(|of| *of == Some(candidate.place));
            let mut seen: HashSet<ObjectId> = HashSet::default();
            let mut open = vec![candidate.tip];
            while let Some(id) = open.pop() {
                if self.reach.is_loose(id) && is_own(&id) && seen.insert(id) {
                    open.extend(self.reach.parents(id));
                }
            }
            seen.len() as u64
        };
        staying.iter().map(count).collect()
    }
}
