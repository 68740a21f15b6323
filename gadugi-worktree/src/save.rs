//! Uncommitted work as a tree, and the index that belongs to it.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::{Flags, Mode, Stage, Stat};

use crate::checkout::Checkout;
use crate::error::GitError;
use crate::secrets::looks_like_a_secret;
use crate::status::Edit;

/// Uncommitted work that was written to the object store. Nothing refers to it yet.
pub(crate) struct Saved {
    /// `HEAD`'s tree with the work.
    pub(crate) tree: ObjectId,
    /// The index of a work tree where this is committed.
    pub(crate) index: gix::index::File,
    /// How many files of the work are in it.
    pub(crate) files: u64,
    /// Files that are not in it since they look like secrets.
    pub(crate) left_out: Vec<String>,
}

/// A file as git keeps it.
struct Blob {
    id: ObjectId,
    mode: Mode,
    /// Of the file in the work tree; `None` where the index has it already.
    stat: Option<Stat>,
}

/// Writes everything in the work tree that is not committed to the object store: what `git add --all` would take,
/// but no nested repositories and no new files that look like secrets.
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
    let mut files = Files::of(checkout)?;
    let mut unsaved = 0;
    for (path, edit) in &changes.edited {
        // What is in the work tree counts, not what was staged on the way there.
        written.remove(path);
        if *edit == Edit::Removed {
            removed.insert(path);
        } else if let Some(blob) = files.write(path.as_bstr())? {
            written.insert(path, blob);
        } else {
            // It is neither a file nor a link, so git cannot keep it.
            unsaved += 1;
        }
    }
    let (secret, open): (Vec<_>, Vec<_>) =
        changes.untracked.iter().partition(|path| looks_like_a_secret(path.as_bstr()));
    for path in open {
        if let Some(blob) = files.write(path.as_bstr())? {
            written.insert(path, blob);
        } else {
            unsaved += 1;
        }
    }
    unsaved += (secret.len() + changes.nested.len()) as u64;
    removed.retain(|path| !written.contains_key(path));
    Ok(Saved {
        tree: tree(repo, &removed, &written)?,
        index: updated(index, &removed, &written),
        files: changes.files() - unsaved,
        left_out: secret.into_iter().map(ToString::to_string).collect(),
    })
}

/// Writes files of the work tree as blobs, as git would.
struct Files<'a> {
    checkout: &'a Checkout,
    filters: gix::filter::Pipeline<'a>,
    fs: gix::fs::Capabilities,
}

impl<'a> Files<'a> {
    fn of(checkout: &'a Checkout) -> Result<Self, GitError> {
        let (filters, _) = checkout.repo.filter_pipeline(None)?;
        Ok(Self { checkout, filters, fs: checkout.repo.filesystem_options()? })
    }

    /// `None` when there is neither a file nor a symbolic link at the path.
    fn write(&mut self, path: &BStr) -> Result<Option<Blob>, GitError> {
        let index = &self.checkout.index;
        let file = self.checkout.entry.folder.join(gix::path::from_bstr(path)?);
        let Ok(metadata) = gix::index::fs::Metadata::from_path_no_follow(&file) else { return Ok(None) };
        if !metadata.is_file() && !metadata.is_symlink() {
            return Ok(None);
        }
        let stat = Stat::from_fs(&metadata).map_err(gix::Error::from_error)?;
        let Some((id, kind, _)) = self.filters.worktree_file_to_object(path, index)? else { return Ok(None) };
        let mut mode = Mode::from(gix::objs::tree::EntryMode::from(kind));
        let before = index.entry_by_path(path).map(|entry| entry.mode);
        if mode != Mode::SYMLINK {
            if !self.fs.symlink && before == Some(Mode::SYMLINK) {
                mode = Mode::SYMLINK;
            } else if !self.fs.executable_bit {
                mode = before.filter(|mode| *mode == Mode::FILE_EXECUTABLE).unwrap_or(Mode::FILE);
            }
        }
        Ok(Some(Blob { id, mode, stat: Some(stat) }))
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
