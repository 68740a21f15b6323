//! The keepers of the commits of many branches, found in one walk of the history.

use std::collections::{BTreeSet, BinaryHeap};

use gix::ObjectId;
use gix::hashtable::{HashMap, HashSet};
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

use crate::error::GitError;

/// Number of commits that are read once nothing is undecided. Times of commits may be wrong, so that a keeper may come late;
/// git reads five more.
const SLOP: usize = 1000;

/// The commits of a branch that nothing keeps.
pub(crate) struct Own {
    pub(crate) tip: ObjectId,
    pub(crate) commits: Vec<ObjectId>,
    /// The kept commits that end the walk from it.
    pub(crate) leaves: BTreeSet<ObjectId>,
}

/// The result of the walk.
pub(crate) struct Reach {
    marks: HashMap<ObjectId, Mark>,
    /// The wanted commits, and their ancestors, that nothing keeps, with their parents.
    loose: HashMap<ObjectId, Vec<ObjectId>>,
}

#[derive(Default, Clone, Copy)]
struct Mark {
    is_wanted: bool,
    /// The keeper of the commit, by its index in the list.
    keeper: Option<usize>,
    is_queued: bool,
}

impl Mark {
    fn is_undecided(self) -> bool {
        self.is_wanted && self.keeper.is_none()
    }
}

impl Reach {
    /// Looks for a keeper of each `wanted` commit among `keepers`. A commit with a keeper is kept; where the times of commits
    /// are wrong, a kept one may be reported as not kept.
    pub(crate) fn of(repo: &gix::Repository, wanted: &[ObjectId], keepers: &[ObjectId]) -> Result<Self, GitError> {
        let cache = repo.commit_graph_if_enabled()?;
        let mut graph = repo.revision_graph::<()>(cache.as_ref());
        let mut walk = Walk { marks: HashMap::default(), queue: BinaryHeap::new(), undecided: 0 };
        let mut loose = HashMap::default();
        // What cannot be read keeps nothing.
        let mut time = |id: &ObjectId| graph.try_lookup(id).ok().flatten().and_then(|it| it.committer_timestamp().ok());
        for (place, id) in keepers.iter().enumerate() {
            walk.mark(*id, Mark { keeper: Some(place), ..Mark::default() }, &mut time);
        }
        for id in wanted {
            walk.mark(*id, Mark { is_wanted: true, ..Mark::default() }, &mut time);
        }
        let mut slop = SLOP;
        while let Some((id, mark)) = walk.next() {
            slop = if walk.undecided > 0 || mark.is_undecided() { SLOP } else { slop - 1 };
            if slop == 0 {
                break;
            }
            let commit = graph.try_lookup(&id).ok().flatten();
            let parents: Vec<ObjectId> =
                commit.into_iter().flat_map(|commit| commit.iter_parents()).flatten().collect();
            let mut time =
                |id: &ObjectId| graph.try_lookup(id).ok().flatten().and_then(|it| it.committer_timestamp().ok());
            for parent in &parents {
                walk.mark(*parent, mark, &mut time);
            }
            if mark.is_undecided() {
                loose.insert(id, parents);
            }
        }
        let marks = walk.marks;
        loose.retain(|id, _| marks[id].is_undecided());
        Ok(Self { marks, loose })
    }

    /// The keeper of a wanted commit, by its index in the list.
    pub(crate) fn keeper(&self, commit: ObjectId) -> Option<usize> {
        self.marks.get(&commit)?.keeper
    }

    /// The parents of a commit that nothing keeps; empty for a kept one.
    pub(crate) fn parents(&self, commit: ObjectId) -> &[ObjectId] {
        self.loose.get(&commit).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing keeps a wanted commit.
    pub(crate) fn is_loose(&self, commit: ObjectId) -> bool {
        self.loose.contains_key(&commit)
    }

    /// The commits that can be reached from a commit and that nothing keeps, with the kept commits that end the walk.
    pub(crate) fn own(&self, tip: ObjectId) -> Own {
        let mut own = Own { tip, commits: Vec::new(), leaves: BTreeSet::new() };
        let mut seen: HashSet<ObjectId> = HashSet::default();
        let mut open = vec![tip];
        while let Some(id) = open.pop() {
            if !self.is_loose(id) {
                own.leaves.insert(id);
            } else if seen.insert(id) {
                own.commits.push(id);
                open.extend(self.parents(id));
            }
        }
        own
    }

    /// The commits that can be reached from these and that nothing keeps, each before its parents.
    pub(crate) fn in_order(&self, from: &[ObjectId]) -> Vec<ObjectId> {
        let mut children: HashMap<ObjectId, usize> = HashMap::default();
        for parent in self.loose.values().flatten() {
            *children.entry(*parent).or_default() += 1;
        }
        let mut begun: HashSet<ObjectId> = HashSet::default();
        let mut ready: Vec<ObjectId> = Vec::new();
        for id in from {
            if self.loose.contains_key(id) && !children.contains_key(id) && begun.insert(*id) {
                ready.push(*id);
            }
        }
        ready.reverse();
        let mut order = Vec::with_capacity(self.loose.len());
        while let Some(id) = ready.pop() {
            for parent in self.parents(id) {
                let left = children.entry(*parent).or_default();
                *left -= 1;
                if *left == 0 && self.loose.contains_key(parent) {
                    ready.push(*parent);
                }
            }
            order.push(id);
        }
        order
    }
}

/// The marked commits, and the queue of those that are still to be read, the newest first.
struct Walk {
    marks: HashMap<ObjectId, Mark>,
    queue: BinaryHeap<(i64, ObjectId)>,
    /// The number of queued commits that are wanted, and kept by nothing so far.
    undecided: usize,
}

impl Walk {
    /// Adds marks to a commit, which is queued if they are new.
    fn mark(&mut self, id: ObjectId, new: Mark, time: &mut impl FnMut(&ObjectId) -> Option<i64>) {
        let mark = self.marks.entry(id).or_default();
        let was = *mark;
        mark.is_wanted |= new.is_wanted;
        mark.keeper = mark.keeper.or(new.keeper);
        if (mark.is_wanted, mark.keeper) == (was.is_wanted, was.keeper) {
            return;
        }
        if was.is_queued {
            self.undecided -= usize::from(was.is_undecided());
        } else {
            mark.is_queued = true;
            self.queue.push((time(&id).unwrap_or(i64::MIN), id));
        }
        self.undecided += usize::from(mark.is_undecided());
    }

