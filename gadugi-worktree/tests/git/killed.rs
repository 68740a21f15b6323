//! Processes that are killed, and the work of the next one.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use gadugi_core::worktrees::{
    BranchRelease, KeepReason, MergedBy, Pruned, SnapshotRequest, WorktreeFate, WorktreeRequest,
};
use gadugi_core::{Lease, Worktrees};

use crate::harness::{DELETE, Harness, KEEP, branch, chain, request, worktrees_of, write};
use crate::process;

const COMMIT: SnapshotRequest = SnapshotRequest { commit: true, subject: None, since: None };

/// Lets another process do a step, and die at a point of it.
pub(crate) fn kill_at(harness: &Harness, step: &str, point: &str) {
    let status = process::run(harness.repo.path(), step, point);
    assert_eq!(status.signal(), Some(9), "{step} did not come to {point}");
}

fn files_below(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(&path, found);
        }
        found.push(path.display().to_string());
    }
}

/// Checks that nothing is left in the git folder that a crash has left there.
pub(crate) async fn assert_clean(harness: &Harness) {
    harness.worktrees.swept().await.expect("it is deleted");
    let mut found = Vec::new();
    let git = harness.repo.path().join(".git");
    files_below(&git, &mut found);
    let is_left = |path: &&String| {
        let below = path.strip_prefix(&git.display().to_string()).unwrap_or(path);
        let is_ours = ["/gadugi/making", "/gadugi/locks/", "/gadugi/removed", "/quarantine", "/.new-"]
            .iter()
            .any(|own| below.starts_with(own));
        path.ends_with(".lock") || is_ours || path.ends_with("/packed-refs.new") || path.contains("/.gadugi-removed-")
    };
    assert_eq!(found.iter().filter(is_left).collect::<Vec<_>>(), Vec::<&String>::new());
    let mut aside = Vec::new();
    files_below(&harness.folder(), &mut aside);
    aside.retain(|path| path.contains(".gadugi-removed-"));
    assert_eq!(aside, Vec::<String>::new());
}

async fn leases(harness: &Harness) -> Vec<Lease> {
    harness.worktrees.leases().await.expect("a list")
}

async fn assert_makes_nothing_that_stays(harness: &Harness, point: &str) {
    let before = (harness.repo.fingerprint(), harness.branches());
    kill_at(harness, "create a b", point);
    assert_eq!(leases(harness).await, [], "{point}");
    let foreseen = harness.worktrees.prune(true).await.expect("a list");
    assert!(foreseen.contains(&Pruned::HalfMade { path: harness.folder().join("a") }), "{point}: {foreseen:?}");
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), foreseen, "{point}");
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), [], "{point}");
    harness.worktrees.swept().await.expect("it is deleted");
    assert_eq!(harness.listed(), [""; 0].map(Into::<std::path::PathBuf>::into), "{point}");
    assert!(!harness.folder().exists(), "{point}");
    assert_eq!((harness.repo.fingerprint(), harness.branches()), before, "{point}");
    assert_clean(harness).await;
    // Also without a prune between the two, the next gets what an undisturbed one gets.
    kill_at(harness, "create a b", point);
    let made = worktrees_of(harness.repo.path()).create(vec![request("a"), request("b")]).await;
    for (lease, task) in made.into_iter().zip(["a", "b"]) {
        let lease = lease.expect("a worktree").lease;
        assert_eq!((lease.path.clone(), branch(&lease)), (harness.folder().join(task), &*format!("gadugi/{task}")));
        assert_eq!(harness.git(&lease, &["status", "--porcelain", "--branch"]), format!("## gadugi/{task}"));
        assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Removed);
    }
    assert_eq!(harness.branches(), before.1, "{point}");
    assert_clean(harness).await;
    harness.assert_sound();
}

#[tokio::test]
async fn worktrees_whose_making_is_killed_leave_nothing_at_whatever_step() {
    let harness = Harness::new();
    for point in [
        "worktree-branch-made",
        "worktree-branch-made:2",
        "worktree-entry-made",
        "worktree-entry-made:2",
        "worktree-files-written",
    ] {
        assert_makes_nothing_that_stays(&harness, point).await;
    }
}

#[tokio::test]
async fn worktrees_that_git_makes_leave_nothing_either() {
    let harness = Harness::new();
    harness.repo.write(".gitattributes", "*.rs ident\n");
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Let git make the worktrees"]);
    let harness = Harness::on(harness.repo);
    assert_makes_nothing_that_stays(&harness, "worktree-files-written").await;
}

