//! Git's list of worktrees: one folder of git's own files for each, in `worktrees/` of the common git folder.
//!
//! Everything about a worktree is read from here and never from the `.git` file in it, which the task can
//! replace.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use gadugi_core::Lease;
use gix::bstr::ByteSlice;

use crate::error::GitError;
use crate::files::paths::{real, remove_if_empty};
use crate::files::{ordinary, rename_aside};
use crate::lease::marker::{self, Marker};
use crate::repo::filters;
use crate::repo::git_command::IN_THE_MAKING;
use crate::repo::open::Opener;

/// The file that stands in an entry while its worktree is being removed by us.
const REMOVING: &str = "gadugi-removing";

/// An entry of the list.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The folder of git's own files of this worktree.
    pub(crate) admin: PathBuf,
    /// The worktree, as git has noted it; it may be gone.
    pub(crate) folder: PathBuf,
}

impl Entry {
    /// All entries that say where their worktree is.
    pub(crate) fn all(common_dir: &Path) -> Result<Vec<Self>, GitError> {
        let list = common_dir.join("worktrees");
        let entries = match fs::read_dir(&list) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(GitError::io("list", &list)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let admin = entry.map_err(GitError::io("list", &list))?.path();
            if let Some(folder) = worktree_of(&admin) {
                found.push(Self { admin, folder });
            }
        }
        found.sort_by(|a, b| a.admin.cmp(&b.admin));
        Ok(found)
    }

    /// The entry of a worktree, which may be gone.
    pub(crate) fn of(common_dir: &Path, folder: &Path) -> Result<Option<Self>, GitError> {
        let wanted = real(folder);
        // Git names an entry after the folder, unless that name is taken.
        let admin = folder.file_name().map(|name| common_dir.join("worktrees").join(name));
        if let Some(admin) = admin
            && let Some(folder) = worktree_of(&admin)
        {
            let entry = Self { admin, folder };
            if entry.is_of(&wanted) {
                return Ok(Some(entry));
            }
        }
        Ok(Self::all(common_dir)?.into_iter().find(|entry| entry.is_of(&wanted)))
    }

    /// The entry that was made for a lease, if its folder, which may be gone, was not given to another attempt
    /// since.
    pub(crate) fn of_lease(common_dir: &Path, lease: &Lease) -> Result<Option<Self>, GitError> {
        let entry = Self::of(common_dir, &lease.path)?;
        Ok(entry.filter(|entry| entry.marker().is_some_and(|marker| marker.is_of(lease))))
    }

    /// The entry that was made for a lease, where what says where its worktree is cannot be read any more.
    pub(crate) fn without_link(common_dir: &Path, lease: &Lease) -> Option<Self> {
        let admins =
            fs::read_dir(common_dir.join("worktrees")).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_its = |admin: &PathBuf| {
            worktree_of(admin).is_none() && Marker::read(admin).is_some_and(|marker| marker.is_of(lease))
        };
        let mut its = admins.filter(is_its).map(|admin| Self { admin, folder: lease.path.clone() });
        its.next()
    }

    /// Whether it is the entry of this folder, which is given without symbolic links on the way.
    pub(crate) fn is_of(&self, folder: &Path) -> bool {
        self.folder.file_name() == folder.file_name() && real(&self.folder) == folder
    }

