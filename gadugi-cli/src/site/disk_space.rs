//! The room that worktrees take on their disk, and what there is.

use std::path::{Path, PathBuf};

use gadugi_core::{CommitId, error_chain};
use gadugi_worktree::{Footprint, FreeSpace, Sharing, sharing};

use super::Site;
use crate::config::Config;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::terminal::size_text;

/// What is known before worktrees are made.
pub(crate) struct DiskSpace {
    /// Where they are to lie.
    pub(crate) folder: PathBuf,
    /// What each of them takes, before a task has worked in it.
    each: Footprint,
    free: FreeSpace,
}

impl Site {
    /// Looks how much room worktrees of a commit take, and how much there is. The inner
    /// error says why that cannot be known.
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
}

impl Site {
    /// What is copied into each worktree in this folder. What shares its contents with the original takes no room yet.
    fn footprint_of_seeds(&self, config: &Config, folder: &Path) -> Result<Footprint, Failure> {
        let (seeds, _) = self.seeds(config)?;
        let is_shared = || matches!(sharing(&self.repository, folder), Ok(Sharing::Shared));
        let bytes = if seeds.bytes == 0 || is_shared() { 0 } else { seeds.bytes };
        Ok(Footprint { bytes, inodes: seeds.files })
    }
}

impl DiskSpace {
    /// What so many worktrees would lack, as a sentence; `None` if they fit.
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

    /// How many worktrees fit.
    pub(crate) fn fitting(&self) -> u64 {
        self.free.count(self.each)
    }

    /// What one takes.
    pub(crate) fn each(&self) -> String {
        size_text(self.each.bytes)
    }

    /// What so many of them take together.
    pub(crate) fn all(&self, worktrees: u64) -> String {
        size_text(self.each.times(worktrees).bytes)
    }

    /// What is free.
    pub(crate) fn free(&self) -> String {
        size_text(self.free.bytes)
    }
}
