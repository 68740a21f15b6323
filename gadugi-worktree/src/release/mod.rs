//! Releasing worktrees without losing work.

pub(crate) mod fates;
mod heads;
pub(crate) mod merged;
mod orphan;
pub(crate) mod patch_id;
pub(crate) mod prune;
pub(crate) mod reach;

use std::io;
use std::path::PathBuf;

use gadugi_core::worktrees::{
    BranchFate, BranchRelease, KeepReason, MergedBy, Release, ReleaseDetails, ReleaseRequest, WorktreeFate,
};
use gadugi_core::{BranchName, Lease, crash_point, error_chain};
use gix::ObjectId;
use gix::bstr::BString;
use tracing::debug;

use crate::delete::trash;
use crate::delete::trash_refs::{self, Promised};
use crate::durable;
use crate::error::{BoxedError, GitError};
use crate::files::mounted::mount_in;
use crate::files::paths::{real, remove_if_empty};
use crate::files::rename_aside;
use crate::history::is_ancestor;
use crate::inspect::checkout::Checkout;
use crate::inspect::self_ignored::Hidden;
use crate::isolation;
use crate::lease::admin_folder::Entry;
use crate::release::fates::{Decision, Fate};
use crate::release::heads::Heads;
use crate::repo::ids::{full_name, to_commit, to_object};
use crate::repo::refs::{HeadAt, head_in};
use crate::repo::{branch, refs};
use crate::settings::WorktreeSettings;
use crate::snapshot::message::message;
use crate::snapshot::tree::{save, secrets};
use crate::snapshot::{own_references, superseded};
use crate::threads::parallel::side_by_side;

/// Number of worktrees that are inspected before the first of them is removed. Each takes memory, and other processes wait for
/// the repository's lock meanwhile.
const WORKTREES_AT_ONCE: usize = 32;

/// Number of branches that are deleted under one lock, and of missing worktrees that are passed over under it.
pub(crate) const AT_ONCE: usize = 256;

/// The number of requests for one turn under the lock, so that other processes do not wait for long.
pub(crate) fn portion(requests: &[(Lease, ReleaseRequest)]) -> usize {
    let mut there = 0;
    let is_enough = |(lease, _): &(Lease, ReleaseRequest)| {
        there += usize::from(lease.path.symlink_metadata().is_ok());
        there == WORKTREES_AT_ONCE
    };
    let most = &requests[..requests.len().min(AT_ONCE)];
    most.iter().position(is_enough).map_or(most.len(), |last| last + 1)
}

/// The fate of a worktree, before its branch is decided on.
pub(crate) struct ReleasedWorktree {
    pub(crate) worktree: WorktreeFate,
    /// Whether it is absent and still in git's list.
    pub(crate) may_come_back: bool,
    dropped: Vec<String>,
    /// The reference that keeps the discarded work.
    kept_as: Option<String>,
    details: ReleaseDetails,
}

/// Removes worktrees without work of their own. The caller has imported the commits from isolation, and holds the repository's
/// lock.
pub(crate) fn release_worktrees(
    settings: &WorktreeSettings,
    requests: Vec<(Lease, ReleaseRequest, Result<ImportOutcome, GitError>)>,
    promised: &mut Promised,
) -> Result<Vec<Result<ReleasedWorktree, GitError>>, GitError> {
    let entries = Entry::all(settings.repository.common_dir())?;
    let looked = side_by_side(requests, |(lease, request, imported)| {
        let found = imported.and_then(|imported| Inspection::of(settings, &lease, request, imported));
        (lease, request, found)
    });
    let returned = looked.into_iter();
    let release_worktrees = |(lease, request, found): (_, _, Result<_, _>)| {
        Releasing { settings, lease: &lease, request }.release(&entries, found?, promised)
    };
    Ok(returned.map(release_worktrees).collect())
}

/// A released worktree, with the decision about its branch.
pub(crate) type Pending<'a> = (&'a Lease, ReleaseRequest, Result<(ReleasedWorktree, Decision), BoxedError>);

