//! Settings of worktrees.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gadugi_core::CommitId;
use gadugi_core::worktrees::Seeded;

use crate::landing_program::LandingProgram;
use crate::repo::Repository;
use crate::repo::disk_usage::Footprint;
use crate::repo::open::Identity;

/// Default time limit for making, and for releasing, a worktree.
const DEFAULT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Default time for a `git gc` that is under way.
const DEFAULT_GC_TIMEOUT: Duration = Duration::from_secs(10);

/// Default limit of an agent's home: as much as it could have in the memory of a container by default, and no more files than
/// make sense there.
const DEFAULT_HOME_LIMIT: Footprint = Footprint { bytes: 4 << 30, inodes: 500_000 };

/// Settings of [`GitWorktrees`](crate::GitWorktrees).
#[derive(Debug, Clone)]
pub struct WorktreeSettings {
    /// The repository.
    pub repository: Repository,
    /// The commit that worktrees start from, unless they need others.
    pub base: CommitId,
    /// The folder that the worktrees are put in; it is made when it is needed.
    pub folder: PathBuf,
    /// The prefix of branch names; the task's id follows.
    pub branch_prefix: String,
    /// The folder of the lock, and of the git folders and home folders that isolated tasks get; it is made when it is needed.
    pub state: PathBuf,
    /// The user's files that are copied into worktrees besides those of the commit.
    pub seed: Seeds,
    /// The committer where the user's git configuration has none.
    pub identity: Identity,
    /// Time limit for making a worktree, with the hooks that git runs in it, and for each step of giving it back: import,
    /// snapshot and release. `None` is no limit.
    pub limit: Option<Duration>,
    /// Time that a `git gc` which is under way gets to end before work is committed all the same. A worktree is not removed
    /// before it has ended.
    pub gc_timeout: Duration,
    /// Size limit of an agent's home from one attempt to the next.
    pub home_limit: Footprint,
    /// Whether deletion of released worktrees waits for [`GitWorktrees::swept`](crate::GitWorktrees::swept) or
    /// [`GitWorktrees::leave_to_sweep`](crate::GitWorktrees::leave_to_sweep).
    pub defer_deletion: bool,
    /// The program that lands merges in a process of its own; `None` lands them in this process, which must not be killed
    /// meanwhile.
    pub landing_program: Option<LandingProgram>,
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
            gc_timeout: DEFAULT_GC_TIMEOUT,
            home_limit: DEFAULT_HOME_LIMIT,
            defer_deletion: false,
            landing_program: None,
        }
    }
}

/// The copies that a batch of worktrees is about to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeding {
    /// The copies in each of them, if all of it fits there.
    pub each: Seeded,
    /// The number of worktrees.
    pub worktrees: usize,
}

type Observer = Arc<dyn Fn(Seeding) + Send + Sync>;

/// The seeds of worktrees, besides those that [`INCLUDE_FILE`](crate::INCLUDE_FILE) names.
#[derive(Clone, Default)]
pub struct Seeds {
    pub(crate) patterns: Vec<String>,
    pub(crate) observer: Option<Observer>,
    /// Warnings that were given already; once is enough.
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
