//! A merge dies at every step that has a name, and at any time, beside a user who commits to its target, checks out other
//! branches and collects garbage; then it is resumed to its end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::{Round, kill_child, wait_at_random};
use crate::args::Length;
use crate::harness::Harness;
use crate::plan::{RED, mergeable};
use crate::processes;
use crate::report::Tally;

/// The steps that a merge comes to, in about this order.
const POINTS: &[&str] = &[
    "chain-made",
    "chain-written",
    "chain-kept",
    "merge-chain-made",
    "merge-trials-started",
    "merge-trials-finished",
    "merge-trials-finished:2",
    "merge-landing-intended",
    "landing-prepared",
    "landing-recorded",
    "landing-files-updated",
    "landing-branch-moved",
    "landing-head-logged",
    "landing-index-written",
    "landing-ended",
    "merge-branch-moved",
    "merge-ended",
];

/// Most merges take longer.
const MERGE: Duration = Duration::from_millis(1500);
/// Merges that are killed in one round.
const MAX_KILLS: usize = 3;
/// Calls that a merge may take to come to its end: its target moves for the first few of them.
const MAX_CALLS: usize = 6;

pub(super) fn rounds_at_points(length: Length) -> usize {
    POINTS.len() * length.of(1, 20)
}

/// Dies at the point. The user then commits, or not, and calls again.
pub(super) fn round_at_points(round: &Round<'_>) -> io::Result<Tally> {
    let point = POINTS[round.number % POINTS.len()];
    let mut random = round.random();
    let (harness, mut tally) = prepared(round)?;
    let answer = harness.gadugi_dying_at(point, &merge_args())?;
    // A landing has a process of its own: that one dies, and the call finishes or undoes it.
    let is_landing = point.starts_with("landing-");
    if answer.code.is_some() != is_landing {
        tally.broken.push(format!("{point}: {:?} {}", answer.code, answer.err));
    }
    tally.kills += 1;
    let mut user = User::default();
    if random.bool() {
        user.commit(&harness)?;
    }
    finish(round, &harness, &user, tally)
}

/// Dies at any time, again and again, beside the user.
pub(super) fn round_at_random(round: &Round<'_>) -> io::Result<Tally> {
    let mut random = round.random();
    let (harness, mut tally) = prepared(round)?;
    let is_over = AtomicBool::new(false);
    let of_user = random.u64(..);
    let user = std::thread::scope(|scope| {
        let works = scope.spawn(|| {
            let mut user = User::default();
            let mut random = fastrand::Rng::with_seed(of_user);
            while !is_over.load(Ordering::Relaxed) {
                user.act(&harness, &mut random)?;
                sleep(Duration::from_millis(random.u64(0..150)));
            }
            Ok::<_, io::Error>(user)
        });
        let killed = kill_again_and_again(&harness, &mut random, &mut tally);
        is_over.store(true, Ordering::Relaxed);
        let user = works.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        killed.and(user)
    })?;
    tally.count("commits of the user", user.commits.len());
    finish(round, &harness, &user, tally)
}

fn kill_again_and_again(harness: &Harness<'_>, random: &mut fastrand::Rng, tally: &mut Tally) -> io::Result<()> {
    for _ in 0..random.usize(1..=MAX_KILLS) {
        let mut child = harness.start(&merge_args())?;
        wait_at_random(random, MERGE);
        let killed = kill_child(&mut child)?;
        tally.kills += usize::from(killed);
        if random.bool() {
            let landings = processes::landings(&harness.folder);
            tally.kills += landings.len();
            tally.count("killed while they landed", landings.len());
            landings.into_iter().for_each(processes::kill);
        }
    }
    Ok(())
}

fn merge_args() -> [&'static str; 3] {
    ["merge", "--check", CHECK]
}

/// Red with the file of one task.
const CHECK: &str = "test ! -e red.txt";

/// A repository with a run whose work is to be merged, and something of the user's that is not committed.
fn prepared<'a>(round: &Round<'a>) -> io::Result<(Harness<'a>, Tally)> {
    let harness = Harness::new(round.installation, &round.name)?;
    mergeable(&harness)?;
    let answer = harness.gadugi(&["run", "../tasks"])?;
    let mut tally = Tally { rounds: 1, ..Tally::default() };
    if answer.code != Some(0) {
        tally.broken.push(format!("the run ended with {:?}: {}", answer.code, answer.err));
    }
    std::fs::write(harness.repo().join("README.md"), "# Not committed\n")?;
    std::fs::write(harness.repo().join("staged.txt"), "staged\n")?;
    harness.git(&["add", "staged.txt"])?;
    Ok((harness, tally))
}

/// What is not committed of the user's, as git shows it.
const UNCOMMITTED: &str = " M README.md\nA  staged.txt\n?? untracked.txt";

/// A user who works beside the merge. Git may refuse, since the index is locked.
#[derive(Default)]
struct User {
    /// The commits on `main` that git has confirmed.
    commits: Vec<String>,
}

impl User {
    fn act(&mut self, harness: &Harness<'_>, random: &mut fastrand::Rng) -> io::Result<()> {
        match random.u8(0..6) {
            0 | 1 => self.commit(harness)?,
            2 => {
                // Away and back, as far as git lets.
                harness.git(&["checkout", "-q", "--detach"]).ok();
                sleep(Duration::from_millis(random.u64(0..100)));
                harness.git(&["checkout", "-q", "main"]).ok();
            }
            3 => drop(harness.git(&["gc", "-q", "--prune=now"])),
            4 => drop(harness.git(&["reset", "-q", "--mixed", "HEAD", "--", "untracked.txt"])),
            _ => drop(harness.git(&["status", "--porcelain"])?),
        }
        Ok(())
    }

