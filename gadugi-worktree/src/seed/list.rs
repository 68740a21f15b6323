//! The list of files to copy, found by one walk through the main work tree.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use gadugi_core::worktrees::Seeded;
use gix::bstr::{BStr, BString, ByteSlice, ByteVec};
use gix::dir::EntryRef;
use gix::dir::entry::{Kind as DirKind, Status};
use gix::dir::walk::{Action, Delegate, EmissionMode};
use gix::index::entry::Flags;

use super::patterns::Patterns;
use super::warnings::{Warning, Warnings};
use crate::error::GitError;
use crate::lease::admin_folder::Entry;
use crate::repo::Repository;

/// The files and folders to copy.
pub(super) struct List {
    /// The work tree that they are in.
    pub(super) root: PathBuf,
    /// By path; parents come before their children.
    pub(super) folders: BTreeMap<BString, Folder>,
}

/// A folder that gets files, or is to be made.
pub(super) struct Folder {
    pub(super) mode: u32,
    pub(super) modified: Option<SystemTime>,
    pub(super) items: Vec<Item>,
}

/// A file or a symbolic link.
pub(super) struct Item {
    pub(super) name: OsString,
    pub(super) is_link: bool,
    pub(super) bytes: u64,
}

impl List {
    /// Finds the files; `None`, without a walk, where there are no patterns. `shared` is the repository that all worktrees
    /// share. Files in `kept_out`, or in another worktree, are left out.
    pub(super) fn of(
        repository: &Repository,
        shared: &gix::Repository,
        settings: &[String],
        kept_out: &[&Path],
        warnings: &mut Warnings,
    ) -> Result<Option<Self>, GitError> {
        let of_user;
        let repo = match shared.workdir() {
            Some(_) => shared,
            // A bare repository with worktrees: the one that the user stood in.
            None => {
                of_user = repository.open_work_tree()?;
                &of_user
            }
        };
        let Some(root) = repo.workdir() else { return Ok(None) };
        let ignore_case = repo.config_snapshot().boolean("core.ignoreCase").unwrap_or(false);
        let Some(patterns) = Patterns::read(root, settings, ignore_case, warnings) else { return Ok(None) };
        let root = root.canonicalize().map_err(GitError::io("find", root))?;
        let mut index = (*repo.index_or_empty()?).clone();
        // Without it the walk would take what it has not compared for unknown.
        index.entries_mut().iter_mut().for_each(|entry| entry.flags.insert(Flags::UPTODATE));
        let mut found = WalkedPaths::default();
        let options = repo.dirwalk_options()?.emit_untracked(EmissionMode::Matching);
        let options = options.emit_ignored(Some(EmissionMode::CollapseDirectory));
        repo.dirwalk(&index, None::<&str>, &AtomicBool::new(false), options, &mut found)?;
        found.ignored.sort();
        found.untracked.sort();
        let canonical = |path: &Path| path.canonicalize().ok();
        let others = Entry::all(repository.common_dir())?.into_iter().map(|entry| entry.folder);
        let kept_out = others.chain(kept_out.iter().map(|path| path.to_path_buf()));
        let kept_out = kept_out.filter_map(|path| canonical(&path)).filter(|path| *path != root).collect();
        let mut search = Search { patterns, kept_out, warnings, list: Self { root, folders: BTreeMap::new() } };
        for path in found.untracked {
            if search.patterns.name_a_folder_above(path.as_bstr()) || search.patterns.names(path.as_bstr(), false) {
                search.warnings.note(Warning::NotIgnored, path.to_string());
            }
        }
        for path in found.ignored {
            let named = search.patterns.name_a_folder_above(path.as_bstr());
            search.add_named(&path, named)?;
        }
        Ok(Some(search.list))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    pub(super) fn sum(&self) -> Seeded {
        let items = self.folders.values().flat_map(|folder| &folder.items);
        items.fold(Seeded::default(), |sum, item| Seeded { files: sum.files + 1, bytes: sum.bytes + item.bytes })
    }
}

/// The result of the walk: ignored paths, with whole folders as one, and untracked files.
#[derive(Default)]
struct WalkedPaths {
    ignored: Vec<BString>,
    untracked: Vec<BString>,
}

impl Delegate for WalkedPaths {
    fn emit(&mut self, entry: EntryRef<'_>, _: Option<Status>) -> Action {
        match (entry.status, entry.disk_kind) {
            (Status::Ignored(_), _) => self.ignored.push(entry.rela_path.into_owned()),
            (Status::Untracked, Some(DirKind::File | DirKind::Symlink)) => {
                self.untracked.push(entry.rela_path.into_owned());
            }
            _ => {}
        }
        Action::Continue(())
    }
}

struct Search<'a> {
    patterns: Patterns,
    /// Folders that are never copied.
    kept_out: HashSet<PathBuf>,
    warnings: &'a mut Warnings,
    list: List,
}

