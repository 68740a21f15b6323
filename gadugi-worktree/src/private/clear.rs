//! Clearing away private git folders that nobody needs any more, and what crashes have left of others.

use gadugi_core::Lease;

use crate::entry::Entry;
use crate::error::GitError;
use crate::marker::Marker;
use crate::private::place::Place;
use crate::private::take_over::take_over;
use crate::worktrees::WorktreeSettings;

/// Removes what was half made or half removed, quarantines, and the private git folders of worktrees that are gone. What was
/// committed in these is imported first; if that fails they stay. The caller holds the repository's lock.
pub(crate) fn clear(settings: &WorktreeSettings) -> Result<(), GitError> {
    Place::clear_half_made(settings)?;
    let markers: Vec<Marker> = Entry::all(settings.repository.common_dir())?.iter().filter_map(Entry::marker).collect();
    let mut failure = None;
    for (place, run, attempt) in Place::all(settings)? {
        // Whoever holds it sees to the rest.
        let Some(held) = place.try_lock()? else { continue };
        place.clear_quarantine()?;
        let note = Marker::read(place.folder());
        let (branch, base) = note.map(|note| (note.branch, note.start)).unzip();
        let lease = Lease { run, attempt, path: place.git_file(), branch, base };
        if markers.iter().any(|marker| marker.is_of(&lease)) {
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
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}
