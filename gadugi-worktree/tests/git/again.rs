//! An attempt that starts where an earlier one at its task has ended.

use std::fs;

use gadugi_core::worktrees::{WorktreeFate, WorktreeRequest};
use gadugi_core::{AttemptNo, AttemptRef, CommitId, Worktrees};

use crate::harness::{Harness, KEEP, branch, commit_id, request, write};

fn second(task: &str, from: &CommitId) -> WorktreeRequest {
    let first = request(task);
    let attempt = AttemptRef { number: AttemptNo::new(2).expect("a number"), ..first.attempt };
    WorktreeRequest { attempt, from: Some(from.clone()), ..first }
}

#[tokio::test]
async fn it_has_the_files_of_the_earlier_one_and_only_what_it_adds_counts_as_its_own() {
    let harness = Harness::new();
    let (first, done) = harness.done("fix", "first.txt", "first").await;
    let lease = harness.try_create(second("fix", &done.tip)).await.expect("a worktree");
    assert_eq!(fs::read_to_string(lease.path.join("first.txt")).expect("a file"), "first");
    assert_eq!((branch(&lease), lease.base.as_ref()), ("gadugi/fix-2", Some(&done.tip)));
    let work = harness.count(&lease).await;
    assert_eq!((work.tip.as_ref(), work.commits, work.files, work.uncommitted), (Some(&done.tip), 0, 0, 0));
    write(&lease, "second.txt", "second");
    write(&lease, "first.txt", "changed");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files), (1, 2));
    // Also for a process that knows it from the list only.
    let there = harness.worktrees.leases().await.expect("a list");
    assert_eq!(there, [first, lease.clone()]);
    assert_eq!(harness.count(&there[1]).await, work);
    assert_eq!(harness.repo.git(&["rev-list", "--count", &format!("main..{}", branch(&lease))]), "2");
    harness.assert_sound();
}

#[tokio::test]
async fn what_the_task_needs_is_not_merged_once_more() {
    let harness = Harness::new();
    let (_, need) = harness.done("models", "models.rs", "struct Model;\n").await;
    let (_, done) = harness.done("api", "api.rs", "struct Api;\n").await;
    let asked = WorktreeRequest { needs: vec![need], ..second("api", &done.tip) };
    let lease = harness.try_create(asked).await.expect("a worktree");
    assert_eq!(lease.base, Some(done.tip));
    assert!(!lease.path.join("models.rs").exists());
}

#[tokio::test]
async fn the_earlier_one_may_have_been_given_back() {
    let harness = Harness::new();
    let (first, done) = harness.done("fix", "first.txt", "first").await;
    assert_eq!(harness.release(&first, KEEP).await.worktree, WorktreeFate::Removed);
    let lease = harness.try_create(second("fix", &done.tip)).await.expect("a worktree");
    assert!(lease.path.join("first.txt").exists());
    assert_eq!(harness.repo.git(&["rev-parse", branch(&first)]), done.tip.as_str());
}

#[tokio::test]
async fn a_start_that_does_not_exist_is_an_error_and_makes_nothing() {
    let harness = Harness::new();
    let nowhere = commit_id("e83c5163316f89bfbde7d9ab23ca2e25604af290");
    harness.try_create(second("fix", &nowhere)).await.expect_err("there is no such commit");
    assert_eq!((harness.branches(), harness.listed().len()), (vec!["main".to_owned()], 0));
    harness.assert_sound();
}
