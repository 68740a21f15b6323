//! Generated files: they are never merged as text.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::glob::pattern::Case;
use gix::ignore::Search;
use gix::ignore::search::Ignore;

use crate::error::GitError;
use crate::history::file_differences;

/// Patterns of files, in the syntax of `.gitignore`.
pub(super) struct Patterns {
    search: Search,
    is_empty: bool,
}

impl Patterns {
    pub(super) fn new(patterns: &[String]) -> Self {
        let mut search = Search::default();
        let text = patterns.join("\n");
        // Patterns without a root have no place that could be wrong.
        let added = search.add_patterns_buffer(text.as_bytes(), "patterns", None, Ignore::default());
        Self { search, is_empty: patterns.is_empty() || added.is_err() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Whether a file, or a folder above it, is named.
    pub(super) fn name(&self, path: &BStr) -> bool {
        let matching = |path: &BStr, is_folder| {
            let found = self.search.pattern_matching_relative_path(path, Some(is_folder), Case::Sensitive);
            found.map(|found| !found.pattern.is_negative())
        };
        let in_folder = || path.find_iter("/").any(|end| matching(path[..end].as_bstr(), true) == Some(true));
        !self.is_empty && matching(path, false).unwrap_or_else(in_folder)
    }
}

/// The paths of the files that differ between two trees.
pub(super) fn changed(repo: &gix::Repository, from: ObjectId, to: ObjectId) -> Result<BTreeSet<BString>, GitError> {
    Ok(file_differences(repo, from, to)?.into_iter().map(|one| one.path).collect())
}

/// A tree with the named files as another tree has them. Returns also whether the two differ in such a file.
pub(super) fn with_named_of(
    repo: &gix::Repository,
    tree: ObjectId,
    other: ObjectId,
    patterns: &Patterns,
) -> Result<(ObjectId, bool), GitError> {
    if patterns.is_empty() {
        return Ok((tree, false));
    }
    let mut named = file_differences(repo, tree, other)?;
    named.retain(|one| patterns.name(one.path.as_bstr()));
    if named.is_empty() {
        return Ok((tree, false));
    }
    let mut editor = repo.edit_tree(tree)?;
    // Removed first, where a folder takes the place of a file.
    for one in named.iter().filter(|one| one.after.is_none()) {
        editor.remove(one.path.as_bstr())?;
    }
    for one in &named {
        if let Some((mode, id)) = one.after {
            editor.upsert(one.path.as_bstr(), mode.kind(), id)?;
        }
    }
    Ok((editor.write()?.detach(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files_as_gitignore_does() {
        let patterns = |text: &[&str]| Patterns::new(&text.iter().map(ToString::to_string).collect::<Vec<_>>());
        let lock = patterns(&["Cargo.lock", "/dist/", "*.gen.rs", "!keep.gen.rs"]);
        for named in ["Cargo.lock", "a/Cargo.lock", "dist/x", "dist/a/b", "src/x.gen.rs"] {
            assert!(lock.name(named.into()), "{named}");
        }
        for other in ["Cargo.toml", "a/dist/x", "dist", "keep.gen.rs", "x.gen.rs.txt"] {
            assert!(!lock.name(other.into()), "{other}");
        }
        assert!(!patterns(&[]).name("a".into()));
    }
}
