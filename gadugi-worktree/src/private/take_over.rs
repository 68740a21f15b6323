//! Taking over what was committed in a private git folder.
//!
//! The order of steps lets a crash come at any moment: objects first, to which nothing refers; then references that keep
//! what is not for the branch; then the branch; then the worktree's `HEAD` and index. A note beside the folder says from the
//! first to the last that it has begun, so that the next import goes through all of them again.

use std::collections::BTreeSet;

use gadugi_core::{BranchName, CommitId, Lease, crash_point};
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};

use crate::branch;
use crate::entry::{Entry, HeadAt};
use crate::error::GitError;
use crate::history::is_ancestor;
use crate::ids::to_object;
use crate::marker::Marker;
use crate::private::align::{NewIndex, has_folder, is_head_at, on, set_head};
use crate::private::folder::Folder;
use crate::private::kept::Kept;
use crate::private::place::Place;
use crate::private::refs::{self, At, Found};
use crate::private::transfer::Transfer;
use crate::worktrees::WorktreeSettings;

/// What became of an import that brought everything here.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// Why the commits of the task's branch are not on its branch here. They are kept by a reference that this names.
    pub(crate) apart: Option<GitError>,
}

/// Takes over what was committed. The caller holds the place.
pub(super) fn take_over(
    settings: &WorktreeSettings,
    place: &Place,
    lease: &Lease,
    branch: &BranchName,
) -> Result<Imported, GitError> {
    let git = Folder::open(&place.git())?;
    let mut repo = settings.repository.open(&[])?;
    repo.object_cache_size_if_unset(4 * 1024 * 1024);
    let found = refs::read(&git, repo.object_hash())?;
    // The note lies out of the reach of the task.
    let base = Marker::read(place.folder()).map(|note| note.start).or_else(|| lease.base.clone());
    let base = base.ok_or_else(|| GitError::NotAWorktree { path: lease.path.clone() })?;
    let entry = Entry::of_lease(settings.repository.common_dir(), lease)?.filter(has_folder);
    let kept = Kept::of(&repo, lease)?;
    let here = branch::tip(&repo, branch)?;
    Import { settings, place, branch, git, repo, found, base, entry, kept, here }.run()
}

struct Import<'a> {
    settings: &'a WorktreeSettings,
    place: &'a Place,
    branch: &'a BranchName,
    git: Folder,
    repo: gix::Repository,
    found: Found,
    base: CommitId,
    /// The entry of the worktree, where that is there.
    entry: Option<Entry>,
    kept: Kept,
    /// The tip of the branch in the repository.
    here: Option<ObjectId>,
}

/// What is to become of the branch.
enum Fate {
    /// It has everything.
    Stays,
    MovesTo(ObjectId),
    /// It cannot lead to this commit.
    Apart(ObjectId, Apart),
}

enum Apart {
    Rewritten,
    Elsewhere,
    Gone,
}

