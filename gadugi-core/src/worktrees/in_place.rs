//! Attempts that share one folder and have no worktrees.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::worktrees::Worktrees;
use crate::worktrees::error::WorktreeError;
use crate::worktrees::lease::{CreatedWorktree, Lease, WorktreeRequest};
use crate::worktrees::release::{BranchRelease, KeepReason, Pruned, Release, ReleaseRequest, WorktreeFate};
use crate::worktrees::work::{SnapshotRequest, Work};

/// Worktrees that are all the same folder, which is neither made nor removed. For embedders whose tasks need no
/// isolation from one another.
#[derive(Debug, Clone)]
pub struct InPlace {
    folder: PathBuf,
}

impl InPlace {
    /// Every attempt works in `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

#[async_trait]
impl Worktrees for InPlace {
    async fn create(&self, requests: Vec<WorktreeRequest>) -> Vec<Result<CreatedWorktree, WorktreeError>> {
        let lease = |request: WorktreeRequest| Lease {
            run: request.run,
            attempt: request.attempt,
            path: self.folder.clone(),
            branch: None,
            base: None,
        };
        requests.into_iter().map(|request| Ok(lease(request).into())).collect()
    }

    async fn snapshot(&self, _: &Lease, _: SnapshotRequest) -> Result<Work, WorktreeError> {
        Ok(Work::default())
    }

    async fn release(&self, _: &Lease, _: ReleaseRequest) -> Result<Release, WorktreeError> {
        Ok(Release::new(WorktreeFate::Kept(vec![KeepReason::Requested]), BranchRelease::Absent))
    }

    async fn prune(&self, _: bool) -> Result<Vec<Pruned>, WorktreeError> {
        Ok(Vec::new())
    }
}
