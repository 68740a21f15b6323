//! Programs that a task names in git's configuration after its run has begun.

use std::fs;
use std::time::Duration;

use gadugi_core::Worktrees;
use gadugi_core::worktrees::{SnapshotRequest, WorktreeFate};
use gadugi_test_support::repo::TestRepo;

use crate::harness::{DISCARD, Harness, KEEP, chain, next_in, request, worktrees_of, worktrees_within, write};
use crate::untrusted::canary;

const COMMIT: SnapshotRequest = SnapshotRequest { commit: true, subject: None, since: None };

#[tokio::test]
async fn a_filter_that_a_task_has_configured_is_not_run_and_what_needs_it_is_named() {
    let harness = Harness::new();
    let (program, trace) = canary(&harness);
    for key in ["clean", "process"] {
        for scope in ["--local", "--worktree"] {
            let task = format!("{key}-{}", scope.trim_start_matches('-'));
            let lease = harness.create(&task).await;
            harness.git(&lease, &["config", "extensions.worktreeConfig", "true"]);
            harness.git(&lease, &["config", scope, &format!("filter.{task}.{key}"), &program]);
            write(&lease, ".gitattributes", format!("*.x filter={task}\n"));
            write(&lease, "a.x", "a");
            write(&lease, "large.x", "a".repeat(5 * 1024 * 1024));
            write(&lease, "src/lib.rs", "changed");
            // As one that resumes the run.
            let work = worktrees_of(harness.repo.path()).snapshot(&lease, COMMIT).await.expect("a snapshot");
            assert!(!trace.exists(), "the canary was run");
            let paths: Vec<_> = work.unsaved.iter().map(|file| file.path.as_str()).collect();
            assert_eq!((paths, work.uncommitted), (vec!["a.x", "large.x"], 2));
            assert!(work.unsaved[0].why.contains(&format!("`{task}`")), "{:?}", work.unsaved);
            let fate = harness.release(&lease, KEEP).await.worktree;
            assert!(matches!(fate, WorktreeFate::Kept(_)), "{fate:?}");
            let fate = harness.release(&lease, DISCARD).await.worktree;
            assert_eq!(fate, WorktreeFate::Removed);
            assert!(!trace.exists(), "the canary was run");
        }
    }
}

#[tokio::test]
async fn a_filter_that_the_user_had_configured_is_run_and_one_that_a_task_has_put_in_its_place_is_not() {
    let repo = TestRepo::new();
    repo.commit_file(".gitattributes", "*.up filter=up\n");
    repo.git(&["config", "filter.up.clean", "tr a-z A-Z"]);
    let harness = Harness::on(repo);
    let (program, trace) = canary(&harness);
    let lease = harness.create("a").await;
    write(&lease, "a.up", "text");
    assert_eq!(harness.commit(&lease).await.uncommitted, 0);
    assert_eq!(harness.git(&lease, &["show", "HEAD:a.up"]), "TEXT");
    harness.repo.git(&["config", "filter.up.clean", &program]);
    write(&lease, "b.up", "text");
    let work = worktrees_of(harness.repo.path()).snapshot(&lease, COMMIT).await.expect("a snapshot");
    assert_eq!((work.uncommitted, work.unsaved[0].path.as_str()), (1, "b.up"));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_filter_that_does_not_end_is_killed_with_what_it_has_started_when_its_time_is_up() {
    for key in ["clean", "process"] {
        let repo = TestRepo::new();
        repo.commit_file(".gitattributes", "*.slow filter=slow\n");
        let pipe = repo.root().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).expect("a pipe");
        let endless = format!("sleep 600 > '{}' & sleep 600", pipe.display());
        repo.git(&["config", &format!("filter.slow.{key}"), &endless]);
        let harness = Harness::on(repo);
        let lease = harness.create("a").await;
        write(&lease, "a.slow", "text");
        let worktrees = worktrees_within(harness.repo.path(), Duration::from_millis(300));
        // The child of the filter holds the pipe until it is gone.
        let held = std::thread::spawn(move || fs::read(&pipe));
        let error = worktrees.snapshot(&lease, COMMIT).await.expect_err("the filter does not end");
        assert!(chain(&error).contains("took longer than 300ms (`worktree_timeout`)"), "{}", chain(&error));
        assert_eq!(held.join().expect("a thread").expect("an end"), b"");
        worktrees.leave_to_sweep().expect("nothing is left");
        harness.repo.git(&["config", "--unset", &format!("filter.slow.{key}")]);
        assert_eq!(harness.commit(&lease).await.uncommitted, 0);
        harness.assert_sound();
    }
}

#[tokio::test]
async fn a_worktree_whose_release_takes_too_long_stays_for_a_later_one() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let lock = fs::File::open(harness.repo.path().join(".git/gadugi/lock")).expect("a lock");
    lock.lock().expect("no worktree is being made");
    let worktrees = worktrees_within(harness.repo.path(), Duration::from_millis(300));
    let error = worktrees.release(&lease, KEEP).await.expect_err("somebody else is at it");
    assert!(chain(&error).contains("took longer than 300ms (`worktree_timeout`)"), "{}", chain(&error));
    lock.unlock().expect("it is let go");
    worktrees.leave_to_sweep().expect("what was begun comes to its end");
    assert!(!matches!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Kept(_)));
    harness.assert_sound();
}

#[tokio::test]
async fn what_a_task_has_configured_is_not_run_for_a_later_worktree_of_the_run() {
    let repo = TestRepo::new();
    repo.write(".gitattributes", "*.x filter=trap\n*.up filter=up\n");
    repo.write("a.x", "a");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    // Because of this one git makes the worktrees.
    repo.git(&["config", "filter.up.smudge", "cat"]);
    let harness = Harness::on(repo);
    let (program, trace) = canary(&harness);
    harness.create("first").await;
    harness.repo.git(&["config", "filter.trap.smudge", &program]);
    harness.repo.git(&["config", "filter.trap.required", "true"]);
    harness.repo.git(&["config", "core.fsmonitor", &program]);
    let hooks = harness.repo.path().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("a folder");
    fs::copy(&program, hooks.join("post-checkout")).expect("a hook");
    let lease = harness.create("second").await;
    assert_eq!(fs::read_to_string(lease.path.join("a.x")).expect("a file"), "a");
    assert!(!trace.exists(), "the canary was run");
    harness.repo.git(&["config", "--unset", "core.fsmonitor"]);
    let again = harness.try_create(next_in(&lease)).await.expect("the same worktree");
    assert_eq!(again.path, lease.path);
}

#[tokio::test]
async fn what_is_known_of_the_programs_of_a_run_goes_with_its_last_worktree() {
    let harness = Harness::new();
    let programs = harness.repo.path().join(".git/gadugi/programs");
    let lease = harness.try_create(request("a")).await.expect("a worktree");
    harness.worktrees.prune(false).await.expect("it is tidied");
    assert!(programs.exists());
    harness.release(&lease, KEEP).await;
    harness.worktrees.prune(false).await.expect("it is tidied");
    assert!(!programs.exists());
}