impl Import<'_> {
    fn run(mut self) -> Result<Imported, GitError> {
        let was_cut_short = self.place.is_importing();
        let news = self.news()?;
        let is_head_elsewhere =
            self.wanted_head().zip(self.entry.as_ref()).is_some_and(|(head, entry)| !is_head_at(entry, &head));
        let is_at_tip = self.found.branches.get(&self.full_name()).is_none_or(|tip| Some(*tip) == self.here);
        if news.is_empty() && is_at_tip && !is_head_elsewhere && !was_cut_short {
            return Ok(Imported::default());
        }
        self.place.begin_import()?;
        if !news.is_empty() {
            self.fetch(&news)?;
            crash_point("import-objects-taken");
        }
        let fate = self.fate()?;
        self.keep_others(&fate)?;
        crash_point("import-others-kept");
        let apart = match fate {
            Fate::Apart(tip, why) => Some(self.keep_apart(tip, why)?),
            Fate::MovesTo(tip) => {
                self.bring_in_line(Some(tip))?;
                None
            }
            Fate::Stays => {
                self.bring_in_line(None)?;
                None
            }
        };
        self.place.end_import()?;
        Ok(Imported { apart })
    }

    fn full_name(&self) -> BString {
        self.branch.full().into()
    }

    /// All commits that references of the task lead to, each with a name: the task's branch first.
    fn tips(&self) -> Vec<(BString, ObjectId)> {
        let own = self.full_name();
        let mut tips: Vec<(BString, ObjectId)> =
            self.found.branches.get(&own).map(|id| (own, *id)).into_iter().collect();
        tips.extend(self.others());
        tips
    }

    /// The same without the task's branch, by names without `refs/heads/`.
    fn others(&self) -> Vec<(BString, ObjectId)> {
        let own = self.full_name();
        let branches = self.found.branches.iter().filter(|(name, _)| **name != own);
        let short = |name: &BString| BString::from(name.strip_prefix(b"refs/heads/").unwrap_or(name));
        let mut others: Vec<_> = branches.map(|(name, id)| (short(name), *id)).collect();
        others.extend(self.found.stash.iter().map(|id| (BString::from("stash"), *id)));
        if let At::Commit(id) = self.found.head {
            others.push(("HEAD".into(), id));
        }
        others
    }

    /// Commits that are here with all that they need.
    fn known(&self) -> Vec<ObjectId> {
        let known = self.here.into_iter().chain([to_object(&self.base)]).chain(self.kept.commits());
        known.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Commits that references of the task lead to and that cannot be reached from anything that is known. Of an import that
    /// was cut short some objects may be here without those that they need: then all count as new.
    fn news(&self) -> Result<Vec<ObjectId>, GitError> {
        let known = self.known();
        let tips: BTreeSet<ObjectId> =
            self.tips().into_iter().map(|(_, id)| id).filter(|id| !known.contains(id)).collect();
        if self.place.is_importing() {
            return Ok(tips.into_iter().collect());
        }
        let (there, absent): (Vec<_>, Vec<_>) = tips.iter().partition(|id| self.repo.has_object(**id));
        there.iter().try_for_each(|id| self.is_commit(*id))?;
        // It may have been the import of another attempt that has made the same commits.
        let Ok(beyond) = beyond(&self.repo, &there, &known) else { return Ok(tips.into_iter().collect()) };
        let unreached = there.into_iter().filter(|id| beyond.contains(id));
        Ok(absent.into_iter().chain(unreached).collect())
    }

    /// Brings these commits into the repository with all that they need.
    fn fetch(&self, news: &[ObjectId]) -> Result<(), GitError> {
        let transfer = Transfer {
            common_dir: self.settings.repository.common_dir(),
            quarantine: self.place.new_quarantine(),
            kind: self.repo.object_hash(),
            tips: news,
            known: &self.known(),
        };
        self.place.clear_quarantine()?;
        let fetched = transfer.run(&self.git);
        let cleared = self.place.clear_quarantine();
        fetched.and(cleared)?;
        news.iter().try_for_each(|id| self.is_commit(*id))
    }

    /// That a reference leads to a commit, which is here.
    fn is_commit(&self, id: ObjectId) -> Result<(), GitError> {
        let is_commit = self.repo.find_header(id)?.kind() == gix::objs::Kind::Commit;
        if is_commit { Ok(()) } else { Err(GitError::NotACommit { id: id.to_string() }) }
    }

    fn fate(&self) -> Result<Fate, GitError> {
        let Some(tip) = self.found.branches.get(&self.full_name()).copied() else { return Ok(Fate::Stays) };
        let base = to_object(&self.base);
        if self.here == Some(tip) {
            return Ok(Fate::Stays);
        }
        if !is_ancestor(&self.repo, base, tip)? {
            return Ok(Fate::Apart(tip, Apart::Rewritten));
        }
        match self.here {
            None if tip == base => Ok(Fate::Stays),
            None => Ok(Fate::Apart(tip, Apart::Gone)),
            Some(here) if is_ancestor(&self.repo, tip, here)? => Ok(Fate::Stays),
            Some(here) if is_ancestor(&self.repo, here, tip)? => Ok(Fate::MovesTo(tip)),
            Some(_) => Ok(Fate::Apart(tip, Apart::Elsewhere)),
        }
    }

    /// Gives references to what is not, and will not be, on the branch.
    fn keep_others(&mut self, fate: &Fate) -> Result<(), GitError> {
        let mut known = self.known();
        if let Fate::MovesTo(tip) = fate {
            known.push(*tip);
        }
        let others = self.others();
        let ids: Vec<ObjectId> = others.iter().map(|(_, id)| *id).collect();
        let beyond = beyond(&self.repo, &ids, &known)?;
        for (name, id) in others {
            if beyond.contains(&id) {
                self.kept.keep(&self.repo, name.as_bstr(), id)?;
            }
        }
        Ok(())
    }

    fn keep_apart(&mut self, tip: ObjectId, why: Apart) -> Result<GitError, GitError> {
        let branch = self.branch.clone();
        let kept = self.kept.keep(&self.repo, branch.as_str().into(), tip)?;
        Ok(match why {
            Apart::Rewritten => GitError::Rewritten { branch, base: self.base.clone(), kept },
            Apart::Elsewhere => GitError::Diverged { branch, kept },
            Apart::Gone => GitError::BranchGone { branch, kept },
        })
    }

    /// Where the `HEAD` of the worktree has to be; `None` where it may stay.
    fn wanted_head(&self) -> Option<HeadAt> {
        match &self.found.head {
            At::Reference(name) if *name == self.full_name() => Some(on(self.branch)),
            _ => self.found.head_commit().map(HeadAt::Commit),
        }
    }

    /// Moves the branch, and lets the worktree follow.
    fn bring_in_line(&self, to: Option<ObjectId>) -> Result<(), GitError> {
        let head = self.wanted_head();
        let tip = to.or(self.here);
        let commit = match &head {
            Some(HeadAt::Commit(id)) => Some(*id),
            _ => tip,
        };
        // The index is written before the branch moves, so that a full disk leaves both as they were.
        let index = match (&self.entry, commit) {
            (Some(entry), Some(commit)) if head.is_some() => Some(NewIndex::write(self.settings, entry, commit)?),
            _ => None,
        };
        if let (Some(from), Some(to)) = (self.here, to) {
            branch::advance(&self.repo, self.branch, from, to, "gadugi: import what was committed in isolation")?;
            crash_point("import-branch-moved");
        }
        index.map_or(Ok(()), NewIndex::put_in_place)?;
        match (&self.entry, &head) {
            (Some(entry), Some(head)) => set_head(self.settings, entry, head),
            _ => Ok(()),
        }
    }
}

/// Those commits that can be reached from some of these, and from none that are known.
fn beyond(repo: &gix::Repository, ids: &[ObjectId], known: &[ObjectId]) -> Result<BTreeSet<ObjectId>, GitError> {
    let ids: Vec<ObjectId> = ids.iter().copied().filter(|id| !known.contains(id)).collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let walk = repo.rev_walk(ids).with_hidden(known.iter().copied()).all()?;
    Ok(walk.map(|commit| commit.map(|commit| commit.id)).collect::<Result<_, _>>()?)
}
