//! Files that a task has staged in its private git folder: the entries of its index, by their paths and objects alone.
//!
//! Uncommitted files are collected from the worktree; only those that are ignored, and were staged all the same, are known to
//! the index alone. So the index of the worktree gets the entries that this one has beyond its `HEAD`, as if they had been
//! staged there. Imported ones are noted beside the folder: after that, the worktree decides about them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::hash::Kind;
use gix::index::State;
use gix::index::decode::Options;
use gix::index::entry::{Flags, Mode, Stage};

use crate::error::GitError;
use crate::files::ordinary;
use crate::isolation::layout::IsolationFolder;
use crate::isolation::untrusted_folder::Folder;
use crate::repo::valid_path::is_allowed;

/// Size limit: an index of half a million files. One that was made with more may be larger.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A file as it was staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct File {
    pub(super) id: ObjectId,
    pub(super) mode: Mode,
}

/// All files of an index, by their paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) files: BTreeMap<BString, File>,
    /// Number of entries that cannot be imported; one where the index cannot be read.
    pub(super) unread: u64,
}

impl Staged {
    /// Reads the index of a task's git folder. `sealed` is the one that it was made with, if that still exists: a split index,
    /// which git never writes there, is understood only if it is that one.
    pub(super) fn read(git: &Folder, kind: Kind, sealed: Option<&[u8]>) -> Self {
        let unknown = Self { unread: 1, ..Self::default() };
        let most = sealed.map_or(0, |sealed| sealed.len() as u64 * 2).max(MAX_BYTES);
        let bytes = match git.read("index", most) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Self::default(),
            Err(_) => return unknown,
        };
        if sealed == Some(bytes.as_slice()) {
            return Self::default();
        }
        // Whatever is in it, it is not to hinder the import of what is committed.
        catch_unwind(AssertUnwindSafe(|| Self::parse(&bytes, kind, most))).ok().flatten().unwrap_or(unknown)
    }

    fn parse(bytes: &[u8], kind: Kind, most: u64) -> Option<Self> {
        let most = usize::try_from(most * 4).ok();
        let options = Options { thread_limit: Some(1), alloc_limit_bytes: most, ..Options::default() };
        let (index, _) = State::from_bytes(bytes, State::new(kind).timestamp(), kind, options).ok()?;
        if index.link().is_some() {
            return None;
        }
        let mut found = Self::default();
        for entry in index.entries() {
            let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE | Mode::SYMLINK);
            // Conflicts are of an operation that is not finished, and submodules and folders hold nothing of their own.
            if !is_file || entry.stage() != Stage::Unconflicted || entry.flags.contains(Flags::INTENT_TO_ADD) {
                continue;
            }
            let path = entry.path(&index);
            if is_usable(path, entry.mode) && !entry.id.is_null() {
                found.files.insert(path.to_owned(), File { id: entry.id, mode: entry.mode });
            } else {
                found.unread += 1;
            }
        }
        let below_files: Vec<BString> = found
            .files
            .keys()
            .filter(|path| folders(path.as_bstr()).any(|folder| found.files.contains_key(folder)))
            .cloned()
            .collect();
        for path in below_files {
            found.files.remove(&path);
            found.unread += 1;
        }
        Some(found)
    }
}

/// The parent folders of a path.
pub(super) fn folders(path: &BStr) -> impl Iterator<Item = &BStr> {
    path.find_iter(b"/").map(|end| path[..end].as_bstr())
}

/// Whether git would check out a file of this path.
fn is_usable(path: &BStr, mode: Mode) -> bool {
    is_allowed(path, mode == Mode::SYMLINK)
}

/// The files that were imported from the index before.
#[derive(Debug, Default)]
pub(super) struct ImportedFiles(BTreeSet<BString>);

impl ImportedFiles {
    /// Reads the note.
    pub(super) fn read(isolated: &IsolationFolder) -> Result<Self, GitError> {
        let note = isolated.staged();
        match ordinary::read(&note) {
            Ok(text) => Ok(Self(text.split_str("\0").filter(|line| !line.is_empty()).map(BString::from).collect())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(GitError::io("read", &note)(error)),
        }
    }

    pub(super) fn contains(&self, path: &BStr, file: &File) -> bool {
        self.0.contains(&line(path, file))
    }

    /// Adds these to the note.
    pub(super) fn add(&mut self, isolated: &IsolationFolder, files: &BTreeMap<BString, File>) -> Result<(), GitError> {
        let before = self.0.len();
        self.0.extend(files.iter().map(|(path, file)| line(path.as_bstr(), file)));
        if self.0.len() == before {
            return Ok(());
        }
        let (note, new) = (isolated.staged(), isolated.staged().with_extension("new"));
        let text: Vec<&[u8]> = self.0.iter().flat_map(|line| [line.as_slice(), b"\0"]).collect();
        ordinary::write(&new, text.concat()).map_err(GitError::io("write", &new))?;
        fs::rename(&new, &note).map_err(GitError::io("write", &note))
    }
}

fn line(path: &BStr, file: &File) -> BString {
    format!("{:o} {} {path}", file.mode.bits(), file.id).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_that_git_would_not_check_out_are_not_taken() {
        for path in ["a", "a/b.txt", "aux.c", "gitmodules", ".gitmodules", "a b", "\u{e4}", "..."] {
            assert!(is_usable(path.into(), Mode::FILE), "{path}");
        }
        let others =
            ["", "/a", "a/", "a//b", ".", "a/../b", "..", ".git", "a/.GIT/b", "git~1", ".g\u{200c}it/config", "a\0b"];
        for path in others {
            assert!(!is_usable(path.into(), Mode::FILE), "{path}");
        }
        assert!(!is_usable(".gitmodules".into(), Mode::SYMLINK));
    }

    proptest::proptest! {
        #[test]
        fn whatever_bytes_are_in_the_index_reading_it_ends(
            count in 0_u32..4,
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        ) {
            let root = tempfile::tempdir().expect("a folder");
            let head = [b"DIRC".as_slice(), &[0, 0, 0, 2], &count.to_be_bytes()].concat();
            fs::write(root.path().join("index"), [head, rest].concat()).expect("a file");
            let folder = Folder::open(root.path()).expect("a folder");
            let staged = Staged::read(&folder, Kind::Sha1, None);
            proptest::prop_assert!(staged.files.len() <= count as usize);
        }
    }
}
