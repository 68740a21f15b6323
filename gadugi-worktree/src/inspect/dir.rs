//! Folders, by their handles.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gix::bstr::BString;
use gix::index::entry::Stat;
use gix::index::entry::stat::Time;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, open, openat, statat};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A pipe without a writer is opened at once.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// An open folder.
pub(crate) struct Dir(OwnedFd);

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    File,
    Link,
    Folder,
    /// A pipe, a socket or a device: without content.
    Other,
}

/// The metadata of a file.
pub(crate) struct EntryMetadata {
    pub(crate) what: FileKind,
    pub(crate) stat: Stat,
    pub(crate) is_executable: bool,
    pub(crate) size: u64,
    /// The file system and the file on it.
    pub(crate) identity: (u64, u64),
}

impl Dir {
    /// Opens the root of a walk.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, FOLDER, Mode::empty())?))
    }

    /// Opens a folder in this one, and never by way of a link.
    pub(crate) fn folder(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(openat(&self.0, OsStr::from_bytes(name), FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// All names, with their kinds as far as the file system tells at once.
    pub(crate) fn names(&self) -> io::Result<Vec<(BString, Option<FileKind>)>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let what = match entry.file_type() {
                    FileType::Unknown => None,
                    kind => Some(FileKind::from(kind)),
                };
                names.push((name.into(), what));
            }
        }
        Ok(names)
    }

    /// The metadata at a name, without following a link; `None` where there is nothing.
    pub(crate) fn metadata(&self, name: &[u8]) -> io::Result<Option<EntryMetadata>> {
        match statat(&self.0, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(EntryMetadata {
                what: FileType::from_raw_mode(found.st_mode).into(),
                stat: stat(&found),
                is_executable: found.st_mode & 0o100 != 0,
                size: u64::try_from(found.st_size).unwrap_or(0),
                identity: (found.st_dev, found.st_ino),
            })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads an ordinary file of up to `most` bytes; `None` for anything else.
    pub(crate) fn read(&self, name: &[u8], most: u64) -> io::Result<Option<Vec<u8>>> {
        // Others are not even opened: that alone can do something to a device.
        if self.metadata(name)?.is_none_or(|seen| seen.what != FileKind::File || seen.size > most) {
            return Ok(None);
        }
        let file = File::from(openat(&self.0, OsStr::from_bytes(name), FILE, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        file.take(most + 1).read_to_end(&mut content)?;
        Ok((content.len() as u64 <= most).then_some(content))
    }
}

impl From<FileType> for FileKind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Link,
            FileType::Directory => Self::Folder,
            _ => Self::Other,
        }
    }
}

/// The stat data as git has them in an index, with 32 bits for every number.
pub(crate) fn stat(found: &rustix::fs::Stat) -> Stat {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index keeps no more of them")]
    fn time(seconds: i64, nanoseconds: u64) -> Time {
        Time { secs: seconds as u32, nsecs: nanoseconds as u32 }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index keeps no more of them")]
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