#[tokio::test]
async fn the_second_of_two_that_is_finished_when_the_kill_comes_is_a_place_like_any_other() {
    let harness = Harness::new();
    kill_at(&harness, "create a b", "worktree-files-written:2");
    let there = leases(&harness).await;
    assert_eq!(there.iter().map(|lease| lease.attempt.task.as_str()).collect::<Vec<_>>(), ["a"]);
    let half_made = Pruned::HalfMade { path: harness.folder().join("b") };
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), [half_made]);
    assert_eq!(harness.branches(), ["gadugi/a", "main"]);
    assert_eq!(harness.git(&there[0], &["status", "--porcelain"]), "");
    assert_clean(&harness).await;
    harness.assert_sound();
}

#[tokio::test]
async fn a_branch_that_others_made_or_moved_after_the_kill_stays() {
    let harness = Harness::new();
    kill_at(&harness, "create a", "worktree-branch-made");
    harness.repo.git(&["branch", "-D", "gadugi/a"]);
    harness.repo.git(&["branch", "gadugi/a"]);
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(harness.branches(), ["gadugi/a", "main"]);
    kill_at(&harness, "create b", "worktree-branch-made");
    let commit = harness.repo.git(&["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "More"]);
    harness.repo.git(&["branch", "-f", "gadugi/b", &commit]);
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(harness.branches(), ["gadugi/a", "gadugi/b", "main"]);
    assert_clean(&harness).await;
}

#[tokio::test]
async fn a_killed_snapshot_is_repeated_with_the_same_commit() {
    let harness = Harness::new();
    let before = harness.repo.fingerprint();
    let lease = harness.create("a").await;
    write(&lease, "new.txt", "new");
    write(&lease, "src/lib.rs", "pub fn two() {}\n");
    kill_at(&harness, "snapshot a", "snapshot-committed");
    let tip = harness.repo.git(&["rev-parse", "gadugi/a"]);
    assert_ne!(tip, lease.base.as_ref().expect("a base").as_str());
    for _ in 0..2 {
        let work = harness.commit(&lease).await;
        assert_eq!((work.tip.expect("a tip").as_str(), work.commits, work.files, work.uncommitted), (&*tip, 1, 2, 0));
    }
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    harness.worktrees.prune(false).await.expect("a list");
    assert_eq!(harness.repo.fingerprint(), before);
    assert_clean(&harness).await;
    harness.assert_sound();
}

#[tokio::test]
async fn a_killed_release_is_repeated_and_the_work_is_there() {
    let harness = Harness::new();
    let before = harness.repo.fingerprint();
    for point in ["release-renamed-aside", "release-entry-removed"] {
        let (lease, need) = harness.done("a", "a.txt", point).await;
        kill_at(&harness, "release a", point);
        assert!(!lease.path.exists());
        for _ in 0..2 {
            let release = harness.release(&lease, KEEP).await;
            assert_eq!(release.worktree, WorktreeFate::Absent, "{point}");
            assert_eq!(release.branch, BranchRelease::Kept(KeepReason::Requested), "{point}");
        }
        assert_eq!(harness.repo.git(&["rev-parse", branch(&lease)]), need.tip.as_str());
        assert_eq!(harness.listed().len(), 0, "{point}");
        assert!(!harness.folder().exists(), "{point}");
        harness.worktrees.prune(false).await.expect("a list");
        assert_clean(&harness).await;
        harness.assert_sound();
    }
    assert_eq!(harness.repo.fingerprint(), before);
}

#[tokio::test]
async fn a_release_that_is_killed_when_the_branch_is_deleted_finds_neither_when_it_is_repeated() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.repo.git(&["pack-refs", "--all"]);
    kill_at(&harness, "delete a", "release-branch-deleted");
    let release = harness.release(&lease, DELETE).await;
    assert_eq!((release.worktree, release.branch), (WorktreeFate::Absent, BranchRelease::Absent));
    assert_eq!(harness.branches(), ["main"]);
    harness.worktrees.prune(false).await.expect("a list");
    assert_clean(&harness).await;
    harness.assert_sound();
}

#[tokio::test]
async fn a_lock_that_a_killed_process_of_ours_left_goes_and_one_of_somebody_else_is_named_and_stays() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "a.txt", "a");
    // While this point is passed, the index is locked.
    kill_at(&harness, "snapshot a", "snapshot-committed");
    let git = harness.repo.path().join(".git");
    let index = git.join("worktrees/a/index.lock");
    assert!(index.exists());
    harness.worktrees.prune(false).await.expect("a list");
    assert!(!index.exists());
    write(&lease, "b.txt", "b");
    for lock in ["worktrees/a/index.lock", "refs/heads/gadugi/a.lock"] {
        let lock = git.join(lock);
        let _held = fs::File::create_new(&lock).expect("a lock");
        let error = harness.worktrees.snapshot(&lease, COMMIT).await.expect_err("it is locked");
        assert!(chain(&error).contains(&format!("remove {}", lock.display())), "{}", chain(&error));
        harness.worktrees.prune(false).await.expect("a list");
        assert!(lock.exists());
        fs::remove_file(&lock).expect("the lock goes");
    }
    assert_eq!(harness.commit(&lease).await.files, 2);
    assert_clean(&harness).await;
}

