//! Clearing away private git folders that nobody needs any more, and what crashes have left of others.

use gadugi_core::Lease;
use gix::hash::Kind;

use crate::error::GitError;
use crate::isolation::import::take_over;
use crate::isolation::layout::Place;
use crate::isolation::refs;
use crate::isolation::untrusted_folder::Folder;
use crate::lease::admin_folder::Entry;
use crate::lease::marker::Marker;
use crate::repo::ObjectFormat;
use crate::settings::WorktreeSettings;

/// Removes what was half made or half removed, quarantines, and the private git folders of worktrees that are gone. What was
/// committed in these is imported first; if that fails they stay, and the same is not tried again for a day. The repository's
/// lock need not be held, since an import may take long.
pub(crate) fn clear(settings: &WorktreeSettings) -> Result<(), GitError> {
    Place::clear_half_made(settings)?;
    let places = Place::all(settings)?;
    // Looked at after the places: a worktree is there before its place is made.
    let markers: Vec<Marker> = Entry::all(settings.repository.common_dir())?.iter().filter_map(Entry::marker).collect();
    for (place, run, attempt) in places {
        // Whoever holds it sees to the rest.
        let Some(held) = place.try_lock()? else { continue };
        place.clear_quarantine()?;
        let note = Marker::read(place.folder());
        let (branch, base) = note.map(|note| (note.branch, note.start)).unzip();
        let lease = Lease { run, attempt, path: place.git_file(), branch, base };
        if markers.iter().any(|marker| marker.is_of(&lease)) {
            continue;
        }
        let state = state(settings, &place);
        if place.has_failed(&state) {
            continue;
        }
        let imported = match &lease.branch {
            Some(branch) => take_over(settings, &place, &lease, branch),
            None => Err(GitError::NoBranch),
        };
        match imported {
            // What continues no branch is kept by other references, and what nothing can keep is at least kept for a while.
            Ok(imported) if imported.left > 0 => drop(place.discard(settings, &lease, held)?),
            Ok(_) => place.remove(held)?,
            // A release of its attempt tells why.
            Err(_) => place.note_failure(&state)?,
        }
    }
    Ok(())
}

/// What the references of a place lead to; nothing where they cannot be read.
fn state(settings: &WorktreeSettings, place: &Place) -> String {
    let kind = match settings.repository.object_format() {
        ObjectFormat::Sha256 => Kind::Sha256,
        ObjectFormat::Sha1 => Kind::Sha1,
    };
    let found = Folder::open(&place.git()).and_then(|git| refs::read(&git, kind));
    found
        .map(|found| found.branches.values().chain(&found.stash).map(|id| format!("{id}\n")).collect())
        .unwrap_or_default()
}
