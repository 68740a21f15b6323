//! Files that are there whole or not at all, readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::regular::{self, MAX_RECORD};

/// Makes a folder that only its owner can enter. Its parent is there.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    folder_builder().create(path)
}

/// As [`create_folder`], with all parents that are missing; a folder that exists is fine.
pub(crate) fn create_folders(path: &Path) -> io::Result<()> {
    folder_builder().recursive(true).create(path)
}

fn folder_builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Options to create a file that only its owner can read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Puts the entries of a folder on disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file in place of whatever has its name; a folder in its place is moved aside. A crash leaves the old one or
/// the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_by(path, |file| file.write_all(content))
}

/// As [`replace`], with what is written bit by bit.
pub(crate) fn replace_by(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let (temporary, file) = Temporary::create(folder_of(path))?;
    let mut file = BufWriter::new(file);
    write(&mut file)?;
    file.flush()?;
    file.get_ref().sync_data()?;
    match fs::rename(&temporary.0, path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            move_aside(path)?;
            fs::rename(&temporary.0, path)?;
        }
        renamed => renamed?,
    }
    sync_folder(folder_of(path))
}

/// Links a file to a further name, so that its content stays when another file takes its place: `a.damaged-1.json` for
/// `a.json`, or with the first free number. A file that has such a name already, since a crash came between that and its
/// replacement, gets no other one. Anything but a regular file is renamed instead.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    if regular::is_no_file(path)? {
        return move_aside(path);
    }
    let mut number = 1;
    loop {
        let aside = aside(path, number);
        match fs::hard_link(path, &aside) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) if is_same_file(path, &aside)? => return Ok(aside),
            Err(_) => number += 1,
            Ok(()) => {
                sync_folder(folder_of(path))?;
                return Ok(aside);
            }
        }
    }
}

/// Renames anything to the name that [`set_aside`] would give it. The caller makes sure that no other process does so at the
/// same moment.
pub(crate) fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let free = |path: &PathBuf| path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let mut names = (1..).map(|number| aside(path, number));
    let aside = names.find(free).expect("cannot fail because there are more numbers than names in a folder");
    fs::rename(path, &aside)?;
    sync_folder(folder_of(path))?;
    Ok(aside)
}

fn aside(path: &Path, number: u64) -> PathBuf {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{}.damaged-{number}{extension}", part(path.file_stem())))
}

fn is_same_file(one: &Path, other: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path: &Path| path.symlink_metadata().map(|metadata| (metadata.dev(), metadata.ino()));
    Ok(id(one)? == id(other)?)
}

/// Writes a file whose name is free. A name that is taken by the same content is fine.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when the name is taken by another content, which stays.
pub(crate) fn link_once(path: &Path, content: &[u8]) -> io::Result<()> {
    let unlinked = Unlinked::write(path, content)?;
    unlinked.sync()?;
    unlinked.link()?;
    sync_folder(folder_of(path))
}

/// A file that is written and has not got its name yet. The steps are apart, so that those of many files
/// can be done together: the file system then puts them on disk together too.
pub(crate) struct Unlinked<'a> {
    path: &'a Path,
    content: &'a [u8],
    file: File,
    temporary: Temporary,
}

impl<'a> Unlinked<'a> {
    pub(crate) fn write(path: &'a Path, content: &'a [u8]) -> io::Result<Self> {
        let (temporary, mut file) = Temporary::create(folder_of(path))?;
        file.write_all(content)?;
        Ok(Self { path, content, file, temporary })
    }

    pub(crate) fn path(&self) -> &Path {
        self.path
    }

    /// Puts the content on disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Gives it its name, as [`link_once`] does, and leaves the folder to the caller to
    /// [sync](sync_folder).
    pub(crate) fn link(&self) -> io::Result<()> {
        match fs::hard_link(&self.temporary.0, self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_there() => Ok(()),
            linked => linked,
        }
    }

    fn is_there(&self) -> bool {
        regular::read(self.path, MAX_RECORD).is_ok_and(|there| there == self.content)
    }
}

/// A file with a name that no other writer uses. It is removed when this is dropped, unless it was renamed; one that cannot be
/// removed does no harm.
struct Temporary(PathBuf);

impl Temporary {
    fn create(folder: &Path) -> io::Result<(Self, File)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{}-{next}.tmp", std::process::id()));
        let file = private().write(true).create(true).truncate(true).open(&path)?;
        Ok((Self(path), file))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