    /// The name that git gives the entry.
    pub(crate) fn name(&self) -> String {
        self.admin.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The reason that was given with `git worktree lock`, if the worktree is locked.
    pub(crate) fn lock_reason(&self) -> Option<String> {
        match ordinary::read(&self.admin.join("locked")) {
            Ok(reason) => Some(reason.to_str_lossy().trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(String::new()),
        }
    }

    /// Whether it is of a worktree that is being made, or was when a crash came.
    pub(crate) fn is_in_the_making(&self) -> bool {
        self.lock_reason().as_deref() == Some(IN_THE_MAKING) || self.marker().is_some_and(|marker| marker.in_the_making)
    }

    /// Moves the worktree away for good, with a note of that, by which the entry that a crash leaves then is told from that of a
    /// worktree which is missing for a while.
    pub(crate) fn noting_removal<T>(&self, moves: impl FnOnce() -> Result<T, GitError>) -> Result<T, GitError> {
        let note = self.admin.join(REMOVING);
        // Without it, as on a full disk, an entry that a crash leaves stays for longer.
        File::create_new(&note).ok();
        moves().inspect_err(|_| drop(fs::remove_file(&note)))
    }

    /// Whether its worktree was being removed by us.
    pub(crate) fn was_being_removed(&self) -> bool {
        self.admin.join(REMOVING).symlink_metadata().is_ok()
    }

    /// Takes the lock off.
    pub(crate) fn unlock(&self) -> Result<(), GitError> {
        let lock = self.admin.join("locked");
        fs::remove_file(&lock).map_err(GitError::io("remove", &lock))
    }

    /// Gadugi's note about the worktree; `None` when gadugi did not make it.
    pub(crate) fn marker(&self) -> Option<Marker> {
        Marker::read(&self.admin)
    }

    /// The files without which neither git nor gadugi can work with it.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        ["HEAD", "commondir", "gitdir", "index", marker::FILE].into_iter().map(|name| self.admin.join(name))
    }

    /// Whether `.git` in the worktree is the file that leads back to this entry. If not, the task has put
    /// another repository there.
    pub(crate) fn is_linked_back(&self) -> bool {
        let link = self.folder.join(".git");
        let is_file = link.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        let target = || gix::discover::path::from_gitdir_file(&link).ok().map(|target| real(&target));
        is_file && target() == Some(real(&self.admin))
    }

    /// Opens the worktree by git's own files of it.
    ///
    /// # Errors
    /// [`GitError::Redirected`] when these lead to another repository or another work tree.
    pub(crate) fn open(&self, opener: &Opener, common_dir: &Path) -> Result<gix::Repository, GitError> {
        self.open_with(opener, common_dir, &["core.safecrlf=false"])
    }

    /// As [`open`](Self::open), with other settings in place of the user's.
    pub(crate) fn open_with(
        &self,
        opener: &Opener,
        common_dir: &Path,
        overrides: &[&str],
    ) -> Result<gix::Repository, GitError> {
        let shared = ordinary::read(&self.admin.join("commondir")).map_err(GitError::io("read", &self.admin))?;
        same(&self.admin.join(path_in(&shared)?), common_dir)?;
        let mut repo = opener.open_git_dir(&self.admin, overrides)?;
        same(repo.common_dir(), common_dir)?;
        same(repo.workdir().unwrap_or(repo.git_dir()), &self.folder)?;
        filters::withhold(&mut repo, self.marker().map(|marker| marker.run).as_ref())?;
        Ok(repo)
    }

    /// Takes the entry off the list, at once and in full. The worktree itself is left alone.
    pub(crate) fn remove(&self) -> Result<(), GitError> {
        let Some(list) = self.admin.parent() else { return Ok(()) };
        let removed = removed(list.parent().unwrap_or(list));
        fs::create_dir_all(&removed).map_err(GitError::io("create", &removed))?;
        let aside = removed.join(self.admin.file_name().unwrap_or_default());
        // What a crash has left of an earlier one.
        rename_aside::delete(&aside)?;
        match fs::rename(&self.admin, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(GitError::io("rename", &self.admin)(error));
            }
            _ => rename_aside::delete(&aside)?,
        }
        remove_if_empty(&removed)?;
        remove_if_empty(list)
    }
}

/// The folder that entries are put into before they are deleted.
pub(crate) fn removed(common_dir: &Path) -> PathBuf {
    common_dir.join("gadugi").join("removed")
}

/// Refuses a list with a `gitdir` file that cannot be read: gix opens those of all entries.
pub(crate) fn check_links(common_dir: &Path) -> Result<(), GitError> {
    let entries = fs::read_dir(common_dir.join("worktrees")).into_iter().flatten().flatten();
    entries.map(|admin| admin.path().join("gitdir")).try_for_each(|link| match ordinary::check(&link) {
        Err(_) => Err(GitError::ListUnreadable { link }),
        Ok(()) => Ok(()),
    })
}

pub(crate) fn worktree_of(admin: &Path) -> Option<PathBuf> {
    let link = ordinary::read(&admin.join("gitdir")).ok()?;
    // A crash may have come before it was written.
    let link = path_in(&link).ok().filter(|link| !link.as_os_str().is_empty())?;
    Some(admin.join(link).parent()?.to_owned())
}

/// The path that is the only line of one of git's files.
fn path_in(file: &[u8]) -> Result<&Path, GitError> {
    Ok(gix::path::from_byte_slice(file.trim_end_with(|end| matches!(end, '\n' | '\r')))?)
}

fn same(found: &Path, expected: &Path) -> Result<(), GitError> {
    let found = real(found);
    if found == real(expected) { Ok(()) } else { Err(GitError::Redirected { path: found }) }
}
