//! The references that keep the commits of a merge from garbage collection.

use gadugi_core::MergeId;
use gix::ObjectId;
use gix::refs::FullName;

use crate::error::GitError;
use crate::repo::refs;

/// The folder of the references of a merge.
fn prefix(merge: &MergeId) -> String {
    format!("refs/gadugi/merges/{merge}/")
}

/// Keeps a commit. Its id is the name of the reference, so that nothing has to be counted, and repeating does no harm.
pub(super) fn keep(repo: &gix::Repository, merge: &MergeId, commit: ObjectId) -> Result<(), GitError> {
    let name = format!("{}{commit}", prefix(merge));
    let name: FullName = name.try_into().expect("cannot fail because ids of merges and commits make valid names");
    refs::set(repo, name.as_ref(), None, commit, "gadugi merge")?;
    Ok(())
}

/// Removes all references of a merge.
pub(crate) fn forget(repo: &gix::Repository, merge: &MergeId) -> Result<(), GitError> {
    let mut kept = Vec::new();
    for reference in repo.references()?.prefixed(&*prefix(merge))? {
        let reference = reference?;
        if let Some(id) = reference.target().try_id() {
            kept.push((reference.name().to_owned(), id.to_owned()));
        }
    }
    let kept: Vec<_> = kept.iter().map(|(name, id)| (name.as_ref(), *id)).collect();
    for gone in refs::delete_all(repo, &kept)? {
        gone?;
    }
    Ok(())
}
