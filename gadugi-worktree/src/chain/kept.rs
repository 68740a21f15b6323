//! The references that keep the commits of a merge from garbage collection.

use std::collections::BTreeSet;

use gadugi_core::MergeId;
use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::refs::FullName;

use crate::error::GitError;
use crate::repo::refs;

/// The folder of the references of all merges.
const FOLDER: &str = "refs/gadugi/merges/";

/// The folder of the references of a merge.
fn prefix(merge: &MergeId) -> String {
    format!("{FOLDER}{merge}/")
}

/// Keeps a commit. Its id is the name of the reference, so that nothing has to be counted, and repeating does no harm.
pub(super) fn keep(repo: &gix::Repository, merge: &MergeId, commit: ObjectId) -> Result<(), GitError> {
    let name = format!("{}{commit}", prefix(merge));
    let name: FullName = name.try_into().expect("cannot fail because ids of merges and commits make valid names");
    refs::set(repo, name.as_ref(), None, commit, "gadugi merge")?;
    Ok(())
}

/// The merges that have references.
pub(crate) fn merges(repo: &gix::Repository) -> Result<BTreeSet<MergeId>, GitError> {
    let mut merges = BTreeSet::new();
    for reference in repo.references()?.prefixed(FOLDER)? {
        let reference = reference?;
        let name = reference.name().as_bstr().to_str_lossy().into_owned();
        let merge = name.strip_prefix(FOLDER).and_then(|rest| rest.split('/').next());
        // What has another name is none of ours.
        merges.extend(merge.and_then(|merge| merge.parse().ok()));
    }
    Ok(merges)
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
