//! Queries of the commit graph, and of trees.

pub(crate) mod limits;
pub(crate) mod reachability;

use gadugi_core::CommitId;
use gix::ObjectId;
use gix::bstr::BString;
use gix::diff::tree::{Recorder, recorder::Change};
use gix::objs::TreeRefIter;
use gix::objs::tree::EntryMode;

use crate::error::GitError;
use crate::repo::Repository;
use crate::repo::ids::to_object;

/// Limit of counted commits of a branch: each takes memory.
const MAX_COMMITS: u64 = 1_000_000;

impl Repository {
    /// Whether a commit has all commits of another one.
    ///
    /// # Errors
    /// [`GitError`] when the history cannot be read.
    pub fn contains(&self, commit: &CommitId, other: &CommitId) -> Result<bool, GitError> {
        is_ancestor(&self.open(&[])?, to_object(other), to_object(commit))
    }
}

/// The number of commits that can be reached from `tip`, and not from `others`.
pub(crate) fn commits_beyond(repo: &gix::Repository, tip: ObjectId, others: &[ObjectId]) -> Result<u64, GitError> {
    if others.contains(&tip) {
        return Ok(0);
    }
    let mut count = 0;
    for commit in repo.rev_walk([tip]).with_hidden(others.iter().copied()).all()? {
        commit?;
        count += 1;
        if count > MAX_COMMITS {
            return Err(GitError::TooManyCommits { tip: tip.to_string(), most: MAX_COMMITS });
        }
    }
    Ok(count)
}

/// Whether `commit` is `tip` or one of its ancestors.
pub(crate) fn is_ancestor(repo: &gix::Repository, commit: ObjectId, tip: ObjectId) -> Result<bool, GitError> {
    if commit == tip {
        return Ok(true);
    }
    Ok(repo.rev_walk([commit]).with_hidden([tip]).all()?.next().transpose()?.is_none())
}

impl Repository {
    /// Whether a commit is another one, or an ancestor of it. Both have to exist.
    ///
    /// # Errors
    /// [`GitError`] when the history cannot be read.
    pub fn is_ancestor(&self, commit: &CommitId, of: &CommitId) -> Result<bool, GitError> {
        is_ancestor(&self.open(&[])?, to_object(commit), to_object(of))
    }
}

/// The number of files that differ between the trees of two commits. A renamed file counts twice.
pub(crate) fn files_between(repo: &gix::Repository, from: ObjectId, to: ObjectId) -> Result<u64, GitError> {
    limits::check(repo, from, to)?;
    let (from, to) = (repo.find_commit(from)?.tree()?, repo.find_commit(to)?.tree()?);
    if from.id == to.id {
        return Ok(0);
    }
    let mut files = Files(0);
    diff_trees(repo, &from, &to, &mut files)?;
    Ok(files.0)
}

/// Shows a visitor all entries that differ between two trees.
pub(crate) fn diff_trees(
    repo: &gix::Repository,
    from: &gix::Tree<'_>,
    to: &gix::Tree<'_>,
    visitor: &mut impl gix::diff::tree::Visit,
) -> Result<(), GitError> {
    let (before, after) =
        (TreeRefIter::from_bytes(&from.data, from.id.kind()), TreeRefIter::from_bytes(&to.data, to.id.kind()));
    gix::diff::tree(before, after, gix::diff::tree::State::default(), &repo.objects, visitor)
        .map_err(gix::Error::from_error)?;
    Ok(())
}

/// A file that differs between two trees; `None` where a tree has none of that path.
pub(crate) struct FileDifference {
    pub(crate) path: BString,
    pub(crate) before: Option<(EntryMode, ObjectId)>,
    pub(crate) after: Option<(EntryMode, ObjectId)>,
}

/// The files that differ between two trees.
pub(crate) fn file_differences(
    repo: &gix::Repository,
    from: ObjectId,
    to: ObjectId,
) -> Result<Vec<FileDifference>, GitError> {
    if from == to {
        return Ok(Vec::new());
    }
    let (from, to) = (repo.find_tree(from)?, repo.find_tree(to)?);
    let mut recorder = Recorder::default();
    diff_trees(repo, &from, &to, &mut recorder)?;
    let file = |mode: EntryMode, id| Some((mode, id)).filter(|_| !mode.is_tree());
    let differences = recorder.records.into_iter().map(|change| match change {
        Change::Addition { entry_mode, oid, path, .. } => {
            FileDifference { path, before: None, after: file(entry_mode, oid) }
        }
        Change::Deletion { entry_mode, oid, path, .. } => {
            FileDifference { path, before: file(entry_mode, oid), after: None }
        }
        Change::Modification { previous_entry_mode, previous_oid, entry_mode, oid, path } => {
            FileDifference { path, before: file(previous_entry_mode, previous_oid), after: file(entry_mode, oid) }
        }
    });
    Ok(differences.filter(|one| one.before.is_some() || one.after.is_some()).collect())
}

/// Counts files, and not folders.
struct Files(u64);

impl gix::diff::tree::Visit for Files {
    fn pop_front_tracked_path_and_set_current(&mut self) {}
    fn push_back_tracked_path_component(&mut self, _: &gix::bstr::BStr) {}
    fn push_path_component(&mut self, _: &gix::bstr::BStr) {}
    fn pop_path_component(&mut self) {}

    fn visit(&mut self, change: gix::diff::tree::visit::Change) -> gix::diff::tree::visit::Action {
        use gix::diff::tree::visit::Change;
        let is_file = match change {
            Change::Addition { entry_mode, .. } | Change::Deletion { entry_mode, .. } => !entry_mode.is_tree(),
            Change::Modification { previous_entry_mode, entry_mode, .. } => {
                !(entry_mode.is_tree() && previous_entry_mode.is_tree())
            }
        };
        self.0 += u64::from(is_file);
        std::ops::ControlFlow::Continue(())
    }
}
