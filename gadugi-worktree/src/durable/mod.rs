//! Syncing work to the disk before its only other copy is deleted.
//!
//! Neither git nor gix syncs the loose objects and references that it writes, and neither deletes the files that they were made
//! from. A release does. After a loss of power the deletion may be on disk and the objects not, so the commits of an attempt,
//! with all their objects, and the reference that leads to them are synced at the snapshot of the attempt, and again before its
//! worktree is removed where more has come since.

mod objects;
mod sync;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::CommitId;
use gix::ObjectId;
use gix::refs::{FullName, FullNameRef};

use crate::error::GitError;
use crate::files::paths::real;
use crate::lease::admin_folder::Entry;
use crate::repo::ids::to_object;
use crate::repo::refs;
use crate::settings::WorktreeSettings;

/// The age from which the kernel has written a file by itself: it does so after half a minute.
const SETTLED_AGE: Duration = Duration::from_secs(600);

/// Syncs the commits since the start of an attempt, and since the run's base, up to this one, with all their objects.
///
/// # Errors
/// [`GitError::ObjectMissing`] when some of it is not there, or is empty, and [`GitError::Io`] when it cannot be synced.
pub(crate) fn commit(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    start: Option<&CommitId>,
    tip: ObjectId,
) -> Result<(), GitError> {
    base_of_run(settings, repo)?;
    let hidden: Vec<ObjectId> = start.into_iter().chain([&settings.base]).map(to_object).collect();
    since(settings, repo, tip, &hidden)
}

/// As [`commit`], with the branch, or another reference, that leads to it.
pub(crate) fn reference(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    start: Option<&CommitId>,
    name: &FullNameRef,
    tip: ObjectId,
) -> Result<(), GitError> {
    commit(settings, repo, start, tip)?;
    if settings.repository.durable.lock().references.get(name.as_bstr()) == Some(&tip) {
        return Ok(());
    }
    references(repo, [name])?;
    settings.repository.durable.lock().references.insert(name.as_bstr().to_owned(), tip);
    Ok(())
}

/// Checks that the commits since the start of an attempt, up to this one, are still complete: they may have been pruned since
/// they were synced.
///
/// # Errors
/// As [`commit`].
pub(crate) fn check(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    start: Option<&CommitId>,
    tip: ObjectId,
) -> Result<(), GitError> {
    let hidden: Vec<ObjectId> = start.into_iter().chain([&settings.base]).map(to_object).collect();
    if hidden.contains(&tip) {
        return Ok(());
    }
    let folders = objects::folders(repo)?;
    let mut ids = objects::since(repo, tip, &hidden, |_| true)?;
    ids.retain(|id| !folders.iter().any(|folder| objects::is_loose(folder, id)));
    if ids.is_empty() { Ok(()) } else { packed(settings, ids) }
}

/// Syncs references, or the file of packed references, with their logs and folders.
pub(crate) fn references<'a>(
    repo: &gix::Repository,
    names: impl IntoIterator<Item = &'a FullNameRef>,
) -> Result<(), GitError> {
    sync::present(reference_paths(repo, names)?.into_iter().collect())
}

/// Syncs git's files of new worktrees: their entries, and the branches that were made for them at these commits.
pub(crate) fn entries(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    made: &[(Entry, FullName, ObjectId)],
) -> Result<(), GitError> {
    if made.is_empty() {
        return Ok(());
    }
    let mut paths = reference_paths(repo, made.iter().map(|(_, branch, _)| branch.as_ref()))?;
    for (entry, ..) in made {
        paths.extend(entry.files());
        paths.extend(entry.admin.ancestors().take(2).map(Path::to_owned));
    }
    sync::present(paths.into_iter().collect())?;
    let branches = made.iter().map(|(_, branch, start)| (branch.as_bstr().to_owned(), *start));
    settings.repository.durable.lock().references.extend(branches);
    Ok(())
}

fn reference_paths<'a>(
    repo: &gix::Repository,
    names: impl IntoIterator<Item = &'a FullNameRef>,
) -> Result<BTreeSet<PathBuf>, GitError> {
    let common_dir = real(repo.common_dir());
    let mut paths = BTreeSet::new();
    for name in names {
        let (path, log) = (refs::path(repo, name)?, refs::log(repo, name)?);
        // Those above it may be new too, up to the one that every repository has.
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != common_dir);
        paths.extend(folders.chain(log.parent()).map(Path::to_owned));
        paths.insert(if path.is_file() { path } else { common_dir.join("packed-refs") });
        paths.insert(log);
    }
    Ok(paths)
}

/// Syncs the file system of a work tree.
pub(crate) fn work_tree(folder: &Path) -> Result<(), GitError> {
    sync::file_system(folder)
}

/// Syncs all file systems of a repository.
pub(crate) fn everything(settings: &WorktreeSettings) -> Result<(), GitError> {
    let repo = settings.repository.open(&[])?;
    let folders = objects::folders(&repo)?.into_iter().chain([real(repo.common_dir())]);
    folders.into_iter().try_for_each(|folder| sync::file_system(&folder))
}

/// Syncs the run's base where the user has committed it a moment ago: git has not.
fn base_of_run(settings: &WorktreeSettings, repo: &gix::Repository) -> Result<(), GitError> {
    let base = to_object(&settings.base);
    let known = &settings.repository.durable;
    if known.has(&base) {
        return Ok(());
    }
    let folders = objects::folders(repo)?;
    let young = objects::since(repo, base, &[], move |commit| objects::is_younger(&folders, commit, SETTLED_AGE));
    match young.and_then(|young| sync_objects(settings, repo, young)) {
        // What the user's own commits lack is for those to tell of who need it.
        Ok(()) | Err(GitError::ObjectMissing { .. }) => {
            known.lock().commits.insert(base);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn since(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    tip: ObjectId,
    hidden: &[ObjectId],
) -> Result<(), GitError> {
    let known = &settings.repository.durable;
    if known.has(&tip) || hidden.contains(&tip) {
        return Ok(());
    }
    let filter = std::sync::Arc::clone(known);
    let new = objects::since(repo, tip, hidden, move |commit| !filter.has(commit))?;
    sync_objects(settings, repo, new)?;
    known.lock().commits.insert(tip);
    Ok(())
}

/// Syncs objects, and checks that they exist.
fn sync_objects(settings: &WorktreeSettings, repo: &gix::Repository, ids: HashSet<ObjectId>) -> Result<(), GitError> {
    if ids.is_empty() {
        return Ok(());
    }
    let folders = objects::folders(repo)?;
    let not_loose = sync::loose(&folders, ids.into_iter().collect())?;
    if not_loose.is_empty() {
        return Ok(());
    }
    packed(settings, not_loose)?;
    let mut packs = objects::packs(&folders)?;
    packs.retain(|path| !settings.repository.durable.lock().packs.contains(path));
    sync::present(packs.clone())?;
    settings.repository.durable.lock().packs.extend(packs.into_iter().filter(|path| path.is_file()));
    Ok(())
}

/// Checks that objects are in packs, or would be fetched.
fn packed(settings: &WorktreeSettings, ids: impl IntoIterator<Item = ObjectId>) -> Result<(), GitError> {
    // Opened anew, since a pack that is known elsewhere may be gone.
    let repo = settings.repository.open(&[])?;
    for id in ids {
        if repo.find_header(id).is_err() && !objects::may_be_missing(&repo) {
            return Err(GitError::ObjectMissing { id: id.to_string() });
        }
    }
    Ok(())
}
