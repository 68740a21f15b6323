//! Making worktrees, in bulk.
//!
//! What is to be made is recorded first (see [`making`]). Branches and git's entries are made one after the other; then the files are written by several threads at
//! once, each with whole worktrees.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use gadugi_core::{BranchName, Lease, Made, WorktreeError, WorktreeRequest, crash_point};
use gix::ObjectId;
use gix::refs::Target;
use gix::refs::transaction::{PreviousValue, RefEdit};
use gix::worktree::add::{Head, PrepareCheckout};

use crate::aside;
use crate::beyond_gix::Beyond;
use crate::branch;
use crate::command;
use crate::entry::{Entry, remove_if_empty};
use crate::error::GitError;
use crate::half_made;
use crate::ids::to_commit;
use crate::lock::RepositoryLock;
use crate::making::{self, Making};
use crate::marker::Marker;
use crate::names;
use crate::start::{NoStart, start};
use crate::worktrees::WorktreeSettings;

/// They share one disk, and the machine with the tasks that run already.
const MOST_THREADS: usize = 4;

static NEVER: AtomicBool = AtomicBool::new(false);

/// Makes the worktrees of these requests. The caller holds the repository's lock.
pub(crate) fn create(
    settings: &WorktreeSettings,
    lock: &RepositoryLock,
    requests: &[WorktreeRequest],
) -> Vec<Result<Made, WorktreeError>> {
    // One worktree is written by as many threads as git would use; of several, each gets one.
    let overrides: &[&str] = if requests.len() > 1 { &["checkout.workers=1"] } else { &[] };
    let made = Batch::open(settings, lock, overrides).and_then(|batch| batch.create(requests));
    made.unwrap_or_else(|error| refuse(settings, requests, error))
}

/// All requests fail for one reason.
pub(crate) fn refuse(
    settings: &WorktreeSettings,
    requests: &[WorktreeRequest],
    error: GitError,
) -> Vec<Result<Made, WorktreeError>> {
    let error = Arc::new(error);
    let refusal = |_| {
        let path = settings.repository.common_dir().to_owned();
        Err(WorktreeError::Repository { path, source: Arc::clone(&error).into() })
    };
    requests.iter().map(refusal).collect()
}

/// A worktree that has its name and its start.
struct Planned {
    branch: BranchName,
    folder: PathBuf,
    start: ObjectId,
}

impl Planned {
    fn lease(self, request: &WorktreeRequest) -> Lease {
        Lease {
            run: request.run.clone(),
            attempt: request.attempt.clone(),
            path: self.folder,
            branch: Some(self.branch),
            base: Some(to_commit(self.start)),
        }
    }

    fn marker(&self, request: &WorktreeRequest) -> Marker {
        Marker {
            run: request.run.clone(),
            task: request.attempt.task.clone(),
            attempt: Some(request.attempt.number),
            branch: self.branch.clone(),
            start: to_commit(self.start),
            in_the_making: true,
        }
    }

    /// Notes that the worktree is there in full.
    fn finish(&self, request: &WorktreeRequest, common_dir: &Path) -> Result<(), GitError> {
        let not_there = || GitError::NotAWorktree { path: self.folder.clone() };
        let entry = Entry::of(common_dir, &self.folder)?.ok_or_else(not_there)?;
        Marker { in_the_making: false, ..self.marker(request) }.write(&entry.admin)?;
        // Where gix has made it, it is unlocked already.
        if entry.lock_reason().is_some() { entry.unlock() } else { Ok(()) }
    }
}

struct Batch<'a> {
    settings: &'a WorktreeSettings,
    lock: &'a RepositoryLock,
    repo: gix::Repository,
    beyond: Beyond,
    /// What earlier processes have begun and what could not be undone.
    left: Vec<Making>,
}

impl<'a> Batch<'a> {
    fn open(settings: &'a WorktreeSettings, lock: &'a RepositoryLock, overrides: &[&str]) -> Result<Self, GitError> {
        let mut repo = settings.repository.open(overrides)?;
        repo.object_cache_size_if_unset(4 * 1024 * 1024);
        // What could not be undone is in nobody's way, and prune says why.
        let left = half_made::clear(settings, &repo, false)?.left;
        Ok(Self { settings, lock, beyond: Beyond::of(&repo, &settings.repository)?, repo, left })
    }

    fn create(mut self, requests: &[WorktreeRequest]) -> Result<Vec<Result<Made, WorktreeError>>, GitError> {
        let folder_is_new = !self.settings.folder.exists();
        let mut made = self.plan(requests)?;
        let mut lacking_files = Vec::new();
        for (at, request) in requests.iter().enumerate() {
            if let Ok(planned) = &made[at] {
                match self.register(planned, request) {
                    Ok(checkout) => lacking_files.extend(checkout.map(|checkout| (at, checkout))),
                    Err(error) => made[at] = Err(failure(request, &planned.folder)(error)),
                }
            }
        }
        for (at, written) in write_files(lacking_files) {
            if let (Ok(planned), Err(error)) = (&made[at], written) {
                let error = self.undo(planned, error);
                made[at] = Err(failure(&requests[at], &planned.folder)(error));
            }
        }
        for (made, request) in made.iter_mut().zip(requests) {
            if let Ok(planned) = made {
                crash_point("worktree-files-written");
                if let Err(error) = planned.finish(request, self.settings.repository.common_dir()) {
                    let error = self.undo(planned, error);
                    *made = Err(failure(request, &planned.folder)(error));
                }
            }
        }
        making::write(&self.settings.state, &self.left)?;
        if folder_is_new && made.iter().all(Result::is_err) {
            // It was made for these worktrees only; that it stays would do no harm.
            remove_if_empty(&self.settings.folder).ok();
        }
        Ok(made.into_iter().zip(requests).map(|(made, request)| Ok(made?.lease(request).into())).collect())
    }

