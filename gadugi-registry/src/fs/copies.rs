//! The attempt files that hold lines of the journal.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::durable::{Unlinked, create_folder, sync_folder};

/// Writes copies of lines to files of their own, each of which gets its name once. The folder of an attempt
/// is made with its first file. All files are written, then all are synced, then all are linked, then
/// their folders are synced, so that the file system can do each of these for all at once.
///
/// Gives how many copies are kept, from the first on, and, when those are not all, why.
pub(crate) fn keep_copies<'a>(
    copies: impl Iterator<Item = (&'a Path, &'a [u8])>,
) -> (usize, Option<(PathBuf, io::Error)>) {
    let mut failed = None;
    let mut folders = BTreeSet::new();
    let mut files = Vec::new();
    for (path, line) in copies {
        match make_folders(path, &mut folders).and_then(|()| Unlinked::write(path, line)) {
            Ok(file) => files.push(file),
            Err(error) => {
                failed = Some((path.to_owned(), error));
                break;
            }
        }
    }
    for step in [Unlinked::sync, Unlinked::link] {
        let failing = files.iter().enumerate().find_map(|(at, file)| Some((at, step(file).err()?)));
        if let Some((at, error)) = failing {
            failed = Some((files[at].path().to_owned(), error));
            files.truncate(at);
        }
    }
    let kept = files.len();
    // The temporary names go before the folders are synced.
    drop(files);
    // Deeper folders come last in this order, and go to disk first.
    for folder in folders.into_iter().rev() {
        if let Err(error) = sync_folder(&folder) {
            return (0, Some((folder, error)));
        }
    }
    (kept, failed)
}

/// Makes the folders of an attempt and of its task where they are missing, and adds those that change.
fn make_folders(file: &Path, changed: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let above: Vec<&Path> = file.ancestors().skip(1).take(3).collect();
    if let [attempt, task, tasks] = above[..] {
        for (folder, parent) in [(task, tasks), (attempt, task)] {
            match create_folder(folder) {
                Ok(()) => drop(changed.insert(parent.to_owned())),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        changed.insert(attempt.to_owned());
    }
    Ok(())
}
