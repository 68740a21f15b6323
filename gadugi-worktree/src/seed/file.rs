//! Copying one file or folder into a worktree.
//!
//! A path there may lead through files of the commit, such as a symbolic link that leads elsewhere. So every folder is opened
//! from its parent, and no link is followed.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gix::bstr::{BStr, BString, ByteSlice};
use rustix::fs::{AtFlags, Mode, OFlags, SeekFrom, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::list::{Folder, Item};
use super::reflink::Sharer;
use crate::error::GitError;
use crate::threads::cancel::Awaited;

/// Size from which files are shared instead of copied. On xfs it takes longer to share a file of 4 KiB than to copy it (63 µs,
/// not 39 µs), on btrfs about as long; from 16 KiB on sharing is no slower on either, and for a MiB on btrfs 40 times as fast.
const MIN_SHARED: u64 = 16 << 10;

/// Buffer size: most files are smaller.
const BUFFER: usize = 64 << 10;

/// Number of bytes after which a copy checks whether it is cancelled.
const PORTION: u64 = 64 << 20;

/// The result of copying a file.
pub(super) enum Copied {
    /// It is copied, with this many bytes.
    Bytes(u64),
    /// It could not be read.
    Unreadable,
    /// It has become a pipe, a socket or a device.
    Special,
    /// It is gone, or its path is taken.
    Not,
}

/// A worktree that is written to.
pub(super) struct Target {
    root: OwnedFd,
    path: PathBuf,
}

/// A folder of the worktree.
pub(super) struct OpenFolder {
    folder: OwnedFd,
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Target {
    pub(super) fn open(path: &Path) -> Result<Self, GitError> {
        let root = rustix::fs::open(path, FOLDER, Mode::empty()).map_err(failed("open", path))?;
        Ok(Self { root, path: path.to_owned() })
    }

    /// Makes a folder with its parents, and notes the new ones; `false` where a file is in its place, or on the way to it.
    pub(super) fn make(&self, path: &BStr, made: &mut BTreeSet<BString>) -> Result<bool, GitError> {
        let mut folder = self.root.try_clone().map_err(GitError::io("open", &self.path))?;
        let mut end = 0;
        for name in components(path) {
            end += usize::from(end > 0) + name.len();
            let name = &*gix::path::from_bstr(name)?;
            let shown = || self.path.join(name);
            match rustix::fs::mkdirat(&folder, name, Mode::RWXU) {
                Ok(()) => drop(made.insert(path[..end].into())),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(failed("create", &shown())(error)),
            }
            folder = match rustix::fs::openat(&folder, name, FOLDER, Mode::empty()) {
                Ok(folder) => folder,
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(false),
                Err(error) => return Err(failed("open", &shown())(error)),
            };
        }
        Ok(true)
    }

    /// Opens an existing folder.
    pub(super) fn folder(&self, path: &BStr) -> Result<OpenFolder, GitError> {
        let mut folder = self.root.try_clone().map_err(GitError::io("open", &self.path))?;
        let shown = self.path.join(gix::path::from_bstr(path)?);
        for name in components(path) {
            let name = &*gix::path::from_bstr(name)?;
            folder = rustix::fs::openat(&folder, name, FOLDER, Mode::empty()).map_err(failed("open", &shown))?;
        }
        Ok(OpenFolder { folder, path: shown })
    }

    /// Gives a folder the permissions and the time of its original.
    pub(super) fn finish(&self, path: &BStr, like: &Folder) -> Result<(), GitError> {
        let OpenFolder { folder, path } = self.folder(path)?;
        rustix::fs::futimens(&folder, &modified(like.modified)).map_err(failed("date", &path))?;
        let mode = Mode::from_raw_mode(like.mode as _);
        rustix::fs::fchmod(&folder, mode).map_err(failed("permit", &path))
    }
}

impl OpenFolder {
    /// Copies a file or a symbolic link into the folder, with its permissions and modification time. An existing file stays.
    pub(super) fn copy(
        &self,
        source: &Path,
        item: &Item,
        sharer: &Sharer,
        awaited: &Awaited,
    ) -> Result<Copied, GitError> {
        if item.is_link { self.copy_link(source, item) } else { self.copy_file(source, item, sharer, awaited) }
    }

    fn copy_link(&self, source: &Path, item: &Item) -> Result<Copied, GitError> {
        let (Ok(target), Ok(metadata)) = (fs::read_link(source), source.symlink_metadata()) else {
            return Ok(Copied::Not);
        };
        match rustix::fs::symlinkat(&target, &self.folder, &item.name) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(Copied::Not),
            Err(error) => return Err(failed("create", &self.path.join(&item.name))(error)),
        }
        // Not all file systems give links a time.
        let times = modified(metadata.modified().ok());
        rustix::fs::utimensat(&self.folder, &item.name, &times, AtFlags::SYMLINK_NOFOLLOW).ok();
        Ok(Copied::Bytes(0))
    }

    fn copy_file(&self, source: &Path, item: &Item, sharer: &Sharer, awaited: &Awaited) -> Result<Copied, GitError> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(source);
        let from = match opened {
            Ok(from) => from,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Copied::Not),
            Err(_) => return Ok(Copied::Unreadable),
        };
        let metadata = from.metadata().map_err(GitError::io("look at", source))?;
        if !metadata.is_file() {
            return Ok(Copied::Special);
        }
        let is_large = metadata.len() >= MIN_SHARED;
        if is_large && sharer.share_anew(&from, &self.folder, &item.name) {
            return Ok(Copied::Bytes(metadata.len()));
        }
        let there = self.path.join(&item.name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = match rustix::fs::openat(&self.folder, &item.name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(to) => File::from(to),
            Err(Errno::EXIST) => return Ok(Copied::Not),
            Err(error) => return Err(failed("create", &there)(error)),
        };
        let filled = if is_large && sharer.share(&from, &to) {
            Ok(metadata.len())
        } else if metadata.blocks().saturating_mul(512) < metadata.len() {
            copy_with_holes(&from, &to, metadata.len(), awaited)
        } else {
            copy_bytes(&from, &to, awaited)
        };
        let bytes = filled.map_err(GitError::io("fill", &there))?;
        awaited.check()?;
        let times = metadata.modified().map_or_else(|_| FileTimes::new(), |at| FileTimes::new().set_modified(at));
        let dressed =
            to.set_permissions(Permissions::from_mode(metadata.mode() & 0o777)).and_then(|()| to.set_times(times));
        dressed.map_err(GitError::io("date", &there))?;
        Ok(Copied::Bytes(bytes))
    }
}

