//! The objects that a range of commits has added, and their files.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::ObjectId;
use gix::bstr::BString;
use gix::hash::oid;

use crate::error::GitError;

/// The folders of objects of a repository: its own, and those that it borrows from.
pub(super) fn folders(repo: &gix::Repository) -> Result<Vec<PathBuf>, GitError> {
    let store = repo.objects.store_ref();
    let mut folders = vec![store.path().to_owned()];
    folders.extend(store.alternate_db_paths()?);
    Ok(folders)
}

/// The file of an object that is not packed.
pub(super) fn loose(folder: &Path, id: &oid) -> PathBuf {
    let hex = id.to_hex().to_string();
    let (first, rest) = hex.split_at(2);
    folder.join(first).join(rest)
}

/// Whether an object lies in a file of its own that is not empty.
pub(super) fn is_loose(folder: &Path, id: &oid) -> bool {
    loose(folder, id).metadata().is_ok_and(|metadata| metadata.len() > 0)
}

/// The files of packs, and the folders that they lie in.
pub(super) fn packs(folders: &[PathBuf]) -> Result<Vec<PathBuf>, GitError> {
    let mut found = Vec::new();
    for folder in folders {
        let folder = folder.join("pack");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(GitError::io("list", &folder))?,
        };
        for entry in entries {
            let path = entry.map_err(GitError::io("list", &folder))?.path();
            if path.extension().is_some_and(|end| end == "pack" || end == "idx") {
                found.push(path);
            }
        }
        found.push(folder);
    }
    Ok(found)
}

/// Whether an object lies in a file of its own that was written not so long ago.
pub(super) fn is_younger(folders: &[PathBuf], id: &oid, age: Duration) -> bool {
    let written = |folder: &PathBuf| loose(folder, id).metadata().and_then(|metadata| metadata.modified()).ok();
    // A time that is yet to come is of a clock that was wrong.
    folders.iter().filter_map(written).any(|written| written.elapsed().is_ok_and(|elapsed| elapsed < age))
}

/// Whether the repository fetches objects on demand, so that some may be missing.
pub(super) fn may_be_missing(repo: &gix::Repository) -> bool {
    repo.config_snapshot().string("extensions.partialClone").is_some()
}

/// The commits that can be reached from `tip`, not from `hidden`, and only through commits for which `counts` holds, with the
/// objects that their trees have beyond those of their first parents.
pub(super) fn since(
    repo: &gix::Repository,
    tip: ObjectId,
    hidden: &[ObjectId],
    counts: impl Fn(&oid) -> bool + Send + Sync + Clone + 'static,
) -> Result<HashSet<ObjectId>, GitError> {
    let mut found = HashSet::new();
    if !counts(&tip) {
        return Ok(found);
    }
    let walk = repo.rev_walk([tip]).with_hidden(hidden.iter().copied()).selected(counts)?;
    for commit in walk {
        let commit = commit?;
        let tree = repo.find_commit(commit.id)?.tree_id()?.detach();
        // That of a shallow clone's last commit is not there.
        let parent = commit.parent_ids().next().and_then(|parent| repo.find_commit(parent).ok());
        let before = parent.map(|parent| parent.tree_id().map(gix::Id::detach)).transpose()?;
        found.insert(commit.id);
        new_in_tree(repo, before, tree, &mut found)?;
    }
    Ok(found)
}

/// A tree; `None` where it would have to be fetched.
fn find_tree(repo: &gix::Repository, id: ObjectId) -> Result<Option<gix::Tree<'_>>, GitError> {
    match repo.try_find_object(id)? {
        Some(object) => Ok(Some(object.try_into_tree().map_err(gix::Error::from_error)?)),
        None if may_be_missing(repo) => Ok(None),
        None => Err(GitError::ObjectMissing { id: id.to_string() }),
    }
}

/// Adds the objects that a tree has, at any depth, and another one has not at the same path. Known trees are not read again.
fn new_in_tree(
    repo: &gix::Repository,
    before: Option<ObjectId>,
    tree: ObjectId,
    found: &mut HashSet<ObjectId>,
) -> Result<(), GitError> {
    let mut waiting = vec![(before, tree)];
    while let Some((before, tree)) = waiting.pop() {
        if before == Some(tree) || !found.insert(tree) {
            continue;
        }
        let mut old: HashMap<BString, ObjectId> = HashMap::new();
        if let Some(before) = before.map(|before| find_tree(repo, before)).transpose()?.flatten() {
            for entry in before.iter() {
                let entry = entry?;
                old.insert(entry.filename().to_owned(), entry.object_id());
            }
        }
        let Some(tree) = find_tree(repo, tree)? else { continue };
        for entry in tree.iter() {
            let entry = entry?;
            let (id, before) = (entry.object_id(), old.get(entry.filename()).copied());
            if before == Some(id) || entry.mode().is_commit() {
                continue;
            }
            if entry.mode().is_tree() {
                let is_tree = |id: &ObjectId| repo.find_header(*id).is_ok_and(|header| header.kind().is_tree());
                waiting.push((before.filter(is_tree), id));
            } else {
                found.insert(id);
            }
        }
    }
    Ok(())
}
