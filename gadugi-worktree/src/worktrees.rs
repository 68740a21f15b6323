//! The adapter itself: blocking work on a thread of its own, one change of the repository at a time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use async_trait::async_trait;
use gadugi_core::executor::Mount;
use gadugi_core::worktrees::{
    AgentHome, CreatedWorktree, Forecast, Pruned, Release, ReleaseRequest, Side, SnapshotRequest, Work, WorktreeError,
    WorktreeRequest,
};
use gadugi_core::{BranchName, CommitId, IdError, Lease, RunId, TaskId, Worktrees, error_chain};

use crate::create;
use crate::delete::sweeper::{LeftToSweep, Sweeper};
use crate::delete::trash_refs::Promised;
use crate::error::{BoxedError, GitError, or_no_room};
use crate::isolation;
use crate::lease;
use crate::lease::{homes, stale_locks};
use crate::merge;
use crate::release::fates::{self, BranchRequest};
use crate::release::{self, ImportOutcome, ReleasedWorktree, prune};
use crate::repo::gc_guard::GcGuard;
use crate::repo::lock::RepositoryLock;
use crate::settings::WorktreeSettings;
use crate::snapshot;
use crate::snapshot::preview::{self, Preview, PreviewRequest};
use crate::threads::cancel::Waiter;
use crate::threads::parallel::side_by_side;

/// The worktrees of a run: one for every attempt, on a branch of its own.
///
/// Changes of the repository are confined to branches with the prefix, to `refs/gadugi/`, to git's own list of worktrees, and
/// to the state folder. Worktrees are made and removed one batch at a time, also across processes that work in one repository:
/// they wait for each other.
///
/// The futures need a Tokio runtime with time enabled.
///
/// A dropped future does not stop the work: a thread finishes it. Only worktrees that are being made are undone there.
/// [`leave_to_sweep`](Self::leave_to_sweep) waits for both.
///
/// A released worktree is renamed at once, and deleted in the background by a few threads that start on demand and end by
/// themselves. They continue after the last of these values is dropped, and end with the process. Remains, as after a crash,
/// are folders `.gadugi-removed-…` beside the worktrees, which the next process that prunes or releases there deletes.
/// [`swept`](Self::swept) waits until the disk space is freed.
#[derive(Debug, Clone)]
pub struct GitWorktrees {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: WorktreeSettings,
    /// The turn to wait for the lock file, one thread at a time.
    turn: Arc<Mutex<()>>,
    /// Held by the thread that changes the repository, once this process has the lock file.
    at_work: Arc<Mutex<()>>,
    sweeper: Arc<Sweeper>,
    gc: Arc<GcGuard>,
}

impl GitWorktrees {
    /// # Errors
    /// [`IdError`] when the prefix makes no valid branch names.
    pub fn new(mut settings: WorktreeSettings) -> Result<Self, IdError> {
        format!("{}task", settings.branch_prefix).parse::<BranchName>()?;
        settings.repository.opener.identity = settings.identity.clone();
        settings.repository.opener.limit = settings.limit;
        let sweeper = Sweeper::new(&settings.state, &settings.folder, settings.defer_deletion);
        let gc = GcGuard::new(settings.repository.common_dir(), settings.gc_timeout);
        Ok(Self { shared: Arc::new(Shared { settings, turn: Arc::default(), at_work: Arc::default(), sweeper, gc }) })
    }

    /// The same worktrees, from another base commit.
    #[must_use]
    pub fn with_base(&self, base: CommitId) -> Self {
        let Shared { settings, turn, at_work, sweeper, gc } = &*self.shared;
        let settings = WorktreeSettings { base, ..settings.clone() };
        let (turn, at_work, sweeper) = (Arc::clone(turn), Arc::clone(at_work), Arc::clone(sweeper));
        let gc = Arc::clone(gc);
        Self { shared: Arc::new(Shared { settings, turn, at_work, sweeper, gc }) }
    }

