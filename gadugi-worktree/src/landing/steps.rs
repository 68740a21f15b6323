//! The steps of a landing.
//!
//! 1. All work trees that have the branch checked out get their index locked, and are found fit to follow.
//! 2. What is about to change is recorded.
//! 3. Files follow, with an index apart.
//! 4. The branch is moved, by compare-and-swap. Is it elsewhere, the files go back.
//! 5. The index apart is put in the place of the index.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use gadugi_core::{MergeId, crash_point, error_chain};
use tracing::{debug, warn};

use super::checkouts::{self, Checkout};
use super::follow::{Follower, Landing, Refusal};
use super::log_message;
use super::plan::Commits;
use super::record::{Order, Outcome, Place};
use crate::durable;
use crate::error::GitError;
use crate::files::ordinary;
use crate::history::is_ancestor;
use crate::repo::ids::full_name;
use crate::repo::{Repository, branch, refs};

/// Takes the lock of landings of a repository. One at a time is under way. Blocks.
pub(super) fn lock(state: &Path) -> Result<File, GitError> {
    fs::create_dir_all(state).map_err(GitError::io("create", state))?;
    let path = state.join("landing");
    let file = ordinary::open(&path, File::options().create(true).truncate(false).read(true).write(true));
    let file = file.map_err(GitError::io("open", &path))?;
    file.lock().map_err(GitError::io("lock", &path))?;
    Ok(file)
}

/// Does what an order asks for, and records how it has ended.
///
/// # Errors
/// [`GitError`] when the landing is unfinished: its record stays.
pub(super) fn land(repository: &Repository, state: &Path, merge: &MergeId) -> Result<Outcome, GitError> {
    let lock = lock(state)?;
    let place = Place::of(state, merge);
    if let Some(outcome) = place.read_result()? {
        return Ok(outcome);
    }
    let called_off = || GitError::LandingFailed { message: "it was called off".to_owned(), is_no_room: false };
    let order = place.read_order()?.ok_or_else(called_off)?;
    let outcome = match land_locked(repository, &place, &order, merge, lock) {
        Ok(outcome) => outcome,
        Err(error) if place.is_acting() => return Err(error),
        Err(error) => Outcome::Failed { message: error_chain(&error), is_no_room: error.is_no_room() },
    };
    place.write_result(&outcome)?;
    crash_point("landing-ended");
    debug!(%merge, ?outcome, "landing ended");
    Ok(outcome)
}

fn land_locked(
    repository: &Repository,
    place: &Place,
    order: &Order,
    merge: &MergeId,
    lock: File,
) -> Result<Outcome, GitError> {
    let repo = repository.open(&[])?;
    let log_message = log_message(merge);
    let branch = &order.branch;
    let Some(old) = order.old else {
        let is_made = refs::set(&repo, full_name(branch).as_ref(), None, order.new, &log_message)?;
        crash_point("landing-branch-moved");
        return Ok(match is_made {
            true => Outcome::Landed { followed: Vec::new() },
            false => Outcome::Moved { now: branch::tip(&repo, branch)? },
        });
    };
    if !is_ancestor(&repo, old, order.new)? {
        return Err(GitError::NotADescendant { old: old.to_string(), new: order.new.to_string() });
    }
    let commits = Commits { old, new: order.new };
    let (place, branch) = (place.clone(), branch.clone());
    let landing = Landing { repository, repo, place, branch, commits, log_message, lock };
    let now = landing.tip()?;
    if now != Some(old) {
        return Ok(Outcome::Moved { now });
    }
    let all = checkouts::all(repository)?;
    for checkout in &all {
        if let Some(reason) = checkout.obstacle(&landing.branch) {
            return Ok(Outcome::Blocked { worktree: checkout.folder.clone(), reason, files: Vec::new() });
        }
    }
    let mut followers = Vec::new();
    for checkout in all.iter().filter(|checkout| checkout.is_on(&landing.branch)) {
        match Follower::prepare(&landing, followers.len(), checkout)? {
            Ok(follower) => followers.push(follower),
            Err(refusal) => return Ok(refusal.into()),
        }
    }
    crash_point("landing-prepared");
    landing.follow(&followers)
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        let Refusal { worktree, reason, files } = refusal;
        Self::Blocked { worktree, reason, files }
    }
}

