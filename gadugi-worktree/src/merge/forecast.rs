//! The forecast: the verdict on every two of several lines of work, by merges in memory.
//!
//! Two commits are merged only if they have changed the same path, or one a path and the other a folder above it. All
//! others merge by what a merge of trees is: each path comes from the one side that has changed it. Files that are not
//! committed yet become a commit in memory only if one of them is on a path that another side has changed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use gadugi_core::worktrees::{Forecast, Side, Verdict};
use gadugi_core::{Lease, error_chain};
use gix::ObjectId;
use gix::bstr::BString;

use crate::error::GitError;
use crate::merge::live::{self, Seen};
use crate::merge::paths::{changed_paths, meet};
use crate::merge::{files_in_conflict, merge_commits};
use crate::repo::ids::to_object;
use crate::settings::WorktreeSettings;
use crate::threads::parallel::{side_by_side, threads};

/// The size of the cache of objects of each repository handle.
const OBJECT_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Limit for the uncommitted files that are held in memory, of all worktrees together. Each thread has them once.
const MAX_UNCOMMITTED_BYTES: u64 = 24 * 1024 * 1024;

/// The common ancestors of two commits that count for their merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bases {
    /// Neither has anything of the other.
    Unrelated,
    One(ObjectId),
    /// Several, which a merge has to merge first.
    Several,
}

/// A side as it is merged.
struct Line<'a> {
    name: &'a str,
    /// Its worktree, where that may hold more than the commit.
    worktree: Option<&'a Lease>,
    tip: ObjectId,
    /// The commit without what is not committed yet.
    head: ObjectId,
    /// The paths of uncommitted files.
    uncommitted: Vec<BString>,
    /// The reason why its uncommitted files are not known.
    unseen: Option<String>,
}

/// The pairs of a forecast: each of the first sides with all after it.
#[derive(Clone, Copy)]
struct Pairs {
    asked: usize,
    sides: usize,
}

impl Pairs {
    fn all(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.asked).flat_map(move |first| (first + 1..self.sides).map(move |second| (first, second)))
    }
}

/// Foretells the merges of the first `asked` sides with each other and with all others. All objects that this takes are kept
/// in memory, and forgotten at the end.
pub(crate) fn forecast(settings: &WorktreeSettings, asked: usize, sides: &[Side]) -> Result<Forecast, GitError> {
    let pairs = Pairs { asked: asked.min(sides.len()), sides: sides.len() };
    let mut repo = settings.repository.open(&[])?.with_object_memory();
    repo.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
    let mut changes = Changes { known: HashMap::new() };
    let lines = look(settings, &repo, pairs, sides, &mut changes);
    let bases = bases(&repo, pairs, &lines)?;
    let mut verdicts = vec![Verdict::MergesAsText; bases.len()];
    let (mut to_merge, mut contained) = (Vec::new(), Vec::new());
    for (place, ((one, other), bases)) in pairs.all().zip(bases).enumerate() {
        let (ours, theirs) = (&lines[one], &lines[other]);
        let meet = bases.and_then(|bases| match bases {
            Bases::One(base) => {
                contained.extend((base == theirs.head && theirs.uncommitted.is_empty()).then_some((one, other)));
                contained.extend((base == ours.head && ours.uncommitted.is_empty()).then_some((other, one)));
                changes.meet(&repo, base, ours, theirs)
            }
            Bases::Unrelated | Bases::Several => Ok(true),
        });
        match meet {
            Ok(true) => to_merge.push(place),
            Ok(false) => {}
            Err(error) => verdicts[place] = Verdict::Unknown { reason: error_chain(&error) },
        }
    }
    drop(changes);
    let all: Vec<_> = pairs.all().collect();
    let commits = commits(settings, &mut repo, &lines, to_merge.iter().map(|place| all[*place]));
    for (place, verdict) in merge_pairs(&repo, &lines, &commits, &to_merge, &all) {
        verdicts[place] = verdict;
    }
    // A side of which a part could not be seen may be in more conflicts than were found, and not in fewer.
    for (verdict, (one, other)) in verdicts.iter_mut().zip(&all) {
        let unseen = [one, other].into_iter().find_map(|side| Some((&lines[*side], lines[*side].unseen.as_ref()?)));
        if let (Verdict::MergesAsText, Some((line, reason))) = (&verdict, unseen) {
            *verdict = unread(line, reason);
        }
    }
    let beyond: Vec<bool> = lines.iter().map(|line| line.head != line.tip || !line.uncommitted.is_empty()).collect();
    let forecast = Forecast::of_first(pairs.asked, pairs.sides, verdicts);
    let forecast = forecast.expect("cannot fail because there is a verdict for each pair");
    Ok(forecast.with_work_beyond_tip(&beyond).with_contained(contained))
}

