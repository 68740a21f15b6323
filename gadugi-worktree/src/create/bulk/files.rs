//! Writing files, links and folders into a worktree by handles of its folders, so that no path is looked up twice and no
//! link is followed.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use gix::index::entry::Mode;
use rustix::fs::{
    AtFlags, Mode as Permissions, OFlags, Timespec, Timestamps, UTIME_OMIT, mkdirat, openat, statat, symlinkat,
};

use super::index::Stat;
use super::layout::{Item, Layout};
use crate::error::GitError;
use crate::threads::cancel::Awaited;

/// The writer of a worktree's files, and the folder that it is at.
pub(super) struct Writer<'a> {
    layout: &'a Layout,
    root: &'a Path,
    root_handle: OwnedFd,
    /// The folders on the way to the one that was used last.
    open: Vec<(usize, OwnedFd)>,
    times: Timestamps,
    has_links: bool,
}

impl<'a> Writer<'a> {
    /// Writes below this folder, which exists.
    pub(super) fn open(layout: &'a Layout, root: &'a Path, options: &WriteOptions) -> Result<Self, GitError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let handle = rustix::fs::open(root, flags, Permissions::empty());
        let root_handle = handle.map_err(|error| GitError::io("open", root)(error.into()))?;
        Ok(Self {
            layout,
            root,
            root_handle,
            open: Vec::new(),
            times: options.times.clone(),
            has_links: options.has_links,
        })
    }

    /// Writes an entry that has content.
    pub(super) fn write(&mut self, item: &Item, bytes: &[u8]) -> Result<Stat, GitError> {
        if item.mode == Mode::SYMLINK && self.has_links {
            return self.link(item, bytes).map_err(|error| self.failed(item, error));
        }
        let mut file = self.create(item)?;
        let written = file.write_all(bytes).and_then(|()| self.finish(&file));
        written.map_err(|error| self.failed(item, error))
    }

    /// Makes an empty file for an entry; [`finish`](Self::finish) is called when it is written.
    pub(super) fn create(&mut self, item: &Item) -> Result<File, GitError> {
        // As git does, also where `core.fileMode` says that such permissions mean nothing.
        let permissions = if item.mode == Mode::FILE_EXECUTABLE { 0o777 } else { 0o666 };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = self.layout.name(item);
        let file = self
            .enter(item.folder)
            .and_then(|folder| Ok(openat(folder, name, flags, Permissions::from_raw_mode(permissions))?));
        file.map(File::from).map_err(|error| self.failed(item, error))
    }

    /// Sets the times of a file, and returns its stat data for the index.
    pub(super) fn finish(&self, file: &File) -> io::Result<Stat> {
        rustix::fs::futimens(file, &self.times)?;
        Ok(stat_of(&rustix::fs::fstat(file)?))
    }

    /// Makes the folder of a submodule, which stays empty.
    pub(super) fn submodule(&mut self, item: &Item) -> Result<Stat, GitError> {
        let name = self.layout.name(item);
        let made = self.enter(item.folder).and_then(|folder| {
            mkdirat(folder, name, Permissions::from_raw_mode(0o777))?;
            Ok(stat_of(&statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?))
        });
        made.map_err(|error| self.failed(item, error))
    }

    fn link(&mut self, item: &Item, target: &[u8]) -> io::Result<Stat> {
        let (name, times) = (self.layout.name(item), self.times.clone());
        let folder = self.enter(item.folder)?;
        symlinkat(target, folder, name)?;
        rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(stat_of(&statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// A handle of a folder, which is made if need be.
    fn enter(&mut self, folder: usize) -> io::Result<BorrowedFd<'_>> {
        let is_open = |open: &[(usize, OwnedFd)]| open.last().map_or(0, |(last, _)| *last) == folder;
        if !is_open(&self.open) {
            let way = self.layout.way_to(folder);
            let common = self.open.iter().zip(&way).take_while(|((open, _), wanted)| open == *wanted).count();
            self.open.truncate(common);
            for wanted in &way[common..] {
                let above = self.open.last().map_or(self.root_handle.as_fd(), |(_, handle)| handle.as_fd());
                let name = self.layout.folder_name(*wanted);
                match mkdirat(above, name, Permissions::from_raw_mode(0o777)) {
                    // By another thread.
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let handle = openat(above, name, flags, Permissions::empty())?;
                self.open.push((*wanted, handle));
            }
        }
        Ok(self.open.last().map_or(self.root_handle.as_fd(), |(_, handle)| handle.as_fd()))
    }

    pub(super) fn failed(&self, item: &Item, error: io::Error) -> GitError {
        let path = gix::path::from_bstr(self.layout.path(item));
        GitError::io("write", &path.map_or_else(|_| self.root.to_owned(), |path| self.root.join(path)))(error)
    }
}

/// Settings for writing all files of a batch.
pub(super) struct WriteOptions {
    /// The waiter; writing stops when it gives up.
    pub(super) awaited: Awaited,
    times: Timestamps,
    has_links: bool,
}

impl WriteOptions {
    /// Files get a time that has passed. Git compares times by the second, and takes a file that is as new as the index for
    /// one that may have changed after it was noted, so that it would read all of them again; see racy-git in git's technical
    /// documentation. A file that is changed later gets another time.
    pub(super) fn new(has_links: bool, awaited: Awaited) -> Self {
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = since(SystemTime::now()).saturating_sub(Duration::from_secs(2)).as_secs();
        let last_modification = Timespec { tv_sec: time.try_into().unwrap_or_default(), tv_nsec: 0 };
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        Self { awaited, times: Timestamps { last_access, last_modification }, has_links }
    }
}

/// The stat data that an index keeps of a file; of each number it has the lowest 32 bits.
fn stat_of(stat: &rustix::fs::Stat) -> Stat {
    let numbers = [
        stat.st_ctime as u32,
        stat.st_ctime_nsec as u32,
        stat.st_mtime as u32,
        stat.st_mtime_nsec as u32,
        stat.st_dev as u32,
        stat.st_ino as u32,
        stat.st_uid,
        stat.st_gid,
        size(stat.st_size as u64),
    ];
    let mut bytes = [0; 36];
    for (bytes, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// The size as git stores it: zero stands for an unknown size, so a file whose lowest 32 bits are zero gets another one.
fn size(size: u64) -> u32 {
    match size as u32 {
        0 if size > 0 => 0x8000_0000,
        size => size,
    }
}
