//! Giving worktrees back without losing anything.

pub(crate) mod fates;
mod heads;
mod merged;
mod orphan;
mod patch_id;
pub(crate) mod prune;
mod reach;

use std::io;
use std::path::PathBuf;

use gadugi_core::{
    BranchName, BranchRelease, KeepReason, Lease, MergedBy, Release, ReleaseDetails, ReleaseRequest, WorktreeFate,
    crash_point, error_chain,
};
use gix::ObjectId;
use gix::bstr::BString;

use crate::delete::trash;
use crate::delete::trash_refs::{self, Promised};
use crate::durable;
use crate::error::{GitError, Source};
use crate::files::mounted::mount_in;
use crate::files::paths::{real, remove_if_empty};
use crate::files::rename_aside;
use crate::history::is_ancestor;
use crate::inspect::checkout::Checkout;
use crate::inspect::self_ignored::Hidden;
use crate::isolation;
use crate::lease::admin_folder::Entry;
use crate::release::fates::{Decided, Fate};
use crate::release::heads::Heads;
use crate::repo::ids::{full_name, to_commit, to_object};
use crate::repo::refs::{HeadAt, head_in};
use crate::repo::{branch, refs};
use crate::settings::WorktreeSettings;
use crate::snapshot::message::message;
use crate::snapshot::tree::{save, secrets};
use crate::snapshot::{own_references, superseded};
use crate::threads::parallel::side_by_side;

/// How many worktrees are looked at before the first of them is removed. What is known of each takes memory, and others wait for the
/// repository's lock meanwhile.
const WORKTREES_AT_ONCE: usize = 32;

/// How many branches are deleted in one go, and how many worktrees are passed over that are gone.
pub(crate) const AT_ONCE: usize = 256;

/// How many of these requests make a portion that does not keep others waiting for long.
pub(crate) fn portion(requests: &[(Lease, ReleaseRequest)]) -> usize {
    let mut there = 0;
    let is_enough = |(lease, _): &(Lease, ReleaseRequest)| {
        there += usize::from(lease.path.symlink_metadata().is_ok());
        there == WORKTREES_AT_ONCE
    };
    let most = &requests[..requests.len().min(AT_ONCE)];
    most.iter().position(is_enough).map_or(most.len(), |last| last + 1)
}

/// What became of a worktree, before its branch is decided on.
pub(crate) struct Returned {
    pub(crate) worktree: WorktreeFate,
    /// Whether it is absent and still in git's list.
    pub(crate) may_come_back: bool,
    dropped: Vec<String>,
    /// The reference that keeps what was discarded.
    kept_as: Option<String>,
    details: ReleaseDetails,
}

/// Removes worktrees that hold nothing of their own. The caller has taken over what was committed in isolation, and holds the
/// repository's lock.
pub(crate) fn give_back(
    settings: &WorktreeSettings,
    requests: Vec<(Lease, ReleaseRequest, Result<Taken, GitError>)>,
    promised: &mut Promised,
) -> Result<Vec<Result<Returned, GitError>>, GitError> {
    let entries = Entry::all(settings.repository.common_dir())?;
    let looked = side_by_side(requests, |(lease, request, taken)| {
        let found = taken.and_then(|taken| Found::look(settings, &lease, request, taken));
        (lease, request, found)
    });
    let returned = looked.into_iter();
    let give_back = |(lease, request, found): (_, _, Result<_, _>)| {
        give_back_one(settings, &entries, &lease, request, found?, promised)
    };
    Ok(returned.map(give_back).collect())
}

/// A worktree that was given back, and what is to become of its branch.
pub(crate) type Pending<'a> = (&'a Lease, ReleaseRequest, Result<(Returned, Decided), Source>);

