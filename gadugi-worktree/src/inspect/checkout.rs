//! The worktree of a lease, inspected without trusting the task's changes to its git files.

use std::collections::BTreeSet;
use std::fs;

use gadugi_core::worktrees::{BranchFate, KeepReason, Paths, ReleaseDetails};
use gadugi_core::{BranchName, Lease};
use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::index::entry::{Flags, Mode};

use crate::error::GitError;
use crate::history::{is_ancestor, limits};
use crate::inspect::changes::Changes;
use crate::inspect::self_ignored::Hidden;
use crate::inspect::stash::{self, Stashed};
use crate::inspect::{Extent, UserRules};
use crate::isolation;
use crate::lease::admin_folder::Entry;
use crate::repo::branch;
use crate::repo::ids::{full_name, to_object};
use crate::settings::WorktreeSettings;

/// The state of a worktree.
pub(crate) struct Checkout {
    pub(crate) entry: Entry,
    pub(crate) repo: gix::Repository,
    pub(crate) index: gix::index::File,
    pub(crate) changes: Changes,
    pub(crate) hidden: Hidden,
    /// The commit of its `HEAD`; `None` on a branch without commits.
    pub(crate) head: Option<ObjectId>,
    /// Whether its `HEAD` is on the attempt's branch.
    pub(crate) on_branch: bool,
    /// The tip of the attempt's branch; `None` when it does not exist.
    pub(crate) tip: Option<ObjectId>,
    /// The operation of git that the task has left unfinished in isolation.
    isolated_operation: Option<&'static str>,
    /// Whether it has submodules whose repositories lie in its private git folder.
    has_private_modules: bool,
    pub(crate) stashed: Stashed,
}

impl Checkout {
    /// Inspects the worktree of a lease on this branch.
    pub(crate) fn inspect(settings: &WorktreeSettings, lease: &Lease, branch: &BranchName) -> Result<Self, GitError> {
        let common_dir = settings.repository.common_dir();
        let is_folder = lease.path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let entry = if is_folder { Entry::of_lease(common_dir, lease)? } else { None };
        let entry = entry.ok_or_else(|| GitError::NotAWorktree { path: lease.path.clone() })?;
        let (mut repo, rules) = open(settings, lease, &entry)?;
        repo.object_cache_size_if_unset(4 * 1024 * 1024);
        let head = repo.head()?.try_into_peeled_id()?.map(gix::Id::detach);
        let tip = branch::tip(&repo, branch)?;
        if let Some(base) = lease.base.as_ref().map(to_object) {
            let commits: BTreeSet<_> = head.into_iter().chain(tip).collect();
            commits.into_iter().try_for_each(|commit| limits::check(&repo, base, commit))?;
        }
        let index = honest_index(&repo)?;
        let mut changes = Changes::of(&repo, &index, &rules, Extent::All)?;
        let hidden = std::mem::take(&mut changes.hidden);
        let on_branch = repo.head_name()?.is_some_and(|name| name == full_name(branch));
        let isolated_operation = isolation::operation(settings, lease);
        let has_private_modules = isolation::has_modules(settings, lease);
        let stashed = stash::entries(&repo, lease, &[branch.as_str().into()], head)?;
        Ok(Self {
            entry,
            index,
            changes,
            hidden,
            head,
            on_branch,
            tip,
            repo,
            isolated_operation,
            has_private_modules,
            stashed,
        })
    }

    /// The reasons why removing the worktree would lose or disturb something. Stashes from isolation count only if the branch
    /// is removed too: then the task is no longer of use, and its stash would be forgotten.
    pub(crate) fn reasons_to_keep(&self, branch: BranchFate) -> Result<Vec<KeepReason>, GitError> {
        let mut reasons = Vec::new();
        if let Some(reason) = self.entry.lock_reason() {
            reasons.push(KeepReason::Locked { reason });
        }
        if let Some(operation) = self.operation() {
            reasons.push(KeepReason::OperationInProgress { operation: operation.to_owned() });
        }
        if !self.entry.is_linked_back() {
            reasons.push(KeepReason::GitFileReplaced);
        }
        if !self.is_head_on_branch()? {
            reasons.push(KeepReason::HeadElsewhere);
        }
        let apart = if branch == BranchFate::Keep { 0 } else { self.stashed.apart };
        if self.stashed.shared + apart > 0 {
            reasons.push(KeepReason::Stashed { entries: self.stashed.shared + apart });
        }
        reasons.extend(self.submodules()?.into_iter().map(|path| KeepReason::Submodule { path }));
        if !self.changes.is_empty() || !self.hidden.is_empty() {
            reasons.push(KeepReason::Uncommitted { files: self.changes.files() + self.hidden.count() });
        }
        Ok(reasons)
    }

    /// The uncommitted files, for the report.
    pub(crate) fn details(&self) -> ReleaseDetails {
        let Changes { staged, edited, untracked, nested, .. } = &self.changes;
        let changed: BTreeSet<_> = staged.iter().chain(edited.keys()).collect();
        let beside = untracked.iter().chain(nested).chain(&self.hidden.files).chain(&self.hidden.nested);
        let beside = beside.chain(&self.hidden.unseen);
        ReleaseDetails { changed: Paths::of(changed), untracked: Paths::of(beside), ..ReleaseDetails::default() }
    }

