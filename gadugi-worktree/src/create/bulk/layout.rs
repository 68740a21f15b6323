//! The entries to write for a tree, in the order of an index: decoded once, and the same for every worktree.

use std::ops::Range;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Flags, Mode};

/// Depth limit: the folders on the way to a file are held open, and a process may not have many files open.
pub(crate) const MAX_DEPTH: usize = 128;

/// The entries of an index, and the folders that they lie in.
pub(crate) struct Layout {
    pub(super) hash: gix::hash::Kind,
    /// All paths, one after the other.
    paths: Vec<u8>,
    items: Vec<Item>,
    /// The first one is the worktree itself.
    folders: Vec<Folder>,
    pub(crate) depth: usize,
}

/// An entry.
pub(super) struct Item {
    path: Range<usize>,
    /// Where the last part of the path begins.
    name: usize,
    pub(super) folder: usize,
    pub(super) mode: Mode,
    /// Whether the patterns of a sparse checkout leave it out.
    pub(super) is_skipped: bool,
    pub(super) id: ObjectId,
}

struct Folder {
    /// The parent's index; the worktree itself is its own parent.
    parent: usize,
    name: Range<usize>,
}

impl Layout {
    /// `index` holds a whole tree, sorted.
    pub(crate) fn of(index: &gix::index::State) -> Self {
        let mut layout = Self {
            hash: index.object_hash(),
            paths: Vec::new(),
            items: Vec::with_capacity(index.entries().len()),
            folders: vec![Folder { parent: 0, name: 0..0 }],
            depth: 0,
        };
        // The folders that lead to the last path, and how long their own paths are with the slash at the end. Paths of one
        // folder follow each other.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut before: &[u8] = &[];
        for entry in index.entries() {
            let path: &[u8] = entry.path(index);
            let start = layout.paths.len();
            layout.paths.extend_from_slice(path);
            while open.last().is_some_and(|(_, length)| before[..*length] != path[..(*length).min(path.len())]) {
                open.pop();
            }
            let mut name = open.last().map_or(0, |(_, length)| *length);
            while let Some(length) = path[name..].find_byte(b'/') {
                let parent = open.last().map_or(0, |(folder, _)| *folder);
                layout.folders.push(Folder { parent, name: start + name..start + name + length });
                name += length + 1;
                open.push((layout.folders.len() - 1, name));
            }
            layout.depth = layout.depth.max(open.len());
            layout.items.push(Item {
                path: start..start + path.len(),
                name: start + name,
                folder: open.last().map_or(0, |(folder, _)| *folder),
                mode: entry.mode,
                is_skipped: entry.flags.contains(Flags::SKIP_WORKTREE),
                id: entry.id,
            });
            before = path;
        }
        layout
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The path from the top of the worktree.
    pub(super) fn path(&self, item: &Item) -> &BStr {
        self.paths[item.path.clone()].as_bstr()
    }

    /// The last part of the path.
    pub(super) fn name(&self, item: &Item) -> &[u8] {
        &self.paths[item.name..item.path.end]
    }

    /// The folders on the way from the worktree, without that, to this one.
    pub(super) fn way_to(&self, folder: usize) -> Vec<usize> {
        let above = std::iter::successors(Some(folder), |folder| Some(self.folders[*folder].parent));
        let mut way: Vec<usize> = above.take_while(|folder| *folder != 0).collect();
        way.reverse();
        way
    }

    pub(super) fn folder_name(&self, folder: usize) -> &[u8] {
        &self.paths[self.folders[folder].name.clone()]
    }
}
