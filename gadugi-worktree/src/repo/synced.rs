//! The part of a repository that is known to be on disk, so that it is synced once.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gix::ObjectId;
use gix::bstr::BString;

/// The part of a repository that this process knows to be on disk.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Synced>);

#[derive(Debug, Default)]
pub(crate) struct Synced {
    /// Commits with their trees and history.
    pub(crate) commits: HashSet<ObjectId>,
    /// References, and the commits that they led to.
    pub(crate) references: HashMap<BString, ObjectId>,
    /// Files of packs, whose names tell their content.
    pub(crate) packs: HashSet<PathBuf>,
}

impl Known {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Synced> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has(&self, commit: &gix::hash::oid) -> bool {
        self.lock().commits.contains(commit)
    }
}
