//! What only git's own folder of a worktree leads to: references that each worktree has for itself (`refs/worktree/`,
//! `refs/bisect/`), pseudo references such as `ORIG_HEAD`, and where its `HEAD` was before it was reset. They go with the
//! entry of the worktree.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::hash::Kind;

use crate::error::GitError;
use crate::isolation::refs::{At, LONGEST, MOST_BYTES, id, left_behind, parse};
use crate::isolation::untrusted_folder::Folder;

const MOST_NAMES: u64 = 10_000;
const DEEPEST: usize = 32;

/// Reads them, with a name for each, those that say most about it first. They may lead to anything, or nowhere.
pub(crate) fn references(admin: &Path, kind: Kind) -> Result<Vec<(BString, ObjectId)>, GitError> {
    let folder = Folder::open(admin)?;
    let mut found = Vec::new();
    if let Some(refs) = folder.folder("refs")? {
        below(&refs, "".into(), kind, 0, &mut found)?;
    }
    for name in folder.names(MOST_NAMES)? {
        let bytes = name.as_bytes();
        // `HEAD` is looked at by itself, and the other is a tree that git has made.
        let is_pseudo = bytes.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
        if !is_pseudo || matches!(bytes, b"HEAD" | b"AUTO_MERGE") {
            continue;
        }
        let text = folder.read(&name, MOST_BYTES)?.unwrap_or_default();
        let ids = text.lines().filter_map(|line| id(line.fields().next()?, kind));
        found.extend(ids.map(|id| (BString::from(bytes), id)));
    }
    if let Some(log) = folder.folder("logs")?.map(|logs| logs.read("HEAD", MOST_BYTES)).transpose()?.flatten() {
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
    for name in folder.names(MOST_NAMES)? {
        let mut full = prefix.to_owned();
        full.extend_from_slice(name.as_bytes());
        if folder.kind(&name)?.is_some_and(|kind| kind.is_dir()) {
            if depth == DEEPEST {
                let (path, most) = (folder.path().to_owned(), DEEPEST as u64);
                return Err(GitError::TooMuch { path, most, of: "folders in one another" });
            }
            full.push(b'/');
            if let Some(folder) = folder.folder(&name)? {
                below(&folder, full.as_bstr(), kind, depth + 1, found)?;
            }
        } else if let Some(At::Commit(id)) = folder.read(&name, LONGEST)?.and_then(|text| parse(&text, kind)) {
            found.push((full, id));
        }
    }
    Ok(())
}
