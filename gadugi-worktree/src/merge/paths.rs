//! The paths that a commit has changed, and whether those of two commits meet.

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::diff::tree::{Recorder, recorder::Change};

use crate::error::GitError;
use crate::history::{diff_trees, limits};

/// The paths of files that differ between two commits, sorted by their components.
pub(crate) fn changed_paths(repo: &gix::Repository, from: ObjectId, to: ObjectId) -> Result<Vec<BString>, GitError> {
    limits::check(repo, from, to)?;
    let (from, to) = (repo.find_commit(from)?.tree()?, repo.find_commit(to)?.tree()?);
    if from.id == to.id {
        return Ok(Vec::new());
    }
    let mut recorder = Recorder::default();
    diff_trees(repo, &from, &to, &mut recorder)?;
    let mut paths: Vec<BString> = recorder.records.into_iter().filter_map(path_of_file).collect();
    sort(&mut paths);
    Ok(paths)
}

/// Sorts paths by their components.
pub(crate) fn sort(paths: &mut [BString]) {
    paths.sort_by(|a, b| components(a.as_bstr()).cmp(components(b.as_bstr())));
}

/// The path of a change, unless only a folder's content has changed, whose files are changes of their own.
fn path_of_file(change: Change) -> Option<BString> {
    match change {
        Change::Addition { entry_mode, path, .. } | Change::Deletion { entry_mode, path, .. } => {
            (!entry_mode.is_tree()).then_some(path)
        }
        Change::Modification { previous_entry_mode, entry_mode, path, .. } => {
            (!(entry_mode.is_tree() && previous_entry_mode.is_tree())).then_some(path)
        }
    }
}

fn components(path: &BStr) -> impl Iterator<Item = &[u8]> {
    path.split_str("/")
}

/// Whether two lists, sorted by components, have a path in common, or one a path that is a folder of a path of the other.
pub(crate) fn meet(ours: &[BString], theirs: &[BString]) -> bool {
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
        if is_at_or_above(a.as_bstr(), b.as_bstr()) || is_at_or_above(b.as_bstr(), a.as_bstr()) {
            return true;
        }
        if components(a.as_bstr()).lt(components(b.as_bstr())) {
            ours.next();
        } else {
            theirs.next();
        }
    }
    false
}

/// Whether `path` is `other`, or the path of a folder that it lies in.
fn is_at_or_above(path: &BStr, other: &BStr) -> bool {
    other.strip_prefix(path.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(paths: &[&str]) -> Vec<BString> {
        let mut paths: Vec<BString> = paths.iter().map(|path| BString::from(*path)).collect();
        sort(&mut paths);
        paths
    }

    #[test]
    fn changes_meet_where_a_path_is_the_same_or_a_folder_of_the_other() {
        let meets = |ours: &[&str], theirs: &[&str]| meet(&sorted(ours), &sorted(theirs));
        assert!(meets(&["a", "b"], &["b", "c"]));
        assert!(meets(&["a", "b/c/d"], &["b"]));
        assert!(meets(&["b"], &["a", "b/c"]));
        assert!(meets(&["b", "b.txt"], &["a/z", "b/c"]));
        assert!(!meets(&["a.txt", "b/c"], &["a", "b.txt", "b/d"]));
        assert!(!meets(&["b-c", "bc"], &["b/c"]));
        assert!(!meets(&[], &["a"]));
    }
}