    /// Waits until all released worktrees of this repository are deleted, by any process, and deletes those that none is
    /// deleting. A dropped future stops nothing.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when something could not be deleted. It stays beside the worktrees, as
    /// `.gadugi-removed-…`.
    pub async fn swept(&self) -> Result<(), WorktreeError> {
        let finished = self.run(move |shared| shared.sweeper.finish()).await;
        finished.and_then(|done| done).map_err(|error| self.shared.failed(error))
    }

    /// Waits for the work of dropped futures, ends the threads that delete released worktrees, and returns the rest for another
    /// process that calls [`sweep_left`](crate::sweep_left). `None` when nothing is left, or another process deletes it. From
    /// then on deletion is deferred. Blocks for a short time.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when the rest cannot be determined.
    pub fn leave_to_sweep(&self) -> Result<Option<LeftToSweep>, WorktreeError> {
        drop(self.shared.at_work.lock());
        self.shared.sweeper.leave().map_err(|error| self.shared.failed(error))
    }

    /// The existing homes of agents, by their tasks, also those of runs that are over.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when they cannot be listed.
    pub async fn homes(&self) -> Result<Vec<(RunId, TaskId)>, WorktreeError> {
        let homes = self.run(move |shared| homes::all(&shared.settings.state)).await;
        homes.and_then(|homes| homes).map_err(|error| self.shared.failed(error))
    }

    /// The work of an attempt, as git can show it: with uncommitted files of its worktree, where that exists, of which those
    /// that a snapshot would leave out are left out. Neither the repository nor the worktree changes.
    ///
    /// # Errors
    /// [`GitError`] when it cannot be read, or is gone.
    pub async fn preview(&self, lease: &Lease, request: PreviewRequest) -> Result<Preview, GitError> {
        let lease = lease.clone();
        self.run(move |shared| preview::preview(&shared.settings, &lease, &request)).await?
    }

    /// Runs work on the home of a task.
    async fn with_home<T: Send + 'static>(
        &self,
        run: &RunId,
        task: &TaskId,
        work: impl FnOnce(&Shared, &RunId, &TaskId) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, WorktreeError> {
        let (run, of) = (run.clone(), task.clone());
        let done = self.run(move |shared| work(shared, &run, &of)).await.and_then(|done| done);
        done.map_err(|source| or_no_room(WorktreeError::Home { task: task.clone(), source: source.into() }))
    }

    /// The folder of git's own files, which all worktrees share.
    pub(crate) fn common_dir(&self) -> &Path {
        self.shared.settings.repository.common_dir()
    }

    /// As [`run`](Self::run), for work that writes objects: `git gc` is held off.
    pub(crate) async fn run_held<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WorktreeSettings) -> T + Send + 'static,
    ) -> Result<T, GitError> {
        self.run(move |shared| {
            shared.gc.hold_alone();
            work(&shared.settings)
        })
        .await
    }

    /// Runs blocking work on a thread for it. A panic there fails the request, and not the attempt.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> T + Send + 'static) -> Result<T, GitError> {
        let shared = Arc::clone(&self.shared);
        // What is traced there belongs to the attempt that has asked.
        let span = tracing::Span::current();
        let work = move || span.in_scope(|| work(&shared));
        match tokio::task::spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(result) => Ok(result),
            Err(Ok(panic)) => {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(GitError::Panicked { message: text.unwrap_or_default() })
            }
            // The runtime is shutting down, and nobody will poll this again.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// The same, with the time limit of a step. After the timeout the work continues to its end, as after a dropped future: a
    /// system call cannot be cut short.
    async fn run_step<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let work = self.run(work);
        let done = match self.shared.settings.limit {
            Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Err(GitError::TooSlow { limit })),
            None => work.await,
        };
        done.and_then(|done| done)
    }
}

