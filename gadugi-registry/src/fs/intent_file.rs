//! The file of an attempt that holds the line of its intent.

use std::io;
use std::path::Path;

use super::durable::{Unlinked, create_folder};
use super::regular::{self, MAX_RECORD, is_unfit};

/// Makes the folders of an attempt and of its task where they are missing, and writes the copy of a line there,
/// without its name yet. Nothing is synced: the journal is what must outlive a crash of the machine. `None` when
/// the same copy is there already.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when the name is taken by another content, which stays.
pub(crate) fn write_copy<'a>(path: &'a Path, line: &'a [u8]) -> io::Result<Option<Unlinked<'a>>> {
    make_folders(path)?;
    match regular::read(path, MAX_RECORD) {
        Ok(there) if there == line => Ok(None),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if is_unfit(&error) => Err(io::Error::new(io::ErrorKind::AlreadyExists, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Unlinked::write(path, line).map(Some),
        Err(error) => Err(error),
    }
}

/// Makes the folder of an attempt's file, and that of its task.
fn make_folders(file: &Path) -> io::Result<()> {
    let above: Vec<&Path> = file.ancestors().skip(1).take(2).collect();
    for folder in above.into_iter().rev() {
        match create_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
