//! The adapter itself: blocking work on a thread of its own, one change of the repository at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use async_trait::async_trait;
use gadugi_core::{
    AgentHome, BranchName, CommitId, IdError, Lease, Made, Mount, Pruned, Release, ReleaseRequest, RunId,
    SnapshotRequest, TaskId, Work, WorktreeError, WorktreeRequest, Worktrees, error_chain,
};

use crate::create;
use crate::delete::sweeper::{LeftToSweep, Sweeper};
use crate::delete::trash_refs::Promised;
use crate::error::{GitError, Source, or_no_room};
use crate::isolation;
use crate::lease;
use crate::lease::{homes, stale_locks};
use crate::release::fates::{self, Asked};
use crate::release::{self, Returned, Taken, prune};
use crate::repo::gc_guard::GcGuard;
use crate::repo::lock::RepositoryLock;
use crate::settings::WorktreeSettings;
use crate::snapshot;
use crate::threads::cancel::Waiter;
use crate::threads::parallel::side_by_side;

/// Gives every attempt a git worktree on a branch of its own.
///
/// Changes of the repository are confined to branches with the prefix, to `refs/gadugi/`, to git's own list of
/// worktrees, and to the state folder. Worktrees are made and removed one batch at a time, also when several
/// processes work in one repository: they wait for one another.
///
/// The futures are to be polled by a Tokio runtime whose time is enabled.
///
/// A dropped future does not stop what it began; that goes on to its end on a thread of its own. Only worktrees that are being
/// made are undone there. [`leave_to_sweep`](Self::leave_to_sweep) waits for both.
///
/// A worktree that is released has another name at once, and is deleted in the background by a few threads of this process
/// that begin when they are needed and end by themselves. They go on when the last of these values is dropped, and end with
/// the process. What is left then, as after a crash, is a folder `.gadugi-removed-…` beside the worktrees, which the next
/// process that prunes or releases there deletes. [`swept`](Self::swept) waits until the room is given back.
#[derive(Debug, Clone)]
pub struct GitWorktrees {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: WorktreeSettings,
    /// Lets one thread at a time wait for the lock file.
    turn: Arc<Mutex<()>>,
    /// Held by the thread that changes the repository, once no other process is at it.
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
        let gc = GcGuard::new(settings.repository.common_dir());
        Ok(Self { shared: Arc::new(Shared { settings, turn: Arc::default(), at_work: Arc::default(), sweeper, gc }) })
    }

    /// The same, for worktrees that start from another commit.
    #[must_use]
    pub fn with_base(&self, base: CommitId) -> Self {
        let Shared { settings, turn, at_work, sweeper, gc } = &*self.shared;
        let settings = WorktreeSettings { base, ..settings.clone() };
        let (turn, at_work, sweeper) = (Arc::clone(turn), Arc::clone(at_work), Arc::clone(sweeper));
        let gc = Arc::clone(gc);
        Self { shared: Arc::new(Shared { settings, turn, at_work, sweeper, gc }) }
    }

    /// Waits until everything that was given back in this repository is deleted, by whichever process, and deletes what
    /// nobody is at. A future that is dropped stops nothing.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when something could not be deleted. It stays beside the worktrees, as
    /// `.gadugi-removed-…`.
    pub async fn swept(&self) -> Result<(), WorktreeError> {
        let finished = self.run(move |shared| shared.sweeper.finish()).await;
        finished.and_then(|done| done).map_err(|error| self.shared.failed(error))
    }

    /// Waits for what dropped futures have begun, ends the threads that delete what was given back, and gives what they have
    /// not come to, for another process that calls [`sweep_left`](crate::sweep_left). `None` when nothing is left, or another
    /// process is at it. From then on deletion is deferred. Blocks until that is done, which it is soon.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when it cannot be told what is left.
    pub fn leave_to_sweep(&self) -> Result<Option<LeftToSweep>, WorktreeError> {
        drop(self.shared.at_work.lock());
        self.shared.sweeper.leave().map_err(|error| self.shared.failed(error))
    }

    /// The homes of agents that are there, by their tasks, also of runs that are over.
    ///
    /// # Errors
    /// [`WorktreeError::Repository`] when they cannot be listed.
    pub async fn homes(&self) -> Result<Vec<(RunId, TaskId)>, WorktreeError> {
        let homes = self.run(move |shared| homes::all(&shared.settings.state)).await;
        homes.and_then(|homes| homes).map_err(|error| self.shared.failed(error))
    }

    /// Does something with the home of a task.
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

    /// Does something on a thread for what blocks. A panic there is an error of what was asked for, and not the end of the
    /// attempt that has asked.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> T + Send + 'static) -> Result<T, GitError> {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || work(&shared)).await.map_err(tokio::task::JoinError::try_into_panic) {
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

    /// The same, waited for no longer than a step may take. What is under way then goes on to its end, as after a dropped future:
    /// a system call cannot be cut short.
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
    /// Does something while nobody else changes the worktrees of the repository.
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
        self.forget_home(run, task)?;
        Ok(Some(format!(
            "the home folder of the agent of {task} had more than {} MiB or {} files in it, and is removed: it cannot go on with its conversation",
            limit.bytes >> 20,
            limit.inodes
        )))
    }

    fn forget_home(&self, run: &RunId, task: &TaskId) -> Result<(), GitError> {
        if homes::put_aside(&self.settings.state, run, task)? {
            self.sweeper.ask([]);
        }
        Ok(())
    }

    /// Releases worktrees, and then their branches. Others who want to change the repository's worktrees get their turn in between.
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
                    true => Ok(Taken::default()),
                    false => release::take_over(&self.settings, &lease, request),
                };
                (lease, request, taken)
            });
            let is_first = returned.is_empty();
            let is_safe = if changes_something { self.gc.wait_for_others() } else { Ok(()) };
            let given_back = is_safe.and_then(|()| {
                self.in_turn(changes_something, is_first, |settings| release::give_back(settings, taken, &mut promised))
            });
            returned.extend(shared(given_back, some.len(), Source::from));
            left = rest;
        }
        let released = self.release_branches(&requests, returned, no_keepers, &mut promised);
        if changes_something {
            self.sweeper.ask(requests.iter().map(|(lease, _)| lease.path.as_path()));
        }
        let failed = |lease: &Lease, source| WorktreeError::Release { path: lease.path.clone(), source };
        let released = released.into_iter().zip(&requests);
        released.map(|(one, (lease, _))| one.map_err(|source| failed(lease, source))).collect()
    }

    /// Decides on the branches of worktrees that were given back, and deletes those that may go.
    fn release_branches(
        &self,
        requests: &[(Lease, ReleaseRequest)],
        returned: Vec<Result<Returned, Source>>,
        no_keepers: &BTreeSet<BranchName>,
        promised: &mut Promised,
    ) -> Vec<Result<Release, Source>> {
        let asked: Vec<_> = requests
            .iter()
            .zip(&returned)
            .filter_map(|((lease, request), returned)| {
                let Returned { worktree, may_come_back, .. } = returned.as_ref().ok()?;
                Some(Asked { lease, request: *request, worktree, may_come_back: *may_come_back })
            })
            .collect();
        let repo = self.settings.repository.open(&[]);
        let decided = repo.and_then(|repo| fates::decide(&self.settings, &repo, &asked, no_keepers));
        let mut decided = shared(decided, asked.len(), Source::from).into_iter();
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

    /// Does something, alone if it changes something. Unless it is the first of several steps, those who wait for the repository's
    /// lock get it before.
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
            thread::sleep(A_MOMENT);
        }
        self.alone(|settings, _| work(settings))?
    }
}

/// How long the lock of the repository is left to those who wait for it.
const A_MOMENT: Duration = Duration::from_millis(1);

/// The results of several, or the failure of all.
fn shared<T, E>(
    results: Result<Vec<Result<T, E>>, GitError>,
    number: usize,
    source: impl Fn(E) -> Source,
) -> Vec<Result<T, Source>> {
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
    async fn create(&self, requests: Vec<WorktreeRequest>) -> Vec<Result<Made, WorktreeError>> {
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

    async fn check_home(&self, run: &RunId, task: &TaskId) -> Result<Option<String>, WorktreeError> {
        self.with_home(run, task, Shared::check_home).await
    }

    async fn forget_home(&self, run: &RunId, task: &TaskId) -> Result<(), WorktreeError> {
        self.with_home(run, task, Shared::forget_home).await
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
                shared.sweeper.ask([]);
            }
            Ok(pruned)
        });
        pruned.await.and_then(|pruned| pruned).map_err(|error| self.shared.failed(error))
    }
}
