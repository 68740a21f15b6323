//! Uncommitted work as a tree, with its index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use gadugi_core::worktrees::Unsaved;
use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::{Flags, Mode, Stage, Stat};

use crate::error::GitError;
use crate::inspect::Edit;
use crate::inspect::changes::Changes;
use crate::inspect::checkout::Checkout;
use crate::inspect::conversion::Conversion;
use crate::repo::valid_path::is_allowed;
use crate::snapshot::secrets::looks_like_a_secret;

/// Uncommitted work in the object store. No reference leads to it yet.
pub(crate) struct Saved {
    /// `HEAD`'s tree with the work.
    pub(crate) tree: ObjectId,
    /// The index of a work tree with this commit.
    pub(crate) index: gix::index::File,
    /// The number of files in it.
    pub(crate) files: u64,
    /// Files that are not in it since they look like secrets.
    pub(crate) left_out: Vec<String>,
    /// The files that are not in it since git cannot store them, with the reasons.
    pub(crate) unsaved: Vec<Unsaved>,
}

/// A file in git's form.
struct Blob {
    id: ObjectId,
    mode: Mode,
    /// Stat data of the file in the work tree; `None` where the index has it already.
    stat: Option<Stat>,
}

/// Writes all uncommitted files to the object store: those of `git add --all`, but no nested repositories, no new files that
/// look like secrets, and none that git cannot store.
pub(crate) fn save(checkout: &Checkout) -> Result<Saved, GitError> {
    let Checkout { repo, index, changes, .. } = checkout;
    let mut removed: BTreeSet<&BString> = BTreeSet::new();
    let mut written: BTreeMap<&BString, Blob> = BTreeMap::new();
    for path in &changes.staged {
        if let Some(entry) = index.entry_by_path_and_stage(path.as_bstr(), Stage::Unconflicted) {
            written.insert(path, Blob { id: entry.id, mode: entry.mode, stat: None });
        } else {
            removed.insert(path);
        }
    }
    let secrets = secrets(checkout)?;
    let mut files = Files::of(checkout)?;
    for (path, edit) in &changes.edited {
        // What is in the work tree counts, not what was staged on the way there.
        written.remove(path);
        if *edit == Edit::Removed {
            removed.insert(path);
        } else if !secrets.contains(path)
            && let Some(blob) = files.write(path.as_bstr())?
        {
            written.insert(path, blob);
        }
    }
    for path in changes.untracked.difference(&secrets) {
        if let Some(blob) = files.write(path.as_bstr())? {
            written.insert(path, blob);
        }
    }
    written.retain(|path, _| !secrets.contains(*path));
    let unsaved = files.unsaved.len() + secrets.len() + changes.nested.len();
    removed.retain(|path| !written.contains_key(path));
    Ok(Saved {
        tree: tree(repo, &removed, &written)?,
        index: updated(index, &removed, &written),
        files: changes.files() - unsaved as u64,
        left_out: secrets.iter().map(ToString::to_string).collect(),
        unsaved: files.unsaved,
    })
}

/// The uncommitted files that look like secrets, whether staged, announced (`git add -N`) or untracked. One that the task has
/// committed is its own decision, also where it was changed since.
pub(crate) fn secrets(checkout: &Checkout) -> Result<BTreeSet<BString>, GitError> {
    let Changes { staged, edited, untracked, .. } = &checkout.changes;
    let written = edited.iter().filter(|(_, edit)| **edit == Edit::Written).map(|(path, _)| path);
    let is_there = |path: &&BString| edited.get(*path) != Some(&Edit::Removed);
    let tracked = staged.iter().filter(is_there).chain(written);
    let tracked: BTreeSet<&BString> = tracked.filter(|path| looks_like_a_secret(path.as_bstr())).collect();
    let mut found: BTreeSet<BString> =
        untracked.iter().filter(|path| looks_like_a_secret(path.as_bstr())).cloned().collect();
    if !tracked.is_empty() {
        let head = checkout.repo.find_tree(checkout.repo.head_tree_id_or_empty()?)?;
        for path in tracked {
            if head.lookup_entry(path.split_str("/"))?.is_none() {
                found.insert(path.clone());
            }
        }
    }
    Ok(found)
}