/// Deletes branches as decided, unless something has changed since. The caller holds the repository's lock where one is to be
/// deleted.
pub(crate) fn delete_branches(
    settings: &WorktreeSettings,
    pending: Vec<Pending<'_>>,
    promised: &mut Promised,
) -> Result<Vec<Result<Release, BoxedError>>, GitError> {
    let repo = settings.repository.open(&[])?;
    let heads = if pending.iter().any(deletes) {
        // What keeps the commits of a branch that goes, such as a merge a moment ago, has to last longer than the branch.
        durable::everything(settings)?;
        Some(Heads::without(settings, &[])?)
    } else {
        None
    };
    let mut going = Vec::new();
    let mut released: Vec<Result<Release, BoxedError>> = Vec::with_capacity(pending.len());
    for (place, (lease, request, one)) in pending.into_iter().enumerate() {
        released.push(one.and_then(|(ReleasedWorktree { worktree, dropped, kept_as, mut details, .. }, decided)| {
            (details.compared_with, details.only_in) = (decided.compared_with, decided.only_in);
            let mut kept_as = kept_as;
            let branch = match checked(&repo, heads.as_ref(), lease, request, decided.fate)? {
                Ok((tip, by)) => {
                    // Without its worktree, a branch of its name may be another's by now.
                    let is_its_own = worktree == WorktreeFate::Removed || lease.base.as_ref() == Some(&to_commit(tip));
                    let is_unwanted = request.branch == BranchFate::Delete && is_its_own;
                    if !by.keeps_commits() && kept_as.is_none() && !is_unwanted {
                        kept_as = Some(Releasing { settings, lease, request }.keep_tip(&repo, tip, &by, promised)?);
                    }
                    BranchRelease::Deleted { tip: to_commit(tip), by }
                }
                Err(stays) => stays,
            };
            if let (BranchRelease::Deleted { tip, .. }, Some(name), false) = (&branch, &lease.branch, request.dry_run) {
                going.push((place, full_name(name), to_object(tip)));
            }
            Ok(Release { worktree, branch, dropped, kept_as, details })
        }));
    }
    let references: Vec<_> = going.iter().map(|(_, name, tip)| (name.as_ref(), *tip)).collect();
    for ((place, name, _), deleted) in going.iter().zip(refs::delete_all(&repo, &references)?) {
        match (deleted, &mut released[*place]) {
            (Ok(true), _) => {
                debug!(reference = %name.as_bstr(), "branch deleted");
                crash_point("release-branch-deleted");
            }
            (Ok(false), Ok(release)) => release.branch = BranchRelease::Kept(KeepReason::Moved),
            (Ok(false), Err(_)) => {}
            (Err(error), release) => *release = Err(error.into()),
        }
    }
    Ok(released)
}

/// Whether a branch is to be deleted.
pub(crate) fn deletes((_, request, one): &Pending<'_>) -> bool {
    !request.dry_run && one.as_ref().is_ok_and(|(_, decided)| matches!(decided.fate, Fate::MayGo { .. }))
}

/// The inspection of a lease's worktree.
struct Inspection {
    imported: ImportOutcome,
    location: Location,
}

enum Location {
    Absent,
    OfAnother,
    /// Something is mounted in it. It is not inspected.
    Mounted(PathBuf),
    Here(Box<Here>),
}

/// A worktree that exists.
struct Here {
    reasons: Vec<KeepReason>,
    details: ReleaseDetails,
    removal: Removal,
}

/// The parts of a worktree that its removal needs.
struct Removal {
    entry: Entry,
    /// Commits that only its own git folder leads to.
    own: Vec<(BString, ObjectId)>,
    content: Content,
}

/// The content of a worktree that may be removed.
enum Content {
    /// All of it is committed.
    Committed,
    /// None of it is kept.
    Unwanted,
    /// It is discarded. Only then is the checkout needed, which takes memory, and time to be dropped.
    Discarded(Box<Checkout>),
    /// It is discarded too, and cannot be read, for this reason.
    Unreadable(String),
}

