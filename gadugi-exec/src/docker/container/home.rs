//! The home folder that a command shares with those before it, on the disk of this machine.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use gadugi_core::ExecRequest;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, chmodat, fchmod, fchown, fstat, mkdirat, open, openat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use super::config::Owner;
use crate::docker::api::error::DockerError;
use crate::docker::settings::HOME;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Makes a home ready for a command that runs as `user`, in the numbers of this machine; `None` where nobody knows who that
/// is. Everything that is shown in it, and whatever is in memory there, gets a place that belongs to that user: the daemon would
/// make it for root. What an earlier command has left is not followed.
pub(in crate::docker) fn prepare(
    home: &Path,
    user: Option<Owner>,
    request: &ExecRequest,
    in_memory: &[String],
) -> Result<(), DockerError> {
    let given = Given::to(user);
    let failed = |error: Errno| DockerError::File { path: home.to_owned(), source: error.into() };
    // Its name is ours, and no command can put a link there.
    fs::set_permissions(home, Permissions::from_mode(0o700)).map_err(DockerError::file(home))?;
    let root = open(home, FOLDER, Mode::empty()).map_err(failed)?;
    given.give(&root, given.folder_mode()).map_err(failed)?;
    let shown = request.mounts.iter().map(|mount| (mount.target.as_path(), mount.source.is_dir()));
    let folders = [(request.folder.as_path(), true)].into_iter();
    let folders = folders.chain(in_memory.iter().map(|folder| (Path::new(folder), true)));
    for (target, is_folder) in shown.chain(folders) {
        if let Some(inside) = target.strip_prefix(HOME).ok().filter(|inside| !inside.as_os_str().is_empty()) {
            make_place(&root, inside, is_folder, given).map_err(failed)?;
        }
    }
    Ok(())
}

/// For whom something is made.
#[derive(Debug, Clone, Copy)]
enum Given {
    /// For this process's own user.
    Kept,
    To(Owner),
    /// For whoever the command runs as, since nobody knows who that is, or nothing can be given to them. Only the command and
    /// this process come as far.
    ToAll,
}

impl Given {
    fn to(user: Option<Owner>) -> Self {
        match user {
            Some(owner) if owner.uid == geteuid().as_raw() => Self::Kept,
            Some(owner) if geteuid().is_root() => Self::To(owner),
            _ => Self::ToAll,
        }
    }

    fn folder_mode(self) -> Mode {
        if matches!(self, Self::ToAll) { Mode::RWXU | Mode::RWXG | Mode::RWXO } else { Mode::RWXU }
    }

    fn give(self, what: &OwnedFd, mode: Mode) -> Result<(), Errno> {
        fchmod(what, mode)?;
        match self {
            Self::To(Owner { uid, gid }) => fchown(what, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))),
            Self::Kept | Self::ToAll => Ok(()),
        }
    }
}

/// Makes a file or folder, and the folders that it is in, unless they are there.
fn make_place(root: &OwnedFd, inside: &Path, is_folder: bool, given: Given) -> Result<(), Errno> {
    let mut names = Vec::new();
    for component in inside.components() {
        // Others are no places in there.
        let Component::Normal(name) = component else { return Ok(()) };
        names.push(name);
    }
    let file = if is_folder { None } else { names.pop() };
    let mut folder = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
    for name in names {
        folder = open_or_make(&folder, name, given)?;
    }
    file.map_or(Ok(()), |name| make_file(&folder, name, given))
}

fn open_or_make(holder: &OwnedFd, name: &OsStr, given: Given) -> Result<OwnedFd, Errno> {
    match openat(holder, name, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => {}
        // A link, or something else that is no folder.
        Err(Errno::NOTDIR | Errno::LOOP) => unlinkat(holder, name, AtFlags::empty())?,
        Err(Errno::ACCESS) => {
            chmodat(holder, name, Mode::RWXU, AtFlags::empty())?;
            return openat(holder, name, FOLDER, Mode::empty());
        }
        Err(error) => return Err(error),
        Ok(folder) => {
            // Root is let in where the command is not.
            let mode = Mode::from_raw_mode(fstat(&folder)?.st_mode);
            if !mode.contains(Mode::RWXU) && geteuid().is_root() {
                fchmod(&folder, mode | Mode::RWXU)?;
            }
            return Ok(folder);
        }
    }
    mkdirat(holder, name, Mode::RWXU)?;
    let made = openat(holder, name, FOLDER, Mode::empty())?;
    given.give(&made, given.folder_mode())?;
    Ok(made)
}

fn make_file(holder: &OwnedFd, name: &OsStr, given: Given) -> Result<(), Errno> {
    match statat(holder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => return Ok(()),
        Ok(_) => unlinkat(holder, name, AtFlags::empty())?,
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    let made = openat(holder, name, NEW_FILE, Mode::RUSR | Mode::WUSR)?;
    given.give(&made, Mode::RUSR | Mode::WUSR)
}
