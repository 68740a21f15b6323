//! The home folder of a command, on the disk of this machine, which the commands of one conversation share.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use gadugi_core::executor::ExecRequest;
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

/// Prepares a home for a command that runs as `user`, in the numbers of this machine; `None` for an unknown user. Every mount
/// and tmpfs folder in it gets a mount point that belongs to that user: the daemon would make it for root. Links that an earlier
/// command has left are not followed.
pub(in crate::docker) fn prepare(
    home: &Path,
    user: Option<Owner>,
    request: &ExecRequest,
    in_memory: &[String],
) -> Result<(), DockerError> {
    let recipient = Recipient::to(user);
    let failed = |error: Errno| DockerError::File { path: home.to_owned(), source: error.into() };
    // Its name is ours, and no command can put a link there.
    fs::set_permissions(home, Permissions::from_mode(0o700)).map_err(DockerError::file(home))?;
    let root = open(home, FOLDER, Mode::empty()).map_err(failed)?;
    recipient.give(&root, recipient.folder_mode()).map_err(failed)?;
    let shown = request.mounts.iter().map(|mount| (mount.target.as_path(), mount.source.is_dir()));
    let folders = [(request.folder.as_path(), true)].into_iter();
    let folders = folders.chain(in_memory.iter().map(|folder| (Path::new(folder), true)));
    for (target, is_folder) in shown.chain(folders) {
        if let Some(inside) = target.strip_prefix(HOME).ok().filter(|inside| !inside.as_os_str().is_empty()) {
            make_mount_point(&root, inside, is_folder, recipient).map_err(failed)?;
        }
    }
    Ok(())
}

/// The user who gets a file or folder.
#[derive(Debug, Clone, Copy)]
enum Recipient {
    /// This process's own user.
    Kept,
    To(Owner),
    /// Every user: that of the command is unknown, or files cannot be given to it. Only the command and this process can reach
    /// them.
    ToAll,
}

impl Recipient {
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

/// Makes a mount point, and the folders above it, unless they are there.
fn make_mount_point(root: &OwnedFd, inside: &Path, is_folder: bool, recipient: Recipient) -> Result<(), Errno> {
    let mut names = Vec::new();
    for component in inside.components() {
        // Others are no places in there.
        let Component::Normal(name) = component else { return Ok(()) };
        names.push(name);
    }
    let file = if is_folder { None } else { names.pop() };
    let mut folder = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
    for name in names {
        folder = open_or_make(&folder, name, recipient)?;
    }
    file.map_or(Ok(()), |name| make_file(&folder, name, recipient))
}

fn open_or_make(holder: &OwnedFd, name: &OsStr, recipient: Recipient) -> Result<OwnedFd, Errno> {
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
    recipient.give(&made, recipient.folder_mode())?;
    Ok(made)
}

fn make_file(holder: &OwnedFd, name: &OsStr, recipient: Recipient) -> Result<(), Errno> {
    match statat(holder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => return Ok(()),
        Ok(_) => unlinkat(holder, name, AtFlags::empty())?,
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    let made = openat(holder, name, NEW_FILE, Mode::RUSR | Mode::WUSR)?;
    recipient.give(&made, Mode::RUSR | Mode::WUSR)
}
