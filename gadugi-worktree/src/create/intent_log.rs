//! The record of the worktrees that are being made, in the state folder.
//!
//! The record is on disk before anything of them exists, and is removed when they are complete or gone again. So the remains of
//! a crash can be told from worktrees that others have made.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use gix::bstr::{BString, ByteSlice, ByteVec};

use crate::error::GitError;
use crate::files::ordinary;
use crate::lease::marker::Marker;

const FILE: &str = "making";
/// Where it is written first.
const NEW: &str = "making.new";

/// A worktree that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) marker: Marker,
    pub(crate) folder: PathBuf,
    /// The name that its entry in git's list gets, unless another process takes it at the same moment.
    pub(crate) entry: BString,
}

/// Reads the record. Entries that cannot be understood are passed over. The caller holds the repository's lock, so all of them
/// were cut short.
pub(crate) fn read(state: &Path) -> Result<Vec<Intent>, GitError> {
    let path = state.join(FILE);
    match ordinary::read(&path) {
        Ok(text) => Ok(text.split_str(b"\n\n").filter_map(parse).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(GitError::io("read", &path)(error)),
    }
}

/// Writes the record, so that it lasts. The caller holds the repository's lock.
pub(crate) fn write(state: &Path, makings: &[Intent]) -> Result<(), GitError> {
    let (path, new) = (state.join(FILE), state.join(NEW));
    if makings.is_empty() {
        // The second is there only after a crash.
        for file in [path, new] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(GitError::io("remove", &file)(error));
                }
                _ => {}
            }
        }
        return Ok(());
    }
    let mut text = Vec::new();
    for Intent { marker, folder, entry } in makings {
        text.extend_from_slice(marker.to_text().as_bytes());
        text.extend_from_slice(b"entry ");
        text.extend_from_slice(entry);
        text.extend_from_slice(b"\nfolder ");
        text.extend(escape(&gix::path::into_bstr(folder)?));
        text.extend_from_slice(b"\n\n");
    }
    let mut file = ordinary::create(&new).map_err(GitError::io("create", &new))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(GitError::io("write", &new))?;
    // The folder is not synced: a file system that keeps the order of names has this one before those that follow.
    fs::rename(&new, &path).map_err(GitError::io("write", &path))
}

fn parse(text: &[u8]) -> Option<Intent> {
    let field = |name: &[u8]| text.lines().find_map(|line| line.strip_prefix(name));
    Some(Intent {
        marker: Marker::from_text(&text.to_str_lossy())?,
        folder: gix::path::from_bstring(unescape(field(b"folder ")?)).ok()?,
        entry: field(b"entry ")?.into(),
    })
}

/// A path on one line.
fn escape(path: &[u8]) -> Vec<u8> {
    path.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")
}

fn unescape(text: &[u8]) -> BString {
    let mut path = BString::default();
    path.push_str(text.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%"));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_whatever_the_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path();
        let start = "e83c5163316f89bfbde7d9ab23ca2e25604af290";
        let text =
            format!("run 20261122-083355-k7q\ntask a\nattempt 2\nbranch gadugi/a\nstart {start}\nstate making\n");
        let marker = Marker::from_text(&text).expect("a marker");
        let making = |folder: &str| Intent { marker: marker.clone(), folder: folder.into(), entry: "a".into() };
        let makings = [making("/tmp/ä b"), making("/tmp/100%0A\n\nx")];
        write(state, &makings).expect("it is written");
        assert_eq!(read(state).expect("it is read"), makings);
        write(state, &[]).expect("it goes");
        assert_eq!(read(state).expect("nothing is read"), []);
    }
}
