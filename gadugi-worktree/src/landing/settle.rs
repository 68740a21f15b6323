//! Bringing files that are between two commits to one of them.
//!
//! A file that is as one of the two commits has it, or that git has written in part, may be replaced. Any other was changed by
//! the user meanwhile, and stays.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::objs::tree::EntryMode;

use super::git::{Git, failed};
use super::plan::path_of;
use super::record::Place;
use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::remove_if_empty;
use crate::history::FileDifference;

/// One of the two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

impl Side {
    fn of(self, change: &FileDifference) -> Option<(EntryMode, ObjectId)> {
        match self {
            Self::Before => change.before,
            Self::After => change.after,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }
}

/// The files of a work tree that may be between two commits.
pub(super) struct Unsettled<'a> {
    /// Its index is that of the commit that the files are brought to.
    pub(super) git: &'a Git<'a>,
    pub(super) place: &'a Place,
    pub(super) changes: &'a [FileDifference],
}

impl Unsettled<'_> {
    /// Brings all files to a side. Files that were `missing` at the beginning are missing on the side before.
    pub(super) fn settle(&self, side: Side, missing: &[BString]) -> Result<(), GitError> {
        let (unlike, unlike_other) = (self.unlike(side)?, self.unlike(side.other())?);
        let (mut to_write, mut to_delete) = (Vec::new(), Vec::new());
        for change in self.changes {
            let path = change.path.as_bstr();
            let is_there = self.is_file(path)?;
            let is_like = |side: Side, unlike: &BTreeSet<BString>| match side.of(change) {
                Some(_) => !unlike.contains(path),
                None => !is_there,
            };
            let wanted = side.of(change).filter(|_| side == Side::After || !missing.contains(&change.path));
            let is_settled = if wanted.is_some() { is_like(side, &unlike) } else { !is_there };
            if is_settled {
                continue;
            }
            let may_replace = !is_there || is_like(side.other(), &unlike_other) || self.is_partial(change)?;
            match wanted {
                Some(_) if may_replace => to_write.push(path),
                None if may_replace => to_delete.push(path),
                _ => {}
            }
        }
        for path in to_delete {
            self.delete(path)?;
        }
        // Attributes say how others are written.
        let (attributes, others): (Vec<_>, Vec<_>) =
            to_write.into_iter().partition(|path| path.rsplit_str("/").next() == Some(b".gitattributes"));
        self.write(&attributes)?;
        self.write(&others)
    }

    /// The files that are not as a side has them.
    fn unlike(&self, side: Side) -> Result<BTreeSet<BString>, GitError> {
        let mut input = Vec::new();
        for change in self.changes {
            if let Some((mode, id)) = side.of(change) {
                input.extend_from_slice(format!("{:06o} {id}\t", mode.value()).as_bytes());
                input.extend_from_slice(&change.path);
                input.push(0);
            }
        }
        if input.is_empty() {
            return Ok(BTreeSet::new());
        }
        let index = self.place.folder.join("index-unlike");
        remove(&index)?;
        let git = self.git.with_index(&index);
        let args = ["update-index", "-z", "--index-info"];
        let ended = git.change(&args, &input)?;
        if !ended.status.success() {
            return Err(failed(&args, ended.status, ended.stderr));
        }
        git.refresh()?;
        let unlike = git.paths(&["diff-files", "--name-only", "-z", "--no-renames"])?;
        remove(&index)?;
        Ok(unlike.into_iter().collect())
    }

    /// Whether there is anything but a folder.
    fn is_file(&self, path: &BStr) -> Result<bool, GitError> {
        let metadata = path_of(self.folder(), path)?.symlink_metadata();
        Ok(metadata.is_ok_and(|metadata| !metadata.is_dir()))
    }

    /// Whether git was interrupted while it wrote a file: it is the beginning of what it was to become, or, after a loss of
    /// power, nothing but zeros.
    fn is_partial(&self, change: &FileDifference) -> Result<bool, GitError> {
        let path = path_of(self.folder(), change.path.as_bstr())?;
        if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(false);
        }
        let content = ordinary::read(&path).map_err(GitError::io("read", &path))?;
        if content.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        for (_, id) in [change.before, change.after].into_iter().flatten() {
            let (path, id) = (format!("--path={}", change.path), id.to_string());
            let whole = self.git.read(&["cat-file", "--filters", &path, &id], &[])?;
            if whole.starts_with(&content) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes a file, and the folders above it that are empty then.
    fn delete(&self, path: &BStr) -> Result<(), GitError> {
        let file = path_of(self.folder(), path)?;
        remove(&file)?;
        let depth = path.find_iter("/").count();
        for folder in file.ancestors().skip(1).take(depth) {
            // One that is not empty, or a link, stays.
            remove_if_empty(folder).ok();
        }
        Ok(())
    }

    /// Writes files as the index has them. What the user has put in the place of one, or of a folder above it, stays.
    fn write(&self, paths: &[&BStr]) -> Result<(), GitError> {
        let mut input = Vec::new();
        for path in paths {
            let is_free = |end: usize| {
                let above = path_of(self.folder(), path[..end].as_bstr())?.symlink_metadata();
                Ok::<_, GitError>(above.map_or(true, |above| above.is_dir()))
            };
            let folders = path.find_iter("/").map(is_free).collect::<Result<Vec<_>, _>>()?;
            let is_folder = path_of(self.folder(), path)?.symlink_metadata().is_ok_and(|at| at.is_dir());
            if !is_folder && folders.into_iter().all(|is_free| is_free) {
                input.extend_from_slice(path);
                input.push(0);
            }
        }
        if input.is_empty() {
            return Ok(());
        }
        let args = ["checkout-index", "-f", "-q", "-z", "--stdin"];
        let ended = self.git.change(&args, &input)?;
        if ended.status.success() { Ok(()) } else { Err(failed(&args, ended.status, ended.stderr)) }
    }

    fn folder(&self) -> &Path {
        &self.git.checkout.folder
    }
}

fn remove(file: &Path) -> Result<(), GitError> {
    match fs::remove_file(file) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(GitError::io("remove", file)(error))
        }
        _ => Ok(()),
    }
}