    /// Commits a file of its own to `main`, if that is checked out.
    fn commit(&mut self, harness: &Harness<'_>) -> io::Result<()> {
        if harness.git(&["symbolic-ref", "-q", "HEAD"]).ok().as_deref() != Some("refs/heads/main") {
            return Ok(());
        }
        let name = format!("user-{}.txt", self.commits.len());
        std::fs::write(harness.repo().join(&name), "the user's\n")?;
        let added = harness.git(&["add", &name]);
        let subject = format!("Mine {}", self.commits.len());
        if added.is_ok() && harness.git(&["commit", "-q", "-m", &subject, "--", &name]).is_ok() {
            let log = harness.git(&["log", "-g", "--format=%H %gs", "HEAD"])?;
            let own = log.lines().find_map(|line| line.strip_suffix(&format!(" commit: {subject}")));
            self.commits.extend(own.map(str::to_owned));
        } else {
            // What was refused is taken back.
            harness.git(&["rm", "-q", "-f", "--cached", "--ignore-unmatch", &name]).ok();
            std::fs::remove_file(harness.repo().join(&name)).ok();
        }
        Ok(())
    }
}

/// Calls until the merge is over, and checks what must hold then.
fn finish(round: &Round<'_>, harness: &Harness<'_>, user: &User, mut tally: Tally) -> io::Result<Tally> {
    let mut answer = harness.gadugi(&merge_args())?;
    harness.git(&["checkout", "-q", "main"])?;
    for _ in 0..MAX_CALLS {
        if missing(harness)?.is_empty() {
            break;
        }
        tally.count("called again", 1);
        answer = harness.gadugi(&merge_args())?;
    }
    let mut broken = broken(harness, user)?;
    if !broken.is_empty() {
        broken.push(format!("gadugi has ended with {:?}: {}", answer.code, answer.err));
    }
    tally.broken.extend(broken.into_iter().map(|sentence| format!("{}: {sentence}", round.name)));
    if tally.broken.is_empty() || !round.keep {
        for pid in processes::that_stay(&harness.folder) {
            tally.broken.push(format!("{}: an orphan: {}", round.name, processes::describe(pid)));
            processes::kill(pid);
        }
        harness.remove()?;
    }
    Ok(tally)
}

/// The tasks whose work is to land and is not on `main`.
fn missing(harness: &Harness<'_>) -> io::Result<Vec<String>> {
    let files = harness.git(&["ls-tree", "-r", "--name-only", "main"])?;
    let expected = ["one.txt", "two.txt", "three.txt"];
    Ok(expected.into_iter().filter(|file| !files.lines().any(|line| line == *file)).map(str::to_owned).collect())
}

/// A sentence for each promise that was broken.
fn broken(harness: &Harness<'_>, user: &User) -> io::Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in missing(harness)? {
        broken.push(format!("{file} has not landed"));
    }
    // No commit that `main` was ever at is without a green check.
    for line in harness.git(&["reflog", "--format=%H", "main"])?.lines() {
        if harness.git(&["cat-file", "-e", &format!("{line}:{RED}")]).is_ok() {
            broken.push(format!("main was at {line}, which is red"));
        }
    }
    let reachable = harness.git(&["rev-list", "--all"])?;
    for commit in harness.lines("commits")? {
        if !reachable.contains(&commit) {
            broken.push(format!("a lost commit: {commit}"));
        }
    }
    let on_main = harness.git(&["rev-list", "main"])?;
    for commit in &user.commits {
        if !on_main.contains(commit) {
            broken.push(format!("a lost commit of the user: {commit}"));
        }
    }
    let status = harness.git(&["status", "--porcelain"])?;
    if status != UNCOMMITTED.trim_end() {
        broken.push(format!("the work tree is not as it was: {status:?}"));
    }
    for (name, text) in
        [("README.md", "# Not committed\n"), ("staged.txt", "staged\n"), ("untracked.txt", "the user's own\n")]
    {
        if std::fs::read_to_string(harness.repo().join(name)).ok().as_deref() != Some(text) {
            broken.push(format!("{name} of the user has changed"));
        }
    }
    if let Err(error) = harness.git(&["fsck", "--strict", "--no-dangling"]) {
        broken.push(format!("the repository is damaged: {error}"));
    }
    left(harness, &mut broken)?;
    Ok(broken)
}

/// Names what a merge has left.
fn left(harness: &Harness<'_>, broken: &mut Vec<String>) -> io::Result<()> {
    let references = harness.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/merges"])?;
    broken.extend(references.lines().map(|name| format!("a reference is left: {name}")));
    let git = harness.repo().join(".git");
    for name in ["index.lock", "HEAD.lock", "refs/heads/main.lock", "gadugi/landings"] {
        if git.join(name).exists() {
            broken.push(format!("{name} is left"));
        }
    }
    let worktrees = harness.git(&["worktree", "list", "--porcelain"])?;
    let folders = worktrees.lines().filter_map(|line| line.strip_prefix("worktree ")).skip(1);
    broken.extend(folders.map(|folder| format!("a worktree is left: {folder}")));
    Ok(())
}
