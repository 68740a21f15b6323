//! Writing the files and the indexes of many worktrees at once.
//!
//! Worktrees that start from the same tree get the same bytes. So the tree is decoded once; each thread then writes whole
//! worktrees, one after the other, by handles of their folders; and the index of each says what is on disk, so that the
//! first `git status` there reads no file. What this takes is bounded whatever the repository: content is held in portions,
//! and large files pass through.
//!
//! It does what `git worktree add` does for trees that need no filter; [`checkout_plan`](crate::create::checkout_plan) tells which do.

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

pub(crate) use self::content::LARGEST_HELD;
use self::content::{Content, Portion};
use self::files::{How, Writer};
use self::index::Stat;
pub(crate) use self::layout::{DEEPEST, Layout};
use crate::error::GitError;
use crate::threads::cancel::Awaited;
use crate::threads::parallel::{side_by_side, threads};

/// What the indexes note of files is held until they are written; so much of it at once.
const MOST_NOTED: usize = 48 << 20;

/// A folder that is registered as a worktree and has no files yet.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The worktree.
    pub(crate) folder: &'a Path,
    /// The folder of git's own files of it.
    pub(crate) git_dir: &'a Path,
}

/// A tree that can be written to worktrees.
pub(crate) struct Source {
    tree: ObjectId,
    layout: Layout,
    /// Where content may have to be converted by attributes.
    index: Option<gix::index::State>,
}

impl Source {
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
        targets: &[Target<'_>],
        awaited: &Awaited,
    ) -> Result<Vec<Result<(), GitError>>, GitError> {
        let cache_tree = cache_tree::of(repo, self.tree)?;
        let noted = self.layout.items().len() * size_of::<Stat>();
        let at_once = (MOST_NOTED / noted.max(1)).clamp(1, targets.len().max(1));
        let mut results = Vec::with_capacity(targets.len());
        for targets in targets.chunks(at_once) {
            let mut works: Vec<Work<'_>> = targets.iter().map(|target| Work::new(*target, &self.layout)).collect();
            self.write_files(repo, git, &mut works, awaited)?;
            side_by_side(works.iter_mut().collect(), |work| {
                work.failure.unless(|| index::write(&self.layout, &cache_tree, &work.stats, work.target.git_dir));
            });
            results.extend(works.into_iter().map(|work| work.failure.into_result()));
        }
        Ok(results)
    }

    fn write_files(
        &self,
        repo: &gix::Repository,
        git: &dyn Fn() -> Command,
        works: &mut [Work<'_>],
        awaited: &Awaited,
    ) -> Result<(), GitError> {
        let how = How::new(repo.filesystem_options()?.symlink, awaited.clone());
        let repo = repo.clone().into_sync();
        let mut from = 0;
        while from < self.layout.items().len() {
            let portion = content::decode(&repo, &self.layout, self.index.as_ref(), from, threads())?;
            how.awaited.check()?;
            self.write_large(&portion, &how, git, works)?;
            self.write_portion(&portion, &how, works);
            from = portion.range.end;
        }
        Ok(())
    }

    fn write_portion(&self, portion: &Portion, how: &How, works: &mut [Work<'_>]) {
        // Each thread has whole worktrees, unless some would soon have none left.
        let parts = if works.len().is_multiple_of(threads()) || works.len() >= 4 * threads() { 1 } else { threads() };
        let length = portion.range.len().div_ceil(parts);
        let units = works.iter_mut().flat_map(|Work { target, stats, failure }| {
            let parts = stats[portion.range.clone()].chunks_mut(length).enumerate();
            let failure = &*failure;
            parts.map(move |(number, stats)| (*target, portion.range.start + number * length, stats, failure))
        });
        side_by_side(units.collect(), |(target, from, stats, failure)| {
            failure.unless(|| self.write_part(portion, how, target, from, stats));
        });
    }

    fn write_part(
        &self,
        portion: &Portion,
        how: &How,
        target: Target<'_>,
        from: usize,
        stats: &mut [Stat],
    ) -> Result<(), GitError> {
        let mut writer = Writer::open(&self.layout, target.folder, how)?;
        for ((at, item), stat) in self.layout.items().iter().enumerate().skip(from).zip(stats) {
            how.awaited.check()?;
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
        how: &How,
        git: &dyn Fn() -> Command,
        works: &mut [Work<'_>],
    ) -> Result<(), GitError> {
        for at in portion.too_large() {
            let (mut open, mut writers) = (Vec::new(), Vec::new());
            for work in works.iter_mut().filter(|work| work.failure.is_none()) {
                match Writer::open(&self.layout, work.target.folder, how) {
                    Ok(writer) => {
                        writers.push(writer);
                        open.push(work);
                    }
                    Err(error) => work.failure.set(error),
                }
            }
            let written = large::write(git(), &self.layout.items()[at], &mut writers, &how.awaited)?;
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

/// A worktree that is being written.
struct Work<'a> {
    target: Target<'a>,
    /// One for each entry.
    stats: Vec<Stat>,
    failure: Failure,
}

impl<'a> Work<'a> {
    fn new(target: Target<'a>, layout: &Layout) -> Self {
        Self { target, stats: vec![[0; size_of::<Stat>()]; layout.items().len()], failure: Failure::default() }
    }
}

/// Why a worktree cannot be written, once that is known.
#[derive(Default)]
struct Failure(Mutex<Option<GitError>>);

impl Failure {
    fn is_none(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The first one counts.
    fn set(&self, error: GitError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Does something for the worktree unless it has failed.
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
