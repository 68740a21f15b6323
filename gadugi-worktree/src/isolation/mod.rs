//! The private git folder of an isolated task, and the import of its commits into the repository.
//!
//! - [`isolate`] makes it (`create`, `config`) and returns the mounts that the task needs (`mounts`). It borrows the objects of
//!   the repository, which the task can read and not write.
//! - [`import`] brings its commits into the repository (`import`): references are read by a parser of our own (`refs`,
//!   `untrusted_folder`), objects are copied into a quarantine and go from there as a pack that git checks (`objects`), other
//!   branches get references of their own (`kept_refs`), and the worktree's `HEAD` and index follow (`head_and_index`), also
//!   with files that are only staged (`staged`).
//! - `clear` removes what crashes have left.
//!
//! A task may have put anything into its git folder. So that folder is never opened as a repository, git is never run in it,
//! and its paths of folders, programs and indexes of packs are not trusted.

mod clear;
mod config;
mod create;
mod head_and_index;
mod import;
mod kept_refs;
mod layout;
mod mounts;
mod objects;
mod operation;
mod own_refs;
mod refs;
mod staged;
mod untrusted_folder;

use std::path::PathBuf;

use gadugi_core::executor::Mount;
use gadugi_core::{BranchName, Lease};
use gix::ObjectId;

use crate::error::GitError;
use crate::settings::WorktreeSettings;

pub(crate) use clear::clear;
pub(crate) use import::Imported;
pub(crate) use kept_refs::{keep, names as kept_refs, names_and_commits as kept_refs_with_commits};
use layout::IsolationFolder;
pub(crate) use operation::{OPERATIONS, has_modules, operation};
pub(crate) use own_refs::references as own_references;

/// Makes the private git folder of a lease, unless it exists, and returns the mounts of its commands.
pub(crate) fn isolate(settings: &WorktreeSettings, lease: &Lease) -> Result<Vec<Mount>, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let isolated = IsolationFolder::of(settings, lease);
    if !isolated.is_there()? {
        create::make(settings, lease, branch, &isolated)?;
    }
    mounts::mounts(settings, lease, &isolated)
}

/// Imports the commits of a lease's private git folder into the repository. Does nothing where there is none.
pub(crate) fn import(settings: &WorktreeSettings, lease: &Lease, branch: &BranchName) -> Result<Imported, GitError> {
    let isolated = IsolationFolder::of(settings, lease);
    match isolated.lock()? {
        Some(_held) => import::import(settings, &isolated, lease, branch),
        None => Ok(Imported::default()),
    }
}

/// Notes that this commit, the private `HEAD` of a lease, is on its branch, so that no further import moves the worktree's
/// `HEAD` away from there. Does nothing where there is no private git folder.
pub(crate) fn note_moved_to_branch(settings: &WorktreeSettings, lease: &Lease, head: ObjectId) -> Result<(), GitError> {
    let isolated = IsolationFolder::of(settings, lease);
    match isolated.lock()? {
        Some(_held) => isolated.note_moved_to_branch(head),
        None => Ok(()),
    }
}

/// Removes the private git folder of a lease. The caller has imported its commits.
pub(crate) fn remove(settings: &WorktreeSettings, lease: &Lease) -> Result<(), GitError> {
    let isolated = IsolationFolder::of(settings, lease);
    match isolated.lock()? {
        Some(held) => isolated.remove(held),
        None => Ok(()),
    }
}

/// Moves the private git folder of a lease into the trash, and returns its new path.
pub(crate) fn discard(settings: &WorktreeSettings, lease: &Lease) -> Result<Option<PathBuf>, GitError> {
    let isolated = IsolationFolder::of(settings, lease);
    match isolated.lock()? {
        Some(held) => isolated.discard(settings, lease, held).map(Some),
        None => Ok(None),
    }
}
