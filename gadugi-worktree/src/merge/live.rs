//! Worktrees of attempts in a forecast: what they hold beyond their commits, without a change in them.

use std::fs;
use std::io;

use gadugi_core::Lease;
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::index::entry::{Flags, Mode, Stage, Stat};
use gix::index::fs::Metadata;

use crate::error::GitError;
use crate::inspect::changes::Changes;
use crate::inspect::checkout::Checkout;
use crate::lease::admin_folder::Entry;
use crate::merge::paths::sort;
use crate::settings::WorktreeSettings;
use crate::snapshot::tree::save;

/// What a worktree holds.
pub(crate) struct Seen {
    /// The commit of its `HEAD`.
    pub(crate) head: ObjectId,
    /// The paths of uncommitted files, sorted by their components.
    pub(crate) uncommitted: Vec<BString>,
}

/// The commit of a worktree's `HEAD`; `tip` on a branch without commits.
pub(crate) fn head(settings: &WorktreeSettings, lease: &Lease, tip: ObjectId) -> Result<ObjectId, GitError> {
    let repo = open(settings, lease)?;
    Ok(repo.head()?.try_into_peeled_id()?.map_or(tip, gix::Id::detach))
}

/// Inspects a worktree.
pub(crate) fn inspect(settings: &WorktreeSettings, lease: &Lease, tip: ObjectId) -> Result<Seen, GitError> {
    let checkout = checkout(settings, lease)?;
    let Changes { staged, edited, untracked, .. } = &checkout.changes;
    let mut uncommitted: Vec<BString> = staged.iter().chain(edited.keys()).chain(untracked).cloned().collect();
    sort(&mut uncommitted);
    uncommitted.dedup();
    Ok(Seen { head: checkout.head.unwrap_or(tip), uncommitted })
}

/// A commit of a worktree's `HEAD` with its uncommitted files, whose objects go to the memory of `repo`. `room` is the number
/// of bytes that may still be held there.
pub(crate) fn commit(
    settings: &WorktreeSettings,
    repo: &mut gix::Repository,
    lease: &Lease,
    tip: ObjectId,
    room: &mut u64,
) -> Result<ObjectId, GitError> {
    let mut checkout = checkout(settings, lease)?;
    let head = checkout.head.unwrap_or(tip);
    if checkout.changes.is_empty() {
        return Ok(head);
    }
    let bytes = bytes(&checkout);
    *room = room.checked_sub(bytes).ok_or(GitError::TooMuchUncommitted { bytes })?;
    checkout.repo.objects.enable_object_memory();
    let tree = save(&checkout)?.tree;
    let commit = checkout.repo.new_commit("not committed yet", tree, [head])?.id;
    let mut known = repo.objects.take_object_memory().unwrap_or_default();
    known.extend(checkout.repo.objects.take_object_memory().unwrap_or_default().drain());
    repo.objects.set_object_memory(known);
    Ok(commit)
}

/// Whether none of these paths differs from the commit of a worktree's `HEAD`, or lies in the place of a folder or below a file
/// there. Only these paths are looked at, so that a large worktree costs no more than a small one. `false` where that needs
/// more than their stat data.
pub(crate) fn is_apart(settings: &WorktreeSettings, lease: &Lease, paths: &[&BString]) -> Result<bool, GitError> {
    let repo = open(settings, lease)?;
    let Some(root) = repo.workdir() else { return Ok(false) };
    let (index, trust) = (repo.index_or_empty()?, repo.stat_options()?);
    let head = repo.find_tree(repo.head_tree_id_or_empty()?)?;
    for path in paths {
        let entry = index.entry_by_path_and_stage(path.as_bstr(), Stage::Unconflicted);
        let committed = head.lookup_entry(path.split_str("/"))?;
        let found = match Metadata::from_path_no_follow(&root.join(gix::path::from_bstr(path.as_bstr())?)) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => return Ok(false),
        };
        let is_same = match (committed, entry, found) {
            (None, None, None) => true,
            (Some(committed), Some(entry), Some(found)) => {
                let special = Flags::SKIP_WORKTREE | Flags::ASSUME_VALID | Flags::INTENT_TO_ADD;
                let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE) && found.is_file();
                let stat = Stat::from_fs(&found).map_err(gix::Error::from_error)?;
                let is_as_noted = entry.stat.matches(&stat, trust) && !entry.stat.is_racy(index.timestamp(), trust);
                let is_executable = entry.mode == Mode::FILE_EXECUTABLE;
                let is_staged =
                    committed.object_id() != entry.id || entry.mode.to_tree_entry_mode() != Some(committed.mode());
                is_file
                    && is_as_noted
                    && !is_staged
                    && !entry.flags.intersects(special)
                    && found.is_executable() == is_executable
            }
            _ => false,
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The size of the uncommitted files.
fn bytes(checkout: &Checkout) -> u64 {
    let Changes { edited, untracked, .. } = &checkout.changes;
    let files = edited.keys().chain(untracked).filter_map(|path| gix::path::from_bstr(path.as_bstr()).ok());
    // One that cannot be looked at is not read either.
    let sizes = files.filter_map(|path| checkout.entry.folder.join(path).symlink_metadata().ok());
    sizes.filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

fn open(settings: &WorktreeSettings, lease: &Lease) -> Result<gix::Repository, GitError> {
    let common_dir = settings.repository.common_dir();
    let entry = Entry::of_lease(common_dir, lease)?;
    let entry = entry.ok_or_else(|| GitError::NotAWorktree { path: lease.path.clone() })?;
    entry.open(&settings.repository.opener, common_dir)
}

fn checkout(settings: &WorktreeSettings, lease: &Lease) -> Result<Checkout, GitError> {
    Checkout::inspect(settings, lease, lease.branch.as_ref().ok_or(GitError::NoBranch)?)
}
