//! A folder for objects that are in no repository, for as long as git has to read them.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::site::Site;

/// The folder, which is removed when this is dropped. It is made when the first object is written.
pub(crate) struct ScratchObjects {
    folder: PathBuf,
}

impl ScratchObjects {
    /// A folder of this process in the state folder.
    pub(crate) fn new(site: &Site) -> Result<Self, Failure> {
        let all = site.state_folder().join("previews");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&all);
        made.map_err(|error| Failure::environment(format!("cannot make {}: {error}", all.display())))?;
        remove_left(&all);
        Ok(Self { folder: all.join(std::process::id().to_string()) })
    }

    /// Path of the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The variable by which git reads objects there, if there are any.
    pub(crate) fn variable(&self) -> Option<(&'static str, OsString)> {
        // In quotes a path may have colons, which separate several.
        let mut quoted = vec![b'"'];
        for byte in self.folder.as_os_str().as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                quoted.push(b'\\');
            }
            quoted.push(*byte);
        }
        quoted.push(b'"');
        self.folder.exists().then(|| ("GIT_ALTERNATE_OBJECT_DIRECTORIES", OsString::from_vec(quoted)))
    }
}

impl Drop for ScratchObjects {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Removes the folders of processes that were killed.
fn remove_left(all: &Path) {
    let entries = std::fs::read_dir(all).into_iter().flatten().flatten();
    for entry in entries {
        let pid =
            entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid
            && rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
        {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}
