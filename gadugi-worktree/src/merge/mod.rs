//! Merges in memory: of two commits, and of every two branches of a run for a forecast.

pub(crate) mod forecast;
mod live;
mod paths;

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::bstr::BStr;
use gix::merge::blob::builtin_driver::text::Labels;
use gix::merge::tree::{Conflict, TreatAsUnresolved};

use crate::error::GitError;

/// Merges two commits in memory. Objects of the result are written where the repository writes objects. The names stand in
/// the conflict markers.
pub(crate) fn merge_commits<'a>(
    repo: &'a gix::Repository,
    (ours, ours_name): (ObjectId, &str),
    (theirs, theirs_name): (ObjectId, &str),
) -> Result<gix::merge::commit::Outcome<'a>, GitError> {
    let labels = Labels {
        ancestor: Some("base".into()),
        current: Some(BStr::new(ours_name)),
        other: Some(BStr::new(theirs_name)),
    };
    let options = repo.tree_merge_options()?.into();
    Ok(repo.merge_commits(ours, theirs, labels, options)?)
}

/// The files in which a merge is in conflict, sorted; none when it is clean.
pub(crate) fn files_in_conflict(outcome: &gix::merge::tree::Outcome<'_>) -> Vec<String> {
    let unresolved = TreatAsUnresolved::git();
    let conflicts = outcome.conflicts.iter().filter(|conflict| conflict.is_unresolved(unresolved));
    let files: BTreeSet<String> = conflicts.map(file).collect();
    files.into_iter().collect()
}

/// The path where both sides meet.
fn file(conflict: &Conflict) -> String {
    let (ours, _) = conflict.changes_in_resolution();
    ours.location().to_string()
}