impl Location {
    fn here(
        settings: &WorktreeSettings,
        lease: &Lease,
        branch: &BranchName,
        checkout: Checkout,
        request: ReleaseRequest,
    ) -> Result<Self, GitError> {
        let (reasons, details) = (checkout.reasons_to_keep(request.branch)?, checkout.details());
        // Of one that is discarded, the reference that keeps its last state is synced.
        if let Some(tip) = checkout.tip.filter(|_| reasons.is_empty() && !request.discard && !request.dry_run) {
            let name = full_name(branch);
            durable::reference(settings, &checkout.repo, lease.base.as_ref(), name.as_ref(), tip)?;
            durable::check(settings, &checkout.repo, lease.base.as_ref(), tip)?;
        }
        let entry = checkout.entry.clone();
        let own = own_references::at_stake(&entry, &settings.repository, &checkout.repo, checkout.tip)?;
        let unseen = &checkout.hidden.unseen;
        let content = match request.discard {
            true if !unseen.is_empty() => {
                let unseen: Vec<_> = unseen.iter().map(ToString::to_string).collect();
                Content::Unreadable(format!("cannot look at {}", unseen.join(", ")))
            }
            true => Content::Discarded(Box::new(checkout)),
            false => Content::Committed,
        };
        Ok(Self::Here(Box::new(Here { reasons, details, removal: Removal { entry, own, content } })))
    }

    /// The location of a worktree of which nothing is kept, so that it need not be inspected.
    fn unwanted(settings: &WorktreeSettings, lease: &Lease) -> Result<Self, GitError> {
        let common_dir = settings.repository.common_dir();
        let entry = Entry::of_lease(common_dir, lease)?.or_else(|| Entry::without_link(common_dir, lease));
        let entry = entry.ok_or_else(|| GitError::NotAWorktree { path: lease.path.clone() })?;
        let reasons = entry.lock_reason().map(|reason| KeepReason::Locked { reason }).into_iter().collect();
        let removal = Removal { entry, own: Vec::new(), content: Content::Unwanted };
        Ok(Self::Here(Box::new(Here { reasons, details: ReleaseDetails::default(), removal })))
    }

    /// The location of a worktree that is discarded, and that cannot be inspected.
    fn unreadable(settings: &WorktreeSettings, lease: &Lease, error: GitError) -> Result<Self, GitError> {
        let common_dir = settings.repository.common_dir();
        let entry = Entry::of_lease(common_dir, lease)?.or_else(|| Entry::without_link(common_dir, lease));
        let Some(entry) = entry else { return Err(error) };
        let reasons = entry.lock_reason().map(|reason| KeepReason::Locked { reason }).into_iter().collect();
        let content = Content::Unreadable(error_chain(&error));
        let removal = Removal { entry, own: Vec::new(), content };
        Ok(Self::Here(Box::new(Here { reasons, details: ReleaseDetails::default(), removal })))
    }
}

impl Inspection {
    fn of(
        settings: &WorktreeSettings,
        lease: &Lease,
        request: ReleaseRequest,
        mut imported: ImportOutcome,
    ) -> Result<Self, GitError> {
        let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
        if !request.dry_run && request.branch != BranchFate::Delete && imported == ImportOutcome::default() {
            // What has come since; nothing is to be done in most cases.
            imported = import(settings, lease, request)?;
        }
        let location = match lease.path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Location::Absent,
            Err(error) => return Err(GitError::io("look at", &lease.path)(error)),
            Ok(_) if is_of_another(settings, lease)? => Location::OfAnother,
            Ok(_) => match mount_in(&lease.path) {
                Some(path) => Location::Mounted(path),
                None if request.branch == BranchFate::Delete => Location::unwanted(settings, lease)?,
                None => {
                    let looked = Checkout::inspect(settings, lease, branch);
                    match looked.and_then(|found| Location::here(settings, lease, branch, found, request)) {
                        Err(error) if request.discard => Location::unreadable(settings, lease, error)?,
                        other => other?,
                    }
                }
            },
        };
        Ok(Self { imported, location })
    }
}

/// One worktree to release, with its request.
#[derive(Clone, Copy)]
struct Releasing<'a> {
    settings: &'a WorktreeSettings,
    lease: &'a Lease,
    request: ReleaseRequest,
}

