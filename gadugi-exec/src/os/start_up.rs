//! Files and signals that a process inherits from its starter, to be dealt with first in `main`.
#![expect(unsafe_code, reason = "to close a file by its number and to handle a signal have no safe form")]

use std::fs;
use std::io;
use std::os::fd::RawFd;

/// The files that a process has inherited, besides standard input, output and errors: locks and pipes that the caller of its
/// starter may be waiting for.
#[derive(Debug, Default)]
pub struct InheritedFiles(Vec<RawFd>);

impl InheritedFiles {
    /// Finds them. To be called first in `main`, before anything is opened: what is open then counts as inherited.
    #[must_use]
    pub fn find() -> Self {
        let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        // All names before the first look, so that the listing itself, which each of its entries keeps open, is closed by then.
        let mut numbers: Vec<RawFd> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.retain(|&number| number > 2 && flags(number).is_ok());
        Self(numbers)
    }

    /// Keeps them from the programs that this process starts.
    pub fn keep_from_children(&self) {
        for &number in &self.0 {
            if let Ok(flags) = flags(number) {
                // SAFETY: it takes three numbers, and changes nothing but a flag.
                unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) };
            }
        }
    }

    /// Closes them. Nothing of this process may use one of them any more.
    pub fn close(self) {
        for number in self.0 {
            // SAFETY: they were open before this process opened anything, and so belong to nothing in it.
            unsafe { libc::close(number) };
        }
    }
}

fn flags(number: RawFd) -> io::Result<libc::c_int> {
    // SAFETY: it takes two numbers, and changes nothing.
    match unsafe { libc::fcntl(number, libc::F_GETFD) } {
        -1 => Err(io::Error::last_os_error()),
        flags => Ok(flags),
    }
}

/// Makes a write over the file size limit (`ulimit -f`) an error, and not the end of the process. Programs that it executes keep
/// the default: the signal is handled, and not ignored, which they would inherit.
pub fn survive_file_size_limit() {
    extern "C" fn ignore(_: libc::c_int) {}
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGXFSZ, ignore as *const () as libc::sighandler_t) };
}
