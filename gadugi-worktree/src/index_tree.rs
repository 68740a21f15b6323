//! The tree that an index would be committed as, from its entries alone: no object is read, so that it can be asked of a
//! large repository at any time. What the index itself says of its trees is not trusted.

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::index::entry::{Flags, Mode, Stage};
use gix::index::{Entry, State};
use gix::objs::Kind;

use crate::error::GitError;

/// The id of that tree; `None` where there is none, or only git would know it: with conflicts, with files that are only
/// announced, and with folders in the place of files.
pub(crate) fn id_of(index: &State) -> Result<Option<ObjectId>, GitError> {
    let is_plain = |entry: &Entry| {
        entry.stage() == Stage::Unconflicted
            && !entry.flags.intersects(Flags::INTENT_TO_ADD | Flags::REMOVE)
            && matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE | Mode::SYMLINK | Mode::COMMIT)
    };
    if index.link().is_some() || !index.entries().iter().all(is_plain) {
        return Ok(None);
    }
    tree(index, index.entries(), 0).map(Some)
}

/// The tree of a folder, whose entries these are; their paths share the first `prefix` bytes. An index and a tree are sorted alike:
/// in both, a folder stands where its name with a slash does.
fn tree(index: &State, mut entries: &[Entry], prefix: usize) -> Result<ObjectId, GitError> {
    let mut content = Vec::with_capacity(entries.len() * 48);
    while let Some((entry, others)) = entries.split_first() {
        let path = &entry.path(index)[prefix..];
        if let Some(end) = path.find_byte(b'/') {
            let (below, others) = split_folder(index, entries, prefix, &path[..=end]);
            let id = tree(index, below, prefix + end + 1)?;
            add(&mut content, "40000", &path[..end], id);
            entries = others;
        } else {
            let mode = match entry.mode {
                Mode::FILE_EXECUTABLE => "100755",
                Mode::SYMLINK => "120000",
                Mode::COMMIT => "160000",
                _ => "100644",
            };
            add(&mut content, mode, path, entry.id);
            entries = others;
        }
    }
    gix::objs::compute_hash(index.object_hash(), Kind::Tree, &content)
        .map_err(|error| gix::Error::from_error(error).into())
}

fn add(content: &mut Vec<u8>, mode: &str, name: &[u8], id: ObjectId) {
    for part in [mode.as_bytes(), b" ", name, b"\0", id.as_slice()] {
        content.extend_from_slice(part);
    }
}

/// The entries below a folder, which is the first that comes there, and those after it. `name` ends in its slash.
pub(crate) fn split_folder<'a>(
    index: &State,
    entries: &'a [Entry],
    prefix: usize,
    name: &[u8],
) -> (&'a [Entry], &'a [Entry]) {
    entries.split_at(entries.partition_point(|entry| entry.path(index)[prefix..].starts_with(name)))
}

#[cfg(all(test, unix))]
mod tests {
    use gadugi_test_support::repo::TestRepo;

    use super::*;

    fn assert_like_git(repo: &TestRepo) {
        let index = gix::open(repo.path()).expect("a repository").open_index().expect("an index");
        let id = id_of(&index).expect("it can be told").expect("there is a tree");
        assert_eq!(id.to_string(), repo.git(&["write-tree"]));
    }

    #[test]
    fn the_tree_is_that_which_git_writes() {
        let repo = TestRepo::new();
        for path in ["a", "b.txt", "b/x", "b/y/z", "b-c", "b0", "b/y.z", "ba/b/c", "\u{e9}/\u{1f980}", "B/x"] {
            repo.write(path, path);
        }
        repo.git(&["add", "."]);
        repo.git(&["update-index", "--chmod=+x", "b/x"]);
        repo.git(&["commit", "-q", "-m", "Begin"]);
        let commit = repo.git(&["rev-parse", "HEAD"]);
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},b/submodule")]);
        std::os::unix::fs::symlink("a", repo.path().join("link")).expect("a link");
        repo.git(&["add", "link"]);
        assert_like_git(&repo);
        repo.git(&["rm", "-q", "-r", "-f", "."]);
        assert_like_git(&repo);
    }

    #[test]
    fn a_file_that_is_only_announced_is_in_no_tree() {
        let repo = TestRepo::new();
        repo.write("new", "");
        repo.git(&["add", "-N", "new"]);
        let index = gix::open(repo.path()).expect("a repository").open_index().expect("an index");
        assert_eq!(id_of(&index).expect("it can be told"), None);
    }
}
