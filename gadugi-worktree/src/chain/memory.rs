//! Objects that stay in memory until it is known that they are needed.

use std::collections::HashSet;

use gix::ObjectId;
use gix::objs::{CommitRefIter, Kind, TreeRefIter};
use gix::prelude::Write;

use crate::error::GitError;
use crate::settings::WorktreeSettings;
use crate::threads::parallel::{side_by_side, threads};

/// The size of the cache of objects.
const OBJECT_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Opens the repository so that new objects stay in memory.
pub(super) fn open(settings: &WorktreeSettings) -> Result<gix::Repository, GitError> {
    let mut repo = settings.repository.open(&[])?.with_object_memory();
    repo.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
    Ok(repo)
}

/// Writes a commit and all that it needs of what is in memory, and forgets the rest. From then on objects are written at once.
pub(super) fn write(repo: &mut gix::Repository, tip: ObjectId) -> Result<(), GitError> {
    let memory = repo.objects.take_object_memory().unwrap_or_default();
    let hash = repo.object_hash();
    let mut needed = HashSet::new();
    let mut open = vec![tip];
    while let Some(id) = open.pop() {
        // What is not in memory is in the repository, with all that it needs.
        let Some((kind, data)) = memory.get(&id) else { continue };
        if !needed.insert(id) {
            continue;
        }
        match kind {
            Kind::Commit => {
                open.push(CommitRefIter::from_bytes(data, hash).tree_id().map_err(gix::Error::from_error)?);
                open.extend(CommitRefIter::from_bytes(data, hash).parent_ids());
            }
            Kind::Tree => {
                for entry in TreeRefIter::from_bytes(data, hash) {
                    open.push(entry.map_err(gix::Error::from_error)?.oid.to_owned());
                }
            }
            Kind::Blob | Kind::Tag => {}
        }
    }
    let objects: Vec<_> = needed.iter().map(|id| &memory[id]).collect();
    let portions: Vec<_> = objects.chunks(objects.len().div_ceil(threads()).max(1)).collect();
    let shared = repo.clone().into_sync();
    let written = side_by_side(portions, |objects| {
        let repo = shared.to_thread_local();
        for (kind, data) in objects {
            repo.objects.write_buf(*kind, data)?;
        }
        Ok(())
    });
    written.into_iter().collect()
}
