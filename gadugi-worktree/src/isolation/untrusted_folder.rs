//! Reading a folder that a task has filled: one name at a time from an open folder, never through a symbolic link, and only
//! ordinary files, so that nothing leads elsewhere and nothing blocks the reader.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::GitError;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// A pipe without a writer is opened at once.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// An open folder of a task's.
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder whose parent is ours.
    pub(super) fn open(path: &Path) -> Result<Self, GitError> {
        match rustix::fs::open(path, FOLDER, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(error) => Err(no("folder", path, error)),
        }
    }

    /// Its path, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of an entry, for messages: control characters are removed from the name.
    pub(super) fn at(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref().to_string_lossy().replace(char::is_control, "?"))
    }

    /// The folder of this name; `None` when there is nothing.
    pub(super) fn folder(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>, GitError> {
        let path = self.at(name.as_ref());
        match rustix::fs::openat(&self.fd, name.as_ref(), FOLDER, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(no("folder", &path, error)),
        }
    }

    /// The kind of the file at a name; `None` when there is nothing.
    pub(super) fn kind(&self, name: impl AsRef<OsStr>) -> Result<Option<FileType>, GitError> {
        match rustix::fs::statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(GitError::io("look at", &self.at(name.as_ref()))(error.into())),
        }
    }

    /// The file of this name, with its size; `None` when there is nothing.
    pub(super) fn file(&self, name: impl AsRef<OsStr>) -> Result<Option<(File, u64)>, GitError> {
        let path = self.at(name.as_ref());
        let no_file = || GitError::NotGits { path: path.clone(), what: "no file" };
        match self.kind(name.as_ref())? {
            None => return Ok(None),
            // Others are not even opened: that alone can do something to a device.
            Some(kind) if kind != FileType::RegularFile => return Err(no_file()),
            Some(_) => {}
        }
        let file = match rustix::fs::openat(&self.fd, name.as_ref(), FILE, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(no("file", &path, error)),
        };
        let metadata = file.metadata().map_err(GitError::io("look at", &path))?;
        if metadata.is_file() { Ok(Some((file, metadata.len()))) } else { Err(no_file()) }
    }

    /// The content of the file of this name, up to `most` bytes; `None` when there is nothing.
    pub(super) fn read(&self, name: impl AsRef<OsStr>, most: u64) -> Result<Option<Vec<u8>>, GitError> {
        let path = self.at(name.as_ref());
        let Some((file, size)) = self.file(name)? else { return Ok(None) };
        let mut content = Vec::new();
        if size <= most {
            file.take(most + 1).read_to_end(&mut content).map_err(GitError::io("read", &path))?;
        }
        if size.max(content.len() as u64) > most {
            return Err(GitError::TooMuch { path, most, of: "bytes" });
        }
        Ok(Some(content))
    }

    /// Its names in order; an error when there are more than `most`.
    pub(super) fn names(&self, most: u64) -> Result<Vec<OsString>, GitError> {
        let failed = |error: Errno| GitError::io("list", &self.path)(error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
            if names.len() as u64 > most {
                return Err(GitError::TooMuch { path: self.path.clone(), most, of: "entries" });
            }
        }
        names.sort();
        Ok(names)
    }
}

fn no(kind: &'static str, path: &Path, error: Errno) -> GitError {
    match (kind, error) {
        ("folder", Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => {
            GitError::NotGits { path: path.to_owned(), what: "no folder" }
        }
        (_, Errno::LOOP | Errno::NXIO) => GitError::NotGits { path: path.to_owned(), what: "no file" },
        _ => GitError::io("open", path)(io::Error::from(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_ordinary_files_of_a_size_that_is_foreseen_are_read_and_no_link_is_followed() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path();
        fs::write(path.join("file"), "1234").expect("a file");
        fs::create_dir(path.join("folder")).expect("a folder");
        symlink("file", path.join("link")).expect("a link");
        symlink("folder", path.join("link-to-folder")).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, path.join("pipe"), 0o600.into()).expect("a pipe");
        let folder = Folder::open(path).expect("a folder");
        assert_eq!(folder.read("file", 4).expect("it is read"), Some(b"1234".to_vec()));
        assert!(matches!(folder.read("file", 3), Err(GitError::TooMuch { most: 3, .. })));
        assert_eq!(folder.read("gone", 4).expect("there is none"), None);
        for name in ["link", "folder", "pipe"] {
            assert!(matches!(folder.read(name, 4), Err(GitError::NotGits { .. })), "{name}");
        }
        for name in ["link-to-folder", "file", "pipe"] {
            assert!(matches!(folder.folder(name), Err(GitError::NotGits { .. })), "{name}");
        }
        assert!(matches!(Folder::open(&path.join("link-to-folder")), Err(GitError::NotGits { .. })));
        assert!(folder.folder("gone").expect("there is none").is_none());
        assert_eq!(folder.names(5).expect("a list").len(), 5);
        assert!(matches!(folder.names(4), Err(GitError::TooMuch { .. })));
        fs::create_dir(path.join("\u{1b}[31m")).expect("a folder");
        let error = folder.read("\u{1b}[31m", 4).expect_err("it is a folder").to_string();
        assert!(error.contains("/?[31m is no file"), "{error}");
    }
}
