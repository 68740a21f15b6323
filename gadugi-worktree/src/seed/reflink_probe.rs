//! A probe whether worktrees can share files with the repository.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::repo::Repository;

/// The cost of copying files into worktrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sharing {
    /// Copies share their content with the originals until one of them is changed.
    Shared,
    /// Copies are full, since the file system shares nothing.
    Copied,
    /// Copies are full, since the worktrees are on another file system.
    Apart,
    /// This system tells only when a file is copied.
    Unknown,
}

/// Probes whether files of a repository are shared with worktrees in a folder, which need not exist yet. Leaves nothing behind.
///
/// # Errors
/// When a file without a name cannot be made in one of the folders.
pub fn sharing(repository: &Repository, worktrees: &Path) -> io::Result<Sharing> {
    let worktrees = worktrees.ancestors().find(|folder| folder.is_dir()).unwrap_or(worktrees);
    let here = repository.common_dir();
    let is_apart = fs::metadata(here)?.dev() != fs::metadata(worktrees)?.dev();
    Ok(match (is_shared(here, worktrees)?, is_apart) {
        // Parts of one file system may have different devices, as on btrfs.
        (Some(true), _) => Sharing::Shared,
        (_, true) => Sharing::Apart,
        (Some(false), false) => Sharing::Copied,
        (None, false) => Sharing::Unknown,
    })
}

/// Tries it with files without names; `None` on systems that have no such files.
#[cfg(target_os = "linux")]
fn is_shared(here: &Path, there: &Path) -> io::Result<Option<bool>> {
    use rustix::fs::{Mode, OFlags};
    let nameless = |folder: &Path| {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?;
        io::Result::Ok(fs::File::from(file))
    };
    let from = nameless(here)?;
    io::Write::write_all(&mut &from, &[1; 64 << 10])?;
    Ok(Some(rustix::fs::ioctl_ficlone(&nameless(there)?, &from).is_ok()))
}

#[cfg(not(target_os = "linux"))]
fn is_shared(_: &Path, _: &Path) -> io::Result<Option<bool>> {
    Ok(None)
}