    fn next(&mut self) -> Option<(ObjectId, Mark)> {
        let (_, id) = self.queue.pop()?;
        let mark = self.marks.get_mut(&id)?;
        mark.is_queued = false;
        self.undecided -= usize::from(mark.is_undecided());
        Some((id, *mark))
    }
}

/// The wanted commits that can be reached from `tip`. One whose time is wrong may be missed.
pub(crate) fn reached_from(
    repo: &gix::Repository,
    tip: ObjectId,
    wanted: &[ObjectId],
) -> Result<HashSet<ObjectId>, GitError> {
    let mut left: HashSet<ObjectId> = wanted.iter().copied().collect();
    let mut found = HashSet::default();
    let times = wanted.iter().filter_map(|id| repo.find_commit(*id).ok()?.time().ok());
    let Some(seconds) = times.map(|time| time.seconds).min() else { return Ok(found) };
    let sorting = Sorting::ByCommitTimeCutoff { order: CommitTimeOrder::NewestFirst, seconds };
    for commit in repo.rev_walk([tip]).sorting(sorting).all()? {
        let id = commit?.id;
        if left.remove(&id) {
            found.insert(id);
            if left.is_empty() {
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use gadugi_test_support::repo::TestRepo;

    use super::*;

    /// A history of commits that have up to two parents and any times; gives the ids, the oldest first.
    fn history(repo: &TestRepo, random: &mut impl FnMut(u64) -> u64, count: usize) -> Vec<ObjectId> {
        let mut stream = String::new();
        for number in 1..=count {
            let time = 1_000_000 + random(50);
            write!(stream, "commit refs/heads/c{number}\nmark :{number}\ncommitter a <a> {time} +0000\ndata 1\nx\n")
                .expect("a String takes any text");
            let parents: BTreeSet<_> = (0..random(3)).map(|_| random(number as u64)).filter(|it| *it > 0).collect();
            for (at, parent) in parents.iter().enumerate() {
                writeln!(stream, "{} :{parent}", if at == 0 { "from" } else { "merge" }).expect("as above");
            }
            writeln!(stream, "M 644 inline f{number}\ndata 1\nx\n").expect("as above");
        }
        repo.write("stream", stream);
        let input = std::fs::File::open(repo.path().join("stream")).expect("it was written");
        let status = repo.git_command(repo.path()).args(["fast-import", "--quiet"]).stdin(input).status();
        assert!(status.expect("git starts").success());
        let id = |number| repo.git(&["rev-parse", &format!("c{number}")]);
        (1..=count).map(|number| ObjectId::from_hex(id(number).as_bytes()).expect("an id")).collect()
    }

    #[test]
    fn what_is_kept_is_told_as_by_git_whatever_the_times_of_commits_are() {
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below.max(1)
        };
        for _ in 0..6 {
            let test = TestRepo::new();
            let commits = history(&test, &mut random, 14);
            let repo = gix::open_opts(test.path(), gix::open::Options::isolated()).expect("a repository");
            for _ in 0..6 {
                let (mut wanted, mut keepers) = (Vec::new(), Vec::new());
                for commit in &commits {
                    match random(4) {
                        0 => wanted.push(*commit),
                        1 => keepers.push(*commit),
                        _ => {}
                    }
                }
                assert_told_as_by_git(&repo, &wanted, &keepers);
            }
        }
    }

    fn assert_told_as_by_git(repo: &gix::Repository, wanted: &[ObjectId], keepers: &[ObjectId]) {
        let ancestors = |tip: ObjectId| -> HashSet<ObjectId> {
            repo.rev_walk([tip]).all().expect("a walk").map(|commit| commit.expect("a commit").id).collect()
        };
        let reach = Reach::of(repo, wanted, keepers).expect("it can be told");
        let kept: HashSet<ObjectId> = keepers.iter().flat_map(|keeper| ancestors(*keeper)).collect();
        let loose: HashSet<ObjectId> =
            wanted.iter().flat_map(|tip| ancestors(*tip)).filter(|id| !kept.contains(id)).collect();
        for tip in wanted {
            let keeper = reach.keeper(*tip);
            assert_eq!(keeper.is_some(), kept.contains(tip));
            assert!(keeper.is_none_or(|place| ancestors(keepers[place]).contains(tip)));
            let own = reach.own(*tip);
            let expected: HashSet<ObjectId> = ancestors(*tip).intersection(&loose).copied().collect();
            assert_eq!(own.commits.iter().copied().collect::<HashSet<_>>(), expected);
            assert!(own.leaves.iter().all(|id| kept.contains(id)));
        }
        let order = reach.in_order(wanted);
        assert_eq!(order.iter().copied().collect::<HashSet<_>>(), loose);
        assert_eq!(order.len(), loose.len());
        for (at, id) in order.iter().enumerate() {
            assert!(reach.parents(*id).iter().all(|parent| !order[..at].contains(parent)), "children come first");
        }
    }
}
