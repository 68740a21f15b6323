//! Processes that are killed while they isolate or import, and the work of the next one.

use std::fs;
use std::time::Duration;

use gadugi_core::Worktrees;
use gadugi_core::worktrees::WorktreeFate;

use crate::harness::{Harness, KEEP, chain, write};
use crate::isolated::{Isolated, Untouched, all_private, kept};
use crate::killed::{assert_clean, kill_at};
use crate::process;

const POINTS: [&str; 6] = [
    "import-quarantined",
    "import-object-moved",
    "import-object-moved:3",
    "import-objects-taken",
    "import-others-kept",
    "import-branch-moved",
];

#[tokio::test]
async fn a_place_whose_isolation_is_killed_is_isolated_by_the_next_one() {
    let harness = Harness::new();
    for prune in [false, true] {
        let lease = harness.create("a").await;
        kill_at(&harness, "isolate a", "isolation-half-made");
        let places = all_private(harness.repo.path());
        assert!(places.join("20261122-083355-k7q/a").exists() && !places.join("20261122-083355-k7q/a/1").exists());
        harness.worktrees.import(&lease).await.expect("there is nothing to import");
        if prune {
            harness.worktrees.prune(false).await.expect("a list");
            assert!(!places.exists());
        }
        let task = Isolated::of(&harness, lease).await;
        let tip = task.commit(&harness, "a.txt", "a");
        task.import(&harness).await.expect("an import");
        assert_eq!(task.tip(&harness), tip);
        assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        harness.worktrees.prune(false).await.expect("a list");
        assert!(!places.exists());
        harness.repo.git(&["branch", "-q", "-D", "gadugi/a"]);
    }
    assert_clean(&harness).await;
    harness.assert_sound();
}

/// A task with commits on its branch, on another one, and in the stash.
async fn busy(harness: &Harness, files: usize) -> Isolated {
    let task = Isolated::new(harness, "a").await;
    task.git(harness, &["checkout", "-q", "-b", "topic"]);
    task.commit(harness, "topic.txt", "topic");
    task.git(harness, &["checkout", "-q", "gadugi/a"]);
    for number in 0..files {
        write(&task.lease, &format!("many/{number}.txt"), format!("{number}\n"));
    }
    task.git(harness, &["add", "."]);
    task.commit(harness, "a.txt", "a");
    write(&task.lease, "a.txt", "stashed");
    task.git(harness, &["stash", "-q"]);
    write(&task.lease, "open.txt", "open");
    task
}

/// Checks that a further import has the result of an undisturbed one.
async fn assert_whole(harness: &Harness, task: &Isolated, before: &Untouched, when: &str) {
    task.import(harness).await.unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_eq!(task.tip(harness), task.git(harness, &["rev-parse", "HEAD"]), "{when}");
    assert_eq!(harness.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a\n?? open.txt", "{when}");
    assert_eq!(kept(harness), [task.kept("stash"), task.kept("topic")], "{when}");
    assert_eq!(harness.repo.git(&["rev-parse", &task.kept("topic")]), task.git(harness, &["rev-parse", "topic"]));
    task.assert_nothing_begun();
    assert_eq!(Untouched::of(harness, &task.lease), *before, "{when}");
    harness.assert_sound();
}

#[tokio::test]
async fn a_killed_import_is_repeated_with_the_same_result_at_whatever_step() {
    for point in POINTS {
        for prune in [false, true] {
            let harness = Harness::new();
            // With many objects they come in a pack, which is two or three files.
            let task = busy(&harness, if point == "import-object-moved:3" { 0 } else { 120 }).await;
            let before = Untouched::of(&harness, &task.lease);
            kill_at(&harness, "import a", point);
            if prune {
                harness.worktrees.prune(false).await.expect("a list");
                assert!(task.git.exists());
            }
            assert_whole(&harness, &task, &before, point).await;
            let work = harness.commit(&task.lease).await;
            assert_eq!((work.commits, work.uncommitted), (2, 0), "{point}");
            assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
            harness.worktrees.prune(false).await.expect("a list");
            assert_clean(&harness).await;
            assert!(!all_private(harness.repo.path()).exists());
        }
    }
}

#[tokio::test]
async fn an_import_that_is_killed_between_two_objects_is_repeated_whichever_came_first() {
    for number in 1..=12 {
        let harness = Harness::new();
        let task = Isolated::new(&harness, "a").await;
        for file in 0..4 {
            task.commit(&harness, &format!("{file}.txt"), &format!("{file}"));
        }
        let point = format!("import-object-moved:{number}");
        kill_at(&harness, "import a", &point);
        if number % 2 == 0 {
            harness.worktrees.prune(false).await.expect("a list");
        }
        task.import(&harness).await.unwrap_or_else(|error| panic!("{point}: {}", chain(&error)));
        assert_eq!(task.tip(&harness), task.git(&harness, &["rev-parse", "HEAD"]), "{point}");
        assert_eq!(harness.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a", "{point}");
        task.assert_nothing_begun();
        harness.assert_sound();
    }
}

#[tokio::test]
async fn two_that_import_the_same_wait_for_one_another() {
    let harness = Harness::new();
    let task = busy(&harness, 0).await;
    let before = Untouched::of(&harness, &task.lease);
    let mut process = process::start(harness.repo.path(), "import a", "stop import-quarantined");
    process::wait_for(&mut process, "here");
    let (worktrees, lease) = (harness.worktrees.clone(), task.lease.clone());
    let mut importing = tokio::spawn(async move { worktrees.import(&lease).await });
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut importing).await;
    assert!(waited.is_err(), "{waited:?}");
    // What is in use is not pruned.
    harness.worktrees.prune(false).await.expect("a list");
    assert!(task.git.join("../quarantine").exists());
    process::kill(process);
    importing.await.expect("it ends").expect("an import");
    assert_whole(&harness, &task, &before, "after the kill").await;
}

mod heavy {
    use std::hash::{BuildHasher, Hasher, RandomState};

    use super::*;

    #[tokio::test]
    #[ignore = "heavy: kills a hundred processes"]
    async fn no_commit_is_lost_and_nothing_is_left_after_a_hundred_kills_at_any_moment() {
        for number in 0..100 {
            let harness = Harness::new();
            let task = busy(&harness, if number % 2 == 0 { 0 } else { 150 }).await;
            let before = Untouched::of(&harness, &task.lease);
            let process = process::start(harness.repo.path(), "import a", "none");
            let moment = 5_000 + RandomState::new().build_hasher().finish() % 60_000;
            tokio::time::sleep(Duration::from_micros(moment)).await;
            process::kill(process);
            harness.worktrees.prune(false).await.expect("a list");
            assert_whole(&harness, &task, &before, &format!("after {moment} us")).await;
            assert_eq!(harness.commit(&task.lease).await.uncommitted, 0);
            assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
            harness.worktrees.prune(false).await.expect("a list");
            assert_clean(&harness).await;
            assert!(fs::symlink_metadata(all_private(harness.repo.path())).is_err());
        }
    }
}