impl Releasing<'_> {
    /// Removes the worktree, or tells the reasons why it stays. `entries` is git's list of worktrees.
    fn release(
        self,
        entries: &[Entry],
        found: Inspection,
        promised: &mut Promised,
    ) -> Result<ReleasedWorktree, GitError> {
        let Self { settings, lease, request } = self;
        let mut dropped = Vec::new();
        let mut kept_as = None;
        let Inspection { imported, location } = found;
        let mut details = ReleaseDetails::default();
        let mut may_come_back = false;
        let worktree = match location {
            Location::Absent => {
                may_come_back = clear_absent(settings, entries, lease, request)?;
                WorktreeFate::Absent
            }
            Location::OfAnother => WorktreeFate::Absent,
            Location::Mounted(path) => WorktreeFate::Kept(vec![KeepReason::Mounted { path }]),
            Location::Here(here) => {
                let Here { reasons, details: found, removal } = *here;
                details = found;
                let reasons = all_reasons(reasons, request, &imported);
                if reasons.is_empty() {
                    let promised = request.dry_run.then_some(&mut *promised);
                    kept_as = self.remove(removal, promised, &mut dropped)?;
                    debug!(path = %lease.path.display(), dry_run = request.dry_run, "worktree released");
                    WorktreeFate::Removed
                } else {
                    debug!(path = %lease.path.display(), ?reasons, "worktree kept");
                    WorktreeFate::Kept(reasons)
                }
            }
        };
        if !request.dry_run {
            // A worktree that stays may still need its private git folder: the task's `HEAD` and stash are there.
            if !matches!(worktree, WorktreeFate::Kept(_)) {
                dropped.extend(self.end_isolation(&imported)?);
            }
            // That it stays would do no harm.
            remove_if_empty(&settings.folder).ok();
        }
        Ok(ReleasedWorktree { worktree, may_come_back, dropped, kept_as, details })
    }

    /// Removes the private git folder of the worktree. One with work that could not be imported goes into the trash instead,
    /// and a message about that is returned.
    fn end_isolation(self, imported: &ImportOutcome) -> Result<Option<String>, GitError> {
        let Self { settings, lease, request } = self;
        if request.branch == BranchFate::Delete {
            isolation::remove(settings, lease)?;
            return Ok(None);
        }
        let what = match &imported.failure {
            Some(why) => format!("what was committed in isolation ({why})"),
            None if imported.left > 0 => "what was staged in isolation".to_owned(),
            // Their work is nowhere else.
            None if isolation::has_modules(settings, lease) => "the repositories of submodules".to_owned(),
            None => {
                isolation::remove(settings, lease)?;
                return Ok(None);
            }
        };
        let folder = isolation::discard(settings, lease)?;
        Ok(folder.map(|folder| format!(".git: {what}; it stays at {} for 14 days", folder.display())))
    }

    /// Removes a worktree that nothing keeps; a dry run only reserves references in `promised`. Discarded work is kept by a
    /// reference, whose name is returned, except for the `dropped` files.
    fn remove(
        self,
        removal: Removal,
        promised: Option<&mut Promised>,
        dropped: &mut Vec<String>,
    ) -> Result<Option<String>, GitError> {
        let Self { settings, lease, .. } = self;
        let Removal { entry, own, content } = removal;
        let dry_run = promised.is_some();
        let mut kept_as = None;
        let unsaved = match content {
            Content::Committed | Content::Unwanted => None,
            Content::Discarded(mut checkout) => {
                let Hidden { files, nested, .. } = std::mem::take(&mut checkout.hidden);
                checkout.changes.untracked.extend(files);
                checkout.changes.nested.extend(nested);
                dropped.extend(secrets(&checkout)?.iter().map(ToString::to_string));
                let repositories =
                    checkout.changes.nested.iter().map(ToString::to_string).chain(checkout.submodules()?);
                let mut unsaved: Vec<_> =
                    repositories.map(|path| format!("{path} (a repository of its own)")).collect();
                if let Some(promised) = promised {
                    if !unsaved.is_empty() {
                        dropped.push(would_stay(&unsaved.join(", ")));
                    }
                    // What is not committed makes another commit, which is not known yet.
                    let last = checkout.head.filter(|_| checkout.changes.is_empty() && checkout.tip == checkout.head);
                    return trash_refs::promise(&checkout.repo, lease, last, promised).map(Some);
                }
                match keep_last_state(settings, &checkout, lease) {
                    Ok((name, files)) => {
                        kept_as = Some(name);
                        unsaved.extend(files);
                    }
                    Err(error) => unsaved.push(error_chain(&error)),
                }
                Some(unsaved.join(", ")).filter(|unsaved| !unsaved.is_empty())
            }
            Content::Unreadable(why) => Some(why),
        };
        if !dry_run && !own.is_empty() {
            let repo = settings.repository.open(&[])?;
            for (_, commit) in &own {
                durable::commit(settings, &repo, lease.base.as_ref(), *commit)?;
            }
            isolation::keep(&repo, lease, own)?;
        }
        match unsaved {
            Some(why) if dry_run => {
                dropped.push(would_stay(&why));
                return Ok(None);
            }
            Some(why) => {
                let folder = put_into_trash(settings, lease, &entry, &mut kept_as)?;
                dropped.push(format!("{TRASHED}: {why}; it stays at {} for 14 days", folder.display()));
            }
            None if dry_run => return Ok(None),
            None => {
                // It is deleted by whoever sweeps.
                entry.noting_removal(|| rename_aside::put_aside(&entry.folder))?;
                crash_point("release-renamed-aside");
                entry.remove()?;
            }
        }
        crash_point("release-entry-removed");
        Ok(kept_as)
    }

    /// Keeps the tip of a branch by a reference, whose name is returned. A dry run only reserves the name in `promised`.
    fn keep_tip(
        self,
        repo: &gix::Repository,
        tip: ObjectId,
        by: &MergedBy,
        promised: &mut Promised,
    ) -> Result<String, GitError> {
        let Self { settings, lease, request } = self;
        let message = if *by == MergedBy::Discarded { DISCARDED } else { "gadugi: merged by other commits" };
        match request.dry_run {
            true => trash_refs::promise(repo, lease, Some(tip), promised),
            false => trash_refs::keep(settings, repo, lease, tip, message),
        }
    }
}

