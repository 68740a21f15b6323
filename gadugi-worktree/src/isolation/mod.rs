//! The git folder of its own that a task gets where it sees nothing else of the machine, and the way of its commits from
//! there into the repository.
//!
//! - [`isolate`] makes it (`create`, `config`) and tells what the task has to see besides (`mounts`). It borrows the objects
//!   of the repository, which the task can read and not write.
//! - [`import`] takes over what was committed there (`import`): references are read by a parser of our own (`refs`,
//!   `untrusted_folder`), objects are copied into a quarantine and go from there as a pack that git checks (`objects`), what is
//!   on other branches gets references of its own (`kept_refs`), and the worktree's `HEAD` and index follow (`head_and_index`), also with what is only staged (`staged`).
//! - `clear` removes what crashes have left.
//!
//! A task may have put anything into its git folder. So that folder is never opened as a repository, git is never run in it,
//! and nothing that it says of other folders, programs or indexes of packs is believed.

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

use gadugi_core::{BranchName, Lease, Mount};
use gix::ObjectId;

use crate::error::GitError;
use crate::settings::WorktreeSettings;

pub(crate) use clear::clear;
pub(crate) use import::Imported;
pub(crate) use kept_refs::{keep, names as kept_refs, names_and_commits as kept_refs_with_commits};
use layout::Place;
pub(crate) use operation::{has_modules, operation};
pub(crate) use own_refs::references as own_references;

/// Makes the private git folder of a lease, unless it is there, and tells what its commands have to see.
pub(crate) fn isolate(settings: &WorktreeSettings, lease: &Lease) -> Result<Vec<Mount>, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let place = Place::of(settings, lease);
    if !place.is_there()? {
        create::make(settings, lease, branch, &place)?;
    }
    mounts::mounts(settings, lease, &place)
}

/// Brings what was committed in the private git folder of a lease into the repository. Nothing happens where there is none.
pub(crate) fn import(settings: &WorktreeSettings, lease: &Lease, branch: &BranchName) -> Result<Imported, GitError> {
    let place = Place::of(settings, lease);
    match place.lock()? {
        Some(_held) => import::take_over(settings, &place, lease, branch),
        None => Ok(Imported::default()),
    }
}

/// Notes that this commit, which the private `HEAD` of a lease is on, is on its branch, so that no further import moves the
/// worktree's `HEAD` away from there. Nothing happens where there is no private git folder.
pub(crate) fn note_taken_over(settings: &WorktreeSettings, lease: &Lease, head: ObjectId) -> Result<(), GitError> {
    let place = Place::of(settings, lease);
    match place.lock()? {
        Some(_held) => place.note_taken_over(head),
        None => Ok(()),
    }
}

/// Removes the private git folder of a lease. The caller has imported what is in it.
pub(crate) fn remove(settings: &WorktreeSettings, lease: &Lease) -> Result<(), GitError> {
    let place = Place::of(settings, lease);
    match place.lock()? {
        Some(held) => place.remove(held),
        None => Ok(()),
    }
}

/// Moves the private git folder of a lease into the trash, and tells where it is now.
pub(crate) fn discard(settings: &WorktreeSettings, lease: &Lease) -> Result<Option<PathBuf>, GitError> {
    let place = Place::of(settings, lease);
    match place.lock()? {
        Some(held) => place.discard(settings, lease, held).map(Some),
        None => Ok(None),
    }
}
