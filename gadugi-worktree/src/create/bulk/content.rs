//! The content of files: decoded once, and held in memory until it is in all worktrees. A tree that exceeds the limit is taken
//! in portions.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use gix::filter::Pipeline;
use gix::filter::plumbing::pipeline::convert::{ToWorktreeOutcome, to_worktree};
use gix::index::entry::Mode;
use gix::objs::FindExt;
use gix::worktree::stack::state::attributes::Source;

use super::layout::{Item, Layout};
use crate::error::GitError;

/// Limit for the content that is held at once, give or take a file for each thread.
const MAX_HELD: usize = 80 << 20;
/// Size limit for a file that is held in memory.
pub(crate) const MAX_HELD_FILE: u64 = 8 << 20;
/// Size of the blocks that content is held in; each is allocated on its own.
const BLOCK: usize = 1 << 20;

/// The content of some entries, one after the other, of a layout.
pub(super) struct Portion {
    pub(super) range: Range<usize>,
    blocks: Vec<Vec<u8>>,
    held: Vec<Held>,
}

/// The position of an entry's content.
#[derive(Clone)]
enum Held {
    /// In a block.
    At { block: usize, place: Range<usize> },
    /// Nowhere, since it is too large.
    TooLarge,
    /// The entry has no content.
    None,
}

/// The content of an entry.
pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    TooLarge,
    None,
}

impl Portion {
    pub(super) fn content(&self, at: usize) -> Content<'_> {
        match &self.held[at - self.range.start] {
            Held::At { block, place } => Content::Bytes(&self.blocks[*block][place.clone()]),
            Held::TooLarge => Content::TooLarge,
            Held::None => Content::None,
        }
    }

    /// The entries that are too large to be held.
    pub(super) fn too_large(&self) -> impl Iterator<Item = usize> {
        let held = self.held.iter().enumerate();
        held.filter(|(_, held)| matches!(held, Held::TooLarge)).map(|(at, _)| at + self.range.start)
    }
}

/// Decodes the content of entries from `from` on, with several threads. `index` is the one that the layout was made of, if
/// content may have to be converted by its attributes.
pub(super) fn decode(
    repo: &gix::ThreadSafeRepository,
    layout: &Layout,
    index: Option<&gix::index::State>,
    from: usize,
    threads: usize,
) -> Result<Portion, GitError> {
    let shared =
        Shared { layout, next: AtomicUsize::new(from), bytes: AtomicUsize::new(0), failed: AtomicBool::new(false) };
    let parts = Mutex::new(Vec::new());
    let work = || {
        let part = shared.decode(&repo.to_thread_local(), index);
        if part.is_err() {
            shared.failed.store(true, Ordering::Relaxed);
        }
        parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where there can be no more threads, fewer do it all.
            if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let end = shared.next.into_inner().min(layout.items().len());
    let mut portion = Portion { range: from..end, held: vec![Held::None; end - from], blocks: Vec::new() };
    for part in parts.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let Part { blocks, held } = part?;
        for (at, mut held) in held {
            if let Held::At { block, .. } = &mut held {
                *block += portion.blocks.len();
            }
            portion.held[at - from] = held;
        }
        portion.blocks.extend(blocks);
    }
    Ok(portion)
}

/// The state that the threads share.
struct Shared<'a> {
    layout: &'a Layout,
    /// The next entry. The thread that takes one decodes it, so that all before it are done at the end.
    next: AtomicUsize,
    bytes: AtomicUsize,
    failed: AtomicBool,
}

/// The entries that one thread has decoded.
#[derive(Default)]
struct Part {
    blocks: Vec<Vec<u8>>,
    held: Vec<(usize, Held)>,
}

impl Shared<'_> {
    fn decode(&self, repo: &gix::Repository, index: Option<&gix::index::State>) -> Result<Part, GitError> {
        let mut repo = repo.clone();
        // Nothing is read twice.
        repo.object_cache_size(None);
        let mut filters = match index {
            Some(index) => Some(Pipeline::new(&repo, repo.attributes_only(index, Source::IdMapping)?.detach())?),
            None => None,
        };
        let (mut part, mut buffer) = (Part::default(), Vec::new());
        while self.bytes.load(Ordering::Relaxed) < MAX_HELD && !self.failed.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.layout.items().get(at) else { break };
            if item.is_skipped || item.mode == Mode::COMMIT {
                continue;
            }
            let unreadable = |source| GitError::Content { path: self.layout.path(item).to_string(), source };
            if repo.find_header(item.id).map_err(unreadable)?.size() > MAX_HELD_FILE {
                part.held.push((at, Held::TooLarge));
                continue;
            }
            let raw = repo.objects.find_blob(&item.id, &mut buffer).map_err(unreadable)?.data;
            let bytes = match &mut filters {
                Some(filters) if item.mode != Mode::SYMLINK => self.convert(filters, item, raw)?,
                _ => raw,
            };
            part.keep(at, bytes);
            self.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        Ok(part)
    }

    fn convert<'a>(&self, filters: &'a mut Pipeline<'_>, item: &Item, raw: &'a [u8]) -> Result<&'a [u8], GitError> {
        let path = self.layout.path(item);
        let options = to_worktree::Options {
            can_delay: gix::filter::plumbing::driver::apply::Delay::Forbid,
            unknown_encoding: to_worktree::UnknownEncoding::Ignore,
        };
        match filters.convert_to_worktree(raw, path, options)? {
            ToWorktreeOutcome::Unchanged(bytes) | ToWorktreeOutcome::Buffer(bytes) => Ok(bytes),
            // Git makes worktrees with such filters.
            ToWorktreeOutcome::Process(_) => Err(GitError::Filtered { path: path.to_string() }),
        }
    }
}

impl Part {
    fn keep(&mut self, at: usize, bytes: &[u8]) {
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < bytes.len()) {
            self.blocks.push(Vec::with_capacity(BLOCK.max(bytes.len())));
        }
        let number = self.blocks.len() - 1;
        if let Some(block) = self.blocks.last_mut() {
            let start = block.len();
            block.extend_from_slice(bytes);
            self.held.push((at, Held::At { block: number, place: start..block.len() }));
        }
    }
}
