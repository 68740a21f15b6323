//! Mounts in a folder that is about to be deleted: a task that runs as root may have mounted other folders, or single files,
//! into its worktree.

use std::ffi::{CStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::files::paths::real;

/// The kernel's list of mounts that this process sees.
const MOUNTS: &str = "/proc/self/mountinfo";

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The first mount at a folder or below it. `None` where nothing is mounted there, or the system does not list mounts.
pub(crate) fn mount_in(folder: &Path) -> Option<PathBuf> {
    let mounts = std::fs::read(MOUNTS).ok()?;
    let folder = real(folder);
    let mut points: Vec<_> = mounts.split(|byte| *byte == b'\n').filter_map(point).collect();
    points.retain(|point| point.starts_with(&folder));
    points.sort();
    points.into_iter().next()
}

/// The mount point in a line of the list, which writes spaces, tabs, line ends and backslashes as `\` and three octal digits.
fn point(line: &[u8]) -> Option<PathBuf> {
    let mut escaped = line.split(|byte| *byte == b' ').nth(4)?;
    let mut path = Vec::with_capacity(escaped.len());
    while let Some((first, rest)) = escaped.split_first() {
        let digits = rest.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                escaped = &rest[3..];
            }
            None => {
                path.push(*first);
                escaped = rest;
            }
        }
    }
    Some(OsString::from_vec(path).into())
}

/// Opens a folder of another one, unless it is a mount: that gives [`Errno::XDEV`]. Links are not followed.
pub(crate) fn open_unmounted(holder: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        match openat2(holder, name, FOLDER, Mode::empty(), ResolveFlags::NO_XDEV) {
            // Linux before 5.6 does not have it, and some sandboxes refuse it.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
    }
    let folder = openat(holder, name, FOLDER, Mode::empty())?;
    if is_mount(holder, &folder)? { Err(Errno::XDEV) } else { Ok(folder) }
}

/// Whether a folder is a mount in its parent. Only Linux 5.8 and later reveals a mount of a folder of the same file system.
fn is_mount(holder: &OwnedFd, folder: &OwnedFd) -> Result<bool, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, statx};
        let told = statx(folder, c"", AtFlags::EMPTY_PATH, StatxFlags::empty());
        if told.is_ok_and(|told| told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)) {
            return Ok(true);
        }
    }
    Ok(fstat(folder)?.st_dev != fstat(holder)?.st_dev)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::fs::{CWD, open};

    use super::*;

    #[test]
    fn a_mount_is_not_opened_and_a_folder_is_by_new_kernels_and_old_ones() {
        let open = |path: &str| open(path, FOLDER, Mode::empty()).expect("a folder");
        let root = open("/");
        assert_eq!(open_unmounted(&root, c"proc").expect_err("it is a mount"), Errno::XDEV);
        assert!(is_mount(&root, &open("/proc")).expect("an answer"));
        let holder = tempfile::tempdir().expect("a folder");
        let handle = openat(CWD, holder.path(), FOLDER, Mode::empty()).expect("a folder");
        std::fs::create_dir(holder.path().join("inner")).expect("a folder");
        let inner = open_unmounted(&handle, c"inner").expect("it is none");
        assert!(!is_mount(&handle, &inner).expect("an answer"));
    }

    #[test]
    fn the_mounts_of_a_folder_are_found_whatever_their_names() {
        assert_eq!(mount_in(Path::new("/proc")), Some("/proc".into()));
        assert_eq!(mount_in(tempfile::tempdir().expect("a folder").path()), None);
        let line = br"36 35 98:0 /mnt1 /mnt\0402/a\134b\012 rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(point(line), Some("/mnt 2/a\\b\n".into()));
    }
}
