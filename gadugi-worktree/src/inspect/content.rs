//! Comparing files with the index, with the conversions that are configured for them. The files of attributes are those that
//! the walk has read: gix would open files of any kind there.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::bstr::{BStr, BString};
use gix::index::entry::{Flags, Mode, Stat};
use gix::index::{Entry, State};
use gix::status::plumbing::index_as_worktree as plumbing;
use gix::status::plumbing::index_as_worktree::traits::{CompareBlobs, FastEq, ReadData, SubmoduleStatus};
use gix::status::plumbing::index_as_worktree::{EntryStatus, VisitEntry};
use gix::worktree::stack::state::attributes::Source;

use crate::error::GitError;
use crate::inspect::walk::AttributesFile;

/// Size limit for files that are read as a whole.
pub(crate) const MAX_HELD: u64 = 4 * 1024 * 1024;

/// The attributes of a work tree, from the files that a walk has found. `repo` gets the objects that they need; it should keep
/// them in memory where nothing is to be written.
pub(crate) fn attributes(
    repo: &gix::Repository,
    files: &[(BString, AttributesFile)],
) -> Result<gix::worktree::Stack, GitError> {
    let mut state = State::new(repo.object_hash());
    for (path, file) in files {
        let id: ObjectId = match file {
            AttributesFile::Noted(id) => *id,
            AttributesFile::Read(text) => repo.write_blob(text)?.detach(),
        };
        state.dangerously_push_entry(Stat::default(), id, Flags::empty(), Mode::FILE, path.as_ref());
    }
    state.sort_entries();
    Ok(repo.attributes_only(&state, Source::IdMapping)?.detach())
}

/// The entries of an index whose files differ. Files whose stat data match are not read.
pub(crate) fn differing<'a>(
    repo: &gix::Repository,
    index: &State,
    entries: &[&'a Entry],
    attributes: gix::worktree::Stack,
) -> Result<Vec<&'a Entry>, GitError> {
    let (Some(root), false) = (repo.workdir(), entries.is_empty()) else { return Ok(Vec::new()) };
    let mut part = State::new(index.object_hash());
    for entry in entries {
        part.dangerously_push_entry(entry.stat, entry.id, entry.flags, entry.mode, entry.path(index));
    }
    // A file that may have been written just after it was noted is read.
    part.set_timestamp(index.timestamp());
    let (mut filter, stack) = gix::filter::Pipeline::new(repo, attributes)?.into_parts();
    // A file with a filter differs here. Whether it really does is told by a [`Conversion`](crate::inspect::conversion::Conversion).
    filter.options_mut().drivers.clear();
    let everything = repo.pathspec(false, None::<&str>, false, &State::new(index.object_hash()), Source::IdMapping)?;
    let should_interrupt = AtomicBool::new(false);
    let context =
        plumbing::Context { pathspec: everything.into_parts().0, stack, filter, should_interrupt: &should_interrupt };
    let options = plumbing::Options {
        fs: repo.filesystem_options()?,
        stat: repo.stat_options()?,
        // With several threads gix panics where there can be no more of them.
        thread_limit: Some(1),
        fscache: false,
    };
    let mut seen = Differing::default();
    let objects = repo.objects.clone().into_arc().map_err(|error| GitError::io("open", repo.git_dir())(error))?;
    let progress = &mut gix::progress::Discard;
    gix::status::plumbing::index_as_worktree(
        &part,
        root,
        &mut seen,
        BoundedEq::new(repo),
        Unopened,
        objects,
        progress,
        context,
        options,
    )?;
    Ok(entries.iter().filter(|entry| seen.paths.contains(entry.path(index))).copied().collect())
}

/// Reports nothing about submodules, since that would mean to read their configuration.
#[derive(Clone)]
struct Unopened;

impl SubmoduleStatus for Unopened {
    type Output = ();

    fn status(&mut self, _: &Entry, _: &BStr) -> gix::Result<Option<()>> {
        Ok(None)
    }
}

#[derive(Default)]
struct Differing {
    paths: BTreeSet<BString>,
}

impl<'index> VisitEntry<'index> for Differing {
    type ContentChange = ();
    type SubmoduleStatus = ();

    fn visit_entry(
        &mut self,
        _: &'index [Entry],
        _: &'index Entry,
        _: usize,
        path: &'index BStr,
        status: EntryStatus<(), ()>,
    ) {
        if !matches!(status, EntryStatus::NeedsUpdate(_)) {
            self.paths.insert(path.to_owned());
        }
    }
}

/// Compares files of a worktree with an index as [`FastEq`], but reports a file as changed if it, or its blob, would have to be
/// held in memory and is large. The caller then asks [`Conversion::id`](crate::inspect::conversion::Conversion::id).
#[derive(Clone)]
pub(crate) struct BoundedEq {
    repo: gix::Repository,
}

impl BoundedEq {
    pub(crate) fn new(repo: &gix::Repository) -> Self {
        Self { repo: repo.clone() }
    }
}

impl CompareBlobs for BoundedEq {
    type Output = ();

    fn compare_blobs<'a, 'b>(
        &mut self,
        entry: &gix::index::Entry,
        size: u64,
        data: impl ReadData<'a>,
        buffer: &mut Vec<u8>,
    ) -> gix::Result<Option<()>> {
        let is_large = |repo: &gix::Repository| repo.find_header(entry.id).is_ok_and(|found| found.size() > MAX_HELD);
        if size > MAX_HELD || is_large(&self.repo) {
            return Ok(Some(()));
        }
        FastEq.compare_blobs(entry, size, data, buffer)
    }
}
