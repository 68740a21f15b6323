//! Bringing `HEAD` and index of a worktree in line with the imported commits.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use gadugi_core::BranchName;
use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::State;
use gix::index::entry::{Flags, Stage, Stat, stat};

use crate::error::GitError;
use crate::history::limits;
use crate::isolation::staged::{File, folders};
use crate::lease::admin_folder::Entry;
use crate::repo::lock_file::{LockFile, lock_index};
use crate::repo::refs::{HeadAt, head_in};
use crate::settings::WorktreeSettings;

/// The content of a new index.
pub(super) struct IndexContent<'a> {
    /// The commit with the files.
    pub(super) commit: ObjectId,
    /// The commit that the branch began with.
    pub(super) base: ObjectId,
    /// Staged files, on top of the commit's.
    pub(super) staged: &'a BTreeMap<BString, File>,
    /// Files that were staged by earlier imports.
    pub(super) staged_before: &'a BTreeMap<BString, File>,
}

/// A new index that is written and not in its place yet. The index lock is held.
pub(super) struct NewIndex {
    lock: LockFile,
}

impl NewIndex {
    /// Writes the index of a worktree whose branch began with `base`: the files of `commit`, with `staged` on top. Stat data of
    /// files that the commit has unchanged are kept, so that they need not be read again. Of the files in `staged_before`,
    /// those stay that are unchanged.
    pub(super) fn write(
        settings: &WorktreeSettings,
        entry: &Entry,
        content: &IndexContent<'_>,
    ) -> Result<Self, GitError> {
        let IndexContent { commit, base, staged, staged_before } = *content;
        let repo = entry.open(&settings.repository.opener, settings.repository.common_dir())?;
        limits::check(&repo, base, commit)?;
        let lock = lock_index(&repo)?;
        let mut index = repo.index_from_tree(&repo.find_commit(commit)?.tree_id()?)?;
        let before = match repo.open_index() {
            Ok(before) => before,
            // One that cannot be read is as good as none.
            Err(_) => gix::index::File::from_state(gix::index::State::new(repo.object_hash()), repo.index_path()),
        };
        let mut staged = staged.clone();
        staged
            .extend(staged_before.iter().filter(|(path, file)| has(&before, path, file)).map(|(p, f)| (p.clone(), *f)));
        stage(&mut index, &staged);
        let is_sparse = repo.config_snapshot().boolean("core.sparseCheckout").unwrap_or(false);
        // By the second only, all files would seem to be as new as the index.
        let precise = stat::Options { use_nsec: true, check_stat: true, ..stat::Options::default() };
        for (file, path) in index.entries_mut_with_paths() {
            let known = before.entry_by_path_and_stage(path, Stage::Unconflicted);
            let same = known.filter(|known| known.id == file.id && known.mode == file.mode);
            // What was written at the same moment as the index may have been written once more since.
            if let Some(known) = same.filter(|known| !known.stat.is_racy(before.timestamp(), precise)) {
                file.stat = known.stat;
            }
            let was_left_out = known.is_some_and(|known| known.flags.contains(Flags::SKIP_WORKTREE));
            if is_sparse && (was_left_out || same.is_none()) {
                let on_disk = entry.folder.join(gix::path::from_bstr(path)?);
                if on_disk.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                    // The first says that there are flags of the second kind.
                    file.flags.insert(Flags::EXTENDED | Flags::SKIP_WORKTREE);
                    file.stat = Stat::default();
                }
            }
        }
        let mut content = Vec::new();
        index.write_to(&mut content, gix::index::write::Options::default())?;
        lock.write(&content)?;
        Ok(Self { lock })
    }

    pub(super) fn put_in_place(self) -> Result<(), GitError> {
        self.lock.put_in_place()
    }
}

/// Whether an index has a file as it was staged.
pub(super) fn has(index: &State, path: &BString, file: &File) -> bool {
    let entry = index.entry_by_path_and_stage(path.as_bstr(), Stage::Unconflicted);
    entry.is_some_and(|entry| entry.id == file.id && entry.mode == file.mode)
}

/// Puts files into an index, in place of conflicting entries.
fn stage(index: &mut State, files: &BTreeMap<BString, File>) {
    if files.is_empty() {
        return;
    }
    let is_folder = |path: &BStr| {
        let mut below = path.to_owned();
        below.push(b'/');
        files.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below))
    };
    index.remove_entries(|_, path, _| {
        files.contains_key(path) || folders(path).any(|folder| files.contains_key(folder)) || is_folder(path)
    });
    for (path, file) in files {
        index.dangerously_push_entry(Stat::default(), file.id, Flags::empty(), file.mode, path.as_bstr());
    }
    index.sort_entries();
    index.remove_tree();
}

/// Whether the `HEAD` of a worktree is at `wanted`.
pub(super) fn is_head_at(entry: &Entry, wanted: &HeadAt) -> bool {
    head_in(&entry.admin).as_ref() == Some(wanted)
}

/// The `HEAD` position on the branch of an attempt.
pub(super) fn on(branch: &BranchName) -> HeadAt {
    HeadAt::Branch(branch.full())
}

/// Whether the folder of the worktree exists.
pub(super) fn has_folder(entry: &Entry) -> bool {
    fs::symlink_metadata(&entry.folder).is_ok_and(|metadata| metadata.is_dir())
}
