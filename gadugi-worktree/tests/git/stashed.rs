//! Worktrees in which something was put away with `git stash`.

use gadugi_core::worktrees::{BranchRelease, KeepReason, WorktreeFate};

use crate::harness::{DELETE, DISCARD, Harness, KEEP, write};

#[tokio::test]
async fn what_was_stashed_in_a_worktree_keeps_it_and_what_was_stashed_elsewhere_does_not() {
    let harness = Harness::new();
    let (lease, other) = (harness.create("a").await, harness.create("b").await);
    harness.repo.write("src/lib.rs", "the user's");
    harness.repo.git(&["stash", "push", "-q", "-m", "On gadugi/b: or so"]);
    for text in ["first", "second"] {
        write(&lease, "src/lib.rs", text);
        harness.git(&lease, &["stash", "-q"]);
    }
    let kept = WorktreeFate::Kept(vec![KeepReason::Stashed { entries: 2 }]);
    for request in [KEEP, DELETE] {
        assert_eq!(harness.release(&lease, request).await.worktree, kept);
    }
    assert_eq!(harness.release(&other, DELETE).await.worktree, WorktreeFate::Removed);
    harness.git(&lease, &["stash", "drop", "-q"]);
    let kept = WorktreeFate::Kept(vec![KeepReason::Stashed { entries: 1 }]);
    assert_eq!(harness.release(&lease, DELETE).await.worktree, kept);
    harness.git(&lease, &["stash", "drop", "-q"]);
    let release = harness.release(&lease, DELETE).await;
    assert_eq!(release.worktree, WorktreeFate::Removed);
    assert!(matches!(release.branch, BranchRelease::Deleted { .. }));
}

#[tokio::test]
async fn what_was_stashed_without_a_branch_keeps_the_worktree_whose_commit_it_is_on() {
    let harness = Harness::new();
    let (lease, _) = harness.done("a", "a.txt", "a").await;
    let other = harness.create("b").await;
    harness.git(&lease, &["checkout", "-q", "--detach"]);
    write(&lease, "a.txt", "changed");
    harness.git(&lease, &["stash", "push", "-q", "-m", "for later"]);
    let kept = WorktreeFate::Kept(vec![KeepReason::Stashed { entries: 1 }]);
    assert_eq!(harness.release(&lease, DELETE).await.worktree, kept);
    assert_eq!(harness.release(&other, DELETE).await.worktree, WorktreeFate::Removed);
    // Discarding leaves the stash alone: it is shared, and whoever made it can take it out.
    assert_eq!(harness.release(&lease, DISCARD).await.worktree, WorktreeFate::Removed);
    assert_eq!(harness.repo.git(&["stash", "list", "--format=%gs"]), "On (no branch): for later");
}
