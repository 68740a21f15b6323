//! Finishing or undoing a landing that was cut short.
//!
//! Has the branch moved, it is finished; otherwise it is undone. A work tree whose index is neither the one before nor the one
//! that was to follow is left to the user: somebody has removed the lock there and gone on.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use gadugi_core::MergeId;
use gadugi_core::merge::RecoveredLanding;
use gix::bstr::BString;
use tracing::debug;

use super::checkouts::Checkout;
use super::follow::{Landing, hash, read_index};
use super::git::failed;
use super::plan::Commits;
use super::record::{Acting, Order, Outcome, Place};
use super::settle::{Side, Unsettled};
use super::{log_message, steps};
use crate::durable;
use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;
use crate::history::is_ancestor;
use crate::repo::ids::to_commit;
use crate::repo::{Repository, branch, lock_file};

/// Waits for a landing that goes on, finishes or undoes one that was cut short, and says how it has ended; `None` where nothing
/// has changed.
pub(crate) fn recover(
    repository: &Repository,
    state: &Path,
    merge: &MergeId,
) -> Result<Option<RecoveredLanding>, GitError> {
    let place = Place::of(state, merge);
    if !place.has_order() {
        return Ok(None);
    }
    let lock = steps::lock(state)?;
    let Some(order) = place.read_order()? else { return Ok(None) };
    let recovered = match place.read_result()? {
        Some(Outcome::Landed { followed }) => Some(answer(&order, true, followed)),
        Some(_) => None,
        None => finish_or_undo(repository, &place, &order, merge, lock)?,
    };
    // Only now: the lock of an index keeps others from it until its files are settled.
    lock_file::sweep(&real(repository.common_dir()))?;
    Ok(recovered)
}

fn answer(order: &Order, landed: bool, followed: Vec<PathBuf>) -> RecoveredLanding {
    RecoveredLanding { branch: order.branch.clone(), new: to_commit(order.new), landed, followed }
}

fn finish_or_undo(
    repository: &Repository,
    place: &Place,
    order: &Order,
    merge: &MergeId,
    lock: File,
) -> Result<Option<RecoveredLanding>, GitError> {
    let repo = repository.open(&[])?;
    let landed = match branch::tip(&repo, &order.branch)? {
        Some(tip) => is_ancestor(&repo, order.new, tip)?,
        None => false,
    };
    let acting = place.read_acting()?.unwrap_or_default();
    // A branch that did not exist has no files that follow.
    let commits = Commits { old: order.old.unwrap_or(order.new), new: order.new };
    let (branch, log_message) = (order.branch.clone(), log_message(merge));
    let landing = Landing { repository, repo, place: place.clone(), branch, commits, log_message, lock };
    let mut followed = Vec::new();
    for (number, one) in acting.iter().enumerate() {
        if recover_work_tree(&landing, number, one, landed)? {
            durable::work_tree(&one.folder)?;
            followed.push(one.folder.clone());
        }
    }
    debug!(branch = %order.branch, landed, work_trees = acting.len(), "landing recovered");
    if landed {
        place.write_result(&Outcome::Landed { followed: followed.clone() })?;
        return Ok(Some(answer(order, true, followed)));
    }
    place.remove()?;
    Ok((!acting.is_empty()).then(|| answer(order, false, Vec::new())))
}

/// Finishes or undoes what was begun in one work tree. Returns whether it has followed.
fn recover_work_tree(landing: &Landing<'_>, number: usize, one: &Acting, landed: bool) -> Result<bool, GitError> {
    let checkout = Checkout { folder: one.folder.clone(), git_dir: one.git_dir.clone() };
    if !checkout.folder.is_dir() || !checkout.is_on(&landing.branch) {
        return Ok(false);
    }
    let lock = landing.lock_index(&checkout)?.map_err(|lock| GitError::IndexLocked { lock })?;
    let mut changes = landing.commits.differences(&landing.repo)?;
    changes.retain(|change| !one.kept.contains(&change.path));
    let index = checkout.git_dir.join("index");
    let content = read_index(&checkout.git_dir)?;
    let apart = landing.place.index(number);
    let is_before = hash(&content)? == one.index;
    let settle = |index: &Path, side, missing: &[BString]| {
        let git = landing.git(&checkout, index);
        Unsettled { git: &git, place: &landing.place, changes: &changes }.settle(side, missing)
    };
    if is_before && !landed {
        settle(&index, Side::Before, &one.missing)?;
        return Ok(false);
    }
    if is_before {
        ordinary::write(&apart, &content).map_err(GitError::io("write", &apart))?;
        let git = landing.git(&checkout, &apart);
        let (old, new) = (landing.commits.old.to_string(), landing.commits.new.to_string());
        let args = ["read-tree", "-m", "-i", &old, &new];
        let ended = git.change(&args, &[])?;
        if !ended.status.success() {
            return Err(failed(&args, ended.status, ended.stderr));
        }
        settle(&apart, Side::After, &[])?;
        git.refresh()?;
        landing.log_head(&checkout)?;
        lock.replace(&ordinary::read(&apart).map_err(GitError::io("read", &apart))?)?;
        return Ok(true);
    }
    // The last step may have been done, and a loss of power may have taken files that were not on the disk yet.
    let is_after = landed && ordinary::read(&apart).is_ok_and(|apart| apart == content);
    if is_after {
        settle(&apart, Side::After, &[])?;
    }
    Ok(is_after)
}

/// The merges that have a record of a landing.
pub(crate) fn recorded(state: &Path) -> Result<BTreeSet<MergeId>, GitError> {
    let folder = state.join("landings");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other.map_err(GitError::io("list", &folder))?,
    };
    let mut merges = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(GitError::io("list", &folder))?.file_name();
        merges.extend(name.to_str().and_then(|name| name.parse().ok()));
    }
    Ok(merges)
}

/// Removes the record of a landing of a merge that is over.
pub(crate) fn forget(repository: &Repository, state: &Path, merge: &MergeId) -> Result<(), GitError> {
    let place = Place::of(state, merge);
    if place.has_order() {
        let _lock = steps::lock(state)?;
        // What is unfinished is not to be forgotten.
        if place.is_acting() && place.read_result()?.is_none() {
            return Ok(());
        }
        place.remove()?;
    }
    lock_file::sweep(&real(repository.common_dir()))
}
