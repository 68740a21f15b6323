//! Copying into the worktrees of a batch, by several threads: first the folders of each, then files in shares, across
//! worktrees, and at last the permissions and times of new folders.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gadugi_core::crash_point;
use gadugi_core::worktrees::Seeded;
use gix::bstr::BString;

use super::SeedResult;
use super::file::{Copied, Target};
use super::filter::{Selection, select};
use super::list::{Item, List};
use super::reflink::Sharer;
use super::warnings::{Warning, Warnings};
use crate::error::GitError;
use crate::settings::WorktreeSettings;
use crate::threads::cancel::Awaited;
use crate::threads::parallel::side_by_side;

/// Number of files that a thread takes at a time.
const FILES_AT_ONCE: usize = 64;

/// A worktree that is being seeded.
struct SeedJob<'a> {
    awaited: &'a Awaited,
    target: Target,
    selections: Vec<Selection<'a>>,
    result: Mutex<Tally>,
}

/// The files that a thread takes at a time, of one folder.
struct Share<'s, 'a> {
    selection: &'s Selection<'a>,
    items: &'s [&'a Item],
}

#[derive(Default)]
struct Tally {
    seeded: Seeded,
    warnings: Warnings,
    /// Folders that are new in the worktree.
    made: BTreeSet<BString>,
    /// The error that ended it.
    error: Option<GitError>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies the matching files of the list into each of these worktrees.
pub(super) fn into_all(
    settings: &WorktreeSettings,
    list: &List,
    worktrees: &[&Path],
    awaited: &Awaited,
) -> Vec<SeedResult> {
    let prepare = |worktree| SeedJob::prepare(settings, list, worktree, awaited);
    let jobs: Vec<Result<SeedJob<'_>, GitError>> = side_by_side(worktrees.to_vec(), prepare);
    let shares: Vec<(&SeedJob<'_>, Share<'_, '_>)> = jobs.iter().flatten().flat_map(SeedJob::shares).collect();
    let sharer = Sharer::default();
    side_by_side(shares, |(job, share)| job.copy(list, &share, &sharer));
    jobs.into_iter().map(|job| job?.finish(list)).collect()
}

impl<'a> SeedJob<'a> {
    fn prepare(
        settings: &WorktreeSettings,
        list: &'a List,
        worktree: &Path,
        awaited: &'a Awaited,
    ) -> Result<Self, GitError> {
        awaited.check()?;
        let mut tally = Tally::default();
        let mut selections = select(settings, list, worktree, &mut tally.warnings)?;
        let target = Target::open(worktree)?;
        let mut blocked = Vec::new();
        for folder in &selections {
            if !target.make(folder.path, &mut tally.made)? {
                tally.warnings.note(Warning::InTheWay, folder.path.to_string());
                blocked.push(folder.path);
            }
        }
        selections.retain(|folder| !blocked.contains(&folder.path));
        Ok(Self { awaited, target, selections, result: Mutex::new(tally) })
    }

    fn shares(&self) -> impl Iterator<Item = (&Self, Share<'_, 'a>)> {
        self.selections
            .iter()
            .flat_map(move |selection| {
                selection.items.chunks(FILES_AT_ONCE).map(move |items| Share { selection, items })
            })
            .map(move |share| (self, share))
    }

    fn copy(&self, list: &List, share: &Share<'_, '_>, sharer: &Sharer) {
        if locked(&self.result).error.is_some() {
            return;
        }
        let mut tally = Tally::default();
        if let Err(error) = self.copy_items(list, share, sharer, &mut tally) {
            locked(&self.result).error.get_or_insert(error);
        }
        let mut result = locked(&self.result);
        result.seeded.files += tally.seeded.files;
        result.seeded.bytes += tally.seeded.bytes;
        result.warnings.add(tally.warnings);
    }

    fn copy_items(
        &self,
        list: &List,
        share: &Share<'_, '_>,
        sharer: &Sharer,
        tally: &mut Tally,
    ) -> Result<(), GitError> {
        let Share { selection, items } = share;
        let folder = self.target.folder(selection.path)?;
        let source = list.root.join(gix::path::from_bstr(selection.path)?);
        for item in *items {
            self.awaited.check()?;
            match folder.copy(&source.join(&item.name), item, sharer, self.awaited)? {
                Copied::Bytes(bytes) => {
                    tally.seeded.files += 1;
                    tally.seeded.bytes += bytes;
                }
                Copied::Unreadable => tally.warnings.note(Warning::Unreadable, shown(selection, item)),
                Copied::Special => tally.warnings.note(Warning::Special, shown(selection, item)),
                // What is there already, tracked or not, stays. What is gone by now was no loss to anybody.
                Copied::Not => {}
            }
            crash_point("worktree-file-seeded");
        }
        Ok(())
    }

    /// Gives new folders the permissions and times of their originals.
    fn finish(self, list: &List) -> SeedResult {
        let Tally { seeded, warnings, made, error } = self.result.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = error {
            return Err(error);
        }
        // Those below first: they may not be reached any more once those above are as they should be.
        for path in made.iter().rev() {
            if let Some(folder) = list.folders.get(path) {
                self.target.finish(path.as_ref(), folder)?;
            }
        }
        Ok(((seeded != Seeded::default()).then_some(seeded), warnings.into_messages()))
    }
}

fn shown(selection: &Selection<'_>, item: &Item) -> String {
    let name = item.name.to_string_lossy();
    if selection.path.is_empty() { name.into_owned() } else { format!("{}/{name}", selection.path) }
}
