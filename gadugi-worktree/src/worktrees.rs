//! The adapter itself: blocking work on a thread of its own, one change of the repository at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gadugi_core::{
    BranchName, CommitId, IdError, Lease, Made, Mount, Pruned, Release, ReleaseRequest, SnapshotRequest, Work,
    WorktreeError, WorktreeRequest, Worktrees,
};

use crate::create;
use crate::error::GitError;
use crate::leases;
use crate::lock::RepositoryLock;
use crate::open::Identity;
use crate::private;
use crate::prune;
use crate::release::{self, Taken};
use crate::repository::Repository;
use crate::seed::Seeds;
use crate::snapshot;

/// What [`GitWorktrees`] works with.
#[derive(Debug, Clone)]
pub struct WorktreeSettings {
    /// The repository.
    pub repository: Repository,
    /// The commit that worktrees start from, unless they need others.
    pub base: CommitId,
    /// The folder that the worktrees are put in; it is made when it is needed.
    pub folder: PathBuf,
    /// What the names of the branches begin with; the task's id follows.
    pub branch_prefix: String,
    /// The folder of the lock, and of the git folders that isolated tasks get; it is made when it is needed.
    pub state: PathBuf,
    /// What of the user's files worktrees get besides those of their commit.
    pub seed: Seeds,
    /// Who commits, where the user's git configuration does not say it.
    pub identity: Identity,
}

impl WorktreeSettings {
    /// Branches `gadugi/<task>`, and the state in the folder `gadugi` of the common git folder.
    #[must_use]
    pub fn new(repository: Repository, base: CommitId, folder: impl Into<PathBuf>) -> Self {
        let state = repository.common_dir().join("gadugi");
        Self {
            repository,
            base,
            folder: folder.into(),
            branch_prefix: "gadugi/".into(),
            state,
            seed: Seeds::default(),
            identity: Identity::default(),
        }
    }
}

/// Gives every attempt a git worktree on a branch of its own.
///
/// Changes of the repository are confined to branches with the prefix, to `refs/gadugi/`, to git's own list of
/// worktrees, and to the state folder. Worktrees are made and removed one batch at a time, also when several
/// processes work in one repository: they wait for one another.
///
/// A dropped future does not stop what it began; that goes on to its end on a thread of its own.
#[derive(Debug, Clone)]
pub struct GitWorktrees {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: WorktreeSettings,
    /// Lets one thread at a time wait for the lock file.
    turn: Mutex<()>,
}

impl GitWorktrees {
    /// # Errors
    /// [`IdError`] when the prefix makes no valid branch names.
    pub fn new(mut settings: WorktreeSettings) -> Result<Self, IdError> {
        format!("{}task", settings.branch_prefix).parse::<BranchName>()?;
        settings.repository.opener.identity = settings.identity.clone();
        Ok(Self { shared: Arc::new(Shared { settings, turn: Mutex::new(()) }) })
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> T + Send + 'static) -> T {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down, and nobody will poll this again.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Shared {
    /// Does something while nobody else changes the worktrees of the repository.
    fn alone<T>(&self, work: impl FnOnce(&WorktreeSettings, &RepositoryLock) -> T) -> Result<T, GitError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = RepositoryLock::acquire(&self.settings.state)?;
        Ok(work(&self.settings, &lock))
    }
}

#[async_trait]
impl Worktrees for GitWorktrees {
    async fn create(&self, requests: Vec<WorktreeRequest>) -> Vec<Result<Made, WorktreeError>> {
        self.run(move |shared| {
            let made = shared.alone(|settings, lock| create::create(settings, lock, &requests));
            made.unwrap_or_else(|error| create::refuse(&shared.settings, &requests, error))
        })
        .await
    }

    async fn isolate(&self, lease: &Lease) -> Result<Vec<Mount>, WorktreeError> {
        let lease = lease.clone();
        self.run(move |shared| {
            private::isolate(&shared.settings, &lease)
                .map_err(|source| WorktreeError::Isolate { path: lease.path, source: source.into() })
        })
        .await
    }

    async fn import(&self, lease: &Lease) -> Result<(), WorktreeError> {
        let lease = lease.clone();
        self.run(move |shared| {
            let Some(branch) = &lease.branch else { return Ok(()) };
            let imported = private::import(&shared.settings, &lease, branch);
            let whole = imported.and_then(|imported| imported.apart.map_or(Ok(()), Err));
            whole.map_err(|source| WorktreeError::Import { path: lease.path.clone(), source: source.into() })
        })
        .await
    }

    async fn snapshot(&self, lease: &Lease, request: SnapshotRequest) -> Result<Work, WorktreeError> {
        let lease = lease.clone();
        self.run(move |shared| {
            snapshot::snapshot(&shared.settings, &lease, request)
                .map_err(|source| WorktreeError::Snapshot { path: lease.path, source: source.into() })
        })
        .await
    }

    async fn release(&self, lease: &Lease, request: ReleaseRequest) -> Result<Release, WorktreeError> {
        let lease = lease.clone();
        self.run(move |shared| {
            let release = |settings: &_, taken| release::release(settings, &lease, request, taken);
            let released = if request.dry_run {
                release(&shared.settings, Taken::default())
            } else {
                release::take_over(&shared.settings, &lease, request)
                    .and_then(|taken| shared.alone(|settings, _| release(settings, taken))?)
            };
            released.map_err(|source| WorktreeError::Release { path: lease.path.clone(), source: source.into() })
        })
        .await
    }

    async fn leases(&self) -> Result<Vec<Lease>, WorktreeError> {
        self.run(move |shared| {
            let common_dir = shared.settings.repository.common_dir();
            leases::leases(common_dir)
                .map_err(|source| WorktreeError::Repository { path: common_dir.to_owned(), source: source.into() })
        })
        .await
    }

    async fn prune(&self, dry_run: bool) -> Result<Vec<Pruned>, WorktreeError> {
        self.run(move |shared| {
            let pruned = shared.alone(|settings, _| prune::prune(settings, dry_run)).and_then(|done| done);
            let pruned = pruned.and_then(|pruned| {
                if !dry_run {
                    private::clear(&shared.settings)?;
                }
                Ok(pruned)
            });
            pruned.map_err(|source| WorktreeError::Repository {
                path: shared.settings.repository.common_dir().to_owned(),
                source: source.into(),
            })
        })
        .await
    }
}
