//! Making worktrees, in bulk.
//!
//! What is to be made is recorded first (see [`intent_log`]). Branches and git's entries are made one after the other; then the
//! files of all that start from one tree are written together (see [`bulk`](crate::create::bulk)).

pub(crate) mod base;
mod bulk;
mod checkout_plan;
pub(crate) mod intent_log;
mod names;
mod register;
mod reuse;
pub(crate) mod rollback;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gadugi_core::worktrees::{CreatedWorktree, Seeded, WorktreeError, WorktreeRequest};
use gadugi_core::{BranchName, Lease, crash_point};
use gix::ObjectId;
use tracing::debug;

use crate::create::base::{NoStart, start};
use crate::create::bulk::{TreeSource, Unwritten};
use crate::create::checkout_plan::{CheckoutPlan, CheckoutPlanner};
use crate::create::intent_log::Intent;
use crate::create::names::Names;
use crate::create::register::{NewEntry, register};
use crate::create::reuse::hand_over;
use crate::durable;
use crate::error::GitError;
use crate::files::paths::remove_if_empty;
use crate::files::rename_aside;
use crate::inspect;
use crate::lease::admin_folder::{Entry, check_links};
use crate::lease::marker::Marker;
use crate::repo::gc_guard::MAX_RETRIES;
use crate::repo::git_command::NewWorktree;
use crate::repo::ids::{full_name, to_commit};
use crate::repo::lock::RepositoryLock;
use crate::repo::{branch, filters, git_command};
use crate::seed;
use crate::settings::WorktreeSettings;
use crate::threads::cancel::Awaited;

/// Makes the worktrees of these requests, or none of them once the waiter gives up. The caller holds the repository's lock.
pub(crate) fn create(
    settings: &WorktreeSettings,
    lock: &RepositoryLock,
    requests: &[WorktreeRequest],
    awaited: &Awaited,
) -> Vec<Result<CreatedWorktree, WorktreeError>> {
    if let Err(error) = inspect::record(settings, requests) {
        return refuse(settings, requests, error);
    }
    let mut places: Vec<_> = requests.iter().map(|request| handed_over(settings, request)).collect();
    let is_new = |(_, place): &(_, &Option<_>)| place.is_none();
    let new: Vec<_> = requests.iter().zip(&places).filter(is_new).map(|(request, _)| request.clone()).collect();
    if !new.is_empty() {
        let made = create_new(settings, lock, &new, awaited);
        places.iter_mut().filter(|place| place.is_none()).zip(made).for_each(|(place, made)| *place = Some(made));
    }
    places.into_iter().flatten().collect()
}

/// Makes new worktrees. Failures from objects that have vanished, as `git gc` moves them, are retried.
fn create_new(
    settings: &WorktreeSettings,
    lock: &RepositoryLock,
    requests: &[WorktreeRequest],
    awaited: &Awaited,
) -> Vec<Result<CreatedWorktree, WorktreeError>> {
    let try_once = |requests: &[WorktreeRequest]| {
        let made = Batch::open(settings, lock, awaited, requests).and_then(|batch| batch.create(requests));
        made.unwrap_or_else(|error| refuse(settings, requests, error))
    };
    let mut made = try_once(requests);
    for _ in 0..MAX_RETRIES {
        let failed: Vec<usize> = (0..made.len()).filter(|at| made[*at].as_ref().is_err_and(may_be_of_gc)).collect();
        if failed.is_empty() {
            break;
        }
        let again: Vec<_> = failed.iter().map(|at| requests[*at].clone()).collect();
        failed.into_iter().zip(try_once(&again)).for_each(|(at, one)| made[at] = one);
    }
    made
}

/// Whether a worktree could not be made since objects have vanished.
fn may_be_of_gc(error: &WorktreeError) -> bool {
    let (WorktreeError::Create { source, .. } | WorktreeError::Repository { source, .. }) = error else { return false };
    let shared = source.downcast_ref::<Arc<GitError>>().map(Arc::as_ref);
    source.downcast_ref::<GitError>().or(shared).is_some_and(GitError::may_be_of_gc)
}

/// The worktree of a request that reuses that of an earlier attempt; `None` when it needs a new one.
fn handed_over(
    settings: &WorktreeSettings,
    request: &WorktreeRequest,
) -> Option<Result<CreatedWorktree, WorktreeError>> {
    let asked = request.reuse.as_ref()?;
    let place = hand_over(settings, request, asked).transpose()?;
    Some(place.map(CreatedWorktree::from).map_err(failure(request, &asked.path)))
}

