//! The disk space that a worktree takes, and the space that is free.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Add;
use std::path::Path;

use gadugi_core::CommitId;
use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Flags, Mode};

use crate::error::GitError;
use crate::repo::Repository;
use crate::repo::ids::to_object;

/// Upper bound for the block size: network file systems report blocks of a megabyte, to which no file is rounded up.
const MAX_BLOCK: u64 = 4096;

/// Number of small files that git and gadugi write for a worktree besides its index: the branch with its reflog, and the files
/// of its entry in git's list. Each takes a block.
const NOTES: u64 = 7;
/// The folders of that entry.
const FOLDERS_OF_NOTES: u64 = 2;

/// A symbolic link that is shorter lies in its inode.
const SHORT_LINK: u64 = 60;

/// Disk space that files and folders take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Bytes in whole blocks.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
}

impl Footprint {
    /// The footprint of `number` such things.
    #[must_use]
    pub fn times(self, number: u64) -> Self {
        Self { bytes: self.bytes.saturating_mul(number), inodes: self.inodes.saturating_mul(number) }
    }

    /// A file of this many bytes, which are rounded up to whole blocks.
    #[must_use]
    pub fn file(bytes: u64, block: u64) -> Self {
        Self { bytes: bytes.div_ceil(block) * block, inodes: 1 }
    }

    /// A folder whose entries take this many bytes.
    fn folder(bytes: u64, block: u64) -> Self {
        Self::file(bytes.max(1), block)
    }
}

impl Add for Footprint {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), inodes: self.inodes.saturating_add(other.inodes) }
    }
}

/// Free space of a file system for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes.
    pub bytes: u64,
    /// Number of files and folders that can still be created; `None` where nothing limits it.
    pub inodes: Option<u64>,
    /// Block size in bytes; the size of each file is rounded up to it.
    pub block: u64,
}

impl FreeSpace {
    /// Asks the file system of a folder, or of its nearest ancestor that exists. `None` where the system does not tell.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        existing(folder).and_then(free)
    }

    /// Whether there is room for `needed`.
    #[must_use]
    pub fn holds(&self, needed: Footprint) -> bool {
        needed.bytes <= self.bytes && self.inodes.is_none_or(|inodes| needed.inodes <= inodes)
    }

    /// The number of such things that there is room for.
    #[must_use]
    pub fn count(&self, each: Footprint) -> u64 {
        let by_bytes = self.bytes.checked_div(each.bytes).unwrap_or(u64::MAX);
        let by_inodes = self.inodes.and_then(|inodes| inodes.checked_div(each.inodes)).unwrap_or(u64::MAX);
        by_bytes.min(by_inodes)
    }
}

/// The folder, or the nearest one above it that exists.
fn existing(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.exists())
}

fn are_on_one_disk(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |folder| Some(existing(folder)?.metadata().ok()?.dev());
    device(one) == device(other)
}

fn free(folder: &Path) -> Option<FreeSpace> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(FreeSpace {
        bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        // Where files are made of the same room as what is in them, no number is told.
        inodes: Some(stat.f_favail).filter(|_| stat.f_files > 0),
        block: stat.f_frsize.clamp(1, MAX_BLOCK),
    })
}

