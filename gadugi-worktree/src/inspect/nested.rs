//! Repositories within a work tree. They are never opened as repositories: their files are read one by one.

use std::collections::BTreeSet;
use std::path::Path;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::index::entry::stat::Options as Trust;
use gix::index::entry::{Flags, Stat};

use crate::inspect::dir::{Dir, FileKind};
use crate::inspect::index_tree::is_plain;

/// Size limit for a file with one reference, or with the path of a git folder.
const MAX_REF_BYTES: u64 = 4096;
/// Size limit for packed references, and for logs.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;
const MAX_REFERENCES: usize = 100_000;
/// Depth limit for names of references.
const MAX_DEPTH: usize = 32;

/// The kind of a `.git`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Git {
    /// It holds nothing.
    Nothing,
    /// The git folder of a repository.
    Folder,
    /// It leads to a git folder elsewhere.
    Linked,
    /// It is none of these, and git never looks into it.
    Odd,
}

/// Inspects the `.git` in a folder at this path.
pub(super) fn git(folder: &Dir, what: Option<FileKind>, path: &Path) -> Git {
    match what {
        Some(FileKind::Folder) => match folder.folder(b".git").and_then(|git| Ok((git.names()?, git))) {
            Ok((names, _)) if names.is_empty() => Git::Nothing,
            Ok((names, _)) if is_repository(&names) => Git::Folder,
            _ => Git::Odd,
        },
        Some(FileKind::File) => {
            let text = folder.read(b".git", MAX_REF_BYTES).ok().flatten().unwrap_or_default();
            let target = text.strip_prefix(b"gitdir:").map(|target| target.trim());
            let target = target.and_then(|target| gix::path::from_bstr(target.as_bstr()).ok());
            let leads = target.is_some_and(|target| path.join(target).join("HEAD").symlink_metadata().is_ok());
            if leads { Git::Linked } else { Git::Odd }
        }
        Some(FileKind::Link) => Git::Linked,
        Some(FileKind::Other) | None => Git::Nothing,
    }
}

/// Whether these are the names in a git folder.
pub(super) fn is_repository(names: &[(BString, Option<FileKind>)]) -> bool {
    let has = |name: &str| names.iter().any(|(found, _)| found == name);
    has("HEAD") && ((has("objects") && has("refs")) || has("commondir"))
}

/// Whether a repository holds only what it was cloned from: every reference is where one of the remote is, no objects were made
/// in it, its log has no other entries, and its tracked files are as they were checked out. `git` is its git folder, and `path`
/// that of its work tree, if it has one.
pub(super) fn is_as_cloned(git: &Dir, path: Option<&Path>) -> bool {
    let is_empty =
        |name: &[u8]| git.folder(name).and_then(|folder| folder.names()).map_or(true, |names| names.is_empty());
    is_empty(b"worktrees")
        && is_empty(b"modules")
        && has_only_packs(git).unwrap_or(false)
        && are_of_remote(git).unwrap_or(false)
        && log_is_of_clone(git).unwrap_or(false)
        && path.is_none_or(|path| is_checked_out(git, path).unwrap_or(false))
}

/// Whether all objects are in packs, as in a clone; objects that are made one by one have files of their own.
fn has_only_packs(git: &Dir) -> Option<bool> {
    let objects = git.folder(b"objects").ok()?;
    for (name, _) in objects.names().ok()? {
        let is_loose = name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit);
        if is_loose && !objects.folder(&name).ok()?.names().ok()?.is_empty() {
            return Some(false);
        }
    }
    Some(true)
}

/// Whether each reference leads where a remote branch, or a tag that came with the clone, leads.
fn are_of_remote(git: &Dir) -> Option<bool> {
    let (mut theirs, mut own) = (BTreeSet::new(), BTreeSet::new());
    let mut add = |name: &[u8], id: &[u8], is_packed: bool| {
        let is_theirs = name.starts_with(b"refs/remotes/") || (is_packed && name.starts_with(b"refs/tags/"));
        if is_theirs { &mut theirs } else { &mut own }.insert(BString::from(id));
    };
    let packed = match git.metadata(b"packed-refs").ok()? {
        Some(_) => git.read(b"packed-refs", MAX_BYTES).ok()??,
        None => Vec::new(),
    };
    let mut last: &[u8] = b"";
    for line in packed.lines().filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
        if let Some(id) = line.strip_prefix(b"^") {
            add(last, id, true);
            continue;
        }
        let (id, name) = line.split_once_str(" ")?;
        add(name, id, true);
        last = name;
    }
    let mut files = Vec::new();
    if let Ok(refs) = git.folder(b"refs") {
        references(&refs, "refs/".into(), 0, &mut files)?;
    }
    files.push(("HEAD".into(), git.read(b"HEAD", MAX_REF_BYTES).ok()??));
    for (name, text) in &files {
        let text = text.trim();
        // One that leads to another has nothing of its own.
        if !text.starts_with(b"ref:") {
            add(name, text, false);
        }
    }
    Some(own.is_subset(&theirs))
}

