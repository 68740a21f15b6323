//! Where worktrees are not written by us, so that git makes all of them.

use std::path::Path;
use std::process::Command;

use gix::ObjectId;

use crate::awaited::Awaited;
use crate::error::GitError;

pub(crate) const DEEPEST: usize = 0;
pub(crate) const LARGEST_HELD: u64 = 0;

#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) git_dir: &'a Path,
}

pub(crate) struct Layout {
    pub(crate) depth: usize,
}

impl Layout {
    pub(crate) fn of(_: &gix::index::State) -> Self {
        Self { depth: usize::MAX }
    }
}

pub(crate) struct Source;

impl Source {
    pub(crate) fn new(_: ObjectId, _: Layout, _: gix::index::State, _: bool) -> Self {
        Self
    }

    pub(crate) fn write(
        &self,
        _: &gix::Repository,
        _: &dyn Fn() -> Command,
        targets: &[Target<'_>],
        _: &Awaited,
    ) -> Result<Vec<Result<(), GitError>>, GitError> {
        Ok(targets
            .iter()
            .map(|Target { folder, git_dir: _ }| Err(GitError::NotAWorktree { path: folder.to_path_buf() }))
            .collect())
    }
}
