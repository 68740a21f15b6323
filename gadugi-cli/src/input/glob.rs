//! Patterns such as `tasks/**/*.md`, which the shell has not expanded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::input::issue::{InputIssue, whole};

/// Whether a text is a pattern at all.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// The regular files that a pattern matches, sorted, as paths that begin as the pattern does. Hidden files and
/// folders are passed over where the pattern does not name them, and links to folders are not followed.
///
/// # Errors
/// [`InputIssue::Pattern`], [`InputIssue::ListFolder`] and [`InputIssue::NoMatch`].
pub(crate) fn expand(pattern: &str, folder: &Path) -> Result<Vec<PathBuf>, InputIssue> {
    let first_wild = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    let (start, rest) = pattern.split_at(pattern[..first_wild].rfind('/').map_or(0, |slash| slash + 1));
    let glob = GlobBuilder::new(rest).literal_separator(true).build();
    let glob = glob.map_err(|error| InputIssue::Pattern { at: whole(pattern), message: error.kind().to_string() })?;
    let endless = rest.contains("**") || rest.contains('{');
    let walk = Walk {
        start: folder.join(start),
        shown: start,
        matcher: glob.compile_matcher(),
        hidden: rest.starts_with('.') || rest.contains("/."),
        depth: if endless { usize::MAX } else { rest.matches('/').count() },
    };
    let mut found = Vec::new();
    walk.collect(Path::new(""), 0, &mut found)?;
    if found.is_empty() {
        return Err(InputIssue::NoMatch { at: whole(pattern) });
    }
    found.sort();
    Ok(found.into_iter().map(|path| Path::new(start).join(path)).collect())
}

struct Walk<'a> {
    /// The folder that the wild part of the pattern begins in.
    start: PathBuf,
    /// As the user wrote it.
    shown: &'a str,
    matcher: GlobMatcher,
    hidden: bool,
    /// The depth of folders below `start` that can match.
    depth: usize,
}

impl Walk<'_> {
    /// Adds what matches in a folder and below, as paths from `start`.
    fn collect(&self, below: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), InputIssue> {
        let folder = self.start.join(below);
        let list_error = |error| {
            let shown = Path::new(self.shown).join(below);
            let shown = if shown == Path::new("") { PathBuf::from(".") } else { shown };
            InputIssue::ListFolder { at: whole(shown), error }
        };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(list_error(error)),
        };
        for entry in entries {
            let entry = entry.map_err(list_error)?;
            let name = entry.file_name();
            if !self.hidden && name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = below.join(&name);
            let kind = entry.file_type().map_err(list_error)?;
            if kind.is_dir() {
                if depth < self.depth {
                    self.collect(&path, depth + 1, found)?;
                }
            } else if self.matcher.is_match(&path) && !self.start.join(&path).is_dir() {
                found.push(path);
            }
        }
        Ok(())
    }
}
