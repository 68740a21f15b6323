//! The files that a landing changes in a work tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};

use super::git::Git;
use super::record::Place;
use crate::error::GitError;
use crate::history::{FileDifference, file_differences};

/// The two commits of a landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commits {
    pub(super) old: ObjectId,
    pub(super) new: ObjectId,
}

impl Commits {
    /// The files that differ between the two, without submodules, which git leaves as they are.
    pub(super) fn differences(self, repo: &gix::Repository) -> Result<Vec<FileDifference>, GitError> {
        let tree = |commit| Ok::<_, GitError>(repo.find_commit(commit)?.tree_id()?.detach());
        let mut all = file_differences(repo, tree(self.old)?, tree(self.new)?)?;
        let is_file =
            |side: &Option<(gix::objs::tree::EntryMode, ObjectId)>| side.is_none_or(|(mode, _)| !mode.is_commit());
        all.retain(|one| is_file(&one.before) && is_file(&one.after));
        Ok(all)
    }
}

/// The files that change, and what is known of them before anything does.
pub(super) struct Plan {
    pub(super) changes: Vec<FileDifference>,
    /// Files that differ between the commits and stay as they are: the user has staged something there, or they are not in the
    /// sparse checkout.
    pub(super) kept: Vec<BString>,
    /// Files that the user has deleted.
    pub(super) missing: Vec<BString>,
    seen: BTreeMap<BString, Option<Seen>>,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Plan {
    /// Finds out what is to change. The index apart of `git` is a copy of the index.
    pub(super) fn new(
        repo: &gix::Repository,
        git: &Git<'_>,
        commits: Commits,
        place: &Place,
    ) -> Result<Self, GitError> {
        let mut changes = commits.differences(repo)?;
        let mut kept: BTreeSet<BString> = staged(git, commits)?.into_iter().collect();
        if git.is_set("core.sparseCheckout")? {
            kept.extend(outside_sparse(git, commits, place)?);
        }
        kept.retain(|path| changes.iter().any(|change| change.path == *path));
        changes.retain(|change| !kept.contains(&change.path));
        let mut missing = Vec::new();
        let mut seen = BTreeMap::new();
        for change in &changes {
            let metadata = path_of(&git.checkout.folder, change.path.as_bstr())?.symlink_metadata().ok();
            if metadata.is_none() && change.before.is_some() {
                missing.push(change.path.clone());
            }
            seen.insert(change.path.clone(), metadata.as_ref().map(Seen::of));
        }
        Ok(Self { changes, kept: kept.into_iter().collect(), missing, seen })
    }

    /// Whether no file has changed since the plan was made.
    pub(super) fn is_unchanged(&self, folder: &Path) -> Result<bool, GitError> {
        for (path, before) in &self.seen {
            let now = path_of(folder, path.as_bstr())?.symlink_metadata().ok();
            if now.as_ref().map(Seen::of) != *before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Files that git does not know, and that are in the place of one that is new. Git itself overwrites those that it ignores.
    pub(super) fn in_the_way(&self, git: &Git<'_>) -> Result<Vec<BString>, GitError> {
        let folder = &git.checkout.folder;
        let mut suspects: BTreeSet<BString> = BTreeSet::new();
        for change in self.changes.iter().filter(|change| change.before.is_none()) {
            for end in change.path.find_iter("/").chain([change.path.len()]) {
                let part = change.path[..end].as_bstr();
                match path_of(folder, part)?.symlink_metadata() {
                    Ok(metadata) if metadata.is_dir() && end < change.path.len() => {}
                    Ok(_) => {
                        suspects.insert(part.to_owned());
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
        let mut found = Vec::new();
        // A portion at a time, since all are arguments.
        for some in suspects.into_iter().collect::<Vec<_>>().chunks(200) {
            let mut args = vec!["ls-files", "--others", "-z", "--"];
            let some: Vec<String> = some.iter().map(ToString::to_string).collect();
            args.extend(some.iter().map(String::as_str));
            found.extend(git.paths(&args)?);
        }
        Ok(found)
    }

    /// Files with changes of the user that keep them from following.
    pub(super) fn changed_by_user(&self, git: &Git<'_>, commits: Commits) -> Result<Vec<BString>, GitError> {
        let unstaged: BTreeSet<BString> =
            git.paths(&["diff-files", "--name-only", "-z", "--ignore-submodules"])?.into_iter().collect();
        let changes = self.changes.iter().map(|change| &change.path);
        let mut found: BTreeSet<BString> = changes.filter(|path| unstaged.contains(*path)).cloned().collect();
        found.extend(staged(git, commits)?.into_iter().filter(|path| self.kept.contains(path)));
        Ok(found.into_iter().collect())
    }
}

/// The files that the user has staged.
fn staged(git: &Git<'_>, commits: Commits) -> Result<Vec<BString>, GitError> {
    git.paths(&["diff-index", "--cached", "--name-only", "-z", "--no-renames", &commits.old.to_string()])
}

/// The files of the two commits that a sparse checkout leaves out.
fn outside_sparse(git: &Git<'_>, commits: Commits, place: &Place) -> Result<BTreeSet<BString>, GitError> {
    let after = place.folder.join("index-sparse");
    std::fs::copy(git.index, &after).map_err(GitError::io("copy", git.index))?;
    let (old, new) = (commits.old.to_string(), commits.new.to_string());
    let git_after = git.with_index(&after);
    // Where it fails, the landing is refused for the same reason.
    git_after.change(&["read-tree", "-m", "-i", &old, &new], &[])?;
    let mut outside = BTreeSet::new();
    for git in [git, &git_after] {
        let listed = git.paths(&["ls-files", "-t", "-z"])?;
        outside.extend(listed.iter().filter_map(|line| line.strip_prefix(b"S ")).map(BString::from));
    }
    Ok(outside)
}

/// A path of the repository in a work tree.
pub(super) fn path_of(folder: &Path, path: &BStr) -> Result<PathBuf, GitError> {
    Ok(folder.join(gix::path::from_bstr(path)?))
}