/// Writes files of the work tree as blobs, as git would.
struct Files<'a> {
    checkout: &'a Checkout,
    conversion: Conversion<'a>,
    fs: gix::fs::Capabilities,
    unsaved: Vec<Unsaved>,
}

impl<'a> Files<'a> {
    fn of(checkout: &'a Checkout) -> Result<Self, GitError> {
        let Checkout { repo, index, changes, .. } = checkout;
        let conversion = Conversion::new(repo, index, &changes.attributes)?;
        Ok(Self { checkout, conversion, fs: repo.filesystem_options()?, unsaved: Vec::new() })
    }

    /// `None` when git cannot store the file, which is noted.
    fn write(&mut self, path: &BStr) -> Result<Option<Blob>, GitError> {
        match self.try_to_write(path)? {
            Ok(blob) => Ok(Some(blob)),
            Err(why) => {
                self.unsaved.push(Unsaved { path: path.to_string(), why });
                Ok(None)
            }
        }
    }

    fn try_to_write(&mut self, path: &BStr) -> Result<Result<Blob, String>, GitError> {
        let index = &self.checkout.index;
        let file = self.checkout.entry.folder.join(gix::path::from_bstr(path)?);
        let metadata = match gix::index::fs::Metadata::from_path_no_follow(&file) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Err(format!("cannot be looked at: {error}"))),
        };
        if !metadata.is_file() && !metadata.is_symlink() {
            return Ok(Err("is neither a file nor a symbolic link".to_owned()));
        }
        if !is_allowed(path, metadata.is_symlink()) {
            return Ok(Err("git refuses files of this name".to_owned()));
        }
        let stat = Stat::from_fs(&metadata).map_err(gix::Error::from_error)?;
        let (id, mut mode) = if metadata.is_symlink() {
            let target = fs::read_link(&file).map_err(GitError::io("read", &file))?;
            (self.checkout.repo.write_blob(gix::path::into_bstr(target)?.as_ref())?.detach(), Mode::SYMLINK)
        } else {
            let id = match self.conversion.write(path, &file)? {
                Ok(id) => id,
                Err(why) => return Ok(Err(why.0)),
            };
            (id, if metadata.is_executable() { Mode::FILE_EXECUTABLE } else { Mode::FILE })
        };
        let before = index.entry_by_path(path).map(|entry| entry.mode);
        if mode != Mode::SYMLINK {
            if !self.fs.symlink && before == Some(Mode::SYMLINK) {
                mode = Mode::SYMLINK;
            } else if !self.fs.executable_bit {
                mode = before.filter(|mode| *mode == Mode::FILE_EXECUTABLE).unwrap_or(Mode::FILE);
            }
        }
        Ok(Ok(Blob { id, mode, stat: Some(stat) }))
    }
}

fn tree(
    repo: &gix::Repository,
    removed: &BTreeSet<&BString>,
    written: &BTreeMap<&BString, Blob>,
) -> Result<ObjectId, GitError> {
    let mut tree = repo.edit_tree(repo.head_tree_id_or_empty()?)?;
    for path in removed {
        tree.remove(*path)?;
    }
    for (path, blob) in written {
        if let Some(mode) = blob.mode.to_tree_entry_mode() {
            tree.upsert(*path, mode.kind(), blob.id)?;
        }
    }
    Ok(tree.write()?.detach())
}

fn updated(
    index: &gix::index::File,
    removed: &BTreeSet<&BString>,
    written: &BTreeMap<&BString, Blob>,
) -> gix::index::File {
    let mut index = index.clone();
    let is_new = |path: &BStr| written.get(&path.to_owned()).is_some_and(|blob| blob.stat.is_some());
    index.remove_entries(|_, path, _| is_new(path) || removed.contains(&path.to_owned()));
    for (path, blob) in written {
        if let Some(stat) = blob.stat {
            index.dangerously_push_entry(stat, blob.id, Flags::empty(), blob.mode, path.as_bstr());
        }
    }
    index.sort_entries();
    // Both describe the index as it was.
    index.remove_tree();
    index.remove_resolve_undo();
    index
}
