//! Seeds: files of the user's that git ignores, such as settings, dependencies and build caches, copied into new worktrees.
//!
//! They are named by `.worktreeinclude` and the settings ([`patterns`]), and looked up once for a batch ([`list`]); the part
//! that fits into a worktree is selected there ([`filter`]), before anything is written ([`copy`]).

mod copy;
mod file;
mod filter;
mod list;
mod patterns;
mod reflink;
mod reflink_probe;
mod warnings;

use std::path::Path;

use gadugi_core::worktrees::Seeded;
use gix::bstr::BStr;
use gix::index::entry::Mode;
use gix::worktree::stack::state::ignore::Source;

use crate::error::GitError;
use crate::repo::Repository;
use crate::settings::{Seeding, Seeds, WorktreeSettings};
use crate::threads::cancel::Awaited;

use self::list::List;
use self::patterns::Patterns;
use self::warnings::{Warning, Warnings};

pub use self::reflink_probe::{Sharing, sharing};

/// The file in the root of the main work tree that names files to copy, in the syntax of `.gitignore`.
pub const INCLUDE_FILE: &str = ".worktreeinclude";

/// The seeds that a new worktree would get now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// The files for each worktree.
    pub each: Seeded,
    /// A sentence for each kind of named file that would not be copied, with the reason.
    pub warnings: Vec<String>,
}

impl Repository {
    /// Finds the seeds that a new worktree would get now. Nothing is copied.
    ///
    /// # Errors
    /// [`GitError`] when the work tree cannot be looked at.
    pub fn seeds(&self, seeds: &Seeds) -> Result<Survey, GitError> {
        let mut warnings = Warnings::default();
        let list = List::of(self, &self.open(&[])?, &seeds.patterns, &[], &mut warnings)?;
        let each = list.as_ref().map_or(Seeded::default(), List::sum);
        Ok(Survey { each, warnings: warnings.into_messages() })
    }
}

impl Repository {
    /// The ignored files among `files` that no worktree would be seeded with.
    ///
    /// # Errors
    /// [`GitError`] when the work tree cannot be looked at.
    pub fn left_out_of<'a>(&self, seeds: &Seeds, files: &[&'a str]) -> Result<Vec<&'a str>, GitError> {
        let repo = self.open_work_tree()?;
        let Some(root) = repo.workdir() else { return Ok(Vec::new()) };
        let there = files.iter().filter(|file| root.join(file).is_file());
        let there: Vec<&'a str> = there.copied().collect();
        if there.is_empty() {
            return Ok(there);
        }
        let ignore_case = repo.config_snapshot().boolean("core.ignoreCase").unwrap_or(false);
        let patterns = Patterns::read(root, &seeds.patterns, ignore_case, &mut Warnings::default());
        let is_named = |file: &BStr| {
            patterns.as_ref().is_some_and(|patterns| patterns.names(file, false) || patterns.name_a_folder_above(file))
        };
        let index = repo.index_or_empty()?;
        let mut rules = repo.excludes(&index, None, Source::WorktreeThenIdMappingIfNotSkipped)?;
        let mut left_out = Vec::new();
        for file in there {
            let path = BStr::new(file);
            let is_ignored = rules.at_entry(path, Some(Mode::FILE))?.is_excluded();
            if is_ignored && index.entry_by_path(path).is_none() && !is_named(path) {
                left_out.push(file);
            }
        }
        Ok(left_out)
    }
}

/// The result of seeding one worktree: the copied files, and warnings for the user.
pub(crate) type SeedResult = Result<(Option<Seeded>, Vec<String>), GitError>;

/// Copies the seeds into each of these worktrees, in parallel. A file that cannot be read is left out with a warning; a
/// worktree that cannot be written, or whose making is cancelled, is an error. `repo` is the repository of the worktrees.
pub(crate) fn seed_all(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    worktrees: &[&Path],
    awaited: &Awaited,
) -> Vec<SeedResult> {
    let nothing = || worktrees.iter().map(|_| Ok((None, Vec::new()))).collect::<Vec<SeedResult>>();
    if worktrees.is_empty() {
        return Vec::new();
    }
    let mut warnings = Warnings::default();
    let kept_out = [&*settings.folder, &*settings.state];
    let list = List::of(&settings.repository, repo, &settings.seed.patterns, &kept_out, &mut warnings);
    let list = list.unwrap_or_else(|error| {
        warnings.note(Warning::NotFound, gadugi_core::error_chain(&error));
        None
    });
    let mut seeded = match list {
        Some(list) if !list.is_empty() => {
            if let Some(observer) = &settings.seed.observer {
                observer(Seeding { each: list.sum(), worktrees: worktrees.len() });
            }
            copy::into_all(settings, &list, worktrees, awaited)
        }
        _ => nothing(),
    };
    let news = warnings.into_messages().into_iter().filter(|message| settings.seed.is_new(message));
    if let Some((_, warnings)) = seeded.iter_mut().find_map(|seeded| seeded.as_mut().ok()) {
        warnings.splice(0..0, news);
    }
    seeded
}
