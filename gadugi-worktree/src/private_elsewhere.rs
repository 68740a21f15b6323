//! Private git folders on systems where tasks cannot be isolated: there are none.

#[path = "private/kept.rs"]
mod kept;

use std::path::{Path, PathBuf};

use gadugi_core::{BranchName, Lease, Mount};
use gix::ObjectId;
use gix::bstr::BString;

use crate::error::GitError;
use crate::worktrees::WorktreeSettings;

pub(crate) use kept::{keep, names as kept_refs};

#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) apart: Option<GitError>,
    pub(crate) left: u64,
}

pub(crate) fn isolate(_: &WorktreeSettings, _: &Lease) -> Result<Vec<Mount>, GitError> {
    Err(GitError::NoIsolation)
}

pub(crate) fn import(_: &WorktreeSettings, _: &Lease, _: &BranchName) -> Result<Imported, GitError> {
    Ok(Imported::default())
}

pub(crate) fn remove(_: &WorktreeSettings, _: &Lease) -> Result<(), GitError> {
    Ok(())
}

pub(crate) fn discard(_: &WorktreeSettings, _: &Lease) -> Result<Option<PathBuf>, GitError> {
    Ok(None)
}

pub(crate) fn clear(_: &WorktreeSettings) -> Result<(), GitError> {
    Ok(())
}

/// Git's own folder of a worktree is not read without handles of folders.
pub(crate) fn own_references(_: &Path, _: gix::hash::Kind) -> Result<Vec<(BString, ObjectId)>, GitError> {
    Ok(Vec::new())
}

pub(crate) fn operation(_: &WorktreeSettings, _: &Lease) -> Option<&'static str> {
    None
}

pub(crate) fn has_modules(_: &WorktreeSettings, _: &Lease) -> bool {
    false
}

pub(crate) fn kept_refs_with_commits(_: &gix::Repository, _: &Lease) -> Result<Vec<(String, ObjectId)>, GitError> {
    Ok(Vec::new())
}

pub(crate) fn note_taken_over(_: &WorktreeSettings, _: &Lease, _: ObjectId) -> Result<(), GitError> {
    Ok(())
}
