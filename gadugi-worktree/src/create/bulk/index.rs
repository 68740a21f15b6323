//! Writing the index of a worktree; gitformat-index(5) tells the format.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use gix::hash::Hasher;

use super::layout::Layout;
use crate::error::GitError;

/// The stat data of a file as an index has it: nine numbers of 32 bits, highest byte first.
pub(super) type Stat = [u8; 36];

/// The mode stands between the inode and the owner.
const BEFORE_MODE: usize = 24;

/// Size at which the buffer is written.
const BUFFER: usize = 256 * 1024;

/// The largest path length that an entry notes; longer paths get this one.
const MAX_NOTED_LENGTH: usize = 0xfff;
/// The flag for a second word of flags.
const EXTENDED: u16 = 0x4000;
/// The flag for files that a sparse checkout leaves out, in the second word.
const SKIP_WORKTREE: u16 = 0x4000;

/// Writes the index of a worktree into its folder of git's own files, where none is. `stats` has one for each entry.
pub(super) fn write(layout: &Layout, cache_tree: &[u8], stats: &[Stat], git_dir: &Path) -> Result<(), GitError> {
    let path = git_dir.join("index");
    let file = File::create_new(&path).map_err(GitError::io("create", &path))?;
    let mut out = Hashed { file, hasher: gix::hash::hasher(layout.hash), buffer: Vec::with_capacity(BUFFER + 8192) };
    encode(layout, cache_tree, stats, &mut out).map_err(GitError::io("write", &path))?;
    out.flush().map_err(GitError::io("write", &path))?;
    let hash = out.hasher.try_finalize()?;
    out.file.write_all(hash.as_slice()).map_err(GitError::io("write", &path))
}

fn encode(layout: &Layout, cache_tree: &[u8], stats: &[Stat], out: &mut Hashed) -> io::Result<()> {
    let items = layout.items();
    let too_many = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    // The second version has no second word of flags.
    let version: u32 = if items.iter().any(|item| item.is_skipped) { 3 } else { 2 };
    out.put(b"DIRC");
    out.put(&version.to_be_bytes());
    out.put(&u32::try_from(items.len()).map_err(too_many)?.to_be_bytes());
    for (item, stat) in items.iter().zip(stats) {
        let path = layout.path(item);
        out.put(&stat[..BEFORE_MODE]);
        out.put(&item.mode.bits().to_be_bytes());
        out.put(&stat[BEFORE_MODE..]);
        out.put(item.id.as_slice());
        let length = path.len().min(MAX_NOTED_LENGTH) as u16;
        let mut size = 42 + item.id.as_slice().len() + path.len();
        if item.is_skipped {
            out.put(&(length | EXTENDED).to_be_bytes());
            out.put(&SKIP_WORKTREE.to_be_bytes());
            size += 2;
        } else {
            out.put(&length.to_be_bytes());
        }
        out.put(path);
        // One to eight bytes, so that the next entry begins at a multiple of eight.
        out.put(&[0; 8][..8 - size % 8]);
        out.write_if_full()?;
    }
    if !cache_tree.is_empty() {
        out.put(b"TREE");
        out.put(&u32::try_from(cache_tree.len()).map_err(too_many)?.to_be_bytes());
        out.put(cache_tree);
    }
    Ok(())
}

/// A file, and the hash of all that is written to it.
struct Hashed {
    file: File,
    hasher: Hasher,
    buffer: Vec<u8>,
}

impl Hashed {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn write_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}
