//! Operations of git that are unfinished in a private git folder, recognised by file names alone.

use gadugi_core::Lease;

use crate::isolation::layout::IsolationFolder;
use crate::isolation::untrusted_folder::Folder;
use crate::settings::WorktreeSettings;

/// File names of git's operations, and the operations.
pub(crate) const OPERATIONS: [(&str, &str); 7] = [
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("BISECT_LOG", "a bisect"),
    ("sequencer", "a cherry-pick or revert"),
];

/// The operation of git that is unfinished in the private git folder of a lease. A folder that cannot be read cannot be
/// imported either, and that error says more.
pub(crate) fn operation(settings: &WorktreeSettings, lease: &Lease) -> Option<&'static str> {
    let git = Folder::open(&IsolationFolder::of(settings, lease).git()).ok()?;
    OPERATIONS.into_iter().find(|(name, _)| matches!(git.kind(name), Ok(Some(_)))).map(|(_, operation)| operation)
}

/// Whether the private git folder has repositories of submodules, which are not imported.
pub(crate) fn has_modules(settings: &WorktreeSettings, lease: &Lease) -> bool {
    let git = Folder::open(&IsolationFolder::of(settings, lease).git());
    git.is_ok_and(|git| matches!(git.kind("modules"), Ok(Some(_))))
}
