//! The commit that a new worktree starts from: the run's base, or what the needed tasks have made, merged.

use std::collections::BTreeSet;

use gadugi_core::{CommitId, TaskId, WorktreeError, WorktreeRequest};
use gix::ObjectId;
use gix::bstr::BStr;
use gix::merge::blob::builtin_driver::text::Labels;
use gix::merge::tree::{Conflict, TreatAsUnresolved};

use crate::error::GitError;
use crate::history::is_ancestor;
use crate::ids::to_object;

/// Why there is no commit to start from.
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

/// Finds or makes the commit to start from. An earlier attempt has merged what it needed. A merge is made in memory, one
/// needed branch after the other, and only its objects are written.
pub(crate) fn start(repo: &gix::Repository, base: &CommitId, request: &WorktreeRequest) -> Result<ObjectId, NoStart> {
    if let Some(from) = &request.from {
        return Ok(to_object(from));
    }
    let Some((first, others)) = request.needs.split_first() else { return Ok(to_object(base)) };
    let mut merged = vec![first.task.clone()];
    let mut tip = to_object(&first.tip);
    for need in others {
        merged.push(need.task.clone());
        let theirs = to_object(&need.tip);
        if is_ancestor(repo, theirs, tip)? {
            continue;
        }
        tip = if is_ancestor(repo, tip, theirs)? { theirs } else { merge(repo, tip, theirs, &merged, request)? };
    }
    Ok(tip)
}

fn merge(
    repo: &gix::Repository,
    ours: ObjectId,
    theirs: ObjectId,
    tasks: &[TaskId],
    request: &WorktreeRequest,
) -> Result<ObjectId, NoStart> {
    let (theirs_task, ours_tasks) = tasks.split_last().expect("cannot fail because two branches are merged");
    let ours_name = names(ours_tasks);
    let labels = Labels {
        ancestor: Some("base".into()),
        current: Some(BStr::new(&ours_name)),
        other: Some(theirs_task.as_str().into()),
    };
    let options = repo.tree_merge_options()?.into();
    let mut outcome = repo.merge_commits(ours, theirs, labels, options)?;
    let unresolved = TreatAsUnresolved::git();
    if outcome.tree_merge.has_unresolved_conflicts(unresolved) {
        let conflicts = outcome.tree_merge.conflicts.iter().filter(|conflict| conflict.is_unresolved(unresolved));
        let files: BTreeSet<String> = conflicts.map(file).collect();
        return Err(NoStart::Conflict { tasks: tasks.to_vec(), files: files.into_iter().collect() });
    }
    let tree = outcome.tree_merge.tree.write()?;
    let task = &request.attempt.task;
    let message =
        format!("gadugi: merge {} for {task}\n\nGadugi-Run: {}\nGadugi-Task: {task}\n", names(tasks), request.run);
    Ok(repo.new_commit(message, tree, [ours, theirs])?.id)
}

/// The path where both sides meet.
fn file(conflict: &Conflict) -> String {
    let (ours, _) = conflict.changes_in_resolution();
    ours.location().to_string()
}

fn names(tasks: &[TaskId]) -> String {
    match tasks.split_last() {
        Some((last, [])) => last.to_string(),
        Some((last, rest)) => {
            format!("{} and {last}", rest.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", "))
        }
        None => String::new(),
    }
}
