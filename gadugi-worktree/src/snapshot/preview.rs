//! Previews: the work of an attempt as an object that git can show, without a change in the repository or the worktree.

use std::fs;
use std::path::{Path, PathBuf};

use gadugi_core::worktrees::Unsaved;
use gadugi_core::{BranchName, CommitId, Lease};
use gix::ObjectId;
use gix::objs::Write as _;

use crate::error::GitError;
use crate::history::is_ancestor;
use crate::inspect::checkout::Checkout;
use crate::repo::branch;
use crate::repo::ids::{to_commit, to_object};
use crate::settings::WorktreeSettings;
use crate::snapshot::tree::save;

/// A request for the work of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewRequest {
    /// Start of the task's work.
    pub base: CommitId,
    /// Tip of the branch when the work was collected; `None` where it was not.
    pub recorded: Option<CommitId>,
    /// Whether the worktree may hold work that is not on the branch.
    pub in_worktree: bool,
    /// Folder for objects of uncommitted files, which git reads as an alternate object directory.
    pub objects: PathBuf,
}

/// The place in which the work of an attempt was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreviewSource {
    /// Its worktree, with the uncommitted files.
    Worktree,
    /// Its branch.
    Branch,
    /// The recorded tip: the branch is gone, or another one has its name.
    RecordedTip,
}

/// The work of an attempt, as git can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Id of a commit or tree with the work.
    pub object: String,
    /// Last commit of it.
    pub commit: CommitId,
    /// Place in which it was found.
    pub source: PreviewSource,
    /// Whether it differs from the base.
    pub differs: bool,
    /// Number of uncommitted files in it.
    pub uncommitted: u64,
    /// Uncommitted files that are not in it since they look like secrets.
    pub left_out: Vec<String>,
    /// Uncommitted files that are not in it since git cannot store them.
    pub unsaved: Vec<Unsaved>,
}

/// Finds the work of an attempt: in its worktree, else on its branch, else at its recorded tip.
pub(crate) fn preview(
    settings: &WorktreeSettings,
    lease: &Lease,
    request: &PreviewRequest,
) -> Result<Preview, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let is_folder = lease.path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if request.in_worktree && is_folder {
        match of_worktree(settings, lease, branch, request) {
            // The folder is that of another attempt by now.
            Err(GitError::NotAWorktree { .. }) => {}
            found => return found,
        }
    }
    of_branch(settings, branch, request)
}

fn of_worktree(
    settings: &WorktreeSettings,
    lease: &Lease,
    branch: &BranchName,
    request: &PreviewRequest,
) -> Result<Preview, GitError> {
    let mut checkout = Checkout::inspect(settings, lease, branch)?;
    let head = checkout.head.or(checkout.tip).unwrap_or_else(|| to_object(&request.base));
    let base = tree_of(&checkout.repo, to_object(&request.base))?;
    if checkout.changes.is_empty() {
        let differs = tree_of(&checkout.repo, head)? != base;
        return Ok(Preview { differs, ..preview_of(head, PreviewSource::Worktree) });
    }
    checkout.repo.objects.enable_object_memory();
    let saved = save(&checkout)?;
    write_objects(&mut checkout.repo, &request.objects)?;
    Ok(Preview {
        object: saved.tree.to_string(),
        differs: saved.tree != base,
        uncommitted: saved.files,
        left_out: saved.left_out,
        unsaved: saved.unsaved,
        ..preview_of(head, PreviewSource::Worktree)
    })
}

fn of_branch(settings: &WorktreeSettings, branch: &BranchName, request: &PreviewRequest) -> Result<Preview, GitError> {
    let repo = settings.repository.open(&[])?;
    let base = to_object(&request.base);
    let recorded = request.recorded.as_ref().map(to_object);
    let gone = || GitError::WorkGone { branch: branch.clone(), tip: request.recorded.clone() };
    let recorded_is_there = recorded.is_some_and(|tip| repo.has_object(tip));
    let on_branch = match branch::tip(&repo, branch)? {
        // A later run may have made another branch of this name.
        Some(tip) if (recorded.is_none() || recorded_is_there) && repo.has_object(base) => {
            is_ancestor(&repo, recorded.unwrap_or(base), tip)?.then_some(tip)
        }
        _ => None,
    };
    let (tip, source) = match (on_branch, recorded.filter(|_| recorded_is_there)) {
        (Some(tip), _) => (tip, PreviewSource::Branch),
        (None, Some(tip)) => (tip, PreviewSource::RecordedTip),
        (None, None) => return Err(gone()),
    };
    let differs = tree_of(&repo, tip)? != tree_of(&repo, base)?;
    Ok(Preview { differs, ..preview_of(tip, source) })
}

/// The preview of a commit without uncommitted files.
fn preview_of(commit: ObjectId, source: PreviewSource) -> Preview {
    let (left_out, unsaved) = (Vec::new(), Vec::new());
    let (object, commit) = (commit.to_string(), to_commit(commit));
    Preview { object, commit, source, differs: true, uncommitted: 0, left_out, unsaved }
}

fn tree_of(repo: &gix::Repository, commit: ObjectId) -> Result<ObjectId, GitError> {
    Ok(repo.find_commit(commit)?.tree_id()?.detach())
}

/// Writes the objects that were kept in memory into a folder.
fn write_objects(repo: &mut gix::Repository, folder: &Path) -> Result<(), GitError> {
    fs::create_dir_all(folder).map_err(GitError::io("make", folder))?;
    let store = gix::odb::loose::Store::at(folder, repo.object_hash());
    let mut objects = repo.objects.take_object_memory().unwrap_or_default();
    for (_, (kind, data)) in objects.drain() {
        store.write_buf(kind, &data)?;
    }
    Ok(())
}
