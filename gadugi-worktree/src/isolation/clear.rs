//! Removing private git folders whose worktrees are gone, and the remains of crashes.

use gadugi_core::Lease;
use gix::hash::Kind;

use crate::error::GitError;
use crate::isolation::import::import;
use crate::isolation::layout::IsolationFolder;
use crate::isolation::refs;
use crate::isolation::untrusted_folder::Folder;
use crate::lease::admin_folder::Entry;
use crate::lease::marker::Marker;
use crate::repo::ObjectFormat;
use crate::settings::WorktreeSettings;

/// Removes half-made and half-removed folders, quarantines, and the private git folders of worktrees that are gone. Commits in
/// these are imported first; if that fails the folder stays, and the same import is not retried for a day. The repository's
/// lock need not be held, since an import may take long.
pub(crate) fn clear(settings: &WorktreeSettings) -> Result<(), GitError> {
    IsolationFolder::clear_half_made(settings)?;
    let all_isolated = IsolationFolder::all(settings)?;
    // Read after the folders: a worktree exists before its private folder is made.
    let markers: Vec<Marker> = Entry::all(settings.repository.common_dir())?.iter().filter_map(Entry::marker).collect();
    for (isolated, run, attempt) in all_isolated {
        // Whoever holds it sees to the rest.
        let Some(held) = isolated.try_lock()? else { continue };
        isolated.clear_quarantine()?;
        let note = Marker::read(isolated.folder());
        let (branch, base) = note.map(|note| (note.branch, note.start)).unzip();
        let lease = Lease { run, attempt, path: isolated.git_file(), branch, base };
        if markers.iter().any(|marker| marker.is_of(&lease)) {
            continue;
        }
        let state = state(settings, &isolated);
        if isolated.has_failed(&state) {
            continue;
        }
        let imported = match &lease.branch {
            Some(branch) => import(settings, &isolated, &lease, branch),
            None => Err(GitError::NoBranch),
        };
        match imported {
            // What continues no branch is kept by other references, and what nothing can keep is at least kept for a while.
            Ok(imported) if imported.left > 0 => drop(isolated.discard(settings, &lease, held)?),
            Ok(_) => isolated.remove(held)?,
            // A release of its attempt tells why.
            Err(_) => isolated.note_failure(&state)?,
        }
    }
    Ok(())
}

/// The ids that the references of a folder lead to; empty where they cannot be read.
fn state(settings: &WorktreeSettings, isolated: &IsolationFolder) -> String {
    let kind = match settings.repository.object_format() {
        ObjectFormat::Sha256 => Kind::Sha256,
        ObjectFormat::Sha1 => Kind::Sha1,
    };
    let found = Folder::open(&isolated.git()).and_then(|git| refs::read(&git, kind));
    found
        .map(|found| found.branches.values().chain(&found.stash).map(|id| format!("{id}\n")).collect())
        .unwrap_or_default()
}
