//! The outcome of an attempt by the work that it has left.

use crate::plan::Changes;
use crate::run::{Failure, Outcome};
use crate::worktrees::Work;

/// The outcome of an attempt with this work, whose commands ended with `outcome`; `has_earlier` tells whether it continues the
/// work of an earlier attempt. A success whose work is not on its branch is none: tasks that need it would start without it.
pub(crate) fn judged_by_work(outcome: Outcome, work: &Work, has_earlier: bool, changes: Changes) -> Outcome {
    if !outcome.success() {
        return outcome;
    }
    if let Some(place) = work.missing() {
        return Outcome::Failed(Failure::Elsewhere(place.clone()));
    }
    if !work.conflict_markers.is_empty() {
        return Outcome::Failed(Failure::ConflictMarkers { files: work.conflict_markers.clone() });
    }
    let is_unchanged = work.commits == 0 && work.uncommitted == 0 && work.kept_refs.is_empty() && !has_earlier;
    match changes {
        _ if !is_unchanged => outcome,
        Changes::Required => Outcome::Failed(Failure::NothingChanged),
        Changes::Optional | Changes::Discarded => Outcome::Unchanged,
    }
}