    /// Whether everything that its `HEAD` can reach is on the attempt's branch.
    pub(crate) fn is_head_on_branch(&self) -> Result<bool, GitError> {
        match (self.head, self.tip) {
            _ if self.on_branch => Ok(true),
            (Some(head), Some(tip)) => is_ancestor(&self.repo, head, tip),
            _ => Ok(false),
        }
    }

    /// The operation of git that is unfinished there.
    pub(crate) fn operation(&self) -> Option<&'static str> {
        use gix::state::InProgress;
        match self.repo.state() {
            Some(InProgress::ApplyMailbox) => Some("an am session"),
            Some(InProgress::Bisect) => Some("a bisect"),
            Some(InProgress::CherryPick | InProgress::CherryPickSequence) => Some("a cherry-pick"),
            Some(InProgress::Merge) => Some("a merge"),
            Some(InProgress::Revert | InProgress::RevertSequence) => Some("a revert"),
            Some(InProgress::ApplyMailboxRebase | InProgress::Rebase | InProgress::RebaseInteractive) => {
                Some("a rebase")
            }
            None if self.entry.admin.join("sequencer").exists() => Some("a cherry-pick or revert"),
            None => self.isolated_operation,
        }
    }

    /// Whether that operation runs in the private git folder of an isolated task.
    pub(crate) fn is_operation_isolated(&self) -> bool {
        self.isolated_operation.is_some()
    }

    /// Submodules whose folders are not empty. Their changes cannot be known without reading their configuration, and their
    /// repositories lie in the worktree's entry, so they count as changed. Git ignores files in the folder of a submodule that
    /// was never initialised.
    pub(crate) fn submodules(&self) -> Result<Vec<String>, GitError> {
        let mut found = Vec::new();
        for entry in self.index.entries().iter().filter(|entry| entry.mode == Mode::COMMIT) {
            let path = entry.path(&self.index);
            let folder = self.entry.folder.join(gix::path::from_bstr(path)?);
            if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
                found.push(path.to_string());
            }
        }
        if found.is_empty() && (self.has_private_modules || self.entry.admin.join("modules").exists()) {
            found.push("(one that is not checked out)".to_owned());
        }
        Ok(found)
    }
}

/// Opens a worktree so that settings of the task hide no change, with the rules for ignored files.
fn open(settings: &WorktreeSettings, lease: &Lease, entry: &Entry) -> Result<(gix::Repository, UserRules), GitError> {
    let (opener, common_dir) = (&settings.repository.opener, settings.repository.common_dir());
    let repo = entry.open(opener, common_dir)?;
    let rules = UserRules::of_run(settings, &lease.run, &repo)?;
    if rules.are_settings_of(&repo) {
        return Ok((repo, rules));
    }
    let overrides = rules.overrides();
    let overrides: Vec<_> = overrides.iter().map(String::as_str).chain(["core.safecrlf=false"]).collect();
    Ok((entry.open_with(opener, common_dir, &overrides)?, rules))
}

/// The index without the marks that hide changes (`git update-index --assume-unchanged`, and `--skip-worktree` of files that
/// are there). In our worktrees only the task can have set them.
fn honest_index(repo: &gix::Repository) -> Result<gix::index::File, GitError> {
    let path = repo.index_path();
    if !path.exists() {
        return Ok(gix::index::File::from_state(gix::index::State::new(repo.object_hash()), path));
    }
    let mut index = full(repo, repo.open_index()?)?;
    let (entries, paths) = index.entries_mut_and_pathbacking();
    for entry in entries {
        let is_there = || {
            let path = gix::path::from_bstr(entry.path_in(paths)).ok();
            repo.workdir().zip(path).is_some_and(|(root, path)| root.join(path).symlink_metadata().is_ok())
        };
        if entry.flags.contains(Flags::SKIP_WORKTREE) && is_there() {
            entry.flags.remove(Flags::SKIP_WORKTREE);
        }
        entry.flags.remove(Flags::ASSUME_VALID);
    }
    Ok(index)
}

/// The index with the files of each folder that a sparse index has as one entry.
fn full(repo: &gix::Repository, index: gix::index::File) -> Result<gix::index::File, GitError> {
    if !index.entries().iter().any(|entry| entry.mode == Mode::DIR) {
        return Ok(index);
    }
    let mut state = gix::index::State::new(index.object_hash());
    for entry in index.entries() {
        let path = entry.path(&index);
        if entry.mode != Mode::DIR {
            state.dangerously_push_entry(entry.stat, entry.id, entry.flags, entry.mode, path);
            continue;
        }
        let below = repo.index_from_tree(&entry.id)?;
        for file in below.entries() {
            let path: gix::bstr::BString = [path.as_bytes(), file.path(&below)].concat().into();
            let flags = Flags::SKIP_WORKTREE | Flags::EXTENDED;
            state.dangerously_push_entry(Default::default(), file.id, flags, file.mode, path.as_ref());
        }
    }
    state.sort_entries();
    state.set_timestamp(index.timestamp());
    Ok(gix::index::File::from_state(state, repo.index_path()))
}
