//! What a task has begun in its private git folder and not finished, told by names alone.

use gadugi_core::Lease;

use crate::isolation::layout::Place;
use crate::isolation::untrusted_folder::Folder;
use crate::settings::WorktreeSettings;

/// Names that git gives to what an operation of several steps needs, and what the operation is called.
const OPERATIONS: [(&str, &str); 7] = [
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("BISECT_LOG", "a bisect"),
    ("sequencer", "a cherry-pick or revert"),
];

/// What git was told to do in several steps in the private git folder of a lease and has not finished. One that cannot be
/// looked at cannot be imported either, which says more.
pub(crate) fn operation(settings: &WorktreeSettings, lease: &Lease) -> Option<&'static str> {
    let git = Folder::open(&Place::of(settings, lease).git()).ok()?;
    OPERATIONS.into_iter().find(|(name, _)| matches!(git.kind(name), Ok(Some(_)))).map(|(_, operation)| operation)
}

/// Whether the repositories of submodules lie there, which are not imported.
pub(crate) fn has_modules(settings: &WorktreeSettings, lease: &Lease) -> bool {
    let git = Folder::open(&Place::of(settings, lease).git());
    git.is_ok_and(|git| matches!(git.kind("modules"), Ok(Some(_))))
}