impl Shared {
    /// Runs work while no other thread or process changes the repository's worktrees.
    fn alone<T>(&self, work: impl FnOnce(&WorktreeSettings, &RepositoryLock) -> T) -> Result<T, GitError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = RepositoryLock::acquire(&self.settings.state)?;
        let _at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(&self.settings, &lock))
    }

    fn failed(&self, source: GitError) -> WorktreeError {
        WorktreeError::Repository { path: self.settings.repository.common_dir().to_owned(), source: source.into() }
    }

    fn check_home(&self, run: &RunId, task: &TaskId) -> Result<Option<String>, GitError> {
        let limit = self.settings.home_limit;
        if !homes::is_larger(&self.settings.state, run, task, limit) {
            return Ok(None);
        }
        self.remove_home(run, task)?;
        Ok(Some(format!(
            "the home folder of the agent of {task} had more than {} MiB or {} files in it, and is removed: it cannot go on with its conversation",
            limit.bytes >> 20,
            limit.inodes
        )))
    }

    fn remove_home(&self, run: &RunId, task: &TaskId) -> Result<(), GitError> {
        if homes::put_aside(&self.settings.state, run, task)? {
            self.sweeper.request([]);
        }
        Ok(())
    }

    /// Releases worktrees, and then their branches. Other processes get the repository's lock in between.
    fn release_all(
        &self,
        requests: Vec<(Lease, ReleaseRequest)>,
        no_keepers: &BTreeSet<BranchName>,
    ) -> Vec<Result<Release, WorktreeError>> {
        let changes_something = requests.iter().any(|(_, request)| !request.dry_run);
        if changes_something {
            self.gc.hold();
        }
        let mut returned = Vec::with_capacity(requests.len());
        let mut promised = Promised::new();
        let mut left = &requests[..];
        while !left.is_empty() {
            let (some, rest) = left.split_at(release::portion(left));
            let taken = side_by_side(some.to_vec(), |(lease, request)| {
                let taken = match request.dry_run {
                    true => Ok(ImportOutcome::default()),
                    false => release::import(&self.settings, &lease, request),
                };
                (lease, request, taken)
            });
            let is_first = returned.is_empty();
            let is_safe = if changes_something { self.gc.wait_for_others() } else { Ok(()) };
            let given_back = is_safe.and_then(|()| {
                self.in_turn(changes_something, is_first, |settings| {
                    release::release_worktrees(settings, taken, &mut promised)
                })
            });
            returned.extend(shared(given_back, some.len(), BoxedError::from));
            left = rest;
        }
        let released = self.release_branches(&requests, returned, no_keepers, &mut promised);
        if changes_something {
            self.sweeper.request(requests.iter().map(|(lease, _)| lease.path.as_path()));
        }
        let failed = |lease: &Lease, source| WorktreeError::Release { path: lease.path.clone(), source };
        let released = released.into_iter().zip(&requests);
        released.map(|(one, (lease, _))| one.map_err(|source| failed(lease, source))).collect()
    }

    /// Decides on the branches of released worktrees, and deletes those that may go.
    fn release_branches(
        &self,
        requests: &[(Lease, ReleaseRequest)],
        returned: Vec<Result<ReleasedWorktree, BoxedError>>,
        no_keepers: &BTreeSet<BranchName>,
        promised: &mut Promised,
    ) -> Vec<Result<Release, BoxedError>> {
        let asked: Vec<_> = requests
            .iter()
            .zip(&returned)
            .filter_map(|((lease, request), returned)| {
                let ReleasedWorktree { worktree, may_come_back, .. } = returned.as_ref().ok()?;
                Some(BranchRequest { lease, request: *request, worktree, may_come_back: *may_come_back })
            })
            .collect();
        let repo = self.settings.repository.open(&[]);
        let decided = repo.and_then(|repo| fates::decide(&self.settings, &repo, &asked, no_keepers));
        let mut decided = shared(decided, asked.len(), BoxedError::from).into_iter();
        let mut pending = requests.iter().zip(returned).map(|((lease, request), returned)| {
            let one = returned.and_then(|returned| {
                let decided =
                    decided.next().expect("cannot fail because there is an answer for each that is asked about");
                Ok((returned, decided?))
            });
            (lease, *request, one)
        });
        let mut released = Vec::with_capacity(requests.len());
        while released.len() < requests.len() {
            let some: Vec<_> = pending.by_ref().take(release::AT_ONCE).collect();
            let (number, deletes) = (some.len(), some.iter().any(release::deletes));
            let done = self.in_turn(deletes, false, |settings| release::delete_branches(settings, some, promised));
            released.extend(shared(done, number, std::convert::identity));
        }
        released
    }

    /// Runs a step, under the lock if it changes something. Before each step but the first, waiting processes get the lock.
    fn in_turn<T>(
        &self,
        changes_something: bool,
        is_first: bool,
        work: impl FnOnce(&WorktreeSettings) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        if !changes_something {
            return work(&self.settings);
        }
        if !is_first {
            // The lock goes to whoever asks first, and one that waits needs a moment to wake up.
            thread::sleep(HANDOVER_INTERVAL);
        }
        self.alone(|settings, _| work(settings))?
    }
}

