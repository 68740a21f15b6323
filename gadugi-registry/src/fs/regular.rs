//! Opening files where a task can put anything: a pipe or a device, whose opening or reading never ends, a link to one,
//! a folder, or a file that is larger than the memory. Only regular files are opened, and only so much of them is read
//! as a file of their kind can hold.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use thiserror::Error;

/// Size limit of a file with one record: an intent, a request, the owner.
pub(crate) const MAX_RECORD: u64 = 16 << 20;

/// Size limit of `run.json`, which holds the whole plan.
pub(crate) const MAX_HEADER: u64 = 256 << 20;

/// The reason why a file is damaged, whatever it holds.
#[derive(Debug, Error)]
enum Unfit {
    #[error("it is no regular file")]
    NotRegular,
    #[error("it has {length} bytes, more than the {most} that such a file can have")]
    TooLarge { length: u64, most: u64 },
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        Self::new(io::ErrorKind::InvalidData, unfit)
    }
}

/// Whether an error of this module says that a file's place is taken by something else, which counts as damage.
pub(crate) fn is_unfit(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unfit>())
}

/// Opens a regular file, without waiting for the other end of a pipe and without following a link.
///
/// # Errors
/// Those of opening, and [`InvalidData`](io::ErrorKind::InvalidData) for anything else in its place.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed());
    match options.open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(Unfit::NotRegular.into()),
        // Links, folders that are to be written, sockets, and pipes without a reader are refused by the system.
        Err(_) if is_no_file(path)? => Err(Unfit::NotRegular.into()),
        Err(error) => Err(error),
    }
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`]; a file that is larger [`is_unfit`], too.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path, OpenOptions::new().read(true))?;
    let length = file.metadata()?.len();
    if length > most {
        return Err(Unfit::TooLarge { length, most }.into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // What has grown meanwhile is not read without end.
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether something that is no regular file has this name.
pub(crate) fn is_no_file(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(!metadata.is_file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
