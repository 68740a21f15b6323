//! The branch and the folder of a new worktree.

use std::path::{Path, PathBuf};

use gadugi_core::{BranchName, TaskId};
use gix::bstr::{BString, ByteSlice, ByteVec};

use crate::error::GitError;
use crate::files::paths::real;
use crate::lease::admin_folder::Entry;
use crate::repo::branch::in_the_way;

/// The names that exist already, and the prefix and folder of new ones.
pub(crate) struct Names<'a> {
    pub(crate) repo: &'a gix::Repository,
    /// Git's list of worktrees.
    pub(crate) entries: &'a [Entry],
    /// The folder of the worktrees.
    pub(crate) folder: &'a Path,
    /// The prefix of their branches.
    pub(crate) prefix: &'a str,
}

/// Finds a name that is free as a branch, as a tag, which git would take for the branch, as a folder, and in git's list of
/// worktrees: the task's id, else with `-2`, `-3` and so on at its end. The folders in `taken` are reserved.
pub(crate) fn free(among: &Names<'_>, task: &TaskId, taken: &[PathBuf]) -> Result<(BranchName, PathBuf), GitError> {
    let Names { repo, entries, folder, prefix } = *among;
    for number in 1_u32.. {
        let name = if number == 1 { task.to_string() } else { format!("{task}-{number}") };
        let branch: BranchName = format!("{prefix}{name}").parse()?;
        if let Some(existing) = in_the_way(repo, branch.as_str())? {
            return Err(GitError::BranchInTheWay { existing, wanted: branch });
        }
        let path = real(&folder.join(name));
        if path.symlink_metadata().is_err()
            && !taken.contains(&path)
            && !entries.iter().any(|entry| entry.is_of(&path))
            && !is_taken(repo, &branch)?
        {
            return Ok((branch, path));
        }
    }
    unreachable!("cannot happen because a repository has fewer than four thousand million branches")
}

/// Finds a free branch for a worktree in this folder; `None` where the folder is not free, or is none of ours.
pub(crate) fn free_in(
    among: &Names<'_>,
    path: &Path,
    task: &TaskId,
    taken: &[PathBuf],
) -> Result<Option<(BranchName, PathBuf)>, GitError> {
    let Names { repo, entries, folder, prefix } = *among;
    let path = real(path);
    let is_ours = path.parent() == Some(&*real(folder));
    let is_free =
        path.symlink_metadata().is_err() && !taken.contains(&path) && !entries.iter().any(|entry| entry.is_of(&path));
    if !is_ours || !is_free {
        return Ok(None);
    }
    for number in 1_u32.. {
        let name = if number == 1 { task.to_string() } else { format!("{task}-{number}") };
        let branch: BranchName = format!("{prefix}{name}").parse()?;
        if in_the_way(repo, branch.as_str())?.is_some() {
            return Ok(None);
        }
        if !is_taken(repo, &branch)? {
            return Ok(Some((branch, path)));
        }
    }
    Ok(None)
}

/// The name of a new worktree's entry in git's list, as git and gix choose it.
pub(crate) fn entry(common_dir: &Path, folder: &Path) -> Result<BString, GitError> {
    let name = folder.file_name().unwrap_or_default();
    let name = gix::validate::reference::name_partial_or_sanitize(gix::path::os_str_into_bstr(name)?);
    for number in 0_u32.. {
        let mut entry = name.clone();
        if number > 0 {
            entry.push_str(number.to_string());
        }
        if common_dir.join("worktrees").join(gix::path::from_bstr(entry.as_bstr())?).symlink_metadata().is_err() {
            return Ok(entry);
        }
    }
    unreachable!("cannot happen because a folder has fewer than four thousand million entries")
}

/// Whether the branch exists, or one below it, or a tag of its name.
fn is_taken(repo: &gix::Repository, branch: &BranchName) -> Result<bool, GitError> {
    for name in [branch.full(), format!("refs/tags/{branch}")] {
        if repo.try_find_reference(name.as_str())?.is_some() {
            return Ok(true);
        }
    }
    let below = format!("{}/", branch.full());
    let references = repo.references()?;
    if let Ok(mut found) = references.prefixed(below.as_str()) {
        return Ok(found.next().is_some());
    }
    // There gix refuses the names of Windows devices, such as `con`, on every system.
    for branch in references.local_branches()? {
        if branch?.name().as_bstr().starts_with(below.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}