/// Pause that lets waiting processes take the repository's lock.
const HANDOVER_INTERVAL: Duration = Duration::from_millis(1);

/// The results of several requests, or the failure of all of them.
fn shared<T, E>(
    results: Result<Vec<Result<T, E>>, GitError>,
    number: usize,
    source: impl Fn(E) -> BoxedError,
) -> Vec<Result<T, BoxedError>> {
    match results {
        Ok(results) => results.into_iter().map(|one| one.map_err(&source)).collect(),
        Err(error) => {
            let why = error_chain(&error);
            (0..number).map(|_| Err(why.clone().into())).collect()
        }
    }
}

#[async_trait]
impl Worktrees for GitWorktrees {
    async fn create(&self, requests: Vec<WorktreeRequest>) -> Vec<Result<CreatedWorktree, WorktreeError>> {
        let waiter = Waiter::default();
        let awaited = waiter.awaited();
        let asked = requests.clone();
        let made = self.run(move |shared| {
            shared.gc.hold();
            shared.alone(|settings, lock| create::create(settings, lock, &asked, &awaited))
        });
        let made = made.await.and_then(|made| made);
        let made = made.unwrap_or_else(|error| create::refuse(&self.shared.settings, &requests, error));
        made.into_iter().map(|made| made.map_err(or_no_room)).collect()
    }

    async fn isolate(&self, lease: &Lease) -> Result<Vec<Mount>, WorktreeError> {
        let (path, lease) = (lease.path.clone(), lease.clone());
        let mounts =
            self.run(move |shared| isolation::isolate(&shared.settings, &lease)).await.and_then(|mounts| mounts);
        mounts.map_err(|source| or_no_room(WorktreeError::Isolate { path, source: source.into() }))
    }

    async fn home(&self, run: &RunId, task: &TaskId) -> Result<Option<AgentHome>, WorktreeError> {
        self.with_home(run, task, |shared, run, task| homes::find_or_make(&shared.settings.state, run, task).map(Some))
            .await
    }

    async fn adopt_home(&self, earlier: &RunId, run: &RunId, task: &TaskId) -> Result<(), WorktreeError> {
        let earlier = earlier.clone();
        self.with_home(run, task, move |shared, run, task| homes::adopt(&shared.settings.state, &earlier, run, task))
            .await
    }

    async fn check_home(&self, run: &RunId, task: &TaskId) -> Result<Option<String>, WorktreeError> {
        self.with_home(run, task, Shared::check_home).await
    }

    async fn remove_home(&self, run: &RunId, task: &TaskId) -> Result<(), WorktreeError> {
        self.with_home(run, task, Shared::remove_home).await
    }

