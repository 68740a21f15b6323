//! Several at once in one repository.

use std::collections::BTreeSet;
use std::future::Future;

use gadugi_core::worktrees::{CreatedWorktree, WorktreeError, WorktreeFate};
use gadugi_core::{Lease, Worktrees};
use gadugi_worktree::GitWorktrees;
use tokio::task::JoinSet;

use crate::harness::{Harness, KEEP, branch, request, worktrees_of, write};

async fn all<T: Send + 'static>(work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    work.into_iter().collect::<JoinSet<T>>().join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_creations_at_once_all_succeed() {
    let harness = Harness::new();
    harness.repo.many_files(300);
    let harness = Harness::on(harness.repo);
    let before = harness.repo.fingerprint();
    let leases: Vec<Lease> =
        all((0..16).map(|number| {
            let worktrees = harness.worktrees.clone();
            async move {
                worktrees.create(vec![request(&format!("task-{number}"))]).await.remove(0).expect("a worktree").lease
            }
        }))
        .await;
    assert_eq!(harness.listed().len(), 16);
    for lease in &leases {
        assert_eq!(harness.git(lease, &["status", "--porcelain"]), "");
    }
    harness.assert_sound();
    let fates = all(leases.into_iter().map(|lease| {
        let worktrees = harness.worktrees.clone();
        async move {
            write(&lease, "result.txt", branch(&lease));
            worktrees
                .snapshot(&lease, gadugi_core::worktrees::SnapshotRequest { commit: true, subject: None, since: None })
                .await
                .expect("a snapshot");
            worktrees.release(&lease, KEEP).await.expect("a release").worktree
        }
    }))
    .await;
    assert!(fates.iter().all(|fate| *fate == WorktreeFate::Removed), "{fates:?}");
    assert!(harness.listed().is_empty());
    assert_eq!(harness.branches().len(), 17);
    assert_eq!(harness.repo.fingerprint(), before);
    harness.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_of_sixteen_succeeds() {
    let harness = Harness::new();
    harness.repo.many_files(300);
    let harness = Harness::on(harness.repo);
    let requests = (0..16).map(|number| request(&format!("task-{number}"))).collect();
    let made: Result<Vec<CreatedWorktree>, WorktreeError> =
        harness.worktrees.create(requests).await.into_iter().collect();
    for (number, CreatedWorktree { lease, .. }) in made.expect("all worktrees").iter().enumerate() {
        assert_eq!(branch(lease), format!("gadugi/task-{number}"));
        assert_eq!(harness.git(lease, &["status", "--porcelain"]), "");
    }
    assert_eq!(harness.listed().len(), 16);
    harness.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_that_know_nothing_of_each_other_all_succeed_in_one_repository() {
    let harness = Harness::new();
    let runs: Vec<GitWorktrees> = (0..8).map(|_| worktrees_of(harness.repo.path())).collect();
    let leases = all((0..24).map(|number: usize| {
        let worktrees = runs[number % runs.len()].clone();
        let task = format!("task-{}", number / runs.len());
        async move {
            let lease = worktrees.create(vec![request(&task)]).await.remove(0).expect("a worktree").lease;
            if number.is_multiple_of(3) {
                worktrees.release(&lease, KEEP).await.expect("a release");
            }
            lease
        }
    }))
    .await;
    let branches: BTreeSet<&str> = leases.iter().map(branch).collect();
    assert_eq!(branches.len(), 24);
    assert_eq!(harness.listed().len(), 16);
    harness.assert_sound();
}

#[test]
fn a_dropped_creation_is_whole_or_not_begun() {
    let harness = Harness::new();
    harness.repo.many_files(500);
    let harness = Harness::on(harness.repo);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let creation = harness.worktrees.create(vec![request("a")]);
        tokio::select! {
            biased;
            _ = creation => panic!("it cannot be ready at once"),
            () = std::future::ready(()) => {}
        }
    });
    // Waits for the thread that was begun.
    drop(runtime);
    if harness.listed().is_empty() {
        assert_eq!(harness.branches(), ["main"]);
        assert!(!harness.folder().exists());
    } else {
        let path = harness.folder().join("a");
        assert_eq!(harness.repo.git_in(&path, &["status", "--porcelain"]), "");
    }
    harness.assert_sound();
}