/// Deletes the branches that may go, unless something has changed since that was decided. The caller holds the repository's lock
/// where one is to be deleted.
pub(crate) fn delete_branches(
    settings: &WorktreeSettings,
    pending: Vec<Pending<'_>>,
    promised: &mut Promised,
) -> Result<Vec<Result<Release, Source>>, GitError> {
    let repo = settings.repository.open(&[])?;
    let heads = if pending.iter().any(deletes) {
        // What keeps the commits of a branch that goes, such as a merge a moment ago, has to last longer than the branch.
        durable::everything(settings)?;
        Some(Heads::without(settings, &[])?)
    } else {
        None
    };
    let mut going = Vec::new();
    let mut released: Vec<Result<Release, Source>> = Vec::with_capacity(pending.len());
    for (place, (lease, request, one)) in pending.into_iter().enumerate() {
        released.push(one.and_then(|(Returned { worktree, dropped, kept_as, mut details, .. }, decided)| {
            (details.compared_with, details.only_in) = (decided.compared_with, decided.only_in);
            let mut kept_as = kept_as;
            let branch = match checked(&repo, heads.as_ref(), lease, request, decided.fate)? {
                Ok((tip, by)) => {
                    if !by.keeps_commits() && kept_as.is_none() {
                        kept_as = Some(keep_tip(
                            settings,
                            &repo,
                            lease,
                            tip,
                            &by,
                            request.dry_run.then_some(&mut *promised),
                        )?);
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
    for ((place, ..), deleted) in going.iter().zip(refs::delete_all(&repo, &references)?) {
        match (deleted, &mut released[*place]) {
            (Ok(true), _) => crash_point("release-branch-deleted"),
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

/// What was found in the place of a lease.
struct Found {
    taken: Taken,
    place: Place,
}

enum Place {
    Absent,
    OfAnother,
    /// Something is mounted in it, which is not looked at either.
    Mounted(PathBuf),
    Here(Box<Here>),
}

/// A worktree that was found.
struct Here {
    entry: Entry,
    reasons: Vec<KeepReason>,
    details: ReleaseDetails,
    /// Commits that only git's own folder of it leads to.
    own: Vec<(BString, ObjectId)>,
    content: Content,
}

/// What is in a worktree that may be removed.
enum Content {
    /// Nothing that is not committed.
    Committed,
    /// Whatever it is, it is discarded. Only then is the checkout needed, which takes memory, and some time to be let go.
    Discarded(Box<Checkout>),
    /// It is discarded as well, but what it is cannot be told, for this reason.
    Unreadable(String),
}

impl Place {
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
        Ok(Self::Here(Box::new(Here { entry, reasons, details, own, content })))
    }

    /// The place of a worktree that is to be discarded and that git's files of it, or its own, do not let us look into.
    fn unreadable(settings: &WorktreeSettings, lease: &Lease, error: GitError) -> Result<Self, GitError> {
        let common_dir = settings.repository.common_dir();
        let entry = Entry::of_lease(common_dir, lease)?.or_else(|| Entry::without_link(common_dir, lease));
        let Some(entry) = entry else { return Err(error) };
        let reasons = entry.lock_reason().map(|reason| KeepReason::Locked { reason }).into_iter().collect();
        let content = Content::Unreadable(error_chain(&error));
        let details = ReleaseDetails::default();
        Ok(Self::Here(Box::new(Here { entry, reasons, details, own: Vec::new(), content })))
    }
}

impl Found {
    fn look(
        settings: &WorktreeSettings,
        lease: &Lease,
        request: ReleaseRequest,
        mut taken: Taken,
    ) -> Result<Self, GitError> {
        let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
        if !request.dry_run && taken == Taken::default() {
            // What has come since; nothing is to be done in most cases.
            taken = take_over(settings, lease, request)?;
        }
        let place = match lease.path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Absent,
            Err(error) => return Err(GitError::io("look at", &lease.path)(error)),
            Ok(_) if is_of_another(settings, lease)? => Place::OfAnother,
            Ok(_) => match mount_in(&lease.path) {
                Some(path) => Place::Mounted(path),
                None => {
                    let looked = Checkout::look(settings, lease, branch);
                    match looked.and_then(|found| Place::here(settings, lease, branch, found, request)) {
                        Err(error) if request.discard => Place::unreadable(settings, lease, error)?,
                        other => other?,
                    }
                }
            },
        };
        Ok(Self { taken, place })
    }
}

fn give_back_one(
    settings: &WorktreeSettings,
    entries: &[Entry],
    lease: &Lease,
    request: ReleaseRequest,
    found: Found,
    promised: &mut Promised,
) -> Result<Returned, GitError> {
    let mut dropped = Vec::new();
    let mut kept_as = None;
    let Found { taken, place } = found;
    let mut details = ReleaseDetails::default();
    let mut may_come_back = false;
    let worktree = match place {
        Place::Absent => {
            may_come_back = clear_absent(settings, entries, lease, request)?;
            WorktreeFate::Absent
        }
        Place::OfAnother => WorktreeFate::Absent,
        Place::Mounted(path) => WorktreeFate::Kept(vec![KeepReason::Mounted { path }]),
        Place::Here(here) => {
            let Here { entry, reasons, details: found, own, content } = *here;
            details = found;
            let reasons = all_reasons(reasons, request, &taken);
            if reasons.is_empty() {
                let promised = request.dry_run.then_some(&mut *promised);
                kept_as = remove(settings, lease, &entry, own, content, promised, &mut dropped)?;
                WorktreeFate::Removed
            } else {
                WorktreeFate::Kept(reasons)
            }
        }
    };
    if !request.dry_run && !matches!(worktree, WorktreeFate::Kept(_)) {
        let what = match &taken.failure {
            Some(why) => Some(format!("what was committed in isolation ({why})")),
            None if taken.left > 0 => Some("what was staged in isolation".to_owned()),
            // Their work is nowhere else.
            None if isolation::has_modules(settings, lease) => Some("the repositories of submodules".to_owned()),
            None => None,
        };
        if let Some(what) = what {
            let folder = isolation::discard(settings, lease)?;
            dropped.extend(folder.map(|folder| format!(".git: {what}; it stays at {} for 14 days", folder.display())));
        } else {
            isolation::remove(settings, lease)?;
        }
    }
    if !request.dry_run {
        // That it stays would do no harm.
        remove_if_empty(&settings.folder).ok();
    }
    Ok(Returned { worktree, may_come_back, dropped, kept_as, details })
}

/// The tip of a branch that still may go, and why; or what else becomes of it.
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

/// Keeps the tip of a branch by a reference, or only notes in `promised` which one it would be, and gives its name.
fn keep_tip(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    lease: &Lease,
    tip: ObjectId,
    by: &MergedBy,
    promised: Option<&mut Promised>,
) -> Result<String, GitError> {
    let message = if *by == MergedBy::Discarded { DISCARDED } else { "gadugi: merged by other commits" };
    match promised {
        Some(promised) => trash_refs::promise(repo, lease, Some(tip), promised),
        None => trash_refs::keep(settings, repo, lease, tip, message),
    }
}

/// What the log of a reference says of work that was discarded.
const DISCARDED: &str = "gadugi: discarded";

/// What became of what was committed in isolation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Whether the branch has not what was committed to it; then it is kept by another reference.
    is_apart: bool,
    /// How many files were staged only, and could not be taken over.
    left: u64,
    /// Why it could not be taken over, which only what is discarded may be.
    failure: Option<String>,
}

/// Takes over what was committed in isolation. It may take long, and nobody who makes worktrees has to wait for it: the
/// repository's lock need not be held.
pub(crate) fn take_over(
    settings: &WorktreeSettings,
    lease: &Lease,
    request: ReleaseRequest,
) -> Result<Taken, GitError> {
    let branch = lease.branch.as_ref().ok_or(GitError::NoBranch)?;
    match isolation::import(settings, lease, branch) {
        Ok(imported) => Ok(Taken { is_apart: imported.apart.is_some(), left: imported.left, failure: None }),
        Err(error) if request.discard => Ok(Taken { failure: Some(error_chain(&error)), ..Taken::default() }),
        Err(error) => Err(error),
    }
}

/// Whether git's list has a worktree in the folder of a lease that was made for another attempt, or not by us.
fn is_of_another(settings: &WorktreeSettings, lease: &Lease) -> Result<bool, GitError> {
    let entry = Entry::of(settings.repository.common_dir(), &lease.path)?;
    Ok(entry.is_some_and(|entry| entry.marker().is_none_or(|marker| !marker.is_of(lease))))
}

/// The folder is gone; its entry in git's list goes too if it is discarded, or git would prune it. Answers whether it stays: the folder
/// may come back.
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
        && (request.discard || prune::is_expired(&repo, entry))
        && !own_references::is_lost_with(entry, &settings.repository, &repo)?;
    if may_go && !request.dry_run {
        entry.remove()?;
    }
    Ok(!may_go)
}

/// Why the worktree stays, with what became of that which was committed in isolation.
fn all_reasons(mut reasons: Vec<KeepReason>, request: ReleaseRequest, taken: &Taken) -> Vec<KeepReason> {
    if taken.is_apart && !reasons.contains(&KeepReason::HeadElsewhere) {
        // Where its files come from is the `HEAD` that the task knows.
        reasons.push(KeepReason::HeadElsewhere);
    }
    if taken.left > 0 && !reasons.iter().any(|reason| matches!(reason, KeepReason::Uncommitted { .. })) {
        reasons.push(KeepReason::Uncommitted { files: taken.left });
    }
    if request.discard {
        // Whoever has locked it wants it to stay.
        reasons.retain(|reason| matches!(reason, KeepReason::Locked { .. }));
    }
    reasons
}

/// Removes a worktree that nothing keeps, or only notes in `promised` what would be kept. What is in one that is discarded is kept by a
/// reference, whose name is given, but for what is `dropped`.
fn remove(
    settings: &WorktreeSettings,
    lease: &Lease,
    entry: &Entry,
    own: Vec<(BString, ObjectId)>,
    content: Content,
    promised: Option<&mut Promised>,
    dropped: &mut Vec<String>,
) -> Result<Option<String>, GitError> {
    let dry_run = promised.is_some();
    let mut kept_as = None;
    let unsaved = match content {
        Content::Committed => None,
        Content::Discarded(mut checkout) => {
            let Hidden { files, nested, .. } = std::mem::take(&mut checkout.hidden);
            checkout.changes.untracked.extend(files);
            checkout.changes.nested.extend(nested);
            dropped.extend(secrets(&checkout)?.iter().map(ToString::to_string));
            let repositories = checkout.changes.nested.iter().map(ToString::to_string).chain(checkout.submodules()?);
            let mut unsaved: Vec<_> = repositories.map(|path| format!("{path} (a repository of its own)")).collect();
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
            let folder = put_into_trash(settings, lease, entry, &mut kept_as)?;
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

/// What stands before the reason why all of a worktree is kept as it is.
const TRASHED: &str = "./: not all of it could be committed";

/// What is said of it before it is done.
fn would_stay(why: &str) -> String {
    format!("{TRASHED}: {why}; it would stay in the trash for 14 days")
}

/// Moves a discarded worktree, and git's own files of it, into the trash, since not all of it could be committed. What it has
/// committed is kept by references, the first of which is noted. Gives its new path.
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

/// Keeps a commit from which everything in the worktree can be reached, but ignored files and those that look like secrets:
/// the tip of the branch, or a new commit. Gives the name of the reference, and what git cannot keep.
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
        _ => repo.new_commit(message(lease), saved.tree, parents)?.id,
    };
    let name = trash_refs::keep(settings, repo, lease, last, DISCARDED)?;
    Ok((name, saved.unsaved.iter().map(ToString::to_string).collect()))
}