impl Landing<'_> {
    fn follow(&self, followers: &[Follower]) -> Result<Outcome, GitError> {
        self.record(followers.iter())?;
        crash_point("landing-recorded");
        for (number, follower) in followers.iter().enumerate() {
            match follower.update(self) {
                Ok(Ok(())) => crash_point("landing-files-updated"),
                Ok(Err(refusal)) => {
                    self.undo(&followers[..number])?;
                    return Ok(refusal.into());
                }
                Err(error) => {
                    self.undo(&followers[..=number])?;
                    return Err(error);
                }
            }
        }
        if let Some(outcome) = self.move_branch(followers)? {
            return Ok(outcome);
        }
        crash_point("landing-branch-moved");
        let mut followed = Vec::new();
        for follower in followers {
            if follower.finish(self)? {
                followed.push(follower.checkout.folder.clone());
            }
        }
        followed.extend(self.follow_late(followers)?);
        self.sync(&followed);
        Ok(Outcome::Landed { followed })
    }

    /// Moves the branch. Otherwise the files go back, and the answer is why.
    fn move_branch(&self, followers: &[Follower]) -> Result<Option<Outcome>, GitError> {
        let name = full_name(&self.branch);
        match refs::set(&self.repo, name.as_ref(), Some(self.commits.old), self.commits.new, &self.log_message) {
            Ok(true) => Ok(None),
            Ok(false) => {
                self.undo(followers)?;
                let now = self.tip()?;
                match now == Some(self.commits.old) {
                    true => Err(GitError::SymbolicBranch { branch: self.branch.clone() }),
                    false => Ok(Some(Outcome::Moved { now })),
                }
            }
            Err(error) => {
                self.undo(followers)?;
                Err(error)
            }
        }
    }

    /// Syncs the branch and the files to the disk. The landing is done all the same where that fails.
    fn sync(&self, followed: &[PathBuf]) {
        let branch = durable::references(&self.repo, [full_name(&self.branch).as_ref()]);
        let files = followed.iter().try_for_each(|folder| durable::work_tree(folder));
        if let Err(error) = branch.and(files) {
            warn!(branch = %self.branch, error = %error_chain(&error), "what has landed could not be synced");
        }
    }

    /// Lets work trees follow that have come to the branch just when it was moved.
    fn follow_late(&self, followers: &[Follower]) -> Result<Vec<PathBuf>, GitError> {
        let is_known = |checkout: &Checkout| followers.iter().any(|follower| follower.checkout == *checkout);
        let mut followed = Vec::new();
        let late = checkouts::of_branch(self.repository, &self.branch)?;
        for (number, checkout) in late.iter().filter(|checkout| !is_known(checkout)).enumerate() {
            // One that was on its way to the new commit has it all already, and nothing changes there.
            let prepared = Follower::prepare(self, followers.len() + number, checkout)?;
            let Ok(follower) = prepared else { continue };
            self.record(followers.iter().chain([&follower]))?;
            match follower.update(self) {
                Ok(Ok(())) if follower.finish(self)? => followed.push(checkout.folder.clone()),
                Ok(_) => {}
                Err(error) => {
                    follower.undo(self)?;
                    return Err(error);
                }
            }
        }
        Ok(followed)
    }

    fn record<'f>(&self, followers: impl Iterator<Item = &'f Follower>) -> Result<(), GitError> {
        let all: Vec<_> = followers.map(Follower::acting).collect();
        if all.is_empty() { Ok(()) } else { self.place.write_acting(&all) }
    }

    /// Undoes what the files of some work trees have followed already.
    fn undo(&self, followers: &[Follower]) -> Result<(), GitError> {
        followers.iter().try_for_each(|follower| follower.undo(self))?;
        crash_point("landing-undone");
        self.place.remove_acting()
    }
}