/// Looks at all sides. A worktree that only stands beside those that were asked about is inspected only if one of the paths
/// that they have changed differs in it.
fn look<'a>(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    pairs: Pairs,
    sides: &'a [Side],
    changes: &mut Changes,
) -> Vec<Line<'a>> {
    let line = |side: &'a Side, seen: Result<Seen, GitError>| {
        let tip = to_object(&side.tip);
        let (seen, unseen) = match seen {
            Ok(seen) => (seen, None),
            Err(error) => (Seen { head: tip, uncommitted: Vec::new() }, Some(error_chain(&error))),
        };
        let Seen { head, uncommitted } = seen;
        Line { name: &side.name, worktree: side.worktree.as_ref(), tip, head, uncommitted, unseen }
    };
    let seen = |side: &Side| match &side.worktree {
        Some(lease) => live::inspect(settings, lease, to_object(&side.tip)),
        None => Ok(Seen { head: to_object(&side.tip), uncommitted: Vec::new() }),
    };
    let (asked, beside) = sides.split_at(pairs.asked);
    let mut lines = side_by_side(asked.iter().collect(), |side| line(side, seen(side)));
    let asked: Vec<(ObjectId, Vec<BString>)> = lines.iter().map(|line| (line.head, line.uncommitted.clone())).collect();
    let heads = side_by_side(beside.iter().collect(), |side| match &side.worktree {
        Some(lease) => live::head(settings, lease, to_object(&side.tip)),
        None => Ok(to_object(&side.tip)),
    });
    // What those asked about have changed since they parted from each of the others; `None` where that cannot be told.
    let mut glances = Vec::with_capacity(beside.len());
    for (side, head) in beside.iter().zip(heads) {
        let paths = side.worktree.as_ref().and_then(|_| changes.of_any(repo, &asked, *head.as_ref().ok()?));
        glances.push((side, head, paths));
    }
    lines.extend(side_by_side(glances, |(side, head, paths)| {
        let seen = match (&side.worktree, head, paths) {
            (Some(lease), Ok(head), Some(paths)) => {
                let paths: Vec<&BString> = paths.iter().collect();
                match live::is_apart(settings, lease, &paths) {
                    Ok(true) => Ok(Seen { head, uncommitted: Vec::new() }),
                    Ok(false) | Err(_) => seen(side),
                }
            }
            (Some(_), Ok(_), None) => seen(side),
            (_, head, _) => head.map(|head| Seen { head, uncommitted: Vec::new() }),
        };
        line(side, seen)
    }));
    lines
}

/// The changed paths of commits since their bases, each looked for once.
struct Changes {
    known: HashMap<(ObjectId, ObjectId), Vec<BString>>,
}

impl Changes {
    /// The paths that a commit has changed since its base.
    fn of(&mut self, repo: &gix::Repository, base: ObjectId, commit: ObjectId) -> Result<&[BString], GitError> {
        match self.known.entry((base, commit)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(changed_paths(repo, base, commit)?)),
        }
    }

    /// Whether two lines have changed the same path since their base, or one a folder of a path of the other.
    fn meet(
        &mut self,
        repo: &gix::Repository,
        base: ObjectId,
        ours: &Line<'_>,
        theirs: &Line<'_>,
    ) -> Result<bool, GitError> {
        for line in [ours, theirs] {
            self.of(repo, base, line.head)?;
        }
        let of = |line: &Line<'_>| self.known[&(base, line.head)].as_slice();
        Ok(meet(of(ours), of(theirs))
            || meet(&ours.uncommitted, of(theirs))
            || meet(of(ours), &theirs.uncommitted)
            || meet(&ours.uncommitted, &theirs.uncommitted))
    }

    /// The paths that any of several commits with uncommitted files has changed since it parted from another commit; `None`
    /// where that cannot be told.
    fn of_any(
        &mut self,
        repo: &gix::Repository,
        lines: &[(ObjectId, Vec<BString>)],
        other: ObjectId,
    ) -> Option<Vec<BString>> {
        let mut paths = Vec::new();
        for (head, uncommitted) in lines {
            let base = repo.merge_base(*head, other).ok()??.detach();
            paths.extend_from_slice(self.of(repo, base, *head).ok()?);
            paths.extend_from_slice(uncommitted);
        }
        Some(paths)
    }
}

