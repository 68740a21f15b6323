//! Copying into the worktrees of a batch, by several threads: first the folders of each, then files, a share at a time, from
//! whichever worktree they are for, and at last what folders that are new look like.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gadugi_core::{Seeded, crash_point};
use gix::bstr::BString;

use super::Sown;
use super::file::{Copied, Place};
use super::filter::{Fitting, fitting};
use super::list::{Item, List};
use super::reflink::Sharer;
use super::warnings::{Trouble, Troubles};
use crate::error::GitError;
use crate::settings::WorktreeSettings;
use crate::threads::cancel::Awaited;
use crate::threads::parallel::side_by_side;

/// How many files a thread takes at a time.
const SHARE: usize = 64;

/// One worktree while it is seeded.
struct Bed<'a> {
    awaited: &'a Awaited,
    place: Place,
    fitting: Vec<Fitting<'a>>,
    result: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    seeded: Seeded,
    troubles: Troubles,
    /// Folders that were not there before.
    made: BTreeSet<BString>,
    /// What ended it.
    error: Option<GitError>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies what fits of the list into each of these worktrees.
pub(super) fn into_all(settings: &WorktreeSettings, list: &List, worktrees: &[&Path], awaited: &Awaited) -> Vec<Sown> {
    let prepare = |worktree| Bed::prepare(settings, list, worktree, awaited);
    let beds: Vec<Result<Bed<'_>, GitError>> = side_by_side(worktrees.to_vec(), prepare);
    let shares: Vec<(&Bed<'_>, &Fitting<'_>, &[&Item])> = beds.iter().flatten().flat_map(Bed::shares).collect();
    let sharer = Sharer::default();
    side_by_side(shares, |(bed, fitting, items)| bed.copy(list, fitting, items, &sharer));
    beds.into_iter().map(|bed| bed?.finish(list)).collect()
}

impl<'a> Bed<'a> {
    fn prepare(
        settings: &WorktreeSettings,
        list: &'a List,
        worktree: &Path,
        awaited: &'a Awaited,
    ) -> Result<Self, GitError> {
        awaited.check()?;
        let mut tally = Tally::default();
        let mut fitting = fitting(settings, list, worktree, &mut tally.troubles)?;
        let place = Place::open(worktree)?;
        let mut blocked = Vec::new();
        for folder in &fitting {
            if !place.make(folder.path, &mut tally.made)? {
                tally.troubles.note(Trouble::InTheWay, folder.path.to_string());
                blocked.push(folder.path);
            }
        }
        fitting.retain(|folder| !blocked.contains(&folder.path));
        Ok(Self { awaited, place, fitting, result: Mutex::new(tally) })
    }

    fn shares(&self) -> impl Iterator<Item = (&Self, &Fitting<'a>, &[&'a Item])> {
        self.fitting
            .iter()
            .flat_map(move |fitting| fitting.items.chunks(SHARE).map(move |items| (self, fitting, items)))
    }

    fn copy(&self, list: &List, fitting: &Fitting<'_>, items: &[&Item], sharer: &Sharer) {
        if locked(&self.result).error.is_some() {
            return;
        }
        let mut tally = Tally::default();
        if let Err(error) = self.copy_items(list, fitting, items, sharer, &mut tally) {
            locked(&self.result).error.get_or_insert(error);
        }
        let mut result = locked(&self.result);
        result.seeded.files += tally.seeded.files;
        result.seeded.bytes += tally.seeded.bytes;
        result.troubles.add(tally.troubles);
    }

    fn copy_items(
        &self,
        list: &List,
        fitting: &Fitting<'_>,
        items: &[&Item],
        sharer: &Sharer,
        tally: &mut Tally,
    ) -> Result<(), GitError> {
        let folder = self.place.folder(fitting.path)?;
        let source = list.root.join(gix::path::from_bstr(fitting.path)?);
        for item in items {
            self.awaited.check()?;
            match folder.copy(&source.join(&item.name), item, sharer, self.awaited)? {
                Copied::Bytes(bytes) => {
                    tally.seeded.files += 1;
                    tally.seeded.bytes += bytes;
                }
                Copied::Unreadable => tally.troubles.note(Trouble::Unreadable, shown(fitting, item)),
                Copied::Special => tally.troubles.note(Trouble::Special, shown(fitting, item)),
                // What is there already, tracked or not, stays. What is gone by now was no loss to anybody.
                Copied::Not => {}
            }
            crash_point("worktree-file-seeded");
        }
        Ok(())
    }

    /// Gives the folders that are new the permissions and times of those that they were made after.
    fn finish(self, list: &List) -> Sown {
        let Tally { seeded, troubles, made, error } = self.result.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = error {
            return Err(error);
        }
        // Those below first: they may not be reached any more once those above are as they should be.
        for path in made.iter().rev() {
            if let Some(folder) = list.folders.get(path) {
                self.place.finish(path.as_ref(), folder)?;
            }
        }
        Ok(((seeded != Seeded::default()).then_some(seeded), troubles.into_messages()))
    }
}

fn shown(fitting: &Fitting<'_>, item: &Item) -> String {
    let name = item.name.to_string_lossy();
    if fitting.path.is_empty() { name.into_owned() } else { format!("{}/{name}", fitting.path) }
}
