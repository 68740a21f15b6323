//! Folders of our worktrees whose entry in git's list is gone, so that git does not know them any more.
//!
//! Such a folder may hold work. It is removed only if all of it, apart from ignored files, is on the branch that it was made
//! for. Its index and the position of its `HEAD` were lost with the entry.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gadugi_core::worktrees::{Paths, Pruned};
use gadugi_core::{BranchName, error_chain};

use crate::delete::trash;
use crate::durable;
use crate::error::GitError;
use crate::files::mounted::mount_in;
use crate::files::paths::real;
use crate::files::rename_aside;
use crate::history::limits;
use crate::inspect::changes::unstaged;
use crate::inspect::{Extent, UserRules};
use crate::lease::admin_folder::Entry;
use crate::repo::ids::{full_name, to_object};
use crate::repo::{branch, filters};
use crate::settings::WorktreeSettings;

/// Finds such folders in the worktrees folder, and puts those without work of their own aside. The caller holds the
/// repository's lock.
pub(crate) fn clear(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    dry_run: bool,
) -> Result<Vec<Pruned>, GitError> {
    let mut found = Vec::new();
    for path in folders(&settings.folder)? {
        if !has_lost_its_entry(settings, &path)? {
            continue;
        }
        found.push(match inspect(settings, repo, &path)? {
            Ok(branch) => {
                if !dry_run {
                    rename_aside::put_aside(&path)?;
                }
                Pruned::Stray { path, branch }
            }
            Err(why) => Pruned::StrayKept { path, why },
        });
    }
    Ok(found)
}

fn folders(worktrees: &Path) -> Result<Vec<PathBuf>, GitError> {
    let entries = match fs::read_dir(worktrees) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(GitError::io("list", worktrees))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(GitError::io("list", worktrees))?;
        let name = entry.file_name();
        let is_removed = rename_aside::is_aside(&name) || trash::is_discarded(&name);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_removed {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether `.git` in a folder is a file that leads to an entry of this repository, and there is none.
fn has_lost_its_entry(settings: &WorktreeSettings, folder: &Path) -> Result<bool, GitError> {
    let link = folder.join(".git");
    if !link.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(false);
    }
    let Ok(target) = gix::discover::path::from_gitdir_file(&link) else { return Ok(false) };
    let target = real(&target);
    let list = real(settings.repository.common_dir()).join("worktrees");
    let is_gone = matches!(target.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    // An entry of another name may know the folder, when it was repaired by hand.
    let is_ours = target.parent() == Some(&*list) && is_gone;
    Ok(is_ours && Entry::of(settings.repository.common_dir(), folder)?.is_none())
}

/// The branch that holds all of a folder, or the reason why none is known to.
fn inspect(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    folder: &Path,
) -> Result<Result<BranchName, String>, GitError> {
    if let Some(path) = mount_in(folder) {
        return Ok(Err(GitError::Mounted { path }.to_string()));
    }
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Ok(branch) = format!("{}{name}", settings.branch_prefix).parse::<BranchName>() else {
        return Ok(Err("no branch has its name".to_owned()));
    };
    let Some(tip) = branch::tip(repo, &branch)? else {
        return Ok(Err(format!("the branch {branch} does not exist")));
    };
    if !branch::was_made_here(repo, &branch)? {
        return Ok(Err(format!("it cannot be told whether {branch} was made for it")));
    }
    limits::check(repo, to_object(&settings.base), tip)?;
    let tree = repo.find_commit(tip)?.tree_id()?.detach();
    // What is in the folder is compared with the branch as if that were checked out there.
    let overrides = ["core.safecrlf=false", "core.sparseCheckout=false"];
    let mut there = settings.repository.opener.open_git_dir(settings.repository.common_dir(), &overrides)?;
    there.set_workdir(folder.to_owned())?;
    // Which of them were known when its run began, nobody knows any more.
    filters::withhold(&mut there, None)?;
    let index = there.index_from_tree(&tree)?;
    // Which run it was of is not known, and so neither which rules were there before.
    let rules = UserRules::now(&there, settings.repository.opener.sources)?.without_shared();
    let changes = unstaged(&there, &index, &rules, Extent::All)?;
    let hidden = &changes.hidden;
    let mut differing = changes.edited.keys().chain(&changes.untracked).chain(&changes.nested).peekable();
    let mut hidden = hidden.files.iter().chain(&hidden.nested).chain(&hidden.unseen).peekable();
    // A folder of a submodule is not looked into.
    let has_submodules = index.entries().iter().any(|entry| entry.mode == gix::index::entry::Mode::COMMIT);
    if differing.peek().is_none() && hidden.peek().is_none() && !has_submodules {
        let synced = durable::reference(settings, repo, None, full_name(&branch).as_ref(), tip);
        return Ok(synced.map(|()| branch).map_err(|error| error_chain(&error)));
    }
    if has_submodules {
        return Ok(Err("it has submodules".to_owned()));
    }
    let Paths { count, first } = Paths::of(differing.chain(hidden));
    let more = if count > first.len() as u64 { ", …" } else { "" };
    let plural = if count == 1 { "" } else { "s" };
    Ok(Err(format!("{count} file{plural} not as on {branch} ({}{more})", first.join(", "))))
}
