//! Worktrees and branches that are deleted whatever they hold.

use std::fs;

use gadugi_core::Worktrees as _;
use gadugi_core::worktrees::{BranchFate, BranchRelease, KeepReason, ReleaseRequest, WorktreeFate, WorktreeRequest};

use crate::harness::{Harness, branch, commit_id, request, write};

const DELETE: ReleaseRequest = ReleaseRequest { branch: BranchFate::Delete, discard: true, dry_run: false };

/// All references but those of the user.
fn references(harness: &Harness) -> Vec<String> {
    let list = harness.repo.git(&["for-each-ref", "--format=%(refname)"]);
    list.lines().filter(|name| *name != "refs/heads/main").map(str::to_owned).collect()
}

/// The entries of the state folder's trash.
fn trash(harness: &Harness) -> usize {
    fs::read_dir(harness.repo.path().join(".git/gadugi/trash")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn everything_of_it_goes_and_nothing_is_kept() {
    let harness = Harness::new();
    let lease = harness.create("try").await;
    write(&lease, "committed.txt", "by the check");
    harness.git(&lease, &["add", "committed.txt"]);
    harness.git(&lease, &["commit", "-q", "-m", "By the check"]);
    write(&lease, "src/lib.rs", "changed");
    write(&lease, "untracked.txt", "new");
    write(&lease, ".env", "TOKEN=x");
    write(&lease, "target/big.o", "ignored");
    harness.git(&lease, &["init", "-q", "nested"]);
    let release = harness.release(&lease, DELETE).await;
    assert_eq!(release.worktree, WorktreeFate::Removed);
    assert!(matches!(release.branch, BranchRelease::Deleted { .. }), "{release:?}");
    assert_eq!((release.kept_as, release.dropped.len()), (None, 0));
    assert!(!lease.path.exists());
    assert_eq!((references(&harness), trash(&harness)), (Vec::new(), 0));
    assert!(harness.listed().is_empty());
    harness.assert_sound();
}

#[tokio::test]
async fn it_goes_in_the_middle_of_an_operation_and_with_a_detached_head() {
    let harness = Harness::new();
    let lease = harness.create("try").await;
    harness.git(&lease, &["checkout", "-q", "--detach"]);
    write(&lease, "a.txt", "a");
    harness.git(&lease, &["add", "a.txt"]);
    harness.git(&lease, &["commit", "-q", "-m", "Nowhere"]);
    harness.git(&lease, &["bisect", "start"]);
    assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Removed);
    assert_eq!((references(&harness), trash(&harness)), (Vec::new(), 0));
}

#[tokio::test]
async fn a_lock_of_the_user_keeps_it() {
    let harness = Harness::new();
    let lease = harness.create("try").await;
    harness.repo.git(&["worktree", "lock", &lease.path.to_string_lossy()]);
    let release = harness.release(&lease, DELETE).await;
    assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::Locked { reason: String::new() }]));
    assert!(lease.path.exists() && harness.branches().contains(&branch(&lease).to_owned()));
}

#[tokio::test]
async fn the_worktree_of_another_attempt_in_its_place_stays() {
    let harness = Harness::new();
    let old = harness.create("try").await;
    harness.release(&old, DELETE).await;
    let attempt = harness.create("try").await.attempt;
    let attempt = gadugi_core::AttemptRef { number: attempt.number.next(), ..attempt };
    let other = harness.worktrees.leases().await.expect("the leases").pop().expect("one");
    assert_eq!(other.path, old.path);
    let next = WorktreeRequest { attempt, reuse: Some(other), ..request("try") };
    let next = harness.try_create(next).await.expect("it is reused");
    assert_eq!(harness.release(&old, DELETE).await.worktree, WorktreeFate::Absent);
    assert!(next.path.exists());
}

#[tokio::test]
async fn a_branch_that_may_be_anothers_by_now_is_kept_in_the_trash() {
    let harness = Harness::new();
    let lease = harness.create("try").await;
    harness.release(&lease, DELETE).await;
    let (newer, done) = harness.done("try", "a.txt", "by another").await;
    harness.release(&newer, ReleaseRequest { branch: BranchFate::Keep, discard: false, dry_run: false }).await;
    let release = harness.release(&lease, DELETE).await;
    assert!(matches!(release.branch, BranchRelease::Deleted { .. }), "{release:?}");
    let kept = release.kept_as.expect("a reference");
    assert_eq!(harness.repo.git(&["rev-parse", &kept]), done.tip.as_str());
}

#[tokio::test]
async fn what_was_committed_in_isolation_goes_with_it() {
    let harness = Harness::new();
    let lease = harness.create("try").await;
    harness.worktrees.isolate(&lease).await.expect("it is isolated");
    write(&lease, "a.txt", "a");
    let release = harness.release(&lease, DELETE).await;
    assert_eq!((release.worktree, release.dropped.len()), (WorktreeFate::Removed, 0));
    assert_eq!((references(&harness), trash(&harness)), (Vec::new(), 0));
    let left = fs::read_dir(harness.repo.path().join(".git/gadugi/git")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_worktree_starts_from_the_base_that_is_asked_for() {
    let harness = Harness::new();
    let first = commit_id(&harness.repo.git(&["rev-parse", "HEAD"]));
    harness.repo.git(&["checkout", "-q", "-b", "topic"]);
    harness.repo.commit_file("topic.txt", "topic");
    let topic = commit_id(&harness.repo.git(&["rev-parse", "HEAD"]));
    harness.repo.git(&["checkout", "-q", "main"]);
    let lease = harness.try_create(WorktreeRequest { base: Some(topic.clone()), ..request("a") }).await;
    assert_eq!(lease.expect("a worktree").base, Some(topic));
    let lease = harness.create("b").await;
    assert_eq!(lease.base, Some(first));
}