/// The tip of a branch that still may be deleted, with the reason; or else its fate.
fn checked(
    repo: &gix::Repository,
    heads: Option<&Heads>,
    lease: &Lease,
    request: ReleaseRequest,
    fate: Fate,
) -> Result<Result<(ObjectId, MergedBy), BranchRelease>, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    let (tip, by, keeper) = match fate {
        Fate::Absent => return Ok(Err(BranchRelease::Absent)),
        Fate::Kept(reason) => return Ok(Err(BranchRelease::Kept(reason))),
        Fate::MayGo { tip, by, keeper } => (tip, by, keeper),
    };
    if !request.dry_run {
        if let Some(path) = heads.and_then(|heads| heads.worktree_on(branch, lease)) {
            return Ok(Err(BranchRelease::Kept(KeepReason::CheckedOut { path })));
        }
        if !keeper.map_or(Ok(true), |keeper| keeper.keeps(repo, tip))? {
            return Ok(Err(BranchRelease::Kept(KeepReason::Moved)));
        }
    }
    Ok(Ok((tip, by)))
}

/// The reflog message of discarded work.
const DISCARDED: &str = "gadugi: discarded";

/// The result of importing the commits from isolation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportOutcome {
    /// Whether its commits are not on the branch, but kept by another reference.
    is_apart: bool,
    /// Number of files that were only staged, and could not be imported.
    left: u64,
    /// The import error. Only a discarded worktree may have one.
    failure: Option<String>,
}

/// Imports the commits from isolation. The repository's lock need not be held: the import may take long.
pub(crate) fn import(
    settings: &WorktreeSettings,
    lease: &Lease,
    request: ReleaseRequest,
) -> Result<ImportOutcome, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    if request.branch == BranchFate::Delete {
        return Ok(ImportOutcome::default());
    }
    match isolation::import(settings, lease, branch) {
        Ok(imported) => Ok(ImportOutcome { is_apart: imported.apart.is_some(), left: imported.left, failure: None }),
        Err(error) if request.discard => {
            Ok(ImportOutcome { failure: Some(error_chain(&error)), ..ImportOutcome::default() })
        }
        Err(error) => Err(error),
    }
}

/// Whether git's list has a worktree in the folder of a lease that was made for another attempt, or not by gadugi.
fn is_of_another(settings: &WorktreeSettings, lease: &Lease) -> Result<bool, GitError> {
    let entry = Entry::of(settings.repository.common_dir(), &lease.path)?;
    Ok(entry.is_some_and(|entry| entry.marker().is_none_or(|marker| !marker.is_of(lease))))
}