fn references(folder: &Dir, prefix: BString, depth: usize, found: &mut Vec<(BString, Vec<u8>)>) -> Option<()> {
    for (name, what) in folder.names().ok()? {
        let mut full = prefix.clone();
        full.extend_from_slice(&name);
        let what = what.or_else(|| folder.metadata(&name).ok().flatten().map(|seen| seen.what))?;
        if what == FileKind::Folder {
            full.push(b'/');
            (depth < MAX_DEPTH).then_some(())?;
            references(&folder.folder(&name).ok()?, full, depth + 1, found)?;
        } else {
            found.push((full, folder.read(&name, MAX_REF_BYTES).ok()??));
        }
        (found.len() < MAX_REFERENCES).then_some(())?;
    }
    Some(())
}

/// Whether `HEAD` was only moved, and never by a commit that was made there.
fn log_is_of_clone(git: &Dir) -> Option<bool> {
    let Ok(logs) = git.folder(b"logs") else { return Some(true) };
    let log = match logs.metadata(b"HEAD").ok()? {
        Some(_) => logs.read(b"HEAD", MAX_BYTES).ok()??,
        None => return Some(true),
    };
    let is_move = |line: &[u8]| {
        let message = line.split_once_str("\t").map_or(b"".as_slice(), |(_, message)| message);
        [&b"clone: "[..], b"checkout: ", b"reset: ", b"pull: Fast-forward", b"fetch"]
            .iter()
            .any(|&start| message.starts_with(start))
    };
    Some(log.lines().all(is_move))
}

/// Whether a file has the content of an object.
fn has_content(file: &Path, metadata: &gix::index::fs::Metadata, id: ObjectId) -> Option<bool> {
    let content = if metadata.is_symlink() {
        gix::path::os_string_into_bstring(file.read_link().ok()?.into_os_string()).ok()?.into()
    } else {
        Dir::open(file.parent()?).ok()?.read(file.file_name()?.as_encoded_bytes(), MAX_FILE_BYTES).ok()??
    };
    Some(gix::objs::compute_hash(id.kind(), gix::objs::Kind::Blob, &content).ok()? == id)
}

/// Whether all tracked files are as the index has noted them.
fn is_checked_out(git: &Dir, path: &Path) -> Option<bool> {
    let Some(seen) = git.metadata(b"index").ok()? else { return Some(true) };
    if seen.what != FileKind::File || seen.size > MAX_INDEX_BYTES {
        return None;
    }
    let file = path.join(".git/index");
    let index = gix::index::File::at(file, gix::hash::Kind::Sha1, true, gix::index::decode::Options::default()).ok()?;
    let trust = Trust { trust_ctime: true, check_stat: true, use_nsec: true, use_stdev: false };
    let is_as_noted = |entry: &gix::index::Entry| {
        if entry.flags.contains(Flags::SKIP_WORKTREE) {
            return Some(true);
        }
        let file = path.join(gix::path::from_bstr(entry.path(&index)).ok()?);
        let metadata = gix::index::fs::Metadata::from_path_no_follow(&file).ok()?;
        let stat = Stat::from_fs(&metadata).ok()?;
        let is_file = metadata.is_file() || metadata.is_symlink();
        if !is_file || !entry.stat.matches(&stat, trust) {
            return Some(false);
        }
        // A file that may have been written just after it was noted is read.
        Some(!entry.stat.is_racy(index.timestamp(), trust) || has_content(&file, &metadata, entry.id).unwrap_or(false))
    };
    let is_told = index.link().is_none() && index.entries().iter().all(is_plain);
    Some(is_told && index.entries().iter().all(|entry| is_as_noted(entry).unwrap_or(false)))
}
