//! A fast check whether a work tree is as its index says, in one pass over handles of its folders.
//!
//! Most released worktrees are unchanged, and the check takes a fraction of the time of a status. It says yes only if the work
//! tree has nothing but tracked files, each with the times, size, inode, owner and kind that the index has noted, and none can
//! have been written in the moment after that; the content of the few doubtful ones is compared. Everything else is left to the
//! status.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::bstr::BStr;
use gix::index::Entry;
use gix::index::entry::stat::Options as Trust;
use gix::index::entry::{Flags, Mode as Kind};
use gix::worktree::stack::state::attributes::Source;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, open, openat, statat};

use crate::error::GitError;
use crate::inspect::index_tree::{self, Folder, Member};
use crate::inspect::{self, stat};
use crate::threads::parallel::side_by_side;
use crate::threads::scarce::patiently;

/// Number of files from which further threads pay off.
const LARGE: usize = 2000;

/// Size of the buffer for names: those of several hundred files.
#[cfg(target_os = "linux")]
const NAMES_AT_ONCE: usize = 32 * 1024;

/// Whether the work tree has no differences from the index, and no further files, ignored or not.
pub(crate) fn is_untouched(repo: &gix::Repository, index: &gix::index::State) -> Result<bool, GitError> {
    let Some(root) = repo.workdir().filter(|_| is_sufficient(index)) else { return Ok(false) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = open(root, flags, Mode::empty()) else { return Ok(false) };
    let differs = AtomicBool::new(false);
    let whole = Whole { index, trust: repo.stat_options()?, differs: &differs };
    // A folder that cannot be checked so may yet be in another way.
    let Ok(Some(doubtful)) = whole.check(&root) else { return Ok(false) };
    Ok(doubtful.is_empty() || are_as_noted(repo, index, &doubtful)?)
}

/// Whether files have the content that the index has noted, with the conversions that are configured for them.
fn are_as_noted(repo: &gix::Repository, index: &gix::index::State, entries: &[&Entry]) -> Result<bool, GitError> {
    let is_attributes = |entry: &&Entry| entry.path(index).ends_with(b".gitattributes");
    if entries.iter().any(is_attributes) {
        // They may say otherwise what the content of the others is.
        return Ok(false);
    }
    patiently(|| {
        let attributes = repo.attributes_only(index, Source::IdMapping)?.detach();
        Ok(inspect::differing(repo, index, entries, attributes)?.is_empty())
    })
}

/// Whether the index has all that the check needs.
fn is_sufficient(index: &gix::index::State) -> bool {
    let special = Flags::SKIP_WORKTREE | Flags::ASSUME_VALID;
    index.link().is_none()
        && index.entries().iter().all(|entry| index_tree::is_plain(entry) && !entry.flags.intersects(special))
}

/// A whole work tree.
#[derive(Clone, Copy)]
struct Whole<'a> {
    index: &'a gix::index::State,
    trust: Trust,
    /// Set at the first difference, which ends the check on all threads.
    differs: &'a AtomicBool,
}

impl<'a> Whole<'a> {
    /// Checks everything, large work trees with several threads. Returns the tracked files that are doubtful by their stat
    /// data; `None` where a path differs.
    fn check(self, root: &OwnedFd) -> rustix::io::Result<Option<Vec<&'a Entry>>> {
        let mut pass = Pass::of(self);
        let all = Folder::root(self.index);
        let Some(below) = pass.names_and_files(root, all)? else { return Ok(None) };
        if all.len() < LARGE {
            return Ok(pass.all(root, &below)?.then_some(pass.doubtful));
        }
        let checked = side_by_side(below, |folder| {
            let mut pass = Pass::of(self);
            let is_same = pass.all(root, &[folder])?;
            self.differs.fetch_or(!is_same, Ordering::Relaxed);
            Ok(is_same.then_some(pass.doubtful))
        });
        checked.into_iter().try_fold(Some(pass.doubtful), |doubtful, found: rustix::io::Result<_>| {
            Ok(doubtful.zip(found?).map(|(doubtful, found)| [doubtful, found].concat()))
        })
    }
}

/// A pass through folders, one after the other.
struct Pass<'a> {
    whole: Whole<'a>,
    /// Tracked files that are doubtful by their stat data.
    doubtful: Vec<&'a Entry>,
    /// For the names in folders.
    buffer: Vec<u8>,
}

impl<'a> Pass<'a> {
    fn of(whole: Whole<'a>) -> Self {
        Self { whole, doubtful: Vec::new(), buffer: Vec::new() }
    }

    /// Checks folders and all that is in them.
    fn all(&mut self, holder: &OwnedFd, folders: &[Folder<'a>]) -> rustix::io::Result<bool> {
        for folder in folders {
            if self.whole.differs.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let handle = openat(holder, std::ffi::OsStr::from_bytes(folder.name), flags, Mode::empty())?;
            let Some(below) = self.names_and_files(&handle, *folder)? else { return Ok(false) };
            if !self.all(&handle, &below)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checks a folder, and returns its subfolders with tracked files; `None` where a path differs.
    fn names_and_files(&mut self, handle: &OwnedFd, folder: Folder<'a>) -> rustix::io::Result<Option<Vec<Folder<'a>>>> {
        let (mut known, mut folders) = (HashSet::<&[u8]>::with_capacity(folder.len().min(32)), Vec::new());
        for member in folder.members(self.whole.index) {
            match member {
                Member::Folder(below) => {
                    known.insert(below.name);
                    folders.push(below);
                }
                Member::Entry(name, entry) => {
                    if !self.file(handle, entry, name)? {
                        return Ok(None);
                    }
                    known.insert(name);
                }
            }
        }
        let are_known = all_names(handle, &mut self.buffer, |name| {
            matches!(name, b"." | b"..") || (folder.is_root() && name == b".git") || known.contains(name)
        })?;
        Ok(are_known.then_some(folders))
    }

    fn file(&mut self, folder: impl AsFd, entry: &'a Entry, name: &BStr) -> rustix::io::Result<bool> {
        let Whole { index, trust, .. } = self.whole;
        let found = statat(folder, std::ffi::OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(found.st_mode);
        let is_executable = found.st_mode & 0o100 != 0;
        let is_its_kind = match entry.mode {
            Kind::COMMIT => return Ok(kind == FileType::Directory),
            // Anything but a file is not opened at all.
            _ if !matches!(kind, FileType::RegularFile | FileType::Symlink) => return Ok(false),
            Kind::SYMLINK => kind == FileType::Symlink,
            Kind::FILE_EXECUTABLE => kind == FileType::RegularFile && is_executable,
            _ => kind == FileType::RegularFile && !is_executable,
        };
        let is_as_noted = entry.stat.matches(&stat(&found), trust);
        if !is_its_kind || !is_as_noted || entry.stat.is_racy(index.timestamp(), trust) {
            self.doubtful.push(entry);
        }
        Ok(true)
    }
}

/// Whether all names in a folder are as they should be.
#[cfg(target_os = "linux")]
fn all_names(folder: &OwnedFd, buffer: &mut Vec<u8>, is_right: impl Fn(&[u8]) -> bool) -> rustix::io::Result<bool> {
    // Without a string for each name, and with most folders in one system call.
    buffer.reserve(NAMES_AT_ONCE);
    let mut entries = rustix::fs::RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        if !is_right(entry?.file_name().to_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether all names in a folder are as they should be.
#[cfg(not(target_os = "linux"))]
fn all_names(folder: &OwnedFd, _: &mut Vec<u8>, is_right: impl Fn(&[u8]) -> bool) -> rustix::io::Result<bool> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        if !is_right(entry?.file_name().to_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}
