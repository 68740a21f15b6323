//! The folders of an index, and the tree that it would be committed as, from its entries alone: no object is read, so that it
//! is cheap for a large repository. The trees in the index itself are not trusted.

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Flags, Mode, Stage};
use gix::index::{Entry, State};
use gix::objs::Kind;

use crate::error::GitError;

/// A folder of an index.
#[derive(Clone, Copy)]
pub(crate) struct Folder<'a> {
    pub(crate) name: &'a BStr,
    entries: &'a [Entry],
    /// Length of the path prefix that its entries share: none in the root, and else its own path with a slash.
    prefix: usize,
}

/// A member of a folder.
pub(crate) enum Member<'a> {
    /// A file, a link or a submodule, by its name.
    Entry(&'a BStr, &'a Entry),
    Folder(Folder<'a>),
}

impl<'a> Folder<'a> {
    pub(crate) fn root(index: &'a State) -> Self {
        Self { name: "".into(), entries: index.entries(), prefix: 0 }
    }

    pub(crate) fn is_root(self) -> bool {
        self.prefix == 0
    }

    /// Its entries, with those in the folders below it.
    pub(crate) fn entries(self) -> &'a [Entry] {
        self.entries
    }

    /// The number of its entries, with those in the folders below it.
    pub(crate) fn len(self) -> usize {
        self.entries.len()
    }

    /// Its members, in the order of the index. That is also a tree's: in both, a folder stands where its name with a slash
    /// does.
    pub(crate) fn members(self, index: &'a State) -> impl Iterator<Item = Member<'a>> {
        let Self { mut entries, prefix, .. } = self;
        std::iter::from_fn(move || {
            let (entry, others) = entries.split_first()?;
            let path = entry.path(index)[prefix..].as_bstr();
            let Some(end) = path.find_byte(b'/') else {
                entries = others;
                return Some(Member::Entry(path, entry));
            };
            let is_below = |entry: &Entry| entry.path(index)[prefix..].starts_with(&path[..=end]);
            let (below, others) = entries.split_at(entries.partition_point(is_below));
            entries = others;
            Some(Member::Folder(Folder { name: path[..end].as_bstr(), entries: below, prefix: prefix + end + 1 }))
        })
    }
}

/// Whether an entry stands for a file, a link or a submodule: not for a conflict, a file that was only announced (`git add
/// -N`), or a folder in place of its files.
pub(crate) fn is_plain(entry: &Entry) -> bool {
    entry.stage() == Stage::Unconflicted
        && !entry.flags.intersects(Flags::INTENT_TO_ADD | Flags::REMOVE)
        && matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE | Mode::SYMLINK | Mode::COMMIT)
}

/// The id of that tree; `None` where only git would know it, since not all entries are [plain](is_plain).
pub(crate) fn id_of(index: &State) -> Result<Option<ObjectId>, GitError> {
    if index.link().is_some() || !index.entries().iter().all(is_plain) {
        return Ok(None);
    }
    tree(index, Folder::root(index)).map(Some)
}

fn tree(index: &State, folder: Folder<'_>) -> Result<ObjectId, GitError> {
    let mut content = Vec::with_capacity(folder.len() * 48);
    for member in folder.members(index) {
        match member {
            Member::Folder(below) => add(&mut content, "40000", below.name, tree(index, below)?),
            Member::Entry(name, entry) => {
                let mode = match entry.mode {
                    Mode::FILE_EXECUTABLE => "100755",
                    Mode::SYMLINK => "120000",
                    Mode::COMMIT => "160000",
                    _ => "100644",
                };
                add(&mut content, mode, name, entry.id);
            }
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

#[cfg(test)]
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