impl Repository {
    /// Estimates the disk space of a fresh worktree of a commit in a folder: its files and folders and, if the repository is on
    /// the same disk, its index and git's notes about it. A file that is unchanged in the user's work tree counts with its size
    /// there; others count with the size of their objects, so the effect of filters is not counted.
    ///
    /// Files that sparse checkout leaves out of the user's work tree are not counted, nor are those that a partial clone has
    /// not fetched.
    ///
    /// # Errors
    /// [`GitError`] when the commit or the index cannot be read.
    pub fn footprint(&self, commit: &CommitId, folder: &Path) -> Result<Footprint, GitError> {
        let block = FreeSpace::of(folder).map_or(MAX_BLOCK, |free| free.block);
        let repo = self.opener.open(self.work_tree())?;
        let index = repo.index_or_empty()?;
        let is_sparse = repo.config_snapshot().boolean("core.sparseCheckout").unwrap_or(false);
        let tree = repo.find_commit(to_object(commit))?.tree_id()?.detach();
        let wanted = repo.index_from_tree(&tree)?;
        let mut folders = Folders::default();
        // The file that leads to git's.
        let mut all = Footprint::file(1, block);
        let mut index_bytes = 0;
        for entry in wanted.entries() {
            let path = entry.path(&wanted);
            index_bytes += entry_bytes(path, entry.id.kind());
            let known = index.entry_by_path(path);
            if is_sparse && known.is_none_or(|known| known.flags.contains(Flags::SKIP_WORKTREE)) {
                continue;
            }
            folders.take_in(path);
            if entry.mode == Mode::COMMIT {
                all = all + Footprint::folder(0, block);
                continue;
            }
            // Git notes no size of a file that was changed at the moment when it wrote the index.
            let written = known.filter(|known| known.id == entry.id && known.stat.size > 0);
            let size = match written {
                Some(known) => known.stat.size.into(),
                None => repo.try_find_header(entry.id)?.map_or(0, |header| header.size()),
            };
            let size = if entry.mode == Mode::SYMLINK && size < SHORT_LINK { 0 } else { size };
            all = all + Footprint::file(size, block);
        }
        all = all + folders.footprint(block);
        if are_on_one_disk(folder, self.common_dir()) {
            let notes = Footprint::file(1, block).times(NOTES) + Footprint::folder(0, block).times(FOLDERS_OF_NOTES);
            all = all + Footprint::file(index_bytes, block) + notes;
        }
        Ok(all)
    }
}

/// The bytes that an entry takes in an index.
fn entry_bytes(path: &BStr, hash: gix::hash::Kind) -> u64 {
    let bytes = 42 + hash.len_in_bytes() + path.len() + 1;
    bytes.next_multiple_of(8) as u64
}

/// All folders of a worktree, with what their entries take.
#[derive(Default)]
struct Folders<'a>(HashMap<&'a BStr, u64>);

impl<'a> Folders<'a> {
    /// Notes a file or folder, and those above it that were not known.
    fn take_in(&mut self, path: &'a BStr) {
        let mut path = path;
        loop {
            let (folder, name) = match path.rfind_byte(b'/') {
                Some(at) => (path[..at].as_bstr(), path.len() - at - 1),
                None => (b"".as_bstr(), path.len()),
            };
            // Number, lengths and kind stand before the name.
            let bytes = (8 + name).next_multiple_of(4) as u64;
            match self.0.entry(folder) {
                Entry::Occupied(mut known) => {
                    *known.get_mut() += bytes;
                    return;
                }
                Entry::Vacant(new) => new.insert(bytes),
            };
            if folder.is_empty() {
                return;
            }
            path = folder;
        }
    }

    fn footprint(&self, block: u64) -> Footprint {
        self.0.values().map(|bytes| Footprint::folder(*bytes, block)).fold(Footprint::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_held_against_bytes_and_inodes() {
        let free = FreeSpace { bytes: 1000, inodes: Some(10), block: 100 };
        let footprint = |bytes, inodes| Footprint { bytes, inodes };
        assert!(free.holds(footprint(1000, 10)));
        assert!(!free.holds(footprint(1001, 1)));
        assert!(!free.holds(footprint(1, 11)));
        assert!(FreeSpace { inodes: None, ..free }.holds(footprint(1, 11)));
        assert_eq!(free.count(footprint(300, 1)), 3);
        assert_eq!(free.count(footprint(1, 4)), 2);
        assert_eq!(free.count(footprint(0, 0)), u64::MAX);
    }

    #[test]
    fn each_folder_is_counted_once_and_grows_with_its_entries() {
        let mut folders = Folders::default();
        let paths: Vec<String> = (0..100).map(|number| format!("a/b/file-with-a-name-{number:04}")).collect();
        for path in &paths {
            folders.take_in(path.as_bytes().as_bstr());
        }
        folders.take_in(b"a/c/d".as_bstr());
        folders.take_in(b"e".as_bstr());
        // The root, a, a/b and a/c; in a/b 100 entries of 8 + 25 bytes, rounded up.
        assert_eq!(folders.footprint(1000), Footprint { bytes: 3 * 1000 + 4000, inodes: 4 });
    }
}
