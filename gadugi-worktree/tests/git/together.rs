//! Several at once in one repository.

use std::collections::BTreeSet;
use std::future::Future;

use gadugi_core::{Lease, Made, WorktreeError, WorktreeFate, Worktrees};
use gadugi_worktree::GitWorktrees;
use tokio::task::JoinSet;

use crate::ground::{Ground, KEEP, branch, request, worktrees_of, write};

async fn all<T: Send + 'static>(work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    work.into_iter().collect::<JoinSet<T>>().join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_creations_at_once_all_succeed() {
    let ground = Ground::new();
    ground.repo.many_files(300);
    let ground = Ground::on(ground.repo);
    let before = ground.repo.fingerprint();
    let leases: Vec<Lease> =
        all((0..16).map(|number| {
            let worktrees = ground.worktrees.clone();
            async move {
                worktrees.create(vec![request(&format!("task-{number}"))]).await.remove(0).expect("a worktree").lease
            }
        }))
        .await;
    assert_eq!(ground.listed().len(), 16);
    for lease in &leases {
        assert_eq!(ground.git(lease, &["status", "--porcelain"]), "");
    }
    ground.assert_sound();
    let fates = all(leases.into_iter().map(|lease| {
        let worktrees = ground.worktrees.clone();
        async move {
            write(&lease, "result.txt", branch(&lease));
            worktrees
                .snapshot(&lease, gadugi_core::SnapshotRequest { commit: true, since: None })
                .await
                .expect("a snapshot");
            worktrees.release(&lease, KEEP).await.expect("a release").worktree
        }
    }))
    .await;
    assert!(fates.iter().all(|fate| *fate == WorktreeFate::Removed), "{fates:?}");
    assert!(ground.listed().is_empty());
    assert_eq!(ground.branches().len(), 17);
    assert_eq!(ground.repo.fingerprint(), before);
    ground.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_of_sixteen_succeeds() {
    let ground = Ground::new();
    ground.repo.many_files(300);
    let ground = Ground::on(ground.repo);
    let requests = (0..16).map(|number| request(&format!("task-{number}"))).collect();
    let made: Result<Vec<Made>, WorktreeError> = ground.worktrees.create(requests).await.into_iter().collect();
    for (number, Made { lease, .. }) in made.expect("all worktrees").iter().enumerate() {
        assert_eq!(branch(lease), format!("gadugi/task-{number}"));
        assert_eq!(ground.git(lease, &["status", "--porcelain"]), "");
    }
    assert_eq!(ground.listed().len(), 16);
    ground.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_that_know_nothing_of_each_other_all_succeed_in_one_repository() {
    let ground = Ground::new();
    let runs: Vec<GitWorktrees> = (0..8).map(|_| worktrees_of(ground.repo.path())).collect();
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
    assert_eq!(ground.listed().len(), 16);
    ground.assert_sound();
}

#[test]
fn a_dropped_creation_is_whole_or_not_begun() {
    let ground = Ground::new();
    ground.repo.many_files(500);
    let ground = Ground::on(ground.repo);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let creation = ground.worktrees.create(vec![request("a")]);
        tokio::select! {
            biased;
            _ = creation => panic!("it cannot be ready at once"),
            () = std::future::ready(()) => {}
        }
    });
    // Waits for the thread that was begun.
    drop(runtime);
    if ground.listed().is_empty() {
        assert_eq!(ground.branches(), ["main"]);
        assert!(!ground.folder().exists());
    } else {
        let path = ground.folder().join("a");
        assert_eq!(ground.repo.git_in(&path, &["status", "--porcelain"]), "");
    }
    ground.assert_sound();
}
