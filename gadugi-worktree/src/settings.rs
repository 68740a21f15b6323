//! What worktrees are made and given back with.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gadugi_core::{CommitId, Seeded};

use crate::repo::Repository;
use crate::repo::disk_usage::Footprint;
use crate::repo::open::Identity;

/// How long a worktree may take to be made, and to be given back, where nothing else is said.
const DEFAULT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// As much as it could have in the memory that a container has by default, and not more files than make sense there.
const DEFAULT_HOME_LIMIT: Footprint = Footprint { bytes: 4 << 30, inodes: 500_000 };

/// What [`GitWorktrees`](crate::GitWorktrees) works with.
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
    /// The folder of the lock, and of the git folders and home folders that isolated tasks get; it is made when it is needed.
    pub state: PathBuf,
    /// What of the user's files worktrees get besides those of their commit.
    pub seed: Seeds,
    /// Who commits, where the user's git configuration does not say it.
    pub identity: Identity,
    /// How long a worktree may take to be made, with the hooks that git runs in it, and how long each step may take by which
    /// it is given back: to import, to snapshot and to release it. `None` is no limit.
    pub limit: Option<Duration>,
    /// How much the home folder of an agent may hold from one attempt to the next.
    pub home_limit: Footprint,
    /// Delete nothing that was given back before somebody waits for it ([`GitWorktrees::swept`](crate::GitWorktrees::swept)) or takes it over
    /// ([`GitWorktrees::leave_to_sweep`](crate::GitWorktrees::leave_to_sweep)).
    pub defer_deletion: bool,
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
            limit: Some(DEFAULT_LIMIT),
            home_limit: DEFAULT_HOME_LIMIT,
            defer_deletion: false,
        }
    }
}

/// What is about to be copied into the worktrees of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeding {
    /// What each of them gets, if all of it fits there.
    pub each: Seeded,
    /// How many worktrees.
    pub worktrees: usize,
}

type Observer = Arc<dyn Fn(Seeding) + Send + Sync>;

/// What worktrees are seeded with, besides what [`INCLUDE_FILE`](crate::INCLUDE_FILE) names.
#[derive(Clone, Default)]
pub struct Seeds {
    pub(crate) patterns: Vec<String>,
    pub(crate) observer: Option<Observer>,
    /// What was told of what is copied nowhere: once is enough.
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Seeds {
    /// Seeds of these patterns, in the syntax of `.gitignore`. They follow on those of [`INCLUDE_FILE`](crate::INCLUDE_FILE).
    #[must_use]
    pub fn new(patterns: Vec<String>) -> Self {
        Self { patterns, ..Self::default() }
    }

    /// Calls this before anything is copied into the worktrees of a batch, which may take long.
    #[must_use]
    pub fn observed_by(self, observer: impl Fn(Seeding) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    pub(crate) fn is_new(&self, message: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(message.to_owned())
    }
}

impl fmt::Debug for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seeds").field("patterns", &self.patterns).finish_non_exhaustive()
    }
}
