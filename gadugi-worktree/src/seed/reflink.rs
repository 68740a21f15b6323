//! Files that share their content with others until one of them is changed, where the file system supports it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;

/// Shares the content of files, until the file system has once refused.
#[derive(Default)]
pub(super) struct Sharer {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    refused: std::sync::atomic::AtomicBool,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Sharer {
    /// Lets a new file share the content of another one. Returns whether it does.
    pub(super) fn share(&self, from: &File, to: &File) -> bool {
        use rustix::io::Errno;
        use std::sync::atomic::Ordering;
        if self.refused.load(Ordering::Relaxed) {
            return false;
        }
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => true,
            Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::NOTTY | Errno::NOSYS) => {
                self.refused.store(true, Ordering::Relaxed);
                false
            }
            // Some files cannot be shared, for example when they are swapped to.
            Err(_) => false,
        }
    }

    /// Returns `false`: on Linux a file is made first.
    pub(super) fn share_anew(&self, _: &File, _: &OwnedFd, _: &OsStr) -> bool {
        false
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Sharer {
    /// Returns `false`: here only a file that does not exist yet can share content.
    pub(super) fn share(&self, _: &File, _: &File) -> bool {
        false
    }

    /// Makes a new file that shares the content of another one. Returns whether it did.
    #[cfg(target_vendor = "apple")]
    pub(super) fn share_anew(&self, from: &File, folder: &OwnedFd, name: &OsStr) -> bool {
        rustix::fs::fclonefileat(from, folder, name, rustix::fs::CloneFlags::empty()).is_ok()
    }

    /// Returns `false`: nothing is shared here.
    #[cfg(not(target_vendor = "apple"))]
    pub(super) fn share_anew(&self, _: &File, _: &OwnedFd, _: &OsStr) -> bool {
        false
    }
}
