//! What a new worktree gets besides the files of its commit: files of the user's that git ignores, such as settings,
//! dependencies and build caches.
//!
//! Which, `.worktreeinclude` and the settings say ([`patterns`]). They are looked up once for a batch ([`list`]); what of them
//! fits into each worktree is decided there ([`filter`]), before anything is written ([`copy`]).

mod copy;
mod file;
mod filter;
mod list;
mod patterns;
mod reflink;
mod reflink_probe;
mod warnings;

use std::path::Path;

use gadugi_core::Seeded;
use gix::bstr::BStr;
use gix::index::entry::Mode;
use gix::worktree::stack::state::ignore::Source;

use crate::error::GitError;
use crate::repo::Repository;
use crate::settings::{Seeding, Seeds, WorktreeSettings};
use crate::threads::cancel::Awaited;

use self::list::List;
use self::patterns::Patterns;
use self::warnings::{Trouble, Troubles};

pub use self::reflink_probe::{Sharing, sharing};

/// The file in the root of the main work tree that names files to copy, in the syntax of `.gitignore`.
pub const INCLUDE_FILE: &str = ".worktreeinclude";

/// What worktrees would be seeded with now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// What each of them would get.
    pub each: Seeded,
    /// What is named and would not be copied, and why, in a sentence each.
    pub warnings: Vec<String>,
}

impl Repository {
    /// Looks what worktrees would be seeded with now. Nothing is copied.
    ///
    /// # Errors
    /// [`GitError`] when the work tree cannot be looked at.
    pub fn seeds(&self, seeds: &Seeds) -> Result<Survey, GitError> {
        let mut troubles = Troubles::default();
        let list = List::of(self, &self.open(&[])?, &seeds.patterns, &[], &mut troubles)?;
        let each = list.as_ref().map_or(Seeded::default(), List::sum);
        Ok(Survey { each, warnings: troubles.into_messages() })
    }
}

impl Repository {
    /// Those of these files of the work tree that git ignores and that no worktree would be seeded with.
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
        let patterns = Patterns::read(root, &seeds.patterns, ignore_case, &mut Troubles::default());
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

/// What became of one worktree: what was copied, and what the user should know of it.
pub(crate) type Sown = Result<(Option<Seeded>, Vec<String>), GitError>;

/// Copies into each of these worktrees what belongs there, several at a time. A file that cannot be read is left out with a
/// warning; a worktree that cannot be written, or is given up, is none. `repo` is the one that the worktrees belong to.
pub(crate) fn sow(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    worktrees: &[&Path],
    awaited: &Awaited,
) -> Vec<Sown> {
    let nothing = || worktrees.iter().map(|_| Ok((None, Vec::new()))).collect::<Vec<Sown>>();
    if worktrees.is_empty() {
        return Vec::new();
    }
    let mut troubles = Troubles::default();
    let kept_out = [&*settings.folder, &*settings.state];
    let list = List::of(&settings.repository, repo, &settings.seed.patterns, &kept_out, &mut troubles);
    let list = list.unwrap_or_else(|error| {
        troubles.note(Trouble::NotFound, gadugi_core::error_chain(&error));
        None
    });
    let mut sown = match list {
        Some(list) if !list.is_empty() => {
            if let Some(observer) = &settings.seed.observer {
                observer(Seeding { each: list.sum(), worktrees: worktrees.len() });
            }
            copy::into_all(settings, &list, worktrees, awaited)
        }
        _ => nothing(),
    };
    let news = troubles.into_messages().into_iter().filter(|message| settings.seed.is_new(message));
    if let Some((_, warnings)) = sown.iter_mut().find_map(|sown| sown.as_mut().ok()) {
        warnings.splice(0..0, news);
    }
    sown
}
