//! Whether a work tree is as its index says, in one pass and with handles of its folders.
//!
//! That is what most worktrees are that are given back, and it takes a fraction of the time of a status. It is answered
//! with yes only if there is nothing in the work tree but tracked files, and each has the very times, size, inode, owner and
//! kind that the index has noted of it, and cannot have been written in the moment after that; for the few of which that
//! cannot be told, their content is compared. Everything else is left to the status.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::AtomicBool;

use gix::bstr::{BStr, ByteSlice};
use gix::index::Entry;
use gix::index::entry::stat::Options as Trust;
use gix::index::entry::stat::Time;
use gix::index::entry::{Flags, Mode as Kind, Stage, Stat};
use gix::status::index_worktree::Options;
use gix::status::plumbing::index_as_worktree::EntryStatus;
use gix::status::plumbing::index_as_worktree::traits::FastEq;
use gix::status::plumbing::index_as_worktree_with_renames::{self as seen, VisitEntry};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, open, openat, statat};

use crate::error::GitError;
use crate::index_tree::split_folder;
use crate::status::Unopened;

/// Whether nothing in the work tree differs from the index, and nothing is there beside it, be it ignored or not.
pub(crate) fn is_untouched(repo: &gix::Repository, index: &gix::index::State) -> Result<bool, GitError> {
    let Some(root) = repo.workdir().filter(|_| can_tell(index)) else { return Ok(false) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = open(root, flags, Mode::empty()) else { return Ok(false) };
    let trust = repo.stat_options()?;
    let mut pass = Pass { index, trust, doubtful: Vec::new() };
    // What cannot be looked at so may yet be in another way.
    let Ok(true) = pass.folder(root, index.entries(), 0) else { return Ok(false) };
    let doubtful = pass.doubtful;
    Ok(doubtful.is_empty() || are_as_noted(repo, index, &doubtful)?)
}

/// Whether files have the content that the index has noted of them, by way of what is configured for them.
fn are_as_noted(repo: &gix::Repository, index: &gix::index::State, entries: &[&Entry]) -> Result<bool, GitError> {
    let mut part = gix::index::State::new(index.object_hash());
    for entry in entries {
        part.dangerously_push_entry(entry.stat, entry.id, entry.flags, entry.mode, entry.path(index));
    }
    // What may have been written just after it was noted is read.
    part.set_timestamp(index.timestamp());
    let mut verdict = Verdict { differs: false };
    repo.index_worktree_status(
        &part,
        None::<&str>,
        &mut verdict,
        FastEq,
        Unopened,
        &mut gix::progress::Discard,
        &AtomicBool::new(false),
        Options { dirwalk_options: None, ..Options::default() },
    )?;
    Ok(!verdict.differs)
}

struct Verdict {
    differs: bool,
}

impl<'index> VisitEntry<'index> for Verdict {
    type ContentChange = ();
    type SubmoduleStatus = ();

    fn visit_entry(&mut self, entry: seen::Entry<'index, (), ()>) {
        let is_same = matches!(entry, seen::Entry::Modification { status: EntryStatus::NeedsUpdate(_), .. });
        self.differs |= !is_same;
    }
}

/// Whether the index says all that is needed: no conflicts, no folders in the place of files, nothing only announced.
fn can_tell(index: &gix::index::State) -> bool {
    let special = Flags::INTENT_TO_ADD | Flags::SKIP_WORKTREE | Flags::ASSUME_VALID | Flags::REMOVE;
    index.link().is_none()
        && index.entries().iter().all(|entry| {
            entry.stage() == Stage::Unconflicted
                && !entry.flags.intersects(special)
                && matches!(entry.mode, Kind::FILE | Kind::FILE_EXECUTABLE | Kind::SYMLINK | Kind::COMMIT)
        })
}

struct Pass<'a> {
    index: &'a gix::index::State,
    trust: Trust,
    /// Tracked files whose notes in the index do not tell enough.
    doubtful: Vec<&'a Entry>,
}

impl<'a> Pass<'a> {
    /// Goes through a folder, whose tracked files are `entries`; their paths share the first `prefix` bytes.
    fn folder(&mut self, handle: OwnedFd, mut entries: &'a [Entry], prefix: usize) -> rustix::io::Result<bool> {
        let mut known: HashSet<&[u8]> = HashSet::with_capacity(entries.len().min(32));
        while let Some((entry, others)) = entries.split_first() {
            let path = &entry.path(self.index)[prefix..];
            let Some(end) = path.find_byte(b'/') else {
                if !self.file(&handle, entry, path)? {
                    return Ok(false);
                }
                known.insert(path);
                entries = others;
                continue;
            };
            let name = &path[..end];
            let (below, others) = split_folder(self.index, entries, prefix, &path[..=end]);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = openat(&handle, std::ffi::OsStr::from_bytes(name), flags, Mode::empty())?;
            if !self.folder(folder, below, prefix + end + 1)? {
                return Ok(false);
            }
            known.insert(name);
            entries = others;
        }
        for entry in Dir::new(handle)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let is_expected = matches!(name, b"." | b"..") || (prefix == 0 && name == b".git");
            if !is_expected && !known.contains(name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn file(&mut self, folder: impl AsFd, entry: &'a Entry, name: &BStr) -> rustix::io::Result<bool> {
        let found = statat(folder, std::ffi::OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(found.st_mode);
        let is_executable = found.st_mode & 0o100 != 0;
        let is_its_kind = match entry.mode {
            Kind::COMMIT => return Ok(kind == FileType::Directory),
            Kind::SYMLINK => kind == FileType::Symlink,
            Kind::FILE_EXECUTABLE => kind == FileType::RegularFile && is_executable,
            _ => kind == FileType::RegularFile && !is_executable,
        };
        let is_as_noted = entry.stat.matches(&stat(&found), self.trust);
        if !is_its_kind || !is_as_noted || entry.stat.is_racy(self.index.timestamp(), self.trust) {
            self.doubtful.push(entry);
        }
        Ok(true)
    }
}

/// As git notes it in an index, where every number has 32 bits.
fn stat(found: &rustix::fs::Stat) -> Stat {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index keeps no more of them")]
    fn time(seconds: i64, nanoseconds: u64) -> Time {
        Time { secs: seconds as u32, nsecs: nanoseconds as u32 }
    }
    Stat {
        mtime: time(found.st_mtime as _, found.st_mtime_nsec as _),
        ctime: time(found.st_ctime as _, found.st_ctime_nsec as _),
        dev: found.st_dev as u32,
        ino: found.st_ino as u32,
        uid: found.st_uid,
        gid: found.st_gid,
        size: found.st_size as u32,
    }
}