/// Removes the entry of a worktree whose folder is gone, if it is discarded, or git would prune it. Returns whether it stays:
/// the folder may come back.
fn clear_absent(
    settings: &WorktreeSettings,
    entries: &[Entry],
    lease: &Lease,
    request: ReleaseRequest,
) -> Result<bool, GitError> {
    let folder = real(&lease.path);
    let is_its = |entry: &&Entry| entry.is_of(&folder) && entry.marker().is_some_and(|marker| marker.is_of(lease));
    let Some(entry) = entries.iter().find(is_its) else { return Ok(false) };
    let repo = settings.repository.open(&[])?;
    let may_go = entry.lock_reason().is_none()
        && (request.discard || request.branch == BranchFate::Delete || prune::is_expired(&repo, entry))
        && !own_references::is_lost_with(entry, &settings.repository, &repo)?;
    if may_go && !request.dry_run {
        entry.remove()?;
    }
    Ok(!may_go)
}

/// The reasons to keep a worktree, with those from the import.
fn all_reasons(mut reasons: Vec<KeepReason>, request: ReleaseRequest, imported: &ImportOutcome) -> Vec<KeepReason> {
    if imported.is_apart && !reasons.contains(&KeepReason::HeadElsewhere) {
        // Where its files come from is the `HEAD` that the task knows.
        reasons.push(KeepReason::HeadElsewhere);
    }
    if imported.left > 0 && !reasons.iter().any(|reason| matches!(reason, KeepReason::Uncommitted { .. })) {
        reasons.push(KeepReason::Uncommitted { files: imported.left });
    }
    if request.discard || request.branch == BranchFate::Delete {
        // Whoever has locked it wants it to stay.
        reasons.retain(|reason| matches!(reason, KeepReason::Locked { .. }));
    }
    reasons
}

/// The message before the reason why a whole worktree is kept in the trash.
const TRASHED: &str = "./: not all of it could be committed";

/// The same for a dry run.
fn would_stay(why: &str) -> String {
    format!("{TRASHED}: {why}; it would stay in the trash for 14 days")
}

/// Moves a discarded worktree, and its git files, into the trash, since not all of it could be committed. Its commits are kept
/// by references, the first of which is noted. Returns the new path.
fn put_into_trash(
    settings: &WorktreeSettings,
    lease: &Lease,
    entry: &Entry,
    kept_as: &mut Option<String>,
) -> Result<PathBuf, GitError> {
    let repo = settings.repository.open(&[])?;
    let tip = lease.branch.as_ref().map(|branch| branch::tip(&repo, branch)).transpose()?.flatten();
    let head = match head_in(&entry.admin) {
        Some(HeadAt::Commit(head)) if repo.has_object(head) => Some(head),
        _ => None,
    };
    for commit in tip.into_iter().chain(head) {
        let name = trash_refs::keep(settings, &repo, lease, commit, DISCARDED)?;
        kept_as.get_or_insert(name);
    }
    let name = format!("{}-{}-{}", lease.run, lease.attempt.task, lease.attempt.number);
    let folder = entry.noting_removal(|| trash::put(settings, &entry.folder, &format!("{name}-worktree")))?;
    crash_point("release-renamed-aside");
    trash::put(settings, &entry.admin, &format!("{name}-index"))?;
    if let Some(list) = entry.admin.parent() {
        remove_if_empty(list)?;
    }
    Ok(folder)
}

/// Keeps a commit that reaches everything in the worktree, except for ignored files and those that look like secrets: the tip
/// of the branch, or a new commit. Returns the name of the reference, and the files that git cannot store.
fn keep_last_state(
    settings: &WorktreeSettings,
    checkout: &Checkout,
    lease: &Lease,
) -> Result<(String, Vec<String>), GitError> {
    let mut parents: Vec<ObjectId> = checkout.head.into_iter().collect();
    if let Some(tip) = checkout.tip
        && !checkout.head.map_or(Ok(false), |head| is_ancestor(&checkout.repo, tip, head))?
    {
        parents.push(tip);
    }
    let saved = save(checkout)?;
    parents.extend(superseded::commit(checkout, lease, &saved.index)?);
    let repo = &checkout.repo;
    let last = match parents[..] {
        [only] if repo.find_commit(only)?.tree_id()? == saved.tree => only,
        _ => repo.new_commit(message(lease, None), saved.tree, parents)?.id,
    };
    let name = trash_refs::keep(settings, repo, lease, last, DISCARDED)?;
    Ok((name, saved.unsaved.iter().map(ToString::to_string).collect()))
}
