//! Undoing the making of worktrees that a crash has cut short before a task was there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gadugi_core::BranchName;
use gix::ObjectId;
use gix::bstr::ByteSlice;
use tracing::debug;

use crate::create::intent_log::{self, Intent};
use crate::create::register;
use crate::error::GitError;
use crate::files::paths::remove_if_empty;
use crate::files::{ordinary, rename_aside};
use crate::history::reachability::Keepers;
use crate::lease::admin_folder::{Entry, removed, worktree_of};
use crate::lease::marker::Marker;
use crate::repo::ids::{full_name, to_object};
use crate::repo::refs::{HeadAt, head_in};
use crate::repo::{branch, lock_file, refs};
use crate::settings::WorktreeSettings;

/// A worktree that was never finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HalfMade {
    pub(crate) folder: PathBuf,
    pub(crate) branch: BranchName,
}

/// The result of clearing the record.
#[derive(Default)]
pub(crate) struct Cleared {
    pub(crate) half_made: Vec<HalfMade>,
    /// Makings that could not be undone and stay in the record, with the error of the first.
    pub(crate) left: Vec<Intent>,
    pub(crate) error: Option<GitError>,
}

/// Removes the remains of recorded worktrees that are not finished, and git's locks that killed processes of ours have left.
/// The caller holds the repository's lock, so none is being made.
pub(crate) fn clear(settings: &WorktreeSettings, repo: &gix::Repository, dry_run: bool) -> Result<Cleared, GitError> {
    if !dry_run {
        lock_file::sweep(settings.repository.common_dir())?;
        rename_aside::delete(&removed(settings.repository.common_dir()))?;
        register::clear(settings.repository.common_dir())?;
    }
    let recorded = intent_log::read(&settings.state)?;
    let mut cleared = Cleared::default();
    for making in recorded {
        let HalfMade { folder, branch } =
            HalfMade { folder: making.folder.clone(), branch: making.marker.branch.clone() };
        match undo(settings, repo, &making, dry_run) {
            Ok(true) => {
                debug!(path = %folder.display(), %branch, dry_run, "half-made worktree rolled back");
                cleared.half_made.push(HalfMade { folder, branch });
            }
            Ok(false) => {}
            Err(error) => {
                cleared.left.push(making);
                cleared.error.get_or_insert(error);
            }
        }
    }
    if !dry_run {
        intent_log::write(&settings.state, &cleared.left)?;
    }
    Ok(cleared)
}

/// Undoes what there is of one. Answers whether there was anything.
fn undo(settings: &WorktreeSettings, repo: &gix::Repository, making: &Intent, dry_run: bool) -> Result<bool, GitError> {
    let Intent { marker, folder, .. } = making;
    let common_dir = settings.repository.common_dir();
    let mut found = false;
    if let Some(entry) = Entry::of(common_dir, folder)? {
        let is_it = match entry.marker() {
            Some(noted) => noted == *marker,
            None => entry.name().as_bytes() == making.entry,
        };
        if !is_it || !entry.is_in_the_making() {
            // It is finished, or the place is somebody else's by now.
            return Ok(false);
        }
        found = true;
        if !dry_run {
            remove(&entry)?;
        }
    } else {
        let entry = Entry {
            admin: common_dir.join("worktrees").join(gix::path::from_bstr(making.entry.as_bstr())?),
            folder: folder.clone(),
        };
        if is_hollow(&entry.admin)? {
            found = true;
            if !dry_run {
                entry.remove()?;
            }
        } else if is_wreck(&entry, marker) {
            found = true;
            if !dry_run {
                remove(&entry)?;
            }
        }
        let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        found |= is_empty;
        if is_empty && !dry_run {
            remove_if_empty(folder)?;
        }
    }
    let start = to_object(&marker.start);
    if !dry_run {
        clear_lock_of_git(repo, &marker.branch, start)?;
        clear_empty(repo, &marker.branch)?;
    }
    match branch::tip(repo, &marker.branch)? {
        None if !dry_run && branch::is_as_made(repo, &marker.branch, start)? => {
            refs::forget(repo, full_name(&marker.branch).as_ref())?;
        }
        Some(tip) if tip == start && branch::is_as_made(repo, &marker.branch, start)? => {
            let keepers = Keepers::without(None, &settings.repository, repo)?;
            let is_free = dry_run || keepers.worktree_on(&marker.branch).is_none();
            found |= is_free;
            if is_free && !dry_run {
                branch::delete(repo, &marker.branch, tip)?;
            }
        }
        _ => {}
    }
    Ok(found)
}

/// Removes a worktree that no task has worked in, with its entry. Its folder is renamed first, so that none is ever half there.
pub(crate) fn remove(entry: &Entry) -> Result<(), GitError> {
    let aside = match entry.folder.symlink_metadata() {
        Ok(_) => Some(rename_aside::put_aside(&entry.folder)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(GitError::io("look at", &entry.folder)(error)),
    };
    entry.remove()?;
    aside.map_or(Ok(()), |aside| rename_aside::delete(&aside))
}

/// Whether an entry of git's list was reserved and does not yet say where its worktree is.
fn is_hollow(admin: &Path) -> Result<bool, GitError> {
    let entries = match fs::read_dir(admin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(GitError::io("list", admin))?,
    };
    for entry in entries {
        let name = entry.map_err(GitError::io("list", admin))?.file_name();
        if name != "locked" && name != "gitdir" {
            return Ok(false);
        }
    }
    Ok(worktree_of(admin).is_none())
}

/// Whether an entry is what a loss of power has left of one that was being made: files of it are empty, among them the one
/// that says where the worktree is. Once a task may be there, they are on the disk.
fn is_wreck(entry: &Entry, marker: &Marker) -> bool {
    let is_its = Marker::read(&entry.admin).is_none_or(|noted| noted == *marker);
    let is_blank = |name: &str| is_blank(&entry.admin.join(name));
    // It is on the start before it is on the branch.
    let its_heads = [HeadAt::Branch(marker.branch.full()), HeadAt::Commit(to_object(&marker.start))];
    let is_its_head = || head_in(&entry.admin).is_some_and(|head| its_heads.contains(&head));
    is_its && is_blank("gitdir") && (is_blank("HEAD") || is_its_head())
}

/// Whether a file is there, and holds nothing, or nothing but zeros.
fn is_blank(path: &Path) -> bool {
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    is_file && ordinary::read(path).is_ok_and(|content| content.iter().all(|byte| *byte == 0))
}

/// Removes the file of a branch that a loss of power has left empty, so that it leads nowhere.
fn clear_empty(repo: &gix::Repository, branch: &BranchName) -> Result<(), GitError> {
    let path = refs::path(repo, full_name(branch).as_ref())?;
    if is_blank(&path) {
        fs::remove_file(&path).map_err(GitError::io("remove", &path))?;
    }
    Ok(())
}

/// Removes the lock that the command git, killed with us, has left on a branch that it was to make: it holds nothing yet,
/// or the start of the branch.
fn clear_lock_of_git(repo: &gix::Repository, branch: &BranchName, start: ObjectId) -> Result<(), GitError> {
    let mut lock = refs::path(repo, full_name(branch).as_ref())?.into_os_string();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    let start = start.to_string();
    let is_its = ordinary::read_to_string(&lock).is_ok_and(|text| text.is_empty() || text.trim() == start);
    if is_its {
        fs::remove_file(&lock).map_err(GitError::io("remove", &lock))?;
    }
    Ok(())
}
