//! One file or folder that is copied into a worktree, on systems without Unix's ways to stay inside of it. Symbolic links are
//! left out.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gix::bstr::{BStr, BString};

use super::list::{Folder, Item};
use crate::awaited::Awaited;
use crate::error::GitError;

/// What became of a file.
#[expect(dead_code, reason = "the system's own way to copy does not tell all of it")]
pub(super) enum Copied {
    /// It is there, with so many bytes.
    Bytes(u64),
    /// It could not be read.
    Unreadable,
    /// It is nothing that can be copied.
    Special,
    /// It is gone, or something is in its place.
    Not,
}

/// A worktree that is written to.
pub(super) struct Place(PathBuf);

/// A folder of it.
pub(super) struct OpenFolder(PathBuf);

/// The system shares what it can by itself.
#[derive(Default)]
pub(super) struct Sharer;

impl Place {
    pub(super) fn open(path: &Path) -> Result<Self, GitError> {
        Ok(Self(path.to_owned()))
    }

    /// Makes a folder; `false` where something else is in its place, or on the way to it.
    pub(super) fn make(&self, path: &BStr, made: &mut BTreeSet<BString>) -> Result<bool, GitError> {
        let folder = self.0.join(gix::path::from_bstr(path)?);
        let inside = folder.strip_prefix(&self.0).unwrap_or(&folder).ancestors().map(|part| self.0.join(part));
        let is_other = |part: PathBuf| part.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir());
        if inside.into_iter().any(is_other) {
            return Ok(false);
        }
        if !folder.exists() {
            made.insert(path.to_owned());
        }
        fs::create_dir_all(&folder).map_err(GitError::io("create", &folder))?;
        Ok(true)
    }

    /// Opens a folder that is there.
    pub(super) fn folder(&self, path: &BStr) -> Result<OpenFolder, GitError> {
        Ok(OpenFolder(self.0.join(gix::path::from_bstr(path)?)))
    }

    /// Folders stay as they were made.
    pub(super) fn finish(&self, _: &BStr, _: &Folder) -> Result<(), GitError> {
        Ok(())
    }
}

impl OpenFolder {
    /// Copies a file to here. What is here already stays.
    pub(super) fn copy(&self, source: &Path, item: &Item, _: &Sharer, _: &Awaited) -> Result<Copied, GitError> {
        let there = self.0.join(&item.name);
        if item.is_link || there.symlink_metadata().is_ok() {
            return Ok(Copied::Not);
        }
        match fs::copy(source, &there) {
            Ok(bytes) => Ok(Copied::Bytes(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Copied::Not),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Copied::Unreadable),
            Err(error) => Err(GitError::io("fill", &there)(error)),
        }
    }
}
