//! Programs that a task names in git's configuration after its run has begun.

use std::fs;

use gadugi_core::{SnapshotRequest, WorktreeFate, Worktrees};
use gadugi_test_support::repo::TestRepo;

use crate::ground::{DISCARD, Ground, KEEP, next_in, request, worktrees_of, write};
use crate::untrusted::canary;

const COMMIT: SnapshotRequest = SnapshotRequest { commit: true };

#[tokio::test]
async fn a_filter_that_a_task_has_configured_is_not_run_and_what_needs_it_is_named() {
    let ground = Ground::new();
    let (program, trace) = canary(&ground);
    for key in ["clean", "process"] {
        for scope in ["--local", "--worktree"] {
            let task = format!("{key}-{}", scope.trim_start_matches('-'));
            let lease = ground.create(&task).await;
            ground.git(&lease, &["config", "extensions.worktreeConfig", "true"]);
            ground.git(&lease, &["config", scope, &format!("filter.{task}.{key}"), &program]);
            write(&lease, ".gitattributes", format!("*.x filter={task}\n"));
            write(&lease, "a.x", "a");
            write(&lease, "large.x", "a".repeat(5 * 1024 * 1024));
            write(&lease, "src/lib.rs", "changed");
            // As one that resumes the run.
            let work = worktrees_of(ground.repo.path()).snapshot(&lease, COMMIT).await.expect("a snapshot");
            assert!(!trace.exists(), "the canary was run");
            let paths: Vec<_> = work.unsaved.iter().map(|file| file.path.as_str()).collect();
            assert_eq!((paths, work.uncommitted), (vec!["a.x", "large.x"], 2));
            assert!(work.unsaved[0].why.contains(&format!("`{task}`")), "{:?}", work.unsaved);
            let fate = ground.release(&lease, KEEP).await.worktree;
            assert!(matches!(fate, WorktreeFate::Kept(_)), "{fate:?}");
            let fate = ground.release(&lease, DISCARD).await.worktree;
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
    let ground = Ground::on(repo);
    let (program, trace) = canary(&ground);
    let lease = ground.create("a").await;
    write(&lease, "a.up", "text");
    assert_eq!(ground.commit(&lease).await.uncommitted, 0);
    assert_eq!(ground.git(&lease, &["show", "HEAD:a.up"]), "TEXT");
    ground.repo.git(&["config", "filter.up.clean", &program]);
    write(&lease, "b.up", "text");
    let work = worktrees_of(ground.repo.path()).snapshot(&lease, COMMIT).await.expect("a snapshot");
    assert_eq!((work.uncommitted, work.unsaved[0].path.as_str()), (1, "b.up"));
    assert!(!trace.exists(), "the canary was run");
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
    let ground = Ground::on(repo);
    let (program, trace) = canary(&ground);
    ground.create("first").await;
    ground.repo.git(&["config", "filter.trap.smudge", &program]);
    ground.repo.git(&["config", "filter.trap.required", "true"]);
    ground.repo.git(&["config", "core.fsmonitor", &program]);
    let hooks = ground.repo.path().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("a folder");
    fs::copy(&program, hooks.join("post-checkout")).expect("a hook");
    let lease = ground.create("second").await;
    assert_eq!(fs::read_to_string(lease.path.join("a.x")).expect("a file"), "a");
    assert!(!trace.exists(), "the canary was run");
    ground.repo.git(&["config", "--unset", "core.fsmonitor"]);
    let again = ground.try_create(next_in(&lease)).await.expect("the same worktree");
    assert_eq!(again.path, lease.path);
}

#[tokio::test]
async fn what_is_known_of_the_programs_of_a_run_goes_with_its_last_worktree() {
    let ground = Ground::new();
    let programs = ground.repo.path().join(".git/gadugi/programs");
    let lease = ground.try_create(request("a")).await.expect("a worktree");
    ground.worktrees.prune(false).await.expect("it is tidied");
    assert!(programs.exists());
    ground.release(&lease, KEEP).await;
    ground.worktrees.prune(false).await.expect("it is tidied");
    assert!(!programs.exists());
}
