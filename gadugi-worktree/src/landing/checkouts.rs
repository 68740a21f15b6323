//! The work trees that have a branch checked out.

use std::path::{Path, PathBuf};

use gadugi_core::BranchName;

use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;
use crate::isolation::OPERATIONS;
use crate::lease::admin_folder::Entry;
use crate::repo::Repository;
use crate::repo::refs::{HeadAt, head_in};

/// A work tree of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkout {
    pub(super) folder: PathBuf,
    /// The folder of git's own files of it.
    pub(super) git_dir: PathBuf,
}

impl Checkout {
    /// Whether its `HEAD` is on a branch.
    pub(super) fn is_on(&self, branch: &BranchName) -> bool {
        head_in(&self.git_dir) == Some(HeadAt::Branch(branch.full()))
    }

    /// The reason why it cannot follow, or keeps the branch from moving.
    pub(super) fn obstacle(&self, branch: &BranchName) -> Option<String> {
        let is_there = |name: &str| self.git_dir.join(name).symlink_metadata().is_ok();
        if self.is_on(branch) {
            if !self.folder.is_dir() {
                return Some("its folder is missing; bring it back, or run `git worktree prune`".to_owned());
            }
            let operation = OPERATIONS.into_iter().find(|(name, _)| is_there(name));
            return operation.map(|(_, operation)| format!("{operation} is under way there"));
        }
        let names_it = |file: &str| names(&self.git_dir.join(file), branch);
        // Without a branch, `HEAD` does not tell which one a rebase or a bisect will come back to.
        if ["rebase-merge/head-name", "rebase-apply/head-name", "rebase-merge/update-refs"].into_iter().any(names_it) {
            return Some(format!("a rebase of `{branch}` is under way there"));
        }
        (is_there("BISECT_LOG") && names_it("BISECT_START"))
            .then(|| format!("a bisect that began on `{branch}` is under way there"))
    }
}

/// Whether a file has a line with the name of a branch, in full or in short.
fn names(file: &Path, branch: &BranchName) -> bool {
    let text = ordinary::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().map(str::trim).any(|line| line == branch.full() || line == branch.as_str())
}

/// All work trees, the main one first; also those whose folder is missing.
pub(super) fn all(repository: &Repository) -> Result<Vec<Checkout>, GitError> {
    let common_dir = repository.common_dir();
    let entries = Entry::all(common_dir)?.into_iter();
    let linked: Vec<Checkout> =
        entries.map(|entry| Checkout { folder: real(&entry.folder), git_dir: entry.admin }).collect();
    let known = repository.work_tree();
    // The work tree of a git folder elsewhere is known only where it was found from.
    let main = match linked.iter().any(|linked| linked.folder == real(known)) {
        false => Some(known.to_owned()),
        true => repository.open(&[])?.workdir().map(real),
    };
    let main = main.map(|folder| Checkout { folder, git_dir: common_dir.to_owned() });
    Ok(main.into_iter().chain(linked).collect())
}

/// The work trees that have a branch checked out.
pub(super) fn of_branch(repository: &Repository, branch: &BranchName) -> Result<Vec<Checkout>, GitError> {
    let mut all = all(repository)?;
    all.retain(|checkout| checkout.is_on(branch));
    Ok(all)
}