/// Fails all requests for one reason.
pub(crate) fn refuse(
    settings: &WorktreeSettings,
    requests: &[WorktreeRequest],
    error: GitError,
) -> Vec<Result<CreatedWorktree, WorktreeError>> {
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
    /// The summary of the files that were copied into it.
    seeded: Option<Seeded>,
    warnings: Vec<String>,
}

/// A worktree that is registered.
enum Registered {
    /// The worktree has no files yet.
    Unwritten(Arc<TreeSource>, Entry),
    /// Git has made it in full, for this reason.
    ByGit(Arc<str>),
}

impl Planned {
    fn made(self, request: &WorktreeRequest) -> CreatedWorktree {
        let lease = Lease {
            run: request.run.clone(),
            attempt: request.attempt.clone(),
            path: self.folder,
            branch: Some(self.branch),
            base: Some(to_commit(self.start)),
        };
        CreatedWorktree { lease, seeded: self.seeded, warnings: self.warnings }
    }

    fn was_made_by_git(&mut self, why: &str) {
        self.warnings.push(format!("git itself made the worktree {}, since {why}", self.folder.display()));
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

    /// Notes that the worktree is complete, and returns its entry.
    fn finish(&self, request: &WorktreeRequest, common_dir: &Path) -> Result<Entry, GitError> {
        let not_there = || GitError::NotAWorktree { path: self.folder.clone() };
        let entry = Entry::of(common_dir, &self.folder)?.ok_or_else(not_there)?;
        Marker { in_the_making: false, ..self.marker(request) }.write(&entry.admin)?;
        entry.unlock()?;
        Ok(entry)
    }
}

struct Batch<'a> {
    settings: &'a WorktreeSettings,
    lock: &'a RepositoryLock,
    awaited: &'a Awaited,
    repo: gix::Repository,
    planner: CheckoutPlanner,
    /// Earlier makings that could not be undone.
    left: Vec<Intent>,
}

impl<'a> Batch<'a> {
    fn open(
        settings: &'a WorktreeSettings,
        lock: &'a RepositoryLock,
        awaited: &'a Awaited,
        requests: &[WorktreeRequest],
    ) -> Result<Self, GitError> {
        awaited.check()?;
        check_links(settings.repository.common_dir())?;
        let mut repo = settings.repository.open(&[])?;
        repo.object_cache_size_if_unset(4 * 1024 * 1024);
        has_own_work_trees(&repo)?;
        requests.iter().try_for_each(|request| filters::record(&repo, &request.run))?;
        filters::withhold(&mut repo, requests.first().map(|request| &request.run))?;
        // What could not be undone is in nobody's way, and prune says why.
        let left = rollback::clear(settings, &repo, false)?.left;
        Ok(Self { settings, lock, awaited, planner: CheckoutPlanner::of(&repo, &settings.repository)?, repo, left })
    }

    fn create(mut self, requests: &[WorktreeRequest]) -> Result<Vec<Result<CreatedWorktree, WorktreeError>>, GitError> {
        let folder_is_new = !self.settings.folder.exists();
        let mut made = self.plan(requests)?;
        let mut unwritten = Vec::new();
        for (at, request) in requests.iter().enumerate() {
            if let Ok(planned) = &mut made[at] {
                match self.awaited.check().and_then(|()| self.register(planned, request)) {
                    Ok(Registered::Unwritten(source, checkout)) => unwritten.push((at, source, checkout)),
                    Ok(Registered::ByGit(why)) => planned.was_made_by_git(&why),
                    Err(error) => made[at] = Err(failure(request, &planned.folder)(error)),
                }
            }
        }
        for (at, written) in self.write_files(unwritten) {
            if let (Ok(planned), Err(error)) = (&mut made[at], written)
                && let Err(error) = self.try_otherwise(planned, &requests[at], error)
            {
                made[at] = Err(failure(&requests[at], &planned.folder)(error));
            }
        }
        self.seed(&mut made, requests);
        let mut entries = Vec::new();
        for (made, request) in made.iter_mut().zip(requests) {
            if let Ok(planned) = made {
                crash_point("worktree-files-written");
                let finish = || planned.finish(request, self.settings.repository.common_dir());
                match self.awaited.check().and_then(|()| finish()) {
                    Ok(entry) => {
                        debug!(path = %planned.folder.display(), branch = %planned.branch, start = %planned.start, "worktree created");
                        entries.push((entry, full_name(&planned.branch), planned.start));
                    }
                    Err(error) => {
                        let error = self.undo(planned, error);
                        *made = Err(failure(request, &planned.folder)(error));
                    }
                }
            }
        }
        // The record that tells of them goes only when they last: git refuses to work with an entry of empty files.
        if let Err(error) = durable::entries(self.settings, &self.repo, &entries) {
            let error = Arc::new(error);
            for (made, request) in made.iter_mut().zip(requests) {
                if let Ok(planned) = made {
                    let error = self.undo(planned, Arc::clone(&error).into());
                    *made = Err(failure(request, &planned.folder)(error));
                }
            }
        }
        intent_log::write(&self.settings.state, &self.left)?;
        if folder_is_new && made.iter().all(Result::is_err) {
            // It was made for these worktrees only; that it stays would do no harm.
            remove_if_empty(&self.settings.folder).ok();
        }
        Ok(made.into_iter().zip(requests).map(|(made, request)| Ok(made?.made(request))).collect())
    }

