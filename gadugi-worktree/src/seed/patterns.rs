//! The patterns that name seeds: those of `.worktreeinclude`, and those of the settings after them.

use std::io;
use std::path::Path;

use gix::bstr::{BStr, BString, ByteSlice};
use gix::glob::pattern::{Case, Mode};
use gix::ignore::Search;
use gix::ignore::search::Ignore;

use super::INCLUDE_FILE;
use super::warnings::{Warning, Warnings};
use crate::files::ordinary;

/// Size limit of the file of patterns.
const MAX_BYTES: u64 = 1 << 20;

/// Patterns in the syntax of `.gitignore`; a match names a file.
pub(super) struct Patterns {
    search: Search,
    case: Case,
    /// The literal prefixes, up to the first wildcard, of patterns with a slash; `None` where other patterns can match
    /// anywhere.
    beginnings: Option<Vec<BString>>,
}

impl Patterns {
    /// Reads them; `None` where there are none.
    pub(super) fn read(root: &Path, settings: &[String], ignore_case: bool, warnings: &mut Warnings) -> Option<Self> {
        let included = read_file(&root.join(INCLUDE_FILE)).unwrap_or_else(|error| {
            warnings.note(Warning::Unreadable, format!("{INCLUDE_FILE} ({error})"));
            Vec::new()
        });
        let mut search = Search::default();
        for text in [included, settings.join("\n").into_bytes()] {
            // Cannot fail, since patterns without a root have no place that could be wrong.
            search.add_patterns_buffer(&text, INCLUDE_FILE, None, Ignore::default()).ok()?;
        }
        let patterns = || search.patterns.iter().flat_map(|list| &list.patterns).map(|mapping| &mapping.pattern);
        let naming = || patterns().filter(|pattern| !pattern.mode.contains(Mode::NEGATIVE));
        naming().next()?;
        let is_free = |mode: Mode| mode.contains(Mode::NO_SUB_DIR) && !mode.contains(Mode::ABSOLUTE);
        let anywhere = ignore_case || naming().any(|pattern| is_free(pattern.mode));
        let beginning = |pattern: &gix::glob::Pattern| {
            let literal = pattern.first_wildcard_pos.unwrap_or(pattern.text.len());
            BString::from(&pattern.text[..literal])
        };
        let beginnings = (!anywhere).then(|| naming().map(beginning).collect());
        let case = if ignore_case { Case::Fold } else { Case::Sensitive };
        Some(Self { search, case, beginnings })
    }

    /// Whether a path is named by itself. All files in a named folder are named too.
    pub(super) fn names(&self, path: &BStr, is_folder: bool) -> bool {
        let found = self.search.pattern_matching_relative_path(path, Some(is_folder), self.case);
        found.is_some_and(|found| !found.pattern.is_negative())
    }

    /// Whether a folder above a path is named.
    pub(super) fn name_a_folder_above(&self, path: &BStr) -> bool {
        path.find_iter("/").any(|end| self.names(path[..end].as_bstr(), true))
    }

    /// Whether anything below a folder that is not named may be.
    pub(super) fn may_name_below(&self, folder: &BStr) -> bool {
        let Some(beginnings) = &self.beginnings else { return true };
        let below = [folder.as_bytes(), b"/"].concat();
        beginnings.iter().any(|beginning| below.starts_with(beginning) || beginning.starts_with(&below))
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is no file")),
        Ok(metadata) if metadata.len() > MAX_BYTES => Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => ordinary::read(path),
    }
}
