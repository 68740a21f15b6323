//! Writing the files and the indexes of many worktrees at once.
//!
//! Worktrees that start from the same tree get the same bytes. So the tree is decoded once; each thread then writes whole
//! worktrees, one after the other, by handles of their folders; and the index of each says what is on disk, so that the
//! first `git status` there reads no file. What this takes is bounded whatever the repository: content is held in portions,
//! and large files pass through.
//!
//! The result is that of `git worktree add` for trees that need no filter; [`checkout_plan`](crate::create::checkout_plan)
//! tells which do.

mod cache_tree;
mod content;
mod files;
mod index;
mod large;
mod layout;

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;

pub(crate) use self::content::MAX_HELD_FILE;
use self::content::{Content, Portion};
use self::files::{WriteOptions, Writer};
use self::index::Stat;
pub(crate) use self::layout::{Layout, MAX_DEPTH};
use crate::error::GitError;
use crate::threads::cancel::Awaited;
use crate::threads::parallel::{side_by_side, threads};

/// Limit for the stat data that is held until the indexes are written.
const MAX_STAT_BYTES: usize = 48 << 20;

/// A folder that is registered as a worktree and has no files yet.
#[derive(Clone, Copy)]
pub(crate) struct Unwritten<'a> {
    /// The worktree.
    pub(crate) folder: &'a Path,
    /// The folder of git's own files of it.
    pub(crate) git_dir: &'a Path,
}

/// A tree that can be written to worktrees.
pub(crate) struct TreeSource {
    tree: ObjectId,
    layout: Layout,
    /// Where content may have to be converted by attributes.
    index: Option<gix::index::State>,
}

impl TreeSource {
    /// `index` holds the whole tree. `converts` is whether content may have to be converted on its way to a file.
    pub(crate) fn new(tree: ObjectId, layout: Layout, index: gix::index::State, converts: bool) -> Self {
        Self { tree, layout, index: converts.then_some(index) }
    }

    /// Writes the tree and an index to each of these worktrees. The answers are in their order. `git` makes the command git,
    /// which knows the repository.
    ///
    /// # Errors
    /// When the tree cannot be read, or it is given up, so that none of them has all its files.
    pub(crate) fn write(
        &self,
        repo: &gix::Repository,
        git: &dyn Fn() -> Command,
        targets: &[Unwritten<'_>],
        awaited: &Awaited,
    ) -> Result<Vec<Result<(), GitError>>, GitError> {
        let cache_tree = cache_tree::of(repo, self.tree)?;
        let noted = self.layout.items().len() * size_of::<Stat>();
        let at_once = (MAX_STAT_BYTES / noted.max(1)).clamp(1, targets.len().max(1));
        let mut results = Vec::with_capacity(targets.len());
        for targets in targets.chunks(at_once) {
            let mut jobs: Vec<WriteJob<'_>> =
                targets.iter().map(|target| WriteJob::new(*target, &self.layout)).collect();
            self.write_files(repo, git, &mut jobs, awaited)?;
            side_by_side(jobs.iter_mut().collect(), |work| {
                work.failure.unless(|| index::write(&self.layout, &cache_tree, &work.stats, work.target.git_dir));
            });
            results.extend(jobs.into_iter().map(|work| work.failure.into_result()));
        }
        Ok(results)
    }

    fn write_files(
        &self,
        repo: &gix::Repository,
        git: &dyn Fn() -> Command,
        jobs: &mut [WriteJob<'_>],
        awaited: &Awaited,
    ) -> Result<(), GitError> {
        let options = WriteOptions::new(repo.filesystem_options()?.symlink, awaited.clone());
        let repo = repo.clone().into_sync();
        let mut from = 0;
        while from < self.layout.items().len() {
            let portion = content::decode(&repo, &self.layout, self.index.as_ref(), from, threads())?;
            options.awaited.check()?;
            self.write_large(&portion, &options, git, jobs)?;
            self.write_portion(&portion, &options, jobs);
            from = portion.range.end;
        }
        Ok(())
    }

    fn write_portion(&self, portion: &Portion, options: &WriteOptions, jobs: &mut [WriteJob<'_>]) {
        // Each thread has whole worktrees, unless some would soon have none left.
        let parts = if jobs.len().is_multiple_of(threads()) || jobs.len() >= 4 * threads() { 1 } else { threads() };
        let length = portion.range.len().div_ceil(parts);
        let units = jobs.iter_mut().flat_map(|WriteJob { target, stats, failure }| {
            let parts = stats[portion.range.clone()].chunks_mut(length).enumerate();
            let failure = &*failure;
            parts.map(move |(number, stats)| (*target, portion.range.start + number * length, stats, failure))
        });
        side_by_side(units.collect(), |(target, from, stats, failure)| {
            failure.unless(|| self.write_part(portion, options, Part { target, from, stats }));
        });
    }

    fn write_part(&self, portion: &Portion, options: &WriteOptions, part: Part<'_>) -> Result<(), GitError> {
        let Part { target, from, stats } = part;
        let mut writer = Writer::open(&self.layout, target.folder, options)?;
        for ((at, item), stat) in self.layout.items().iter().enumerate().skip(from).zip(stats) {
            options.awaited.check()?;
            match portion.content(at) {
                Content::Bytes(bytes) => *stat = writer.write(item, bytes)?,
                Content::None if !item.is_skipped => *stat = writer.submodule(item)?,
                Content::None | Content::TooLarge => {}
            }
        }
        Ok(())
    }

    /// The large files of a portion.
    fn write_large(
        &self,
        portion: &Portion,
        options: &WriteOptions,
        git: &dyn Fn() -> Command,
        jobs: &mut [WriteJob<'_>],
    ) -> Result<(), GitError> {
        for at in portion.too_large() {
            let (mut open, mut writers) = (Vec::new(), Vec::new());
            for work in jobs.iter_mut().filter(|work| work.failure.is_none()) {
                match Writer::open(&self.layout, work.target.folder, options) {
                    Ok(writer) => {
                        writers.push(writer);
                        open.push(work);
                    }
                    Err(error) => work.failure.set(error),
                }
            }
            let written = large::write(git(), &self.layout.items()[at], &mut writers, &options.awaited)?;
            for (work, stat) in open.into_iter().zip(written) {
                match stat {
                    Ok(stat) => work.stats[at] = stat,
                    Err(error) => work.failure.set(error),
                }
            }
        }
        Ok(())
    }
}

/// The entries of a portion that one thread writes to one worktree.
struct Part<'a> {
    target: Unwritten<'a>,
    /// The index of the first entry.
    from: usize,
    stats: &'a mut [Stat],
}

/// A worktree that is being written.
struct WriteJob<'a> {
    target: Unwritten<'a>,
    /// One for each entry.
    stats: Vec<Stat>,
    failure: FirstError,
}

impl<'a> WriteJob<'a> {
    fn new(target: Unwritten<'a>, layout: &Layout) -> Self {
        Self { target, stats: vec![[0; size_of::<Stat>()]; layout.items().len()], failure: FirstError::default() }
    }
}

/// The first error in writing a worktree.
#[derive(Default)]
struct FirstError(Mutex<Option<GitError>>);

impl FirstError {
    fn is_none(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Keeps the error unless there is one.
    fn set(&self, error: GitError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Runs a step for the worktree unless it has failed.
    fn unless(&self, work: impl FnOnce() -> Result<(), GitError>) {
        if self.is_none()
            && let Err(error) = work()
        {
            self.set(error);
        }
    }

    fn into_result(self) -> Result<(), GitError> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}
