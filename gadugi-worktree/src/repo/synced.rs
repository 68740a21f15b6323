//! What is known to be on the disk of a repository, so that it is synced once.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gix::ObjectId;
use gix::bstr::BString;

/// What this process knows to be on the disk of a repository.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Synced>);

#[derive(Debug, Default)]
pub(crate) struct Synced {
    /// Commits with their trees and history.
    pub(crate) commits: HashSet<ObjectId>,
    /// References, and where they led.
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
