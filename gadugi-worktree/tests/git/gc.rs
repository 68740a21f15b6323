//! Collections of garbage beside worktrees in use, by real git.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gadugi_core::Worktrees;
use gadugi_core::worktrees::{SnapshotRequest, WorktreeFate};

use crate::harness::{Harness, KEEP, chain, request, worktrees_with, write};

fn gc(harness: &Harness, args: &[&str]) -> Output {
    harness.repo.try_git_in(harness.repo.path(), &[&["gc", "-q"], args].concat())
}

#[tokio::test]
async fn git_collects_no_garbage_while_worktrees_are_in_use_and_does_again_after() {
    let harness = Harness::new();
    let pid = harness.repo.path().join(".git/gc.pid");
    let lease = harness.create("a").await;
    write(&lease, "a.txt", "a");
    let refused = gc(&harness, &["--prune=now"]);
    assert_eq!(refused.status.code(), Some(128));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("gc is already running") && said.contains(&std::process::id().to_string()), "{said}");
    // Those that commits set off say nothing.
    assert!(gc(&harness, &["--auto"]).status.success());
    assert_eq!(harness.commit(&lease).await.files, 1);
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    let Harness { repo, worktrees, .. } = harness;
    worktrees.swept().await.expect("nothing is left");
    drop(worktrees);
    assert!(!pid.exists(), "it is let go of");
    repo.git(&["gc", "-q", "--prune=now"]);
    repo.git(&["fsck", "--full", "--no-dangling"]);
}

#[tokio::test]
async fn what_a_killed_process_has_left_of_gc_hinders_nobody() {
    let harness = Harness::new();
    let mut gone = Command::new("true").spawn().expect("it starts");
    gone.wait().expect("it ends");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let pid = harness.repo.path().join(".git/gc.pid");
    fs::write(&pid, format!("{} {host}", gone.id())).expect("a file");
    let lease = harness.create("a").await;
    let text = fs::read_to_string(&pid).expect("a file");
    assert!(text.starts_with(&format!("{} ", std::process::id())), "{text}");
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
}

/// A process that git takes for one that collects garbage.
fn collect_elsewhere(harness: &Harness) -> Child {
    let collecting = Command::new("sleep").arg("60").current_dir(harness.repo.root()).spawn().expect("it starts");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    fs::write(harness.repo.path().join(".git/gc.pid"), format!("{} {host}", collecting.id())).expect("a file");
    collecting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_committed_when_a_collection_that_was_under_way_has_ended() {
    let harness = Harness::new();
    let mut collecting = collect_elsewhere(&harness);
    let lease = harness.create("a").await;
    write(&lease, "a.txt", "a");
    let committing = tokio::spawn({
        let worktrees = harness.worktrees.clone();
        async move { worktrees.snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None }).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!committing.is_finished());
    collecting.kill().expect("it runs");
    collecting.wait().expect("it ends");
    assert_eq!(committing.await.expect("no panic").expect("a snapshot").commits, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worktree_goes_only_when_a_collection_that_was_under_way_has_ended() {
    let harness = Harness::new();
    let mut collecting = collect_elsewhere(&harness);
    let lease = harness.create("a").await;
    write(&lease, "a.txt", "a");
    // That the collection takes long hinders no commit, and here it takes as long as nothing.
    let committing = worktrees_with(harness.repo.path(), |settings| settings.gc_timeout = Duration::ZERO);
    let work = committing
        .snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None })
        .await
        .expect("a snapshot");
    assert_eq!(work.commits, 1);
    let releasing = tokio::spawn({
        let (worktrees, lease) = (harness.worktrees.clone(), lease.clone());
        async move { worktrees.release(&lease, KEEP).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(lease.path.exists() && !releasing.is_finished());
    collecting.kill().expect("it runs");
    collecting.wait().expect("it ends");
    let release = releasing.await.expect("no panic").expect("it is released");
    assert_eq!(release.worktree, WorktreeFate::Removed);
}

#[tokio::test]
async fn a_worktree_whose_commits_were_pruned_stays_and_the_object_is_named() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "a.txt", "only here");
    harness.commit(&lease).await;
    let blob = harness.git(&lease, &["rev-parse", "HEAD:a.txt"]);
    let object = harness.repo.path().join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    let kept = fs::read(&object).expect("a loose object");
    for content in [None, Some("")] {
        fs::remove_file(&object).expect("it goes");
        if let Some(content) = content {
            fs::write(&object, content).expect("a file");
        }
        let error = harness.worktrees.release(&lease, KEEP).await.expect_err("it is not on the branch");
        assert!(chain(&error).contains(&blob), "{}", chain(&error));
        assert_eq!(fs::read_to_string(lease.path.join("a.txt")).expect("it stays"), "only here");
        fs::write(&object, &kept).expect("a file");
    }
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
}

#[tokio::test]
async fn a_multi_pack_index_of_packs_that_are_gone_is_read_past_as_git_does() {
    let harness = Harness::new();
    for number in 0..2 {
        harness.repo.commit_file(&format!("{number}.txt"), "text");
        harness.repo.git(&["repack", "-q", "-d"]);
    }
    harness.repo.git(&["multi-pack-index", "write"]);
    let index = harness.repo.path().join(".git/objects/pack/multi-pack-index");
    let stale = fs::read(&index).expect("an index");
    harness.repo.git(&["repack", "-q", "-a", "-d"]);
    fs::write(&index, stale).expect("an index");
    harness.repo.git(&["log", "--oneline"]);
    let lease = harness.create("a").await;
    write(&lease, "a.txt", "a");
    assert_eq!(harness.commit(&lease).await.files, 1);
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
}

/// Watches git's list of worktrees as `git worktree prune` looks at it, and gives the entries that it would delete: those that
/// are neither locked nor say where their worktree is.
fn watch_for_prunable(list: PathBuf, is_over: Arc<AtomicBool>) -> JoinHandle<Vec<PathBuf>> {
    thread::spawn(move || {
        let mut found = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            for entry in fs::read_dir(&list).into_iter().flatten().flatten() {
                let entry = entry.path();
                let is_safe = entry.join("locked").exists() || entry.join("gitdir").exists();
                if !is_safe && entry.exists() {
                    found.push(entry);
                }
            }
        }
        found
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_never_sees_an_entry_of_a_new_worktree_that_it_would_prune() {
    let harness = Harness::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let watching = watch_for_prunable(harness.repo.path().join(".git/worktrees"), Arc::clone(&is_over));
    let requests = (0..40).map(|number| request(&format!("t{number}"))).collect();
    for made in harness.worktrees.create(requests).await {
        made.expect("a worktree");
    }
    is_over.store(true, Ordering::Relaxed);
    let prunable = watching.join().expect("no panic");
    assert!(prunable.is_empty(), "{prunable:?}");
    assert!(harness.repo.path().join(".git/gadugi/new-entry").symlink_metadata().is_err());
}
