//! Whether files of the repository can be shared with its worktrees.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::repo::Repository;

/// What copying files into worktrees costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sharing {
    /// They share their contents with those in the repository until one of them is changed.
    Shared,
    /// They are copied in full, since the file system shares nothing.
    Copied,
    /// They are copied in full, since the worktrees lie on another file system.
    Apart,
    /// This system does not tell before it is tried.
    Unknown,
}

/// Looks whether files of a repository are shared with worktrees in a folder, which need not exist yet. Leaves nothing behind.
///
/// # Errors
/// When a file without a name cannot be made in one of them.
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

/// Tries it with files that have no names; `None` on systems that have no such files.
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
