//! Limits for the commits of a task, which are checked before anything is built from them.
//!
//! A few small objects can make a commit with any number of files, since a tree may contain the same tree many times. So its
//! files are counted without going to each of them: every pair of trees, of the commit and of its base, is read once.

use std::collections::HashMap;

use gix::ObjectId;
use gix::bstr::BString;
use gix::objs::tree::EntryMode;
use gix::objs::{Kind, TreeRefIter};

use crate::error::GitError;

/// Limit of files in a commit that differ from its base.
const MAX_FILES: u64 = 500_000;
/// Path length limit: no system has longer paths that can be written.
const MAX_PATH_LENGTH: usize = 4096;
/// Size limit of a tree: no larger folder has few enough files.
const MAX_TREE_BYTES: u64 = 64 * 1024 * 1024;

/// Checks that a commit differs from the base of its branch in no more files than the limit.
pub(crate) fn check(repo: &gix::Repository, base: ObjectId, commit: ObjectId) -> Result<(), GitError> {
    if base == commit {
        return Ok(());
    }
    // Where the start is gone, all files are new.
    let from = repo.find_commit(base).and_then(|base| Ok(base.tree_id()?.detach())).ok();
    let tree = repo.find_commit(commit)?.tree_id()?.detach();
    let too_large = |what| GitError::CommitTooLarge { id: commit.to_string(), what };
    check_trees(repo, from, tree, MAX_FILES)?.map_err(too_large)
}

/// The same for two trees. The inner error names the excess.
pub(crate) fn check_trees(
    repo: &gix::Repository,
    from: Option<ObjectId>,
    to: ObjectId,
    most: u64,
) -> Result<Result<(), String>, GitError> {
    let mut count = Count { repo, most, known: HashMap::new(), read: 0, open: Vec::new() };
    count.run(Pair { from, to })
}

/// The entries of a tree, by name.
type Entries = HashMap<BString, (EntryMode, ObjectId)>;

/// A tree, and the one in its place in the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    from: Option<ObjectId>,
    to: ObjectId,
}

/// The size of the difference between two trees.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    files: u64,
    longest_path: usize,
}

/// A pair that is being read.
struct Open {
    pair: Pair,
    extent: Extent,
    /// Its subfolders that are still to be read, with the lengths of their names.
    folders: Vec<(usize, Pair)>,
}

struct Count<'a> {
    repo: &'a gix::Repository,
    most: u64,
    known: HashMap<Pair, Extent>,
    /// The number of entries that were read.
    read: u64,
    open: Vec<Open>,
}

impl Count<'_> {
    fn run(&mut self, root: Pair) -> Result<Result<(), String>, GitError> {
        if let Err(why) = self.enter(root)? {
            return Ok(Err(why));
        }
        while let Some(last) = self.open.last_mut() {
            let Some((name, pair)) = last.folders.pop() else {
                let Some(Open { pair, extent, .. }) = self.open.pop() else { break };
                self.known.insert(pair, extent);
                continue;
            };
            if let Some(known) = self.known.get(&pair) {
                last.extent.files = last.extent.files.saturating_add(known.files);
                last.extent.longest_path = last.extent.longest_path.max(name + 1 + known.longest_path);
            } else {
                // It is found known the next time.
                last.folders.push((name, pair));
                if let Err(why) = self.enter(pair)? {
                    return Ok(Err(why));
                }
            }
        }
        let Extent { files, longest_path } = self.known.get(&root).copied().unwrap_or_default();
        if files > self.most {
            return Ok(Err(self.too_many()));
        }
        Ok(if longest_path > MAX_PATH_LENGTH { Err(too_long()) } else { Ok(()) })
    }

    /// Reads the trees of a pair.
    fn enter(&mut self, pair: Pair) -> Result<Result<(), String>, GitError> {
        let mut open = Open { pair, extent: Extent::default(), folders: Vec::new() };
        // Each has a name of one byte, and a slash.
        if self.open.len() > MAX_PATH_LENGTH / 2 {
            return Ok(Err(too_long()));
        }
        if pair.from != Some(pair.to) {
            let Ok(before) = pair.from.map(|from| self.entries(from)).transpose()?.unwrap_or(Ok(Entries::new())) else {
                return Ok(Err(self.too_many()));
            };
            let Ok(after) = self.entries(pair.to)? else { return Ok(Err(self.too_many())) };
            for (name, (mode, id)) in after {
                let stood = before.get(&name).filter(|(before, _)| before.is_tree() == mode.is_tree());
                if mode.is_tree() {
                    open.folders.push((name.len(), Pair { from: stood.map(|(_, id)| *id), to: id }));
                } else if stood != Some(&(mode, id)) {
                    open.extent.files += 1;
                }
                open.extent.longest_path = open.extent.longest_path.max(name.len());
            }
        }
        self.open.push(open);
        Ok(if self.read > self.most.saturating_mul(4) { Err(self.too_many()) } else { Ok(()) })
    }

    /// The entries of one tree; the inner error stands for one that is too large to be read.
    fn entries(&mut self, tree: ObjectId) -> Result<Result<Entries, ()>, GitError> {
        let header = self.repo.find_header(tree)?;
        if header.kind() != Kind::Tree || header.size() > MAX_TREE_BYTES {
            return Ok(Err(()));
        }
        let tree = self.repo.find_tree(tree)?;
        let mut found = Entries::new();
        for entry in TreeRefIter::from_bytes(&tree.data, tree.id.kind()) {
            let entry = entry?;
            found.insert(entry.filename.to_owned(), (entry.mode, entry.oid.to_owned()));
        }
        self.read += found.len() as u64;
        Ok(Ok(found))
    }

    fn too_many(&self) -> String {
        format!("more than {} files that its base has not", self.most)
    }
}

fn too_long() -> String {
    format!("paths that are longer than {MAX_PATH_LENGTH} bytes")
}
