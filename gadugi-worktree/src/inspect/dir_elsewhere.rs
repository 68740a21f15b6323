//! Folders by their paths, on systems without handles of folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix::bstr::{BString, ByteSlice};
use gix::index::entry::Stat;

/// A folder.
pub(crate) struct Dir(PathBuf);

/// What is at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    File,
    Link,
    Folder,
    /// Nothing that has content.
    Other,
}

/// What a look at a name has shown.
pub(crate) struct Seen {
    pub(crate) what: What,
    pub(crate) stat: Stat,
    pub(crate) is_executable: bool,
    pub(crate) size: u64,
    /// The file system and the file on it, where they have numbers.
    pub(crate) identity: (u64, u64),
}

impl Dir {
    /// Opens the root of a walk.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(path.to_owned()))
    }

    /// Opens a folder in this one, and never by way of a link.
    pub(crate) fn folder(&self, name: &[u8]) -> io::Result<Self> {
        let path = self.path(name)?;
        let is_folder = path.symlink_metadata()?.is_dir();
        if is_folder { Ok(Self(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// All names, with what is there.
    pub(crate) fn names(&self) -> io::Result<Vec<(BString, Option<What>)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = gix::path::os_string_into_bstring(entry.file_name()).map_err(io::Error::other)?;
            names.push((name, Some(entry.file_type()?.into())));
        }
        Ok(names)
    }

    /// Looks at a name, and not at what a link there leads to; `None` where there is nothing.
    pub(crate) fn look(&self, name: &[u8]) -> io::Result<Option<Seen>> {
        let metadata = match gix::index::fs::Metadata::from_path_no_follow(&self.path(name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let what = match () {
            () if metadata.is_symlink() => What::Link,
            () if metadata.is_dir() => What::Folder,
            () if metadata.is_file() => What::File,
            () => What::Other,
        };
        Ok(Some(Seen {
            what,
            stat: Stat::from_fs(&metadata).map_err(io::Error::other)?,
            is_executable: metadata.is_executable(),
            size: metadata.len(),
            identity: (0, 0),
        }))
    }

    /// Reads an ordinary file of up to `most` bytes; `None` for anything else.
    pub(crate) fn read(&self, name: &[u8], most: u64) -> io::Result<Option<Vec<u8>>> {
        match self.look(name)? {
            Some(seen) if seen.what == What::File && seen.size <= most => fs::read(self.path(name)?).map(Some),
            _ => Ok(None),
        }
    }

    fn path(&self, name: &[u8]) -> io::Result<PathBuf> {
        Ok(self.0.join(gix::path::from_bstr(name.as_bstr()).map_err(io::Error::other)?))
    }
}

impl From<fs::FileType> for What {
    fn from(kind: fs::FileType) -> Self {
        match () {
            () if kind.is_symlink() => Self::Link,
            () if kind.is_dir() => Self::Folder,
            () if kind.is_file() => Self::File,
            () => Self::Other,
        }
    }
}
