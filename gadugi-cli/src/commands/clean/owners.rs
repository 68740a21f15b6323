//! Owners of branches and folders: after a clean a name is free, and a later attempt may get it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use gadugi_core::{AttemptRef, BranchName, Lease, RunId, RunRecord};

type Owner<'a> = (&'a RunId, &'a AttemptRef);

/// The attempt that each branch was last given to, and that each existing worktree belongs to.
pub(super) struct Owners<'a> {
    branches: HashMap<&'a BranchName, Owner<'a>>,
    folders: HashMap<&'a Path, Owner<'a>>,
    /// The attempts that succeeded.
    succeeded: HashSet<Owner<'a>>,
}

impl<'a> Owners<'a> {
    /// Determines the owners from the journals of all runs and from the existing worktrees.
    pub(super) fn new(runs: impl Iterator<Item = &'a RunRecord>, there: &'a [Lease]) -> Self {
        let mut owners = Self { branches: HashMap::new(), folders: HashMap::new(), succeeded: HashSet::new() };
        let attempts = runs.flat_map(|run| run.tasks.iter().flat_map(|task| &task.attempts));
        let mut leases = Vec::new();
        for (attempt, lease) in attempts.filter_map(|attempt| Some((attempt, attempt.lease.as_ref()?))) {
            leases.push((attempt.intended, lease));
            if attempt.ended.as_ref().is_some_and(|(outcome, _)| outcome.success()) {
                owners.succeeded.insert((&lease.run, &lease.attempt));
            }
        }
        leases.sort_by_key(|(intended, lease)| (*intended, &lease.run, &lease.attempt));
        // The lease of an existing worktree wins over the journals.
        for lease in leases.into_iter().map(|(_, lease)| lease).chain(there) {
            if let Some(branch) = &lease.branch {
                owners.branches.insert(branch, (&lease.run, &lease.attempt));
            }
        }
        // A folder that is gone is nobody's: its earlier attempts still have their branches.
        owners.folders = there.iter().map(|lease| (lease.path.as_path(), (&lease.run, &lease.attempt))).collect();
        owners
    }

    /// The branches of attempts that are not known to have succeeded.
    pub(super) fn unproven(&self) -> impl Iterator<Item = &'a BranchName> {
        let unproven = self.branches.iter().filter(|(_, owner)| !self.succeeded.contains(*owner));
        unproven.map(|(branch, _)| *branch)
    }

    /// Whether no later attempt was given the branch of a lease, and none has a worktree in its folder.
    pub(super) fn still_has(&self, lease: &Lease) -> bool {
        let owner = Some((&lease.run, &lease.attempt));
        let branch = lease.branch.as_ref();
        self.folders.get(lease.path.as_path()).is_none_or(|folder| Some(*folder) == owner)
            && branch.is_none_or(|branch| self.branches.get(branch).copied() == owner)
    }
}
