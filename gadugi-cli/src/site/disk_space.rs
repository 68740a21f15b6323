//! The disk space that worktrees take, and that is free.

use std::path::{Path, PathBuf};

use gadugi_core::{CommitId, error_chain};
use gadugi_worktree::{Footprint, FreeSpace, Sharing, sharing};

use super::Site;
use crate::config::Config;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::terminal::size_text;

/// Disk space, as surveyed before worktrees are created.
pub(crate) struct DiskSpace {
    /// The folder of the worktrees.
    pub(crate) folder: PathBuf,
    /// The footprint of a new worktree, before a task has worked in it.
    each: Footprint,
    free: FreeSpace,
}

impl Site {
    /// Surveys the disk space for worktrees of a commit. The inner
    /// error says why it cannot be known.
    pub(crate) fn disk_space(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
    ) -> Result<Result<DiskSpace, String>, Failure> {
        let folder = self.worktrees_folder(surroundings, config)?;
        let Some(free) = FreeSpace::of(&folder) else {
            return Ok(Err(format!("the free space of {} is not known", folder.display())));
        };
        Ok(match self.repository.footprint(base, &folder) {
            Ok(each) => Ok(DiskSpace { each: each + self.footprint_of_seeds(config, &folder)?, folder, free }),
            Err(error) => Err(format!("what a worktree takes is not known: {}", error_chain(&error))),
        })
    }

    /// The footprint of the files copied into a worktree in this folder. Files that share their contents with the original take no space yet.
    fn footprint_of_seeds(&self, config: &Config, folder: &Path) -> Result<Footprint, Failure> {
        let (seeds, _) = self.seeds(config)?;
        let is_shared = || matches!(sharing(&self.repository, folder), Ok(Sharing::Shared));
        let bytes = if seeds.bytes == 0 || is_shared() { 0 } else { seeds.bytes };
        Ok(Footprint { bytes, inodes: seeds.files })
    }
}

impl DiskSpace {
    /// A sentence about the space that so many worktrees lack; `None` if they fit.
    pub(crate) fn shortage(&self, worktrees: u64) -> Option<String> {
        let needed = self.each.times(worktrees);
        if self.free.holds(needed) {
            return None;
        }
        let worktrees = if worktrees == 1 { "1 worktree takes".into() } else { format!("{worktrees} worktrees take") };
        Some(if needed.bytes > self.free.bytes {
            format!("{worktrees} {}, and {} are free", size_text(needed.bytes), size_text(self.free.bytes))
        } else {
            let free = self.free.inodes.unwrap_or(u64::MAX);
            format!("{worktrees} {} files and folders, and the disk has room for {free}", needed.inodes)
        })
    }

    /// The number of worktrees that fit.
    pub(crate) fn fitting(&self) -> u64 {
        self.free.count(self.each)
    }

    /// The size of one worktree.
    pub(crate) fn each(&self) -> String {
        size_text(self.each.bytes)
    }

    /// The size of so many worktrees together.
    pub(crate) fn all(&self, worktrees: u64) -> String {
        size_text(self.each.times(worktrees).bytes)
    }

    /// The size of the free space.
    pub(crate) fn free(&self) -> String {
        size_text(self.free.bytes)
    }
}
