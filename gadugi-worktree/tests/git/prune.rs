use std::fs;

use gadugi_core::{Pruned, Worktrees};

use crate::ground::{Ground, write};

#[tokio::test]
async fn entries_of_ours_whose_folder_is_gone_are_cleared_away() {
    let ground = Ground::new();
    let (gone, here) = (ground.create("gone").await, ground.create("here").await);
    fs::remove_dir_all(&gone.path).expect("the folder goes");
    let expected = [Pruned::Entry { name: "gone".into(), path: gone.path }];
    assert_eq!(ground.worktrees.prune(true).await.expect("a list"), expected);
    assert_eq!(ground.listed().len(), 2);
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), expected);
    assert_eq!(ground.listed(), [here.path]);
    assert_eq!(ground.branches(), ["gadugi/gone", "gadugi/here", "main"]);
    ground.assert_sound();
}

#[tokio::test]
async fn entries_of_others_stay() {
    let ground = Ground::new();
    let other = ground.repo.root().join("other");
    ground.repo.git(&["worktree", "add", "-q", "-b", "theirs", &other.to_string_lossy()]);
    fs::remove_dir_all(&other).expect("the folder goes");
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(ground.listed(), [other]);
}

#[tokio::test]
async fn an_entry_in_our_folder_that_somebody_else_made_is_cleared_away_too() {
    let ground = Ground::new();
    let folder = ground.folder().join("by-hand");
    ground.repo.git(&["worktree", "add", "-q", "-b", "by-hand", &folder.to_string_lossy()]);
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
    fs::remove_dir_all(&folder).expect("the folder goes");
    let expected = [Pruned::Entry { name: "by-hand".into(), path: folder }];
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), expected);
}

#[tokio::test]
async fn a_locked_entry_stays() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    ground.repo.git(&["worktree", "lock", &lease.path.to_string_lossy()]);
    fs::remove_dir_all(&lease.path).expect("the folder goes");
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(ground.listed(), [lease.path]);
}

#[tokio::test]
async fn an_entry_that_alone_keeps_a_commit_stays() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    ground.git(&lease, &["checkout", "-q", "--detach"]);
    write(&lease, "a.txt", "a");
    ground.git(&lease, &["add", "."]);
    ground.git(&lease, &["commit", "-q", "-m", "Detached"]);
    fs::remove_dir_all(&lease.path).expect("the folder goes");
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
}

#[tokio::test]
async fn a_worktree_that_was_never_finished_is_cleared_away_with_its_branch() {
    let ground = Ground::new();
    let lease = ground.create("half").await;
    // As it is when the process is killed while the files are written.
    fs::write(ground.repo.path().join(".git/worktrees/half/locked"), "initializing\n").expect("a lock");
    fs::remove_file(lease.path.join("src/lib.rs")).expect("a file that is not there yet");
    let pruned = ground.worktrees.prune(false).await.expect("a list");
    assert_eq!(pruned, [Pruned::Entry { name: "half".into(), path: lease.path.clone() }]);
    assert!(!lease.path.exists());
    assert_eq!(ground.branches(), ["main"]);
    ground.assert_sound();
}

#[tokio::test]
async fn there_is_nothing_to_clear_in_a_fresh_repository() {
    let ground = Ground::new();
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
}