fn copy_bytes(mut from: &File, mut to: &File, awaited: &Awaited) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let read = from.read(&mut buffer)?;
    to.write_all(&buffer[..read])?;
    // Small files go through one buffer: the system would try to share them. It copies the rest of others by itself.
    if read < BUFFER { Ok(read as u64) } else { Ok(read as u64 + copy_some(from, to, u64::MAX, awaited)?) }
}

/// Copies up to `most` bytes, or fewer when it is cancelled.
fn copy_some(from: &File, mut to: &File, most: u64, awaited: &Awaited) -> io::Result<u64> {
    let mut copied = 0;
    while awaited.check().is_ok() {
        let portion = PORTION.min(most - copied);
        let more = io::copy(&mut from.take(portion), &mut to)?;
        copied += more;
        if more < PORTION {
            break;
        }
    }
    Ok(copied)
}

/// Copies a sparse file without its holes.
fn copy_with_holes(from: &File, to: &File, length: u64, awaited: &Awaited) -> io::Result<u64> {
    let mut at = 0;
    while awaited.check().is_ok() {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // There is nothing more but a hole.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start))?;
        rustix::fs::seek(from, SeekFrom::Start(start))?;
        rustix::fs::seek(to, SeekFrom::Start(start))?;
        copy_some(from, to, end - start, awaited)?;
        at = end;
    }
    let length = length.max(at);
    to.set_len(length)?;
    Ok(length)
}

fn components(path: &BStr) -> impl Iterator<Item = &BStr> {
    path.split_str("/").filter(|name| !name.is_empty()).map(ByteSlice::as_bstr)
}

/// Timestamps with this modification time; the access time stays as it is.
fn modified(at: Option<SystemTime>) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
    let since = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let time = |since: std::time::Duration| Timespec {
        tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX) as _,
        tv_nsec: since.subsec_nanos() as _,
    };
    Timestamps { last_access: omit, last_modification: since.map_or(omit, time) }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> GitError {
    let failed = GitError::io(action, path);
    move |error| failed(error.into())
}
