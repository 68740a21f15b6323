//! Importing commits from a private git folder.
//!
//! The order of steps lets a crash come at any moment: first objects, which no reference leads to; then references that keep
//! all that is not for the branch; then the branch; then the worktree's `HEAD` and index. From the first step to the last a
//! note beside the folder says that an import has begun, so that the next import repeats all of them.

use std::collections::{BTreeMap, BTreeSet};

use gadugi_core::{BranchName, CommitId, Lease, crash_point};
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::config::tree::Core;
use tracing::debug;

use crate::durable;
use crate::error::GitError;
use crate::files::ordinary;
use crate::history::{is_ancestor, limits};
use crate::isolation::head_and_index::{IndexContent, NewIndex, has, has_folder, is_head_at, on};
use crate::isolation::kept_refs::Kept;
use crate::isolation::layout::IsolationFolder;
use crate::isolation::objects::fetch::Transfer;
use crate::isolation::refs::{self, At, TaskRefs};
use crate::isolation::staged::{File, ImportedFiles, Staged};
use crate::isolation::untrusted_folder::Folder;
use crate::lease::admin_folder::Entry;
use crate::lease::marker::Marker;
use crate::repo::branch;
use crate::repo::ids::{full_name, to_object};
use crate::repo::refs::{HeadAt, set_head};
use crate::settings::WorktreeSettings;

/// The result of an import that brought everything here.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// The reason why the commits of the task's branch are not on its branch here. It names the reference that keeps them.
    pub(crate) apart: Option<GitError>,
    /// Number of staged, uncommitted files that could not be imported.
    pub(crate) left: u64,
}

/// Imports the commits of a private git folder. The caller holds its lock.
pub(super) fn import(
    settings: &WorktreeSettings,
    isolated: &IsolationFolder,
    lease: &Lease,
    branch: &BranchName,
) -> Result<Imported, GitError> {
    let git = Folder::open(&isolated.git())?;
    let mut repo = settings.repository.open(&[])?;
    repo.object_cache_size_if_unset(4 * 1024 * 1024);
    let found = refs::read(&git, repo.object_hash())?;
    // The note lies out of the reach of the task.
    let base = Marker::read(isolated.folder()).map(|note| note.start).or_else(|| lease.base.clone());
    let base = base.ok_or_else(|| GitError::NotAWorktree { path: lease.path.clone() })?;
    let entry = Entry::of_lease(settings.repository.common_dir(), lease)?.filter(has_folder);
    let kept = Kept::of(&repo, lease)?;
    let here = branch::tip(&repo, branch)?;
    let index = entry.as_ref().map(|entry| ordinary::read(&entry.admin.join("index"))).transpose().unwrap_or_default();
    let staged = Staged::read(&git, repo.object_hash(), index.as_deref());
    let taken = ImportedFiles::read(isolated)?;
    let import = Import { settings, isolated, branch, git, repo, found, base, entry, kept, here, staged, taken };
    import.run()
}

struct Import<'a> {
    settings: &'a WorktreeSettings,
    isolated: &'a IsolationFolder,
    branch: &'a BranchName,
    git: Folder,
    repo: gix::Repository,
    found: TaskRefs,
    base: CommitId,
    /// The entry of the worktree, where that is there.
    entry: Option<Entry>,
    kept: Kept,
    /// The tip of the branch in the repository.
    here: Option<ObjectId>,
    staged: Staged,
    taken: ImportedFiles,
}

/// The next step for the branch.
enum BranchUpdate {
    /// The branch has all commits.
    Stays,
    MovesTo(ObjectId),
    /// The branch cannot move to this commit.
    Apart(ObjectId, Apart),
}

enum Apart {
    Rewritten,
    Elsewhere,
    Gone,
}