    /// Copies the seeds into the worktrees that have their files, and notes what was copied and what was left out.
    fn seed(&self, made: &mut [Result<Planned, WorktreeError>], requests: &[WorktreeRequest]) {
        let folders: Vec<PathBuf> = made.iter().flatten().map(|planned| planned.folder.clone()).collect();
        let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
        let awaited = self.within(folders.len());
        let mut results = seed::seed_all(self.settings, &self.repo, &folders, &awaited).into_iter();
        for (made, request) in made.iter_mut().zip(requests) {
            let Ok(planned) = made else { continue };
            match results.next() {
                Some(Ok((seeded, warnings))) => {
                    planned.seeded = seeded;
                    planned.warnings.extend(warnings);
                }
                Some(Err(error)) => {
                    let error = self.undo(planned, error);
                    *made = Err(failure(request, &planned.folder)(error));
                }
                None => {}
            }
        }
    }

    /// The time limit for so many worktrees that are made together: as much as they would have one by one.
    fn within(&self, worktrees: usize) -> Awaited {
        let worktrees = u32::try_from(worktrees).unwrap_or(u32::MAX);
        self.awaited.within(self.settings.limit.map(|limit| limit.saturating_mul(worktrees)))
    }

    /// Finds where each request starts, and a name that is free, and records what is to be made.
    fn plan(&self, requests: &[WorktreeRequest]) -> Result<Vec<Result<Planned, WorktreeError>>, GitError> {
        let WorktreeSettings { base, folder, branch_prefix, repository, state, .. } = self.settings;
        let entries = Entry::all(repository.common_dir())?;
        let names = Names { repo: &self.repo, entries: &entries, folder, prefix: branch_prefix };
        let mut taken: Vec<PathBuf> = self.left.iter().map(|making| making.folder.clone()).collect();
        let mut makings = self.left.clone();
        let mut all = Vec::with_capacity(requests.len());
        for request in requests {
            let task = &request.attempt.task;
            let plan = || {
                let start = start(&self.repo, base, request)?;
                durable::commit(self.settings, &self.repo, None, start)?;
                // The conversation of an earlier run's agent goes on only in the folder where it was.
                let asked = request.reuse.as_ref().filter(|asked| asked.run != request.run);
                let asked = asked.map(|asked| names::free_in(&names, &asked.path, task, &taken)).transpose()?.flatten();
                let (branch, folder) = asked.map_or_else(|| names::free(&names, task, &taken), Ok)?;
                Ok::<_, NoStart>(Planned { branch, folder, start, seeded: None, warnings: Vec::new() })
            };
            let planned = plan().map_err(|none| none.into_error(failure(request, &folder.join(task.as_str()))));
            if let Ok(planned) = &planned {
                taken.push(planned.folder.clone());
                let entry = names::entry(repository.common_dir(), &planned.folder)?;
                makings.push(Intent { marker: planned.marker(request), folder: planned.folder.clone(), entry });
            }
            all.push(planned);
        }
        intent_log::write(state, &makings)?;
        Ok(all)
    }

    /// Makes the branch of a request and its entry in git's list; where git makes the worktree, also its files.
    fn register(&mut self, planned: &Planned, request: &WorktreeRequest) -> Result<Registered, GitError> {
        match self.planner.plan(&self.repo, planned.start)? {
            CheckoutPlan::ByGit(why) => self.add_by_git(planned, request).map(|()| Registered::ByGit(why)),
            CheckoutPlan::InBulk(source) => Ok(Registered::Unwritten(source, self.prepare(planned, request)?)),
        }
    }