    /// Finds where each request starts, and a name that is free, and records what is to be made.
    fn plan(&self, requests: &[WorktreeRequest]) -> Result<Vec<Result<Planned, WorktreeError>>, GitError> {
        let WorktreeSettings { base, folder, branch_prefix, repository, state, .. } = self.settings;
        let entries = Entry::all(repository.common_dir())?;
        let mut taken: Vec<PathBuf> = self.left.iter().map(|making| making.folder.clone()).collect();
        let mut makings = self.left.clone();
        let mut all = Vec::with_capacity(requests.len());
        for request in requests {
            let task = &request.attempt.task;
            let plan = || {
                let start = start(&self.repo, base, request)?;
                let (branch, folder) = names::free(&self.repo, &entries, folder, branch_prefix, task, &taken)?;
                Ok::<_, NoStart>(Planned { branch, folder, start })
            };
            let planned = plan().map_err(|none| none.into_error(failure(request, &folder.join(task.as_str()))));
            if let Ok(planned) = &planned {
                taken.push(planned.folder.clone());
                let entry = names::entry(repository.common_dir(), &planned.folder)?;
                makings.push(Making { marker: planned.marker(request), folder: planned.folder.clone(), entry });
            }
            all.push(planned);
        }
        making::write(state, &makings)?;
        Ok(all)
    }

    /// Gives a request its branch and its entry in git's list; where git makes the worktree, also its files.
    fn register(&mut self, planned: &Planned, request: &WorktreeRequest) -> Result<Option<PrepareCheckout>, GitError> {
        if self.beyond.gix(&self.repo, planned.start)? {
            self.add_by_git(planned, request).map(|()| None)
        } else {
            self.prepare(planned, request).map(Some)
        }
    }

    fn prepare(&self, planned: &Planned, request: &WorktreeRequest) -> Result<PrepareCheckout, GitError> {
        branch::create(&self.repo, &planned.branch, planned.start)?;
        crash_point("worktree-branch-made");
        let register = || {
            // To attach it at once, gix would open every other worktree to see whether it has the new branch.
            let head = Head::Detached(planned.start);
            let checkout = self.repo.prepare_add_worktree(&planned.folder, head, &NEVER)?;
            planned.marker(request).write(checkout.repo().git_dir())?;
            let head = "HEAD".try_into().map_err(gix::Error::from_error)?;
            let target = Target::Symbolic(branch::full_name(&planned.branch));
            let attached = RefEdit::update(head, target, PreviousValue::MustExist, "");
            checkout.repo().edit_reference(attached)?;
            crash_point("worktree-entry-made");
            Ok(checkout)
        };
        register().map_err(|error| self.undo(planned, error))
    }

    fn add_by_git(&self, planned: &Planned, request: &WorktreeRequest) -> Result<(), GitError> {
        let add = || {
            let repository = &self.settings.repository;
            let Planned { branch, folder, start } = planned;
            let sources = repository.opener.sources;
            command::add_worktree(self.lock, repository.common_dir(), sources, folder, branch, *start)?;
            let entry = Entry::of(repository.common_dir(), folder)?;
            let entry = entry.ok_or_else(|| GitError::NotAWorktree { path: folder.clone() })?;
            planned.marker(request).write(&entry.admin)
        };
        add().map_err(|error| self.undo(planned, error))
    }

    /// Removes what there is of a worktree that could not be made in full. Nothing of it existed before, and
    /// nobody has worked in it.
    fn undo(&self, planned: &Planned, error: GitError) -> GitError {
        let common_dir = self.settings.repository.common_dir();
        let folder = || match planned.folder.symlink_metadata() {
            Ok(_) => aside::delete(&aside::put_aside(&planned.folder)?),
            Err(_) => Ok(()),
        };
        let entry = || {
            if let Some(entry) = Entry::of(common_dir, &planned.folder)? {
                entry.remove()?;
            }
            remove_if_empty(&common_dir.join("worktrees"))
        };
        let branch = || {
            let is_ours = branch::is_as_made(&self.repo, &planned.branch, planned.start)?;
            if is_ours { branch::delete(&self.repo, &planned.branch, planned.start) } else { Ok(false) }
        };
        let (folder, entry, branch) = (folder(), entry(), branch());
        match folder.and(entry).and(branch) {
            Ok(_) => error,
            Err(cleanup) => GitError::LeftBehind { source: error.into(), cleanup: cleanup.to_string() },
        }
    }
}

/// Writes the files of worktrees, several at a time. The answers are in no order.
fn write_files(worktrees: Vec<(usize, PrepareCheckout)>) -> Vec<(usize, Result<(), GitError>)> {
    let threads = worktrees.len().min(MOST_THREADS);
    let waiting = Mutex::new(worktrees.into_iter());
    let written = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((at, checkout)) = next else { break };
            let result = check_out(checkout);
            written.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    written.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn check_out(checkout: PrepareCheckout) -> Result<(), GitError> {
    let (_, outcome) = checkout.checkout(gix::progress::Discard, &NEVER)?;
    let unwritten = outcome.errors.iter().map(|record| &record.path).chain(&outcome.delayed_paths_unprocessed);
    let mut unwritten = unwritten.map(ToString::to_string);
    match unwritten.next() {
        None => Ok(()),
        Some(first) => Err(GitError::Incomplete { count: unwritten.count() + 1, first }),
    }
}

fn failure(request: &WorktreeRequest, folder: &Path) -> impl FnOnce(GitError) -> WorktreeError {
    let (attempt, path) = (request.attempt.clone(), folder.to_owned());
    move |source| WorktreeError::Create { attempt, path, source: source.into() }
}
