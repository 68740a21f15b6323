//! The commit that a new worktree starts from: the base of the run or of the task, or the merged results of the needed tasks.

use gadugi_core::worktrees::{NeededTip, WorktreeError, WorktreeRequest};
use gadugi_core::{CommitId, TaskId};
use gix::ObjectId;

use crate::error::GitError;
use crate::history::is_ancestor;
use crate::merge::{files_in_conflict, merge_commits};
use crate::repo::ids::to_object;

/// The reason why there is no commit to start from.
pub(crate) enum NoStart {
    Conflict { tasks: Vec<TaskId>, files: Vec<String> },
    Failed(GitError),
}

impl From<GitError> for NoStart {
    fn from(error: GitError) -> Self {
        Self::Failed(error)
    }
}

impl From<gix::Error> for NoStart {
    fn from(error: gix::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl NoStart {
    pub(crate) fn into_error(self, otherwise: impl FnOnce(GitError) -> WorktreeError) -> WorktreeError {
        match self {
            Self::Conflict { tasks, files } => WorktreeError::Conflict { tasks, files },
            Self::Failed(error) => otherwise(error),
        }
    }
}

/// Finds or makes the commit to start from. A retry takes the commit of the attempt before. A merge is made in memory, one
/// needed branch after the other, beginning with the base of the task where it has one of its own; only its objects are written.
pub(crate) fn start(repo: &gix::Repository, base: &CommitId, request: &WorktreeRequest) -> Result<ObjectId, NoStart> {
    if let Some(from) = &request.from {
        return Ok(to_object(from));
    }
    // The tips of needs start from the base of their run. One that is asked for need not be that.
    let own_base = request.base.as_ref().map(|base| (0, to_object(base)));
    let first = || request.needs.first().map(|first| (1, to_object(&first.tip)));
    let Some((merged, mut tip)) = own_base.or_else(first) else { return Ok(to_object(base)) };
    for (merged, need) in (merged..).zip(&request.needs[merged..]) {
        let theirs = to_object(&need.tip);
        if is_ancestor(repo, theirs, tip)? {
            continue;
        }
        let merged = &request.needs[..merged];
        tip = if is_ancestor(repo, tip, theirs)? { theirs } else { merge(repo, tip, merged, need, request)? };
    }
    Ok(tip)
}

/// Merges the result of a needed task into a commit that has all of `merged`.
fn merge(
    repo: &gix::Repository,
    ours: ObjectId,
    merged: &[NeededTip],
    need: &NeededTip,
    request: &WorktreeRequest,
) -> Result<ObjectId, NoStart> {
    let theirs = to_object(&need.tip);
    let ours_named = if merged.is_empty() { "base".to_owned() } else { names(merged) };
    let mut outcome = merge_commits(repo, (ours, &ours_named), (theirs, need.task.as_str()))?;
    let files = files_in_conflict(&outcome.tree_merge);
    if !files.is_empty() {
        return Err(NoStart::Conflict { tasks: in_conflict(repo, merged, need)?, files });
    }
    let tree = outcome.tree_merge.tree.write()?;
    let (task, names) = (&request.attempt.task, names(&[merged, std::slice::from_ref(need)].concat()));
    let message = format!("gadugi: merge {names} for {task}\n\nGadugi-Run: {}\nGadugi-Task: {task}\n", request.run);
    Ok(repo.new_commit(message, tree, [ours, theirs])?.id)
}

/// The tasks whose branches do not merge: the last one, and the first of the others that conflicts with it; or all of them,
/// where only several together conflict.
fn in_conflict(repo: &gix::Repository, merged: &[NeededTip], need: &NeededTip) -> Result<Vec<TaskId>, GitError> {
    for other in merged {
        let (ours, theirs) = (to_object(&other.tip), to_object(&need.tip));
        let merged = merge_commits(repo, (ours, other.task.as_str()), (theirs, need.task.as_str()))?;
        if !files_in_conflict(&merged.tree_merge).is_empty() {
            return Ok(vec![other.task.clone(), need.task.clone()]);
        }
    }
    Ok(merged.iter().chain([need]).map(|need| need.task.clone()).collect())
}

fn names(needs: &[NeededTip]) -> String {
    match needs.split_last() {
        Some((last, [])) => last.task.to_string(),
        Some((last, rest)) => {
            let rest: Vec<_> = rest.iter().map(|need| need.task.as_str()).collect();
            format!("{} and {}", rest.join(", "), last.task)
        }
        None => String::new(),
    }
}
