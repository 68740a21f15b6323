//! The trait [`Integration`] on git worktrees.

use async_trait::async_trait;
use gadugi_core::merge::{
    AmendRequest, Amended, Chain, ChainRequest, ConflictRequest, Integration, LandRequest, Landing, MarkedConflict,
    MergeError, RecoveredLanding, Target,
};
use gadugi_core::{BranchName, MergeId};

use crate::error::{BoxedError, GitError};
use crate::settings::WorktreeSettings;
use crate::worktrees::GitWorktrees;
use crate::{chain, landing};

impl GitWorktrees {
    /// Runs work for a merge, with `git gc` held off.
    async fn integrate<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WorktreeSettings) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        self.run_held(work).await.and_then(|done| done)
    }

    fn repository_error(&self, source: GitError) -> MergeError {
        let path = self.common_dir().to_owned();
        or_no_room(source, |source| MergeError::Repository { path, source })
    }
}

/// The error of a full disk where that is the cause.
fn or_no_room(source: GitError, otherwise: impl FnOnce(BoxedError) -> MergeError) -> MergeError {
    if source.is_no_room() { MergeError::NoRoom { source: source.into() } } else { otherwise(source.into()) }
}

#[async_trait]
impl Integration for GitWorktrees {
    async fn target(&self, branch: &BranchName) -> Result<Option<Target>, MergeError> {
        let branch = branch.clone();
        let target = self.integrate(move |settings| landing::target(settings, &branch)).await;
        target.map_err(|error| self.repository_error(error))
    }

    async fn chain(&self, request: ChainRequest) -> Result<Chain, MergeError> {
        let merge = request.merge.clone();
        let chain = self.integrate(move |settings| chain::chain(settings, &request)).await;
        chain.map_err(|error| or_no_room(error, |source| MergeError::Chain { merge, source }))
    }

    async fn mark_conflict(&self, request: ConflictRequest) -> Result<MarkedConflict, MergeError> {
        let merge = request.merge.clone();
        let marked = self.integrate(move |settings| chain::mark_conflict(settings, &request)).await;
        marked.map_err(|error| or_no_room(error, |source| MergeError::Chain { merge, source }))
    }

    async fn amend(&self, request: AmendRequest) -> Result<Amended, MergeError> {
        let merge = request.merge.clone();
        let amended = self.integrate(move |settings| chain::amend(settings, &request)).await;
        amended.map_err(|error| or_no_room(error, |source| MergeError::Chain { merge, source }))
    }

    async fn land(&self, request: LandRequest) -> Result<Landing, MergeError> {
        let (merge, branch) = (request.merge.clone(), request.branch.clone());
        let landed = self.integrate(move |settings| {
            let landed = landing::land(settings, &request);
            landed
                .map_err(|error| (error, landing::is_unfinished(settings, &request.merge)))
                .map_or_else(|failed| Ok(Err(failed)), |landing| Ok(Ok(landing)))
        });
        match landed.await {
            Ok(Ok(landing)) => Ok(landing),
            Ok(Err((source, true))) => Err(MergeError::Unfinished { merge, branch, source: source.into() }),
            Ok(Err((error, false))) | Err(error) => {
                Err(or_no_room(error, |source| MergeError::Land { merge, branch, source }))
            }
        }
    }

    async fn recover_landing(&self, merge: &MergeId) -> Result<Option<RecoveredLanding>, MergeError> {
        let merge = merge.clone();
        let recovered = self.integrate(move |settings| {
            let recovered = landing::recover(&settings.repository, &settings.state, &merge);
            Ok(recovered.map_err(|error| (error, landing::branch_of(settings, &merge), merge)))
        });
        match recovered.await {
            Ok(Ok(recovered)) => Ok(recovered),
            Ok(Err((source, Some(branch), merge))) => {
                Err(MergeError::Unfinished { merge, branch, source: source.into() })
            }
            Ok(Err((error, None, _))) | Err(error) => Err(self.repository_error(error)),
        }
    }

    async fn kept(&self) -> Result<Vec<MergeId>, MergeError> {
        let kept = self.integrate(move |settings| {
            let mut merges = landing::recorded(&settings.state)?;
            merges.extend(chain::kept::merges(&settings.repository.open(&[])?)?);
            Ok(merges.into_iter().collect())
        });
        kept.await.map_err(|error| self.repository_error(error))
    }

    async fn forget(&self, merge: &MergeId) -> Result<(), MergeError> {
        let merge = merge.clone();
        let forgotten = self.integrate(move |settings| {
            landing::forget(&settings.repository, &settings.state, &merge)?;
            chain::kept::forget(&settings.repository.open(&[])?, &merge)
        });
        forgotten.await.map_err(|error| self.repository_error(error))
    }
}
