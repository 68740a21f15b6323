//! The work of tasks, as git shows and publishes it.

mod git;
mod objects;
mod pager;

use gadugi_core::run::{TaskRecord, WorktreeState};
use gadugi_core::{BranchName, CommitId};

use crate::failure::Failure;
use crate::site::{LoadedRun, Preview, PreviewRequest, PreviewSource, Site};

pub(crate) use self::git::{Git, GitEnd};
pub(crate) use self::objects::ScratchObjects;
pub(crate) use self::pager::Pager;

/// The work of a task since its base, over all attempts that continued from each other.
pub(crate) struct TaskWork {
    /// Branch of the attempt that has the work.
    pub(crate) branch: BranchName,
    /// Commit that the work started from.
    pub(crate) base: CommitId,
    /// The work itself.
    pub(crate) preview: Preview,
}

impl TaskWork {
    /// Finds the work of a task; `None` where no attempt has a branch.
    pub(crate) async fn find(
        site: &Site,
        task: &TaskRecord,
        objects: &ScratchObjects,
    ) -> Result<Option<Self>, Failure> {
        let in_worktree = task.with_branch().is_some_and(|attempt| attempt.worktree != WorktreeState::Released);
        Self::found(site, task, objects, in_worktree).await
    }

    /// The same, of what is on its branch only.
    pub(crate) async fn on_branch(
        site: &Site,
        task: &TaskRecord,
        objects: &ScratchObjects,
    ) -> Result<Option<Self>, Failure> {
        Self::found(site, task, objects, false).await
    }

    async fn found(
        site: &Site,
        task: &TaskRecord,
        objects: &ScratchObjects,
        in_worktree: bool,
    ) -> Result<Option<Self>, Failure> {
        let Some(attempt) = task.with_branch() else { return Ok(None) };
        let (Some(lease), Some(base)) = (&attempt.lease, task.base_of(attempt)) else { return Ok(None) };
        let Some(branch) = lease.branch.clone() else { return Ok(None) };
        let request = PreviewRequest {
            base: base.clone(),
            recorded: attempt.work.as_ref().and_then(|work| work.tip.clone()),
            in_worktree,
            objects: objects.folder().to_owned(),
        };
        let preview = site.preview(lease, request).await;
        let preview = preview.map_err(|failure| failure.about(&task.task.spec.id))?;
        Ok(Some(Self { branch, base: base.clone(), preview }))
    }

    /// Sentences on what is shown, and what is not.
    pub(crate) fn notes(&self) -> Vec<String> {
        let Preview { source, uncommitted, left_out, unsaved, .. } = &self.preview;
        let mut notes = Vec::new();
        if *uncommitted > 0 {
            let plural = if *uncommitted == 1 { "" } else { "s" };
            notes.push(format!("{uncommitted} file{plural} of it not committed yet"));
        }
        if *source == PreviewSource::RecordedTip {
            notes.push(format!("the branch {} is gone or another one; this is what the task left on it", self.branch));
        }
        if !left_out.is_empty() {
            notes.push(format!("left out, since they look like secrets: {}", left_out.join(", ")));
        }
        if !unsaved.is_empty() {
            let unsaved: Vec<String> = unsaved.iter().map(ToString::to_string).collect();
            notes.push(format!("left out, since git cannot store them: {}", unsaved.join(", ")));
        }
        notes
    }
}

/// The tasks of these names, once each, in this order; all tasks of the run where none is named.
pub(crate) fn named<'a>(run: &'a LoadedRun, names: &[String]) -> Result<Vec<&'a TaskRecord>, Failure> {
    if names.is_empty() {
        return Ok(run.record.tasks.iter().collect());
    }
    let mut found: Vec<&TaskRecord> = Vec::new();
    for name in names {
        let id = run.task(name)?;
        if let Some(task) = run.record.task(&id).filter(|_| !found.iter().any(|task| task.task.spec.id == id)) {
            found.push(task);
        }
    }
    Ok(found)
}