#[tokio::test]
async fn packed_references_that_are_locked_keep_the_branch_until_the_lock_that_is_named_is_gone() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let lock = harness.repo.path().join(".git/packed-refs.lock");
    fs::write(&lock, "").expect("a lock");
    // What does not need them is not hindered.
    write(&lease, "a.txt", "a");
    let tip = harness.commit(&lease).await.tip.expect("a tip");
    harness.repo.git(&["tag", "kept", tip.as_str()]);
    let error = harness.worktrees.release(&lease, DELETE).await.expect_err("they are locked");
    assert!(chain(&error).contains(&format!("remove {}", lock.display())), "{}", chain(&error));
    assert_eq!(harness.branches(), ["gadugi/a", "main"]);
    assert!(lock.exists());
    fs::remove_file(&lock).expect("the lock goes");
    let release = harness.release(&lease, DELETE).await;
    let by = MergedBy::Reachable { from: "the tag kept".into() };
    assert_eq!((release.worktree, release.branch), (WorktreeFate::Absent, BranchRelease::Deleted { tip, by }));
    assert_clean(&harness).await;
}

#[tokio::test]
async fn a_lock_that_another_process_of_ours_holds_is_left_to_it() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "a.txt", "a");
    let mut process = process::start(harness.repo.path(), "snapshot a", "stop snapshot-committed");
    process::wait_for(&mut process, "here");
    let index = harness.repo.path().join(".git/worktrees/a/index.lock");
    harness.worktrees.prune(false).await.expect("a list");
    let error = harness.worktrees.snapshot(&lease, COMMIT).await.err();
    assert!(index.exists());
    process::kill(process);
    assert!(chain(&error.expect("it is locked")).contains(&index.display().to_string()));
    assert_eq!(harness.commit(&lease).await.commits, 1);
    assert!(!index.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_pruned_while_another_process_makes_a_worktree() {
    let harness = Harness::new();
    for point in ["stop worktree-branch-made", "stop worktree-entry-made", "stop worktree-files-written"] {
        let mut process = process::start(harness.repo.path(), "create a", point);
        process::wait_for(&mut process, "here");
        let before = (harness.branches(), harness.listed(), harness.folder().join("a").exists());
        let worktrees = worktrees_of(harness.repo.path());
        let mut pruning = tokio::spawn(async move { worktrees.prune(false).await });
        let waited = tokio::time::timeout(std::time::Duration::from_millis(300), &mut pruning).await;
        assert!(waited.is_err(), "{point}: {waited:?}");
        assert_eq!((harness.branches(), harness.listed(), harness.folder().join("a").exists()), before, "{point}");
        process::kill(process);
        let half_made = Pruned::HalfMade { path: harness.folder().join("a") };
        assert_eq!(pruning.await.expect("it ends").expect("a list"), [half_made], "{point}");
        assert_eq!(harness.branches(), ["main"], "{point}");
    }
    assert_clean(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_and_its_hook_end_with_the_process_that_was_killed_and_nothing_of_their_worktree_is_left() {
    let harness = Harness::new();
    let hook = harness.repo.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    let (begun, held) = (harness.repo.root().join("begun"), harness.repo.root().join("held"));
    for pipe in [&begun, &held] {
        rustix::fs::mkfifoat(rustix::fs::CWD, pipe, 0o600.into()).expect("a pipe");
    }
    let script = format!("#!/bin/sh\nexec 3> '{}'\necho > '{}'\nsleep 60\n", held.display(), begun.display());
    fs::write(&hook, script).expect("a hook");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions");
    let process = process::start(harness.repo.path(), "create a", "none");
    let held = fs::File::open(&held).expect("the hook has begun");
    fs::read(&begun).expect("it goes on");
    process::kill(process);
    assert_eq!(std::io::read_to_string(held).expect("the hook has ended, and its children"), "");
    let half_made = Pruned::HalfMade { path: harness.folder().join("a") };
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), [half_made]);
    assert_eq!(
        (harness.branches(), harness.listed().len(), harness.folder().exists()),
        (vec!["main".into()], 0, false)
    );
    fs::remove_file(&hook).expect("the hook goes");
    assert_clean(&harness).await;
    harness.assert_sound();
}

mod heavy {
    use std::collections::BTreeSet;
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    const KILLS: u32 = 200;
    const AT_MOST: Duration = Duration::from_secs(40);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "heavy: kills two hundred processes"]
    async fn no_commit_is_lost_and_nothing_is_left_after_two_hundred_kills_at_any_moment() {
        let harness = Harness::new();
        harness.repo.many_files(60);
        let harness = Harness::on(harness.repo);
        let before = harness.repo.fingerprint();
        let began = Instant::now();
        let (mut kills, mut locks, mut half_made) = (0, 0, 0);
        let mut promised = BTreeSet::new();
        while kills < KILLS && began.elapsed() < AT_MOST {
            let mut process = process::start(harness.repo.path(), "cycle a b c d", "none");
            process::wait_for(&mut process, "ready");
            let moment = RandomState::new().build_hasher().finish() % 140_000;
            tokio::time::sleep(Duration::from_micros(moment)).await;
            let printed = process::kill(process);
            promised.extend(printed.lines().filter_map(|line| line.strip_prefix("commit ")).map(str::to_owned));
            kills += 1;
            let mut left = Vec::new();
            files_below(&harness.repo.path().join(".git"), &mut left);
            locks += left.iter().filter(|path| path.ends_with(".lock")).count();
            // As a driver does that takes over.
            let pruned = harness.worktrees.prune(false).await.expect("a list");
            half_made += pruned.iter().filter(|pruned| matches!(pruned, Pruned::HalfMade { .. })).count();
            for name in printed.lines().filter_map(|line| line.strip_prefix("release ")) {
                harness.release(&known(&harness, name), DELETE).await;
            }
            for lease in leases(&harness).await {
                let work = harness.commit(&lease).await;
                assert_eq!(harness.commit(&lease).await, work);
                assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Removed);
            }
            assert_eq!(harness.listed().len(), 0, "after {kills} kills");
            assert!(!harness.folder().exists(), "after {kills} kills");
            assert_clean(&harness).await;
            let kept = harness.repo.git(&["rev-list", "--branches"]);
            let kept: BTreeSet<&str> = kept.lines().collect();
            let lost: Vec<_> = promised.iter().filter(|commit| !kept.contains(commit.as_str())).collect();
            assert!(lost.is_empty(), "after {kills} kills: {lost:?}");
            let idle = harness.repo.git(&["branch", "--list", "--merged", "main", "gadugi/*"]);
            assert_eq!(idle, "", "after {kills} kills");
            if kills % 20 == 0 {
                harness.assert_sound();
                harness.repo.git(&["pack-refs", "--all"]);
            }
        }
        harness.assert_sound();
        assert_eq!(harness.repo.fingerprint(), before);
        let seconds = began.elapsed().as_secs();
        let commits = promised.len();
        let summary =
            format!("{kills} kills in {seconds} s: {commits} commits, {half_made} half made, {locks} locks left\n");
        std::io::stderr().write_all(summary.as_bytes()).expect("it is said");
    }

    /// The lease of a worktree as its run has recorded it.
    fn known(harness: &Harness, name: &str) -> Lease {
        let folder = name.strip_prefix("gadugi/").expect("a branch of ours");
        let task = folder.split('-').next().expect("a task");
        let WorktreeRequest { run, attempt, .. } = request(task);
        let path = harness.folder().join(folder);
        Lease { run, attempt, path, branch: Some(name.parse().expect("a branch")), base: None }
    }
}
