//! Files that are ignored by rules which nobody would see again.
//!
//! A `.gitignore` that is committed, or that is seen as changed or new and is committed with the rest, says for good
//! what it hides, and git's rules hold. One that hides itself is neither: with the worktree it would vanish, and with
//! it all that it hides. What such a file hides counts as not committed.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use gix::bstr::{BStr, BString, ByteSlice, ByteVec};
use gix::index::entry::Mode;
use gix::worktree::stack::state::ignore::Source;

use crate::error::GitError;

/// What is hidden so, as paths in the worktree.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// Files and symbolic links.
    pub(crate) files: BTreeSet<BString>,
    /// Folders that are repositories of their own.
    pub(crate) nested: BTreeSet<BString>,
}

impl Hidden {
    /// Looks at what a walk found to be ignored; whole folders are given as one.
    pub(crate) fn among(
        ignored: &[BString],
        repo: &gix::Repository,
        index: &gix::index::State,
    ) -> Result<Self, GitError> {
        let mut found = Self::default();
        let Some(root) = repo.workdir().filter(|_| !ignored.is_empty()) else { return Ok(found) };
        let rules = repo.excludes(index, None, Source::WorktreeThenIdMappingIfNotSkipped)?;
        let mut search = Search { root, index, rules, known: HashMap::new() };
        for path in ignored {
            search.look(path.as_bstr(), &mut found)?;
        }
        Ok(found)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.nested.is_empty()
    }

    /// How many paths; a nested repository counts as one.
    pub(crate) fn count(&self) -> u64 {
        (self.files.len() + self.nested.len()) as u64
    }
}

struct Search<'a> {
    root: &'a Path,
    index: &'a gix::index::State,
    rules: gix::AttributeStack<'a>,
    /// Whether files of rules hide themselves.
    known: HashMap<PathBuf, bool>,
}

impl Search<'_> {
    fn look(&mut self, path: &BStr, found: &mut Hidden) -> Result<(), GitError> {
        let file = self.root.join(gix::path::from_bstr(path)?);
        let Ok(metadata) = file.symlink_metadata() else { return Ok(()) };
        let mode = if metadata.is_dir() { Mode::DIR } else { Mode::FILE };
        let rule = self.rules.at_entry(path, Some(mode))?.matching_exclude_pattern().map(|rule| {
            let by = rule.source.map(Path::to_owned);
            (by, rule.pattern.is_negative())
        });
        // Where no rule matches a folder, rules match all that is in it.
        if let Some((by, false)) = rule
            && !self.hides_itself(by)?
        {
            return Ok(());
        }
        if !metadata.is_dir() {
            if metadata.is_file() || metadata.is_symlink() {
                found.files.insert(path.to_owned());
            }
            return Ok(());
        }
        if file.join(".git").symlink_metadata().is_ok() {
            found.nested.insert(path.to_owned());
            return Ok(());
        }
        for entry in fs::read_dir(&file).map_err(GitError::io("list", &file))? {
            let name = entry.map_err(GitError::io("list", &file))?.file_name();
            let mut below = path.to_owned();
            below.push_byte(b'/');
            below.extend_from_slice(&gix::path::try_os_str_into_bstr(name.as_os_str().into())?);
            self.look(below.as_bstr(), found)?;
        }
        Ok(())
    }

    /// Whether rules are from a `.gitignore` in the worktree that git does not know and that is ignored itself.
    fn hides_itself(&mut self, rules: Option<PathBuf>) -> Result<bool, GitError> {
        let Some(rules) = rules else { return Ok(false) };
        if let Some(known) = self.known.get(&rules) {
            return Ok(*known);
        }
        let hides = match rules.strip_prefix(self.root) {
            Ok(path) if path.file_name().is_some_and(|name| name == ".gitignore") => {
                let path = gix::path::to_unix_separators_on_windows(gix::path::into_bstr(path)?).into_owned();
                self.index.entry_by_path(path.as_bstr()).is_none()
                    && self.rules.at_entry(path.as_bstr(), Some(Mode::FILE))?.is_excluded()
            }
            _ => false,
        };
        self.known.insert(rules, hides);
        Ok(hides)
    }
}
