//! What differs between a work tree, its index and its `HEAD`, without running anything that is
//! configured in the work tree: nested repositories and submodules are not opened, and hooks and file system
//! monitors are not called.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::bstr::{BStr, BString};
use gix::dir::entry::{Kind, Status};
use gix::dir::walk::EmissionMode;
use gix::index::Entry as IndexEntry;
use gix::status::index_worktree::Options;
use gix::status::plumbing::index_as_worktree::traits::SubmoduleStatus;
use gix::status::plumbing::index_as_worktree::{Change, EntryStatus};
use gix::status::plumbing::index_as_worktree_with_renames::{Entry, VisitEntry};
use gix::status::tree_index::TrackRenames;

use crate::error::GitError;
use crate::index_tree;
use crate::snapshot::conversion::{self, BoundedEq};
use crate::untouched::is_untouched;

/// How the file of a tracked path differs from the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Its content, kind or permissions.
    Written,
    /// It is gone.
    Removed,
}

/// All that is not committed in a work tree. What is ignored is listed, but does not count.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Paths that differ between `HEAD` and the index.
    pub(crate) staged: BTreeSet<BString>,
    /// Tracked paths that differ between the index and the work tree.
    pub(crate) edited: BTreeMap<BString, Edit>,
    /// Files and symbolic links that git does not know.
    pub(crate) untracked: BTreeSet<BString>,
    /// Folders that are repositories of their own: unknown to git, or submodules in a state that it cannot commit.
    pub(crate) nested: BTreeSet<BString>,
    /// What is ignored; a folder of which all is ignored is given as one.
    pub(crate) ignored: Vec<BString>,
}

impl Changes {
    /// Looks at the work tree that `repo` was opened for.
    pub(crate) fn of(repo: &gix::Repository, index: &gix::index::State) -> Result<Self, GitError> {
        let other = repo.clone();
        let (staged, rest) = std::thread::scope(|scope| {
            let staged = scope.spawn(move || staged(&other, index));
            let rest = match is_untouched(repo, index) {
                Ok(true) => Ok(Self::default()),
                Ok(false) => unstaged(repo, index),
                Err(error) => Err(error),
            };
            (staged.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), rest)
        });
        Ok(Self { staged: staged?, ..rest? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.staged.is_empty() && self.edited.is_empty() && self.untracked.is_empty() && self.nested.is_empty()
    }

    /// Tracked paths that are changed.
    pub(crate) fn tracked(&self) -> u64 {
        let only_edited = self.edited.keys().filter(|path| !self.staged.contains(*path)).count();
        (self.staged.len() + only_edited) as u64
    }

    /// All paths that are changed or new; a nested repository counts as one.
    pub(crate) fn files(&self) -> u64 {
        self.tracked() + (self.untracked.len() + self.nested.len()) as u64
    }
}

fn staged(repo: &gix::Repository, index: &gix::index::State) -> Result<BTreeSet<BString>, GitError> {
    let head = repo.head_tree_id_or_empty()?;
    let mut found = BTreeSet::new();
    // So it is in most cases, and is known without reading a tree.
    if index_tree::id_of(index)? == Some(head.detach()) {
        return Ok(found);
    }
    // Without patterns of its own, gix would look only at the part that the process works in.
    let mut everything = repo.pathspec(
        false,
        None::<&str>,
        false,
        &gix::index::State::new(repo.object_hash()),
        gix::worktree::stack::state::attributes::Source::IdMapping,
    )?;
    repo.tree_index_status(&head, index, Some(&mut everything), TrackRenames::Disabled, |change, _, _| {
        found.insert(change.location().to_owned());
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// What differs between the index and the work tree.
pub(crate) fn unstaged(repo: &gix::Repository, index: &gix::index::State) -> Result<Changes, GitError> {
    let mut seen = Seen { root: repo.workdir(), changes: Changes::default() };
    let walk = repo.dirwalk_options()?.emit_untracked(EmissionMode::Matching);
    let walk = walk.emit_ignored(Some(EmissionMode::CollapseDirectory));
    repo.index_worktree_status(
        index,
        None::<&str>,
        &mut seen,
        BoundedEq::new(repo),
        Unopened,
        &mut gix::progress::Discard,
        &AtomicBool::new(false),
        Options { dirwalk_options: Some(walk), ..Options::default() },
    )?;
    conversion::drop_unchanged(repo, index, &mut seen.changes.edited)?;
    Ok(seen.changes)
}

/// Says nothing about submodules, since that would mean to read their configuration.
#[derive(Clone)]
pub(crate) struct Unopened;

impl SubmoduleStatus for Unopened {
    type Output = ();

    fn status(&mut self, _: &IndexEntry, _: &BStr) -> gix::Result<Option<()>> {
        Ok(None)
    }
}

struct Seen<'a> {
    root: Option<&'a Path>,
    changes: Changes,
}

impl<'index> VisitEntry<'index> for Seen<'_> {
    type ContentChange = ();
    type SubmoduleStatus = ();

    fn visit_entry(&mut self, entry: Entry<'index, (), ()>) {
        match entry {
            Entry::Modification { rela_path, entry, status, .. } => {
                let edit = match status {
                    EntryStatus::NeedsUpdate(_) => return,
                    EntryStatus::Change(Change::Removed) => Edit::Removed,
                    _ if self.is_file(rela_path) => Edit::Written,
                    _ if entry.mode.is_submodule() => {
                        self.changes.nested.insert(rela_path.to_owned());
                        return;
                    }
                    _ => Edit::Removed,
                };
                self.changes.edited.insert(rela_path.to_owned(), edit);
            }
            Entry::DirectoryContents { entry, .. } if entry.status == Status::Untracked => match entry.disk_kind {
                Some(Kind::File | Kind::Symlink) => {
                    self.changes.untracked.insert(entry.rela_path);
                }
                Some(Kind::Repository) => {
                    self.changes.nested.insert(entry.rela_path);
                }
                // Git cannot keep pipes, sockets and devices, and does not see empty folders.
                Some(Kind::Untrackable | Kind::Directory) | None => {}
            },
            Entry::DirectoryContents { entry, .. } if matches!(entry.status, Status::Ignored(_)) => {
                self.changes.ignored.push(entry.rela_path);
            }
            Entry::DirectoryContents { .. } | Entry::Rewrite { .. } => {}
        }
    }
}

impl Seen<'_> {
    /// Whether there is anything but a folder at a path, and no symbolic link on the way to it.
    fn is_file(&self, path: &BStr) -> bool {
        let (Some(root), Ok(path)) = (self.root, gix::path::from_bstr(path)) else { return false };
        let on_the_way = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let is_folder = |path: &Path| root.join(path).symlink_metadata().map(|metadata| metadata.is_dir());
        on_the_way.into_iter().all(|folder| is_folder(folder).unwrap_or(false))
            && is_folder(&path).is_ok_and(|folder| !folder)
    }
}