impl Import<'_> {
    fn run(mut self) -> Result<Imported, GitError> {
        let was_cut_short = self.isolated.is_importing();
        let news = self.news()?;
        let is_head_elsewhere =
            self.wanted_head().zip(self.entry.as_ref()).is_some_and(|(head, entry)| !is_head_at(entry, &head));
        let is_at_tip = self.found.branches.get(&self.full_name()).is_none_or(|tip| Some(*tip) == self.here);
        let candidates = self.candidates()?;
        let extras = self.new_extras();
        let is_done = news.is_empty() && extras.is_empty() && is_at_tip && !is_head_elsewhere && !was_cut_short;
        if is_done && self.only_staged(&candidates)?.is_empty() {
            return Ok(Imported { apart: None, left: self.staged.unread + u64::from(self.found.has_more) });
        }
        debug!(branch = %self.branch, commits = news.len(), "import started");
        self.isolated.start_import()?;
        let brought = self.fetch_with(&news, &extras, &candidates)?;
        if brought.is_some() {
            crash_point("import-objects-taken");
        }
        let mut staged = self.only_staged(&candidates)?;
        let all = staged.len();
        staged.retain(|_, file| self.is_blob(file.id));
        let mut left = self.staged.unread + (all - staged.len()) as u64 + u64::from(self.found.has_more);
        let fate = self.fate()?;
        self.keep_others(&fate)?;
        match brought {
            Some(Ok(brought)) => self.keep_extras(&fate, &extras, &brought)?,
            Some(Err(_)) => left += extras.len() as u64,
            None => {}
        }
        crash_point("import-others-kept");
        let apart = match fate {
            BranchUpdate::Apart(tip, why) => {
                left += staged.len() as u64;
                Some(self.keep_apart(tip, why)?)
            }
            BranchUpdate::MovesTo(_) | BranchUpdate::Stays => {
                let to = if let BranchUpdate::MovesTo(tip) = fate { Some(tip) } else { None };
                if self.bring_in_line(to, &staged)? {
                    self.taken.add(self.isolated, &staged)?;
                } else {
                    left += staged.len() as u64;
                }
                None
            }
        };
        self.isolated.end_import()?;
        Ok(Imported { apart, left })
    }

    fn full_name(&self) -> BString {
        self.branch.full().into()
    }

    /// All commits that references of the task lead to, by name, the task's branch first.
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

    /// Commits that references of the task lead to, and that no known commit reaches. After an interrupted import some objects
    /// may be here without those that they need: then all count as new.
    fn news(&self) -> Result<Vec<ObjectId>, GitError> {
        let known = self.known();
        let tips: BTreeSet<ObjectId> =
            self.tips().into_iter().map(|(_, id)| id).filter(|id| !known.contains(id)).collect();
        if self.isolated.is_importing() {
            return Ok(tips.into_iter().collect());
        }
        let (there, absent): (Vec<_>, Vec<_>) = tips.iter().partition(|id| self.repo.has_object(**id));
        there.iter().try_for_each(|id| self.is_commit(*id))?;
        // It may have been the import of another attempt that has made the same commits.
        let Ok(beyond) = beyond(&self.repo, &there, &known) else { return Ok(tips.into_iter().collect()) };
        let unreached = there.into_iter().filter(|id| beyond.contains(id));
        Ok(absent.into_iter().chain(unreached).collect())
    }

    /// Files of the task's index that were not imported from it before, and are not in the worktree's index.
    fn candidates(&self) -> Result<BTreeMap<BString, File>, GitError> {
        let index = match &self.entry {
            Some(entry) => {
                let repo = entry.open(&self.settings.repository.opener, self.settings.repository.common_dir())?;
                // One that cannot be read has nothing.
                repo.open_index().ok()
            }
            None => None,
        };
        let is_new = |path: &BString, file: &File| {
            !self.taken.contains(path.as_bstr(), file) && !index.as_ref().is_some_and(|index| has(index, path, file))
        };
        let files = self.staged.files.iter().filter(|(path, file)| is_new(path, file));
        Ok(files.map(|(path, file)| (path.clone(), *file)).collect())
    }

    /// The candidates that are neither in the task's `HEAD` commit nor in the branch.
    fn only_staged(&self, candidates: &BTreeMap<BString, File>) -> Result<BTreeMap<BString, File>, GitError> {
        let mut staged = candidates.clone();
        if staged.is_empty() {
            return Ok(staged);
        }
        let commits: BTreeSet<ObjectId> = self.found.head_commit().into_iter().chain(self.here).collect();
        for commit in commits.into_iter().filter(|id| self.repo.has_object(id)) {
            limits::check(&self.repo, to_object(&self.base), commit)?;
            let tree = self.repo.find_commit(commit)?.tree()?;
            let mut committed = Vec::new();
            for (path, file) in &staged {
                let mode = file.mode.to_tree_entry_mode().map(|mode| mode.kind());
                let entry = tree.lookup_entry(path.split_str("/"))?;
                if entry.is_some_and(|entry| entry.object_id() == file.id && Some(entry.mode().kind()) == mode) {
                    committed.push(path.clone());
                }
            }
            staged.retain(|path, _| !committed.contains(path));
        }
        Ok(staged)
    }

    fn is_blob(&self, id: ObjectId) -> bool {
        self.repo.find_header(id).is_ok_and(|header| header.kind() == gix::objs::Kind::Blob)
    }

    /// Further ids that the task's references lead to, which may be missing here, or here without a reference.
    fn new_extras(&self) -> Vec<ObjectId> {
        let known: BTreeSet<ObjectId> = self.known().into_iter().collect();
        let is_new = |id: &ObjectId| match self.commit_of(*id) {
            _ if self.isolated.is_importing() => true,
            Some(commit) if known.contains(&commit) => false,
            Some(commit) => beyond(&self.repo, &[commit], &self.known()).map_or(true, |beyond| !beyond.is_empty()),
            // A tag of something else than a commit is here already.
            None => !self.repo.has_object(id),
        };
        let ids: BTreeSet<ObjectId> = self.found.extras.iter().map(|(_, id)| *id).collect();
        ids.into_iter().filter(|id| !known.contains(id)).filter(is_new).collect()
    }

    /// The commit that an object here is, or is a tag of.
    fn commit_of(&self, id: ObjectId) -> Option<ObjectId> {
        let object = self.repo.try_find_object(id).ok()??;
        object.peel_to_kind(gix::object::Kind::Commit).ok().map(|commit| commit.id)
    }

    /// Brings these commits and staged files into the repository; `None` where there was nothing to bring. Returns the extras
    /// that came, or the reason why none could: they do not hinder the commits.
    fn fetch_with(
        &self,
        news: &[ObjectId],
        extras: &[ObjectId],
        staged: &BTreeMap<BString, File>,
    ) -> Result<Option<Result<Vec<ObjectId>, GitError>>, GitError> {
        let absent = staged.values().map(|file| file.id).filter(|id| !self.repo.has_object(id));
        let optional: BTreeSet<ObjectId> = extras.iter().copied().chain(absent).collect();
        let optional: Vec<ObjectId> = optional.into_iter().collect();
        if news.is_empty() && optional.is_empty() {
            return Ok(None);
        }
        match self.fetch(news, &optional) {
            Err(error) if !optional.is_empty() => {
                if !news.is_empty() {
                    self.fetch(news, &[])?;
                }
                Ok(Some(Err(error)))
            }
            other => other.map(|brought| Some(Ok(brought))),
        }
    }

    /// Brings these commits into the repository with all that they need, and the optional objects that are complete. Returns
    /// the latter.
    fn fetch(&self, news: &[ObjectId], optional: &[ObjectId]) -> Result<Vec<ObjectId>, GitError> {
        let shared = match self.repo.config_snapshot().string("core.sharedRepository") {
            Some(value) => Core::SHARED_REPOSITORY.try_into_shared_repository(Some(value.as_bstr()))?,
            None => 0,
        };
        let transfer = Transfer {
            shared,
            common_dir: self.settings.repository.common_dir(),
            quarantine: self.isolated.new_quarantine(),
            kind: self.repo.object_hash(),
            tips: news,
            optional,
            known: &self.known(),
        };
        self.isolated.clear_quarantine()?;
        let fetched = transfer.run(&self.git);
        let cleared = self.isolated.clear_quarantine();
        let brought = fetched?;
        cleared?;
        news.iter().try_for_each(|id| self.is_commit(*id))?;
        Ok(brought)
    }

    /// Checks that a reference leads to a commit that is here.
    fn is_commit(&self, id: ObjectId) -> Result<(), GitError> {
        let is_commit = self.repo.find_header(id)?.kind() == gix::objs::Kind::Commit;
        if is_commit { Ok(()) } else { Err(GitError::NotACommit { id: id.to_string() }) }
    }

    fn fate(&self) -> Result<BranchUpdate, GitError> {
        let Some(tip) = self.found.branches.get(&self.full_name()).copied() else { return Ok(BranchUpdate::Stays) };
        let base = to_object(&self.base);
        if self.here == Some(tip) {
            return Ok(BranchUpdate::Stays);
        }
        if !is_ancestor(&self.repo, base, tip)? {
            return Ok(BranchUpdate::Apart(tip, Apart::Rewritten));
        }
        match self.here {
            None if tip == base => Ok(BranchUpdate::Stays),
            None => Ok(BranchUpdate::Apart(tip, Apart::Gone)),
            Some(here) if is_ancestor(&self.repo, tip, here)? => Ok(BranchUpdate::Stays),
            Some(here) if is_ancestor(&self.repo, here, tip)? => Ok(BranchUpdate::MovesTo(tip)),
            Some(_) => Ok(BranchUpdate::Apart(tip, Apart::Elsewhere)),
        }
    }

    /// Creates references for commits that are not on the branch, and will not be.
    fn keep_others(&mut self, fate: &BranchUpdate) -> Result<(), GitError> {
        let mut known = self.known();
        if let BranchUpdate::MovesTo(tip) = fate {
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

    /// Creates references for the extras that came, unless another reference leads to them.
    fn keep_extras(&mut self, fate: &BranchUpdate, extras: &[ObjectId], brought: &[ObjectId]) -> Result<(), GitError> {
        let wanted: BTreeSet<ObjectId> = extras.iter().copied().filter(|id| brought.contains(id)).collect();
        for (name, id) in self.found.extras.clone() {
            let Some(commit) = self.commit_of(id).filter(|_| wanted.contains(&id)) else { continue };
            let mut known = self.known();
            known.extend(match fate {
                BranchUpdate::MovesTo(tip) | BranchUpdate::Apart(tip, _) => Some(*tip),
                BranchUpdate::Stays => None,
            });
            if beyond(&self.repo, &[commit], &known)?.contains(&commit) {
                self.kept.keep(&self.repo, name.as_bstr(), commit)?;
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

    /// The position that the worktree's `HEAD` has to get; `None` where it may stay.
    fn wanted_head(&self) -> Option<HeadAt> {
        match &self.found.head {
            At::Reference(name) if *name == self.full_name() => Some(on(self.branch)),
            _ => self.found.head_commit().map(|head| match self.isolated.is_moved_to_branch(head) {
                true => on(self.branch),
                false => HeadAt::Commit(head),
            }),
        }
    }

    /// Moves the branch, and brings the worktree's index and `HEAD` in line, with these files staged. Returns whether it has an
    /// index.
    fn bring_in_line(&self, to: Option<ObjectId>, staged: &BTreeMap<BString, File>) -> Result<bool, GitError> {
        let head = self.wanted_head();
        let tip = to.or(self.here);
        let commit = match &head {
            Some(HeadAt::Commit(id)) => Some(*id),
            _ => tip,
        };
        let before = self.staged.files.iter().filter(|(path, file)| self.taken.contains(path.as_bstr(), file));
        let before: BTreeMap<BString, File> = before.map(|(path, file)| (path.clone(), *file)).collect();
        // The index is written before the branch moves, so that a full disk leaves both as they were.
        let index = match (&self.entry, commit) {
            (Some(entry), Some(commit)) if head.is_some() => {
                let base = to_object(&self.base);
                let content = IndexContent { commit, base, staged, staged_before: &before };
                Some(NewIndex::write(self.settings, entry, &content)?)
            }
            _ => None,
        };
        if let (Some(from), Some(to)) = (self.here, to) {
            branch::advance(&self.repo, self.branch, from, to, "gadugi: import what was committed in isolation")?;
            durable::references(&self.repo, [full_name(self.branch).as_ref()])?;
            crash_point("import-branch-moved");
        }
        let has_index = index.is_some();
        index.map_or(Ok(()), NewIndex::put_in_place)?;
        if let (Some(entry), Some(head)) = (&self.entry, &head) {
            set_head(self.settings.repository.common_dir(), &entry.admin, head)?;
        }
        Ok(has_index)
    }
}

/// The commits that can be reached from `ids`, and not from `known`.
fn beyond(repo: &gix::Repository, ids: &[ObjectId], known: &[ObjectId]) -> Result<BTreeSet<ObjectId>, GitError> {
    let ids: Vec<ObjectId> = ids.iter().copied().filter(|id| !known.contains(id)).collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let walk = repo.rev_walk(ids).with_hidden(known.iter().copied()).all()?;
    Ok(walk.map(|commit| commit.map(|commit| commit.id)).collect::<Result<_, _>>()?)
}