    async fn import(&self, lease: &Lease) -> Result<(), WorktreeError> {
        let (path, lease) = (lease.path.clone(), lease.clone());
        let whole = self.run_step(move |shared| {
            let Some(branch) = &lease.branch else { return Ok(()) };
            shared.gc.hold_alone();
            let imported = isolation::import(&shared.settings, &lease, branch);
            imported.and_then(|imported| imported.apart.map_or(Ok(()), Err))
        });
        whole.await.map_err(|source| or_no_room(WorktreeError::Import { path, source: source.into() }))
    }

    async fn snapshot(&self, lease: &Lease, request: SnapshotRequest) -> Result<Work, WorktreeError> {
        let (path, lease) = (lease.path.clone(), lease.clone());
        let work = self.run_step(move |shared| {
            shared.gc.hold_alone();
            snapshot::snapshot(&shared.settings, &lease, &request)
        });
        work.await.map_err(|source| or_no_room(WorktreeError::Snapshot { path, source: source.into() }))
    }

    async fn release(&self, lease: &Lease, request: ReleaseRequest) -> Result<Release, WorktreeError> {
        let requests = vec![(lease.clone(), request)];
        let released = self.run_step(move |shared| Ok(shared.release_all(requests, &BTreeSet::new())));
        let failed = |source: GitError| WorktreeError::Release { path: lease.path.clone(), source: source.into() };
        released.await.map_err(failed)?.pop().expect("cannot fail because there is an answer for each request")
    }

    async fn release_all(
        &self,
        requests: Vec<(Lease, ReleaseRequest)>,
        no_keepers: BTreeSet<BranchName>,
    ) -> Vec<Result<Release, WorktreeError>> {
        let paths: Vec<PathBuf> = requests.iter().map(|(lease, _)| lease.path.clone()).collect();
        let released = self.run(move |shared| shared.release_all(requests, &no_keepers)).await;
        released.unwrap_or_else(|error| {
            let error = Arc::new(error);
            let failed = |path| Err(WorktreeError::Release { path, source: Arc::clone(&error).into() });
            paths.into_iter().map(failed).collect()
        })
    }

    async fn forecast_of_first(&self, asked: usize, sides: Vec<Side>) -> Result<Forecast, WorktreeError> {
        let forecast = self.run(move |shared| merge::forecast::forecast(&shared.settings, asked, &sides));
        forecast.await.and_then(|forecast| forecast).map_err(|error| self.shared.failed(error))
    }

    async fn branch_tip(&self, name: &str) -> Result<Option<CommitId>, WorktreeError> {
        // What is no name of a branch names none.
        let Ok(branch) = name.parse::<BranchName>() else { return Ok(None) };
        let tip = self.run(move |shared| shared.settings.repository.branch_tip(&branch));
        tip.await.and_then(|tip| tip).map_err(|error| self.shared.failed(error))
    }

    async fn leases(&self) -> Result<Vec<Lease>, WorktreeError> {
        let leases = self.run(move |shared| lease::leases(shared.settings.repository.common_dir())).await;
        leases.and_then(|leases| leases).map_err(|error| self.shared.failed(error))
    }

    async fn left_locks(&self, since: SystemTime) -> Vec<PathBuf> {
        let left = self.run(move |shared| stale_locks::left(shared.settings.repository.common_dir(), since)).await;
        // What cannot be looked for cannot be told of either.
        left.unwrap_or_default()
    }

    async fn prune(&self, dry_run: bool) -> Result<Vec<Pruned>, WorktreeError> {
        let pruned = self.run(move |shared| {
            let pruned = shared.alone(|settings, _| prune::prune(settings, dry_run)).and_then(|done| done)?;
            if !dry_run {
                isolation::clear(&shared.settings)?;
                shared.sweeper.request([]);
            }
            Ok(pruned)
        });
        pruned.await.and_then(|pruned| pruned).map_err(|error| self.shared.failed(error))
    }
}