impl Search<'_> {
    /// Adds an ignored path if it is named; `named` tells that it is already known to be.
    fn add_named(&mut self, path: &BString, named: bool) -> Result<(), GitError> {
        let file = self.list.root.join(gix::path::from_bstr(path.as_bstr())?);
        let metadata = match file.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                if named || self.patterns.names(path.as_bstr(), false) {
                    self.cannot_read(path.as_bstr(), &error);
                }
                return Ok(());
            }
        };
        let named = named || self.patterns.names(path.as_bstr(), metadata.is_dir());
        if metadata.is_dir() {
            return self.add_named_below(path, &file, &metadata, named);
        }
        if !named {
            return Ok(());
        }
        if metadata.is_file() || metadata.is_symlink() {
            let (above, name) = path.rsplit_once_str("/").unwrap_or((b"", path));
            self.add_folder(above.as_bstr())?;
            let is_link = metadata.is_symlink();
            let bytes = if is_link { 0 } else { metadata.len() };
            let name = gix::path::from_bstr(name.as_bstr())?.into_owned().into_os_string();
            if let Some(folder) = self.list.folders.get_mut(above.as_bstr()) {
                folder.items.push(Item { name, is_link, bytes });
            }
        } else {
            self.warnings.note(Warning::Special, path.to_string());
        }
        Ok(())
    }

    fn add_named_below(
        &mut self,
        path: &BString,
        file: &Path,
        metadata: &Metadata,
        named: bool,
    ) -> Result<(), GitError> {
        let is_kept_out = self.kept_out.contains(file);
        if is_kept_out || (!named && !self.patterns.may_name_below(path.as_bstr())) {
            return Ok(());
        }
        let entries = fs::read_dir(file).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        let mut names: Vec<OsString> = match entries {
            Ok(names) => names,
            Err(error) => {
                // Of what is not named itself nobody knows whether anything in it is.
                if named {
                    self.cannot_read(path.as_bstr(), &error);
                }
                return Ok(());
            }
        };
        if named {
            self.add_folder_of(path.as_bstr(), metadata)?;
        }
        names.sort();
        for name in names.into_iter().filter(|name| !name.eq_ignore_ascii_case(".git")) {
            let mut below = path.clone();
            below.push_byte(b'/');
            below.push_str(&*gix::path::try_os_str_into_bstr(name.as_os_str().into())?);
            self.add_named(&below, named)?;
        }
        Ok(())
    }

    fn cannot_read(&mut self, path: &BStr, error: &io::Error) {
        // What is gone by now need not be copied.
        if error.kind() != io::ErrorKind::NotFound {
            self.warnings.note(Warning::Unreadable, path.to_string());
        }
    }

    /// Adds a folder, with its parents.
    fn add_folder(&mut self, path: &BStr) -> Result<(), GitError> {
        if self.list.folders.contains_key(path) {
            return Ok(());
        }
        let folder = self.list.root.join(gix::path::from_bstr(path)?);
        let metadata = folder.symlink_metadata().map_err(GitError::io("look at", &folder))?;
        self.add_folder_of(path, &metadata)
    }

    fn add_folder_of(&mut self, path: &BStr, metadata: &Metadata) -> Result<(), GitError> {
        if !path.is_empty() {
            let above = path.rfind_byte(b'/').unwrap_or(0);
            self.add_folder(path[..above].as_bstr())?;
        }
        let modified = metadata.modified().ok();
        let folder = Folder { mode: mode(metadata), modified, items: Vec::new() };
        self.list.folders.entry(path.to_owned()).or_insert(folder);
        Ok(())
    }
}

fn mode(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o777
}
