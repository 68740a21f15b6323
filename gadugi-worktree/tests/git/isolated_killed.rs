//! What is left when a process is killed that isolates a place or imports from it, and what the next one makes of it.

use std::fs;
use std::time::Duration;

use gadugi_core::{WorktreeFate, Worktrees};

use crate::ground::{Ground, KEEP, chain, write};
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
    let ground = Ground::new();
    for prune in [false, true] {
        let lease = ground.create("a").await;
        kill_at(&ground, "isolate a", "isolation-half-made");
        let places = all_private(ground.repo.path());
        assert!(places.join("20261122-083355-k7q/a").exists() && !places.join("20261122-083355-k7q/a/1").exists());
        ground.worktrees.import(&lease).await.expect("there is nothing to import");
        if prune {
            ground.worktrees.prune(false).await.expect("a list");
            assert!(!places.exists());
        }
        let task = Isolated::of(&ground, lease).await;
        let tip = task.commit(&ground, "a.txt", "a");
        task.import(&ground).await.expect("an import");
        assert_eq!(task.tip(&ground), tip);
        assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        ground.worktrees.prune(false).await.expect("a list");
        assert!(!places.exists());
        ground.repo.git(&["branch", "-q", "-D", "gadugi/a"]);
    }
    assert_clean(&ground).await;
    ground.assert_sound();
}

/// A task with commits on its branch, on another one, and in the stash.
async fn busy(ground: &Ground, files: usize) -> Isolated {
    let task = Isolated::new(ground, "a").await;
    task.git(ground, &["checkout", "-q", "-b", "topic"]);
    task.commit(ground, "topic.txt", "topic");
    task.git(ground, &["checkout", "-q", "gadugi/a"]);
    for number in 0..files {
        write(&task.lease, &format!("many/{number}.txt"), format!("{number}\n"));
    }
    task.git(ground, &["add", "."]);
    task.commit(ground, "a.txt", "a");
    write(&task.lease, "a.txt", "stashed");
    task.git(ground, &["stash", "-q"]);
    write(&task.lease, "open.txt", "open");
    task
}

/// That a further import makes everything as one import does that nobody disturbs.
async fn assert_whole(ground: &Ground, task: &Isolated, before: &Untouched, when: &str) {
    task.import(ground).await.unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_eq!(task.tip(ground), task.git(ground, &["rev-parse", "HEAD"]), "{when}");
    assert_eq!(ground.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a\n?? open.txt", "{when}");
    assert_eq!(kept(ground), [task.kept("stash"), task.kept("topic")], "{when}");
    assert_eq!(ground.repo.git(&["rev-parse", &task.kept("topic")]), task.git(ground, &["rev-parse", "topic"]));
    task.assert_nothing_begun();
    assert_eq!(Untouched::of(ground, &task.lease), *before, "{when}");
    ground.assert_sound();
}

#[tokio::test]
async fn a_killed_import_is_repeated_with_the_same_result_at_whatever_step() {
    for point in POINTS {
        for prune in [false, true] {
            let ground = Ground::new();
            // With many objects they come in a pack, which is two or three files.
            let task = busy(&ground, if point == "import-object-moved:3" { 0 } else { 120 }).await;
            let before = Untouched::of(&ground, &task.lease);
            kill_at(&ground, "import a", point);
            if prune {
                ground.worktrees.prune(false).await.expect("a list");
                assert!(task.git.exists());
            }
            assert_whole(&ground, &task, &before, point).await;
            let work = ground.commit(&task.lease).await;
            assert_eq!((work.commits, work.uncommitted), (2, 0), "{point}");
            assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
            ground.worktrees.prune(false).await.expect("a list");
            assert_clean(&ground).await;
            assert!(!all_private(ground.repo.path()).exists());
        }
    }
}

#[tokio::test]
async fn an_import_that_is_killed_between_two_objects_is_repeated_whichever_came_first() {
    for number in 1..=12 {
        let ground = Ground::new();
        let task = Isolated::new(&ground, "a").await;
        for file in 0..4 {
            task.commit(&ground, &format!("{file}.txt"), &format!("{file}"));
        }
        let point = format!("import-object-moved:{number}");
        kill_at(&ground, "import a", &point);
        if number % 2 == 0 {
            ground.worktrees.prune(false).await.expect("a list");
        }
        task.import(&ground).await.unwrap_or_else(|error| panic!("{point}: {}", chain(&error)));
        assert_eq!(task.tip(&ground), task.git(&ground, &["rev-parse", "HEAD"]), "{point}");
        assert_eq!(ground.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a", "{point}");
        task.assert_nothing_begun();
        ground.assert_sound();
    }
}

#[tokio::test]
async fn two_that_import_the_same_wait_for_one_another() {
    let ground = Ground::new();
    let task = busy(&ground, 0).await;
    let before = Untouched::of(&ground, &task.lease);
    let mut process = process::start(ground.repo.path(), "import a", "stop import-quarantined");
    process::wait_for(&mut process, "here");
    let (worktrees, lease) = (ground.worktrees.clone(), task.lease.clone());
    let mut importing = tokio::spawn(async move { worktrees.import(&lease).await });
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut importing).await;
    assert!(waited.is_err(), "{waited:?}");
    // What is in use is not pruned.
    ground.worktrees.prune(false).await.expect("a list");
    assert!(task.git.join("../quarantine").exists());
    process::kill(process);
    importing.await.expect("it ends").expect("an import");
    assert_whole(&ground, &task, &before, "after the kill").await;
}

mod heavy {
    use std::hash::{BuildHasher, Hasher, RandomState};

    use super::*;

    #[tokio::test]
    #[ignore = "heavy: kills a hundred processes"]
    async fn no_commit_is_lost_and_nothing_is_left_after_a_hundred_kills_at_any_moment() {
        for number in 0..100 {
            let ground = Ground::new();
            let task = busy(&ground, if number % 2 == 0 { 0 } else { 150 }).await;
            let before = Untouched::of(&ground, &task.lease);
            let process = process::start(ground.repo.path(), "import a", "none");
            let moment = 5_000 + RandomState::new().build_hasher().finish() % 60_000;
            tokio::time::sleep(Duration::from_micros(moment)).await;
            process::kill(process);
            ground.worktrees.prune(false).await.expect("a list");
            assert_whole(&ground, &task, &before, &format!("after {moment} us")).await;
            assert_eq!(ground.commit(&task.lease).await.uncommitted, 0);
            assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
            ground.worktrees.prune(false).await.expect("a list");
            assert_clean(&ground).await;
            assert!(fs::symlink_metadata(all_private(ground.repo.path())).is_err());
        }
    }
}
