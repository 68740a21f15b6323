//! A machine that gives no more threads.

use std::process::{Child, Command};

use gadugi_core::Worktrees;
use gadugi_core::worktrees::{SnapshotRequest, WorktreeFate};

use crate::harness::{Harness, KEEP, request, write};
use crate::process::has_few_threads;

/// Makes worktrees, works in them, commits, and gives them back.
async fn work_and_give_back(harness: &Harness) {
    let requests = ["a", "b", "c", "d"].map(request).into();
    let made = harness.worktrees.create(requests).await;
    let leases: Vec<_> = made.into_iter().map(|made| made.expect("a worktree").lease).collect();
    for lease in &leases {
        write(lease, "work.txt", "work");
        for number in 0..50 {
            write(lease, &format!("target/{number}/file"), "ignored");
        }
        let work = harness
            .worktrees
            .snapshot(lease, SnapshotRequest { commit: true, subject: None, since: None })
            .await
            .expect("a snapshot");
        assert_eq!((work.commits, work.uncommitted), (1, 0));
    }
    let requests = leases.iter().map(|lease| (lease.clone(), KEEP)).collect();
    for released in harness.worktrees.release_all(requests, Default::default()).await {
        assert_eq!(released.expect("a release").worktree, WorktreeFate::Removed);
    }
    harness.worktrees.swept().await.expect("it is deleted");
    assert!(!harness.folder().exists());
}

#[tokio::test]
async fn worktrees_are_made_and_given_back_where_there_can_be_few_threads() {
    // Of this program, three are there already.
    if !has_few_threads("scarce::worktrees_are_made_and_given_back_where_there_can_be_few_threads", 6) {
        return;
    }
    let harness = Harness::new();
    for number in 0..200 {
        harness.repo.write(&format!("many/{}/{number}", number % 7), "x");
    }
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Many"]);
    work_and_give_back(&Harness::on(harness.repo)).await;
}

#[tokio::test]
async fn work_for_which_there_is_no_thread_waits_until_there_is_one() {
    if !has_few_threads("scarce::work_for_which_there_is_no_thread_waits_until_there_is_one", 7) {
        return;
    }
    let harness = Harness::new();
    // A thread for what blocks, which stays for a while.
    harness.worktrees.prune(true).await.expect("a list");
    let (sender, receiver) = std::sync::mpsc::channel::<Child>();
    let reaper = std::thread::spawn(move || receiver.iter().all(|mut child| child.wait().is_ok()));
    // A task of the same user takes all there can be, for a while.
    while let Ok(child) = Command::new("sleep").arg("0.5").spawn() {
        sender.send(child).expect("it is waited for");
    }
    drop(sender);
    work_and_give_back(&harness).await;
    assert!(reaper.join().expect("it ends"));
}
