//! Files that only their owner may read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::nonce;

/// Writes the file in one step, in place of anything of its name: a command could have put a pipe or a link there, and
/// another start of the same command may be about to read it.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", nonce::text()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&temporary);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        drop(file);
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // What could not be made need not be removed.
        fs::remove_file(&temporary).ok();
    }
    written
}
