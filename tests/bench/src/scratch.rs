//! Where the files of the benchmarks lie.

use std::path::{Path, PathBuf};

use gadugi_test_support::repo::TestRepo;
use tempfile::{Builder, TempDir};

use crate::error::BenchError;

/// Memory that looks like a disk, on Linux.
const IN_MEMORY: &str = "/dev/shm";

const PREFIX: &str = "gadugi-bench-";

/// Makes a folder that holds everything, and makes it the place of all temporary files of this process. It
/// goes when it is dropped. It lies in `TMPDIR` or, where that is not set, in memory if possible: to delete
/// and create thousands of files on a disk would take most of the time, and not the same in every round.
pub(crate) fn make() -> Result<TempDir, BenchError> {
    let in_memory = || Some(PathBuf::from(IN_MEMORY)).filter(|folder| folder.is_dir());
    let base = if std::env::var_os("TMPDIR").is_some() { None } else { in_memory() };
    let scratch = folder_in(&base.unwrap_or_else(std::env::temp_dir))?;
    // It could only have been set by this function.
    tempfile::env::override_temp_dir(scratch.path()).ok();
    Ok(scratch)
}

/// A fresh folder on the disk that this program was built on. A benchmark makes one and keeps it to its end:
/// on ext4 without a journal, files are made many times slower for minutes after others were deleted.
pub(crate) fn on_disk() -> Result<TempDir, BenchError> {
    let program = std::env::current_exe().map_err(|source| BenchError::File { path: PathBuf::new(), source })?;
    folder_in(program.parent().unwrap_or(&program))
}

/// A fresh folder where all temporary files lie.
pub(crate) fn temporary() -> Result<TempDir, BenchError> {
    folder_in(&tempfile::env::temp_dir())
}

fn folder_in(base: &Path) -> Result<TempDir, BenchError> {
    let made = Builder::new().prefix(PREFIX).tempdir_in(base);
    made.map_err(|source| BenchError::File { path: base.to_owned(), source })
}

/// A fresh repository with this many small files in one commit.
pub(crate) fn repository(files: usize) -> TestRepo {
    let repo = TestRepo::new();
    repo.many_files(files);
    repo
}