/// The bases of every pair. The graph of commits is read once for all of them.
fn bases(repo: &gix::Repository, pairs: Pairs, lines: &[Line<'_>]) -> Result<Vec<Result<Bases, GitError>>, GitError> {
    let cache = repo.commit_graph_if_enabled()?;
    let mut graph = repo.revision_graph(cache.as_ref());
    let mut bases_of = |ours: ObjectId, theirs: ObjectId| {
        let bases = repo.merge_bases_many_with_graph(ours, &[theirs], &mut graph)?;
        Ok(match &bases[..] {
            [] => Bases::Unrelated,
            [one] => Bases::One(one.detach()),
            _ => Bases::Several,
        })
    };
    Ok(pairs.all().map(|(ours, theirs)| bases_of(lines[ours].head, lines[theirs].head)).collect())
}

/// The verdict where uncommitted files of a line cannot be compared.
fn unread(line: &Line<'_>, reason: &str) -> Verdict {
    Verdict::Unknown { reason: format!("what is not committed by {} could not be read: {reason}", line.name) }
}

/// The commit of each line. That of one with uncommitted files which is to be merged is made in memory; where that fails, there
/// is the verdict on all of its merges.
fn commits(
    settings: &WorktreeSettings,
    repo: &mut gix::Repository,
    lines: &[Line<'_>],
    to_merge: impl Iterator<Item = (usize, usize)>,
) -> Vec<Result<ObjectId, Verdict>> {
    let mut is_merged = vec![false; lines.len()];
    to_merge.for_each(|(one, other)| (is_merged[one], is_merged[other]) = (true, true));
    let mut room = MAX_UNCOMMITTED_BYTES;
    let mut commits = Vec::with_capacity(lines.len());
    for (line, is_merged) in lines.iter().zip(is_merged) {
        let commit = match line.worktree.filter(|_| is_merged && !line.uncommitted.is_empty()) {
            Some(lease) => live::commit(settings, repo, lease, line.tip, &mut room),
            None => Ok(line.head),
        };
        commits.push(commit.map_err(|error| unread(line, &error_chain(&error))));
    }
    commits
}

/// Merges the pairs at these places, a few at once.
fn merge_pairs(
    repo: &gix::Repository,
    lines: &[Line<'_>],
    commits: &[Result<ObjectId, Verdict>],
    places: &[usize],
    pairs: &[(usize, usize)],
) -> Vec<(usize, Verdict)> {
    let mut shared = repo.clone();
    let memory = shared.objects.take_object_memory().unwrap_or_default();
    let shared = shared.into_sync();
    // Each portion opens the repository anew, and forgets what it has written when it is done.
    let portions: Vec<&[usize]> = places.chunks(places.len().div_ceil(threads() * 4).max(1)).collect();
    let merged = side_by_side(portions, |places| {
        let mut repo = shared.to_thread_local();
        repo.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
        repo.objects.set_object_memory(memory.clone());
        let verdict = |(one, other): (usize, usize)| match (&commits[one], &commits[other]) {
            (Ok(ours), Ok(theirs)) => merge_pair(&repo, (*ours, lines[one].name), (*theirs, lines[other].name)),
            (Err(unknown), _) | (_, Err(unknown)) => unknown.clone(),
        };
        places.iter().map(|place| (*place, verdict(pairs[*place]))).collect::<Vec<_>>()
    });
    merged.into_iter().flatten().collect()
}

fn merge_pair(repo: &gix::Repository, ours: (ObjectId, &str), theirs: (ObjectId, &str)) -> Verdict {
    match merge_commits(repo, ours, theirs).map(|outcome| files_in_conflict(&outcome.tree_merge)) {
        Ok(files) if files.is_empty() => Verdict::MergesAsText,
        Ok(files) => Verdict::Conflict { files },
        Err(error) => Verdict::Unknown { reason: error_chain(&error) },
    }
}
