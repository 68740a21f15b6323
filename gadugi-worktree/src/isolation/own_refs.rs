//! Commits that only a worktree's own git folder leads to: references of one worktree (`refs/worktree/`, `refs/bisect/`),
//! pseudo references such as `ORIG_HEAD`, and positions of `HEAD` before a reset. They are deleted with the entry of the
//! worktree.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::hash::Kind;

use crate::error::GitError;
use crate::isolation::refs::{At, MAX_BYTES, MAX_REF_BYTES, id, left_behind, parse};
use crate::isolation::untrusted_folder::Folder;

const MAX_NAMES: u64 = 10_000;
const MAX_DEPTH: usize = 32;

/// Reads them, with a name for each, the most telling ones first. They may lead to anything, or nowhere.
pub(crate) fn references(admin: &Path, kind: Kind) -> Result<Vec<(BString, ObjectId)>, GitError> {
    let folder = Folder::open(admin)?;
    let mut found = Vec::new();
    if let Some(refs) = folder.folder("refs")? {
        below(&refs, "".into(), kind, 0, &mut found)?;
    }
    for name in folder.names(MAX_NAMES)? {
        let bytes = name.as_bytes();
        // `HEAD` is looked at by itself, and the other is a tree that git has made.
        let is_pseudo = bytes.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
        if !is_pseudo || matches!(bytes, b"HEAD" | b"AUTO_MERGE") {
            continue;
        }
        let text = folder.read(&name, MAX_BYTES)?.unwrap_or_default();
        let ids = text.lines().filter_map(|line| id(line.fields().next()?, kind));
        found.extend(ids.map(|id| (BString::from(bytes), id)));
    }
    if let Some(log) = folder.folder("logs")?.map(|logs| logs.read("HEAD", MAX_BYTES)).transpose()?.flatten() {
        found.extend(left_behind(&log, kind));
    }
    Ok(found)
}

fn below(
    folder: &Folder,
    prefix: &BStr,
    kind: Kind,
    depth: usize,
    found: &mut Vec<(BString, ObjectId)>,
) -> Result<(), GitError> {
    for name in folder.names(MAX_NAMES)? {
        let mut full = prefix.to_owned();
        full.extend_from_slice(name.as_bytes());
        if folder.kind(&name)?.is_some_and(|kind| kind.is_dir()) {
            if depth == MAX_DEPTH {
                let (path, most) = (folder.path().to_owned(), MAX_DEPTH as u64);
                return Err(GitError::TooMuch { path, most, of: "folders in one another" });
            }
            full.push(b'/');
            if let Some(folder) = folder.folder(&name)? {
                below(&folder, full.as_bstr(), kind, depth + 1, found)?;
            }
        } else if let Some(At::Commit(id)) = folder.read(&name, MAX_REF_BYTES)?.and_then(|text| parse(&text, kind)) {
            found.push((full, id));
        }
    }
    Ok(())
}
