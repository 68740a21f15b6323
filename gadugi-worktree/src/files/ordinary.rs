//! Reading and writing files that a task can replace: only ordinary files are opened. A pipe would block, a device may never
//! end, and a link may lead to either.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::GitError;

/// Size limit for a file that is read, such as the list of all references.
const MAX_BYTES: u64 = 256 << 20;

/// Opens an ordinary file, or a link to one, without blocking on a pipe.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_ordinary()) }
}

/// Reads an ordinary file, or one behind a link.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A device is not even opened, which alone can do something to it.
    if !fs::metadata(path)?.is_file() {
        return Err(not_ordinary());
    }
    let mut text = Vec::new();
    open(path, File::options().read(true))?.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

/// Opens a file for appending, or makes it. A link is refused.
pub(crate) fn append_to(path: &Path) -> io::Result<File> {
    writable(path, File::options().append(true).create(true))
}

/// Opens an empty file for writing, made or truncated. A link is refused.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    writable(path, File::options().write(true).create(true).truncate(true))
}

/// Replaces the content of a file. A link is refused.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    create(path)?.write_all(content.as_ref())
}

fn writable(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(not_ordinary()),
        _ => open(path, options),
    }
}

fn not_ordinary() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file")
}

/// As [`read`], for a file of text.
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Refuses a path at which there is no ordinary file, before anything opens it.
pub(crate) fn check(path: &Path) -> Result<(), GitError> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            Err(GitError::NotGits { path: path.to_owned(), what: "no ordinary file" })
        }
        // What is not there, or cannot be looked at, fails where it is needed.
        _ => Ok(()),
    }
}

/// The files that gix may open when it is given a git folder.
const OF_GIT: [&str; 14] = [
    "HEAD",
    "commondir",
    "config",
    "config.worktree",
    "gitdir",
    "index",
    "info/attributes",
    "info/exclude",
    "info/grafts",
    "info/sparse-checkout",
    "logs/HEAD",
    "objects/info/alternates",
    "packed-refs",
    "shallow",
];

/// Refuses a git folder in which one of git's own files is of another kind.
pub(crate) fn check_git_folder(git_dir: &Path) -> Result<(), GitError> {
    OF_GIT.iter().try_for_each(|name| check(&git_dir.join(name)))
}
