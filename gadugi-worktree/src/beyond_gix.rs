//! What gix does not check out as git does, so that git itself makes the worktree.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};

use crate::error::GitError;
use crate::repository::Repository;

/// Decides, for the worktrees of one batch, which of them git has to make.
pub(crate) struct Beyond {
    everywhere: bool,
    /// Filters that run as one long process.
    processes: Vec<BString>,
    trees: HashMap<ObjectId, bool>,
}

impl Beyond {
    /// Looks at the configuration.
    pub(crate) fn of(repo: &gix::Repository, repository: &Repository) -> Result<Self, GitError> {
        let config = repo.config_snapshot();
        let processes: Vec<BString> = config
            .plumbing()
            .sections_by_name("filter")
            .into_iter()
            .flatten()
            .filter(|section| section.value("process").is_some())
            .filter_map(|section| section.header().subsection_name().map(BStr::to_owned))
            .collect();
        let everywhere = config.boolean("worktree.useRelativePaths").unwrap_or(false)
            || is_partial(repo)
            || has_post_checkout_hook(repo, repository)
            || global_files(repo).iter().any(|path| fs::read(path).is_ok_and(|text| names_one(&text, &processes)));
        Ok(Self { everywhere, processes, trees: HashMap::new() })
    }

    /// Whether git has to check out this commit.
    pub(crate) fn gix(&mut self, repo: &gix::Repository, commit: ObjectId) -> Result<bool, GitError> {
        if self.everywhere {
            return Ok(true);
        }
        let tree = repo.find_commit(commit)?.tree_id()?.detach();
        if let Some(known) = self.trees.get(&tree) {
            return Ok(*known);
        }
        let found = self.attributes_of(repo, tree)?;
        self.trees.insert(tree, found);
        Ok(found)
    }

    fn attributes_of(&self, repo: &gix::Repository, tree: ObjectId) -> Result<bool, GitError> {
        let index = repo.index_from_tree(&tree)?;
        for entry in index.entries() {
            let path = entry.path(&index);
            let is_attributes =
                path.strip_suffix(b".gitattributes").is_some_and(|above| matches!(above.last(), None | Some(b'/')));
            if is_attributes && names_one(&repo.find_object(entry.id)?.data, &self.processes) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether git fetches objects only when they are needed.
pub(crate) fn is_partial(repo: &gix::Repository) -> bool {
    let config = repo.config_snapshot();
    let mut remotes = config.plumbing().sections_by_name("remote").into_iter().flatten();
    config.string("extensions.partialClone").is_some()
        || remotes.any(|section| {
            section
                .value("promisor")
                .is_some_and(|value| gix::config::Boolean::try_from(value.as_bstr()).map_or(true, |value| value.0))
        })
}

/// Attribute files that hold for every commit.
fn global_files(repo: &gix::Repository) -> Vec<PathBuf> {
    let configured = repo.config_snapshot().trusted_path("core.attributesFile").ok().flatten();
    configured.into_iter().chain([repo.common_dir().join("info").join("attributes")]).collect()
}

/// Whether git runs something in a new worktree. A relative folder of hooks is one in each worktree; the new one has
/// most likely what one of the known ones has.
fn has_post_checkout_hook(repo: &gix::Repository, repository: &Repository) -> bool {
    let folders = match repo.config_snapshot().trusted_path("core.hooksPath") {
        Ok(Some(folder)) => [repository.work_tree(), repository.root()].map(|known| known.join(&folder)).to_vec(),
        _ => vec![repo.common_dir().join("hooks")],
    };
    folders.iter().any(|folder| is_executable(&folder.join("post-checkout")))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// Whether a file of attributes sets one that gix treats otherwise than git: `ident`,
/// `working-tree-encoding`, and filters that run as a process.
fn names_one(attributes: &[u8], processes: &[BString]) -> bool {
    let is_one = |word: &[u8]| {
        word == b"ident"
            || word.starts_with(b"working-tree-encoding=")
            || word.strip_prefix(b"filter=").is_some_and(|name| processes.iter().any(|process| process == name))
    };
    attributes.lines().filter(|line| !line.trim_start().starts_with(b"#")).any(|line| line.fields().skip(1).any(is_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_git_must_handle_are_found_among_others() {
        let processes = [BString::from("lfs")];
        for text in [
            "*.c ident\n",
            "# text\n\n*.txt text working-tree-encoding=UTF-16LE eol=crlf",
            "[attr]big filter=lfs -text\n",
            "*.bin\tfilter=lfs diff=lfs merge=lfs -text\r\n",
        ] {
            assert!(names_one(text.as_bytes(), &processes), "{text}");
        }
    }

    #[test]
    fn attributes_that_gix_handles_like_git_are_left_to_it() {
        let processes = [BString::from("lfs")];
        for text in ["* text=auto", "*.sh eol=lf", "ident text", "#*.c ident", "*.c -ident", "*.x filter=other"] {
            assert!(!names_one(text.as_bytes(), &processes), "{text}");
        }
    }
}