    /// Writes the files of worktrees. The answers are in no order.
    fn write_files(&self, mut worktrees: Vec<(usize, Arc<TreeSource>, Entry)>) -> Vec<(usize, Result<(), GitError>)> {
        let repository = &self.settings.repository;
        let git = || git_command::in_repository(repository.opener.sources, repository.common_dir());
        let mut results = Vec::with_capacity(worktrees.len());
        let awaited = self.within(worktrees.len());
        while let Some((_, source, _)) = worktrees.first() {
            let source = Arc::clone(source);
            let (same, others): (Vec<_>, Vec<_>) =
                worktrees.into_iter().partition(|(_, other, _)| Arc::ptr_eq(&source, other));
            worktrees = others;
            let unwritten = same.iter().map(|(_, _, entry)| Unwritten { folder: &entry.folder, git_dir: &entry.admin });
            let targets: Vec<_> = unwritten.collect();
            let written = source.write(&self.repo, &git, &targets, &awaited).unwrap_or_else(|error| {
                let error = Arc::new(error);
                targets.iter().map(|_| Err(Arc::clone(&error).into())).collect()
            });
            results.extend(same.iter().zip(written).map(|((at, ..), written)| (*at, written)));
        }
        results
    }

    /// Removes the remains of a worktree whose files could not be written. Where its file system takes two names of files for
    /// one, git makes the worktree, as it makes all of them there.
    fn try_otherwise(&self, planned: &mut Planned, request: &WorktreeRequest, error: GitError) -> Result<(), GitError> {
        let error = self.undo(planned, error);
        if !matches!(&error, GitError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists) {
            return Err(error);
        }
        self.add_by_git(planned, request)?;
        planned.was_made_by_git("two of its files have one name on this file system");
        Ok(())
    }

    fn prepare(&self, planned: &Planned, request: &WorktreeRequest) -> Result<Entry, GitError> {
        branch::create(&self.repo, &planned.branch, planned.start)?;
        crash_point("worktree-branch-made");
        let register = || {
            let Planned { folder, start, .. } = planned;
            let branch = full_name(&planned.branch);
            let new = NewEntry { folder, branch, start: *start, marker: planned.marker(request) };
            let entry = register(&self.repo, &new)?;
            crash_point("worktree-entry-made");
            Ok(entry)
        };
        register().map_err(|error| self.undo(planned, error))
    }

    fn add_by_git(&self, planned: &Planned, request: &WorktreeRequest) -> Result<(), GitError> {
        let add = || {
            let repository = &self.settings.repository;
            let Planned { branch, folder, start, .. } = planned;
            let mut git = git_command::in_repository(repository.opener.sources, repository.common_dir());
            filters::silence(&mut git, &self.repo);
            let awaited = self.awaited.within(self.settings.limit);
            git_command::add_worktree(self.lock, git, NewWorktree { folder, branch, start: *start }, &awaited)
                .map_err(|error| match error {
                    GitError::TooSlow { limit } => GitError::GitTooSlow {
                        limit,
                        has_hook: checkout_plan::has_post_checkout_hook(&self.repo, repository),
                    },
                    other => other,
                })?;
            let entry = Entry::of(repository.common_dir(), folder)?;
            let entry = entry.ok_or_else(|| GitError::NotAWorktree { path: folder.clone() })?;
            planned.marker(request).write(&entry.admin)
        };
        add().map_err(|error| self.undo(planned, error))
    }

    /// Removes the remains of a worktree that could not be made in full. Nothing of it existed before, and no task has worked
    /// in it.
    fn undo(&self, planned: &Planned, error: GitError) -> GitError {
        let common_dir = self.settings.repository.common_dir();
        let folder = || match planned.folder.symlink_metadata() {
            Ok(_) => rename_aside::delete(&rename_aside::put_aside(&planned.folder)?),
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

/// Checks that git takes the folder of a new worktree for its work tree. Where worktrees have settings of their own,
/// `core.worktree` and `core.bare` of the repository count for each of them.
fn has_own_work_trees(repo: &gix::Repository) -> Result<(), GitError> {
    use gix::config::Source;
    let config = repo.config_snapshot();
    let config = config.plumbing();
    let shared = |meta: &gix::config::file::Metadata| meta.source == Source::Local;
    let is_set = |key: &str| config.boolean_filter(key, shared).ok().flatten().unwrap_or(false);
    let key = match config.string_filter("core.worktree", shared) {
        _ if !is_set("extensions.worktreeConfig") => return Ok(()),
        Some(_) => "core.worktree",
        None if is_set("core.bare") => "core.bare",
        None => return Ok(()),
    };
    Err(GitError::SharedByWorktrees { common_dir: repo.common_dir().to_owned(), key })
}

fn failure(request: &WorktreeRequest, folder: &Path) -> impl FnOnce(GitError) -> WorktreeError {
    let (attempt, path) = (request.attempt.clone(), folder.to_owned());
    move |source| WorktreeError::Create { attempt, path, source: source.into() }
}
