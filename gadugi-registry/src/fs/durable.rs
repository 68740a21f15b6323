//! Files that are there whole or not at all, readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes a folder that only its owner can enter. Its parent is there.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    folder_builder().create(path)
}

/// As [`create_folder`], with all parents that are missing; a folder that exists is fine.
pub(crate) fn create_folders(path: &Path) -> io::Result<()> {
    folder_builder().recursive(true).create(path)
}

fn folder_builder() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// How a file is made that only its owner can read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Puts the entries of a folder on disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    // Windows cannot open a folder for that, and NTFS keeps its entries in a journal.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Writes a file in place of whatever has its name. A crash leaves the old one or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = write_temporary(path, content)?;
    if let Err(error) = fs::rename(&temporary, path) {
        return discard(&temporary, error);
    }
    sync_folder(folder_of(path))
}

/// Writes a file whose name is free. A name that is taken by the same content is fine. The folder is
/// left to the caller to [sync](sync_folder), who may have more to put there.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when the name is taken by another content, which stays.
pub(crate) fn link_once(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = write_temporary(path, content)?;
    match fs::hard_link(&temporary, path) {
        Ok(()) => fs::remove_file(&temporary),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::read(path)? == content => {
            fs::remove_file(&temporary)
        }
        Err(error) => discard(&temporary, error),
    }
}

/// A synced file beside `path` with a name that no other writer uses.
fn write_temporary(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder_of(path).join(format!(".{}-{next}.tmp", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = private().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(content)?;
        file.sync_data()
    };
    match write() {
        Ok(()) => Ok(temporary),
        Err(error) => discard(&temporary, error),
    }
}

/// Takes a temporary file away after an error, which is what the caller must hear of; one that cannot be
/// taken away is in nobody's way.
fn discard<T>(temporary: &Path, error: io::Error) -> io::Result<T> {
    fs::remove_file(temporary).ok();
    Err(error)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
