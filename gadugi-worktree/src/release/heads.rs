//! The `HEAD`s of all worktrees, and the commits that they keep.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use gadugi_core::{BranchName, Lease};
use gix::ObjectId;
use gix::refs::FullName;

use crate::error::GitError;
use crate::files::paths::real;
use crate::history::is_ancestor;
use crate::lease::admin_folder::Entry;
use crate::lease::marker::Marker;
use crate::repo::refs::{HeadAt, head_in};
use crate::settings::WorktreeSettings;

/// A reference or `HEAD` that keeps commits, and its commit at that time.
#[derive(Clone)]
pub(crate) struct Witness {
    place: WitnessSource,
    commit: ObjectId,
}

#[derive(Clone)]
enum WitnessSource {
    Reference(FullName),
    /// The `HEAD` in this folder of git's files.
    Head(PathBuf),
}

impl Witness {
    pub(crate) fn reference(name: FullName, commit: ObjectId) -> Self {
        Self { place: WitnessSource::Reference(name), commit }
    }

    /// Its commit at that time.
    pub(crate) fn commit(&self) -> ObjectId {
        self.commit
    }

    /// Whether it is the reference of this full name.
    pub(crate) fn is_reference(&self, full: &str) -> bool {
        matches!(&self.place, WitnessSource::Reference(name) if name.as_bstr() == full)
    }

    /// Whether it still keeps `tip`.
    pub(crate) fn keeps(&self, repo: &gix::Repository, tip: ObjectId) -> Result<bool, GitError> {
        let now = match &self.place {
            WitnessSource::Reference(name) => match repo.try_find_reference(name)? {
                Some(mut reference) => Some(reference.peel_to_commit()?.id),
                None => None,
            },
            WitnessSource::Head(git_dir) => match head_in(git_dir) {
                Some(HeadAt::Commit(id)) => Some(id),
                _ => None,
            },
        };
        match now {
            Some(now) if now == self.commit => Ok(true),
            Some(now) => is_ancestor(repo, tip, now),
            None => Ok(false),
        }
    }
}

/// A keeper of commits, with its name for messages.
pub(crate) struct Keeper {
    pub(crate) name: String,
    pub(crate) witness: Witness,
}

/// The `HEAD`s of all worktrees, apart from those that are removed.
pub(crate) struct Heads {
    main: PathBuf,
    of: Vec<OneHead>,
    /// The indices of those on a branch, or made for it, by its full name.
    on: HashMap<String, Vec<usize>>,
}

struct OneHead {
    admin: PathBuf,
    folder: PathBuf,
    marker: Option<Marker>,
    head: Option<HeadAt>,
}

impl Heads {
    /// The `HEAD`s of all worktrees but those of these leases, which are removed, or would be in a dry run.
    pub(crate) fn without(settings: &WorktreeSettings, gone: &[&Lease]) -> Result<Self, GitError> {
        let repository = &settings.repository;
        let main = repository.common_dir().to_owned();
        let mut of_name: HashMap<Option<&OsStr>, Vec<&Lease>> = HashMap::new();
        for lease in gone {
            of_name.entry(lease.path.file_name()).or_default().push(lease);
        }
        let goes = |one: &OneHead| {
            let leases = of_name.get(&one.folder.file_name());
            leases.is_some_and(|leases| leases.iter().any(|lease| one.is_of(lease)))
        };
        let mut heads = vec![OneHead::of(main.clone(), repository.root().to_owned())];
        let others = Entry::all(repository.common_dir())?.into_iter();
        heads.extend(others.map(|entry| OneHead::of(entry.admin, entry.folder)).filter(|one| !goes(one)));
        let mut on: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, one) in heads.iter().enumerate() {
            for branch in one.branches() {
                on.entry(branch).or_default().push(place);
            }
        }
        Ok(Self { main, of: heads, on })
    }

    /// The worktree that has a branch checked out, or was made for it, other than that of the lease.
    pub(crate) fn worktree_on(&self, branch: &BranchName, lease: &Lease) -> Option<PathBuf> {
        let on = self.on.get(&branch.full())?.iter().filter_map(|place| self.of.get(*place));
        on.into_iter().find(|one| !one.is_of(lease)).map(|one| one.folder.clone())
    }

    /// The detached `HEAD`s, without those of our worktrees: an unfinished or failed task has its `HEAD` anywhere.
    pub(crate) fn keepers(&self) -> impl Iterator<Item = Keeper> {
        self.of.iter().filter(|one| one.marker.is_none()).filter_map(|one| match one.head {
            Some(HeadAt::Commit(commit)) => Some(Keeper {
                name: format!("the HEAD of {}", one.folder.display()),
                witness: Witness { place: WitnessSource::Head(one.admin.clone()), commit },
            }),
            _ => None,
        })
    }

    /// The full name of the branch of the main work tree.
    pub(crate) fn main_branch(&self) -> Option<String> {
        match head_in(&self.main) {
            Some(HeadAt::Branch(main)) => Some(main),
            _ => None,
        }
    }
}

impl OneHead {
    fn of(admin: PathBuf, folder: PathBuf) -> Self {
        Self { marker: Marker::read(&admin), head: head_in(&admin), admin, folder }
    }

    /// The full names of the branches that it stands for.
    fn branches(&self) -> BTreeSet<String> {
        let made_for = self.marker.as_ref().map(|marker| marker.branch.full());
        let head = self.head.as_ref().and_then(|head| match head {
            HeadAt::Branch(name) => Some(name.clone()),
            HeadAt::Commit(_) => None,
        });
        made_for.into_iter().chain(head).collect()
    }

    fn is_of(&self, lease: &Lease) -> bool {
        let is_of = self.marker.as_ref().is_some_and(|marker| marker.is_of(lease));
        is_of && same(&self.folder, &lease.path)
    }
}

fn same(one: &Path, other: &Path) -> bool {
    one.file_name() == other.file_name() && real(one) == real(other)
}
