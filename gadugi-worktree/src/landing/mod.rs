//! Landing: moving a branch to a new commit, with the files and the index of the work trees that have it checked out.
//!
//! - `checkouts` finds these work trees, and says why one cannot follow.
//! - `follow` lets the files of one follow, by `git read-tree -m -u` with an index apart, while the index itself is locked.
//! - `settle` brings files that are between the two commits to one of them, and leaves what the user has changed meanwhile.
//! - `steps` are those of a landing, and `recover` finishes or undoes one that was cut short, by the `record` of it.
//! - `process` does it in a process of its own, which a Ctrl-C and the end of this process do not reach.
//!
//! Git's hooks are not run: neither `post-merge` nor `reference-transaction`.

mod checkouts;
mod follow;
mod git;
mod plan;
mod process;
mod record;
mod recover;
mod settle;
mod steps;

use gadugi_core::merge::{LandRequest, Landing, Target};
use gadugi_core::{BranchName, MergeId};

pub use self::process::land_ordered;
pub(crate) use self::recover::{forget, recorded, recover};

use self::record::{Order, Outcome, Place};
use crate::error::GitError;
use crate::repo::branch;
use crate::repo::ids::{to_commit, to_object, to_tree};
use crate::settings::WorktreeSettings;

/// The branch as it is now.
pub(crate) fn target(settings: &WorktreeSettings, branch: &BranchName) -> Result<Option<Target>, GitError> {
    let repo = settings.repository.open(&[])?;
    let Some(tip) = branch::tip(&repo, branch)? else { return Ok(None) };
    let tree = repo.find_commit(tip)?.tree_id()?;
    let checkouts = checkouts::of_branch(&settings.repository, branch)?;
    let worktrees = checkouts.into_iter().map(|checkout| checkout.folder).collect();
    Ok(Some(Target { branch: branch.clone(), tip: to_commit(tip), tree: to_tree(tree), worktrees }))
}

/// Lands the result of a merge. The work goes on in a process of its own where there is a program for it and files have to
/// follow.
pub(crate) fn land(settings: &WorktreeSettings, request: &LandRequest) -> Result<Landing, GitError> {
    let place = Place::of(&settings.state, &request.merge);
    // What an earlier landing of this merge has begun is finished or undone first.
    if place.has_order() {
        recover(&settings.repository, &settings.state, &request.merge)?;
        place.remove()?;
    }
    {
        let repo = settings.repository.open(&[])?;
        let start = request.old.as_ref();
        // A branch that led to a commit which a loss of power took would be of no use.
        crate::durable::commit(settings, &repo, start, to_object(&request.new))?;
    }
    let order = Order {
        branch: request.branch.clone(),
        old: request.old.as_ref().map(to_object),
        new: to_object(&request.new),
    };
    place.write_order(&order)?;
    let needs_files = !checkouts::of_branch(&settings.repository, &request.branch)?.is_empty();
    let end = match &settings.landing_program {
        Some(program) if needs_files => process::land(settings, program, &request.merge, &place),
        _ => steps::land(&settings.repository, &settings.state, &request.merge).and_then(Outcome::into_landing),
    };
    if !matches!(end, Ok(Landing::Landed { .. })) && !is_unfinished(settings, &request.merge) {
        // Nothing was changed, so that nothing has to be remembered.
        place.remove()?;
    }
    end
}

/// Whether a landing of a merge has been begun, and neither finished nor undone.
pub(crate) fn is_unfinished(settings: &WorktreeSettings, merge: &MergeId) -> bool {
    let place = Place::of(&settings.state, merge);
    place.is_acting() && !matches!(place.read_result(), Ok(Some(_)))
}

/// The branch that a merge lands on, as its record says.
pub(crate) fn branch_of(settings: &WorktreeSettings, merge: &MergeId) -> Option<BranchName> {
    Some(Place::of(&settings.state, merge).read_order().ok()??.branch)
}

/// The reflog message of a landing.
fn log_message(merge: &MergeId) -> String {
    format!("gadugi merge {merge}")
}
