//! Between the ids of the domain and those of gix.

use gadugi_core::{BranchName, CommitId, TreeId};
use gix::ObjectId;
use gix::refs::FullName;

pub(crate) fn to_object(commit: &CommitId) -> ObjectId {
    ObjectId::from_hex(commit.as_str().as_bytes()).expect("cannot fail because a commit id has 40 or 64 hex digits")
}

pub(crate) fn to_commit(id: impl AsRef<gix::oid>) -> CommitId {
    id.as_ref().to_string().parse().expect("cannot fail because gix prints ids as 40 or 64 lower case hex digits")
}

pub(crate) fn to_tree(id: impl AsRef<gix::oid>) -> TreeId {
    id.as_ref().to_string().parse().expect("cannot fail because gix prints ids as 40 or 64 lower case hex digits")
}

pub(crate) fn full_name(branch: &BranchName) -> FullName {
    branch.full().try_into().expect("cannot fail because a branch name follows git's rules for references")
}
