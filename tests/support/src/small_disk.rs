//! File systems that are soon full.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A small file system in memory, for as long as it lives.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    /// The mount point, if it is a folder of its own.
    folder: Option<TempDir>,
}

impl SmallDisk {
    /// In a folder of its own, with these options of tmpfs, such as `size=64k` or `nr_inodes=100`. `None`, with a word,
    /// where this user may not mount.
    #[must_use]
    pub fn new(options: &str) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let mut disk = Self::over(folder.path(), options)?;
        disk.folder = Some(folder);
        Some(disk)
    }

    /// In the place of a folder, whose files come back with its end.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a test says that it was skipped")]
    pub fn over(folder: &Path, options: &str) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(folder).output();
        let mount = mount.expect("mount can be started");
        if mount.status.success() {
            return Some(Self { path: folder.to_owned(), folder: None });
        }
        eprintln!("skipped: no small disk can be mounted: {}", String::from_utf8_lossy(&mount.stderr).trim());
        None
    }

    /// The folder that it is mounted at.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: another test may have forked while a file of it was open here.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        let is_unmounted = unmounted.is_ok_and(|status| status.success());
        assert!(is_unmounted || std::thread::panicking(), "{} was mounted here", self.path.display());
        // Only then can it be removed.
        self.folder.take();
    }
}
