//! The entry of a new worktree in git's list.
//!
//! `git worktree prune`, which every `git gc` runs, deletes an entry that does not say yet where its worktree is, and it may do
//! so a moment after it has looked, when the entry is whole. So an entry is written beside the list, with git's own lock in it, and
//! renamed into the list.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::config::Source;
use gix::config::tree::{Core, Extensions};
use gix::refs::FullName;
use gix::refs::store::WriteReflog;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::create::names;
use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;
use crate::lease::admin_folder::Entry;
use crate::lease::marker::Marker;
use crate::repo::git_command::IN_THE_MAKING;
use crate::repo::refs;

/// The folder in which an entry is written. One process at a time does so, by the repository's lock.
fn unlisted(common_dir: &Path) -> PathBuf {
    common_dir.join("gadugi").join("new-entry")
}

/// Removes what a process that was killed has left of an entry that is in no list.
pub(crate) fn clear(common_dir: &Path) -> Result<(), GitError> {
    let unlisted = unlisted(common_dir);
    match fs::remove_dir_all(&unlisted) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::io("remove", &unlisted)(error)),
        _ => Ok(()),
    }
}

/// The entry of a worktree that is to be registered.
pub(crate) struct NewEntry<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) branch: FullName,
    pub(crate) start: ObjectId,
    pub(crate) marker: Marker,
}

/// Registers a worktree that has no files yet, with its folder and the `.git` file there. It stays locked as one that is being
/// made. What a failure leaves is found by the record of worktrees that are being made.
pub(crate) fn register(repo: &gix::Repository, new: &NewEntry<'_>) -> Result<Entry, GitError> {
    let common_dir = real(repo.common_dir());
    let folder = make_folder(new.folder)?;
    clear(&common_dir)?;
    let unlisted = unlisted(&common_dir);
    write_entry(repo, new, &folder, &unlisted)?;
    let admin = list(&common_dir, new.folder, &unlisted)?;
    let link = [b"gitdir: ", gix::path::into_bstr(&admin)?.as_bytes(), b"\n"].concat();
    let dot_git = folder.join(".git");
    ordinary::write(&dot_git, link).map_err(GitError::io("write", &dot_git))?;
    Ok(Entry { admin, folder })
}

/// Makes the folder of the worktree, and gives its path without symbolic links.
fn make_folder(folder: &Path) -> Result<PathBuf, GitError> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(GitError::io("create", parent))?;
    }
    match fs::create_dir(folder) {
        // An empty one may stand there already.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_empty(folder) => {}
        made => made.map_err(GitError::io("create", folder))?,
    }
    Ok(real(folder))
}

fn is_empty(folder: &Path) -> bool {
    let is_folder = folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    is_folder && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Writes all files of an entry but the index into a folder of no meaning to git.
fn write_entry(repo: &gix::Repository, new: &NewEntry<'_>, folder: &Path, unlisted: &Path) -> Result<(), GitError> {
    fs::create_dir_all(unlisted).map_err(GitError::io("create", unlisted))?;
    let write = |name: &str, content: &[u8]| {
        let path = unlisted.join(name);
        ordinary::write(&path, content).map_err(GitError::io("write", &path))
    };
    write("locked", format!("{IN_THE_MAKING}\n").as_bytes())?;
    let dot_git = folder.join(".git");
    write("gitdir", &[gix::path::into_bstr(&dot_git)?.as_bytes(), b"\n"].concat())?;
    write("commondir", b"../..\n")?;
    write("HEAD", format!("ref: {}\n", new.branch.as_bstr()).as_bytes())?;
    if repo.refs.write_reflog != WriteReflog::Disable {
        let logs = unlisted.join("logs");
        fs::create_dir(&logs).map_err(GitError::io("create", &logs))?;
        write("logs/HEAD", &refs::log_line(repo, None, new.start, "")?)?;
    }
    let config = repo.config_snapshot();
    if config.boolean(Extensions::WORKTREE_CONFIG).unwrap_or_default() {
        copy_config(&repo.git_dir().join("config.worktree"), &unlisted.join("config.worktree"))?;
    }
    if config.boolean(Core::SPARSE_CHECKOUT).unwrap_or_default() {
        let patterns = repo.git_dir().join("info/sparse-checkout");
        match ordinary::read(&patterns) {
            Ok(text) => {
                let info = unlisted.join("info");
                fs::create_dir(&info).map_err(GitError::io("create", &info))?;
                write("info/sparse-checkout", &text)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(GitError::io("read", &patterns)(error)),
        }
    }
    new.marker.write(unlisted)
}

/// Copies the settings of this worktree for the new one, without those that say where the work tree is (git-worktree(1)).
fn copy_config(from: &Path, to: &Path) -> Result<(), GitError> {
    let mut config = match gix::config::File::from_path_no_includes(from.to_owned(), Source::Worktree) {
        Ok(config) => config,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let is_bare = config.boolean("core.bare").ok().flatten().unwrap_or_default();
    for key in is_bare.then_some("core.bare").into_iter().chain(["core.worktree"]) {
        if let Ok(mut values) = config.raw_values_mut(key) {
            values.delete_all();
        }
    }
    let mut text = Vec::new();
    config.write_to(&mut text).map_err(GitError::io("write", to))?;
    ordinary::write(to, text).map_err(GitError::io("write", to))
}

/// Renames an entry into git's list, to the name that git would give it.
fn list(common_dir: &Path, folder: &Path, unlisted: &Path) -> Result<PathBuf, GitError> {
    let listed = common_dir.join("worktrees");
    loop {
        fs::create_dir_all(&listed).map_err(GitError::io("create", &listed))?;
        let name = names::entry(common_dir, folder)?;
        let admin = listed.join(gix::path::from_bstr(name.as_bstr())?);
        match renameat_with(CWD, unlisted, CWD, &admin, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(admin),
            // Git has taken the name meanwhile, or the list, which was empty, away.
            Err(Errno::EXIST | Errno::NOENT) if unlisted.exists() => {}
            // Some file systems cannot refuse to replace: there, a folder that holds something is never replaced.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                return fs::rename(unlisted, &admin).map(|()| admin.clone()).map_err(GitError::io("create", &admin));
            }
            Err(error) => return Err(GitError::io("create", &admin)(error.into())),
        }
    }
}
