use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gadugi_core::Worktrees;
use gadugi_core::worktrees::{BranchRelease, KeepReason, Pruned, Release, ReleaseRequest, WorktreeFate};

use crate::harness::{DELETE, Harness, KEEP, write};

#[tokio::test]
async fn entries_of_ours_whose_folder_is_gone_are_cleared_away_when_git_would_do_it() {
    let harness = Harness::new();
    let (gone, here) = (harness.create("gone").await, harness.create("here").await);
    fs::remove_dir_all(&gone.path).expect("the folder goes");
    let kept = [Pruned::EntryKept { name: "gone".into(), path: gone.path.clone() }];
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), kept);
    let index = File::options().append(true).open(harness.repo.path().join(".git/worktrees/gone/index"));
    let long_ago = SystemTime::now() - Duration::from_secs(100 * 24 * 60 * 60);
    index.and_then(|index| index.set_modified(long_ago)).expect("a time");
    for expire in ["never", "4.months.ago", "no time"] {
        harness.repo.git(&["config", "gc.worktreePruneExpire", expire]);
        assert_eq!(harness.worktrees.prune(false).await.expect("a list"), kept, "{expire}");
    }
    harness.repo.git(&["config", "--unset", "gc.worktreePruneExpire"]);
    let expected = [Pruned::Entry { name: "gone".into(), path: gone.path }];
    assert_eq!(harness.worktrees.prune(true).await.expect("a list"), expected);
    assert_eq!(harness.listed().len(), 2);
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), expected);
    assert_eq!(harness.listed(), [here.path]);
    assert_eq!(harness.branches(), ["gadugi/gone", "gadugi/here", "main"]);
    harness.assert_sound();
}

#[tokio::test]
async fn a_worktree_that_is_away_for_a_while_is_whole_when_it_is_back() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "staged.txt", "work");
    harness.git(&lease, &["add", "."]);
    write(&lease, "untracked.txt", "work");
    let status = harness.git(&lease, &["status", "--porcelain"]);
    let away = harness.repo.root().join("away");
    fs::rename(&lease.path, &away).expect("the folder moves");
    harness.create("other").await;
    for dry_run in [true, false] {
        let kept = [Pruned::EntryKept { name: "a".into(), path: lease.path.clone() }];
        assert_eq!(harness.worktrees.prune(dry_run).await.expect("a list"), kept);
        let release = harness.release(&lease, ReleaseRequest { dry_run, ..DELETE }).await;
        let branch = BranchRelease::Kept(KeepReason::CheckedOut { path: lease.path.clone() });
        assert_eq!(release, Release::new(WorktreeFate::Absent, branch));
    }
    fs::rename(&away, &lease.path).expect("the folder moves back");
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), status);
    assert!(harness.worktrees.leases().await.expect("a list").contains(&lease));
    let reasons = vec![KeepReason::Uncommitted { files: 2 }];
    assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Kept(reasons));
}

#[tokio::test]
async fn entries_of_others_stay() {
    let harness = Harness::new();
    let other = harness.repo.root().join("other");
    harness.repo.git(&["worktree", "add", "-q", "-b", "theirs", &other.to_string_lossy()]);
    fs::remove_dir_all(&other).expect("the folder goes");
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(harness.listed(), [other]);
}

#[tokio::test]
async fn an_entry_in_our_folder_that_somebody_else_made_stays_also_when_its_folder_was_moved() {
    let harness = Harness::new();
    let folder = harness.folder().join("by-hand");
    harness.repo.git(&["worktree", "add", "-q", "-b", "by-hand", &folder.to_string_lossy()]);
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    fs::rename(&folder, harness.repo.root().join("moved")).expect("the folder moves");
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(harness.listed(), [folder]);
}

#[tokio::test]
async fn a_locked_entry_stays() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.repo.git(&["worktree", "lock", &lease.path.to_string_lossy()]);
    fs::remove_dir_all(&lease.path).expect("the folder goes");
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(harness.listed(), [lease.path]);
}

#[tokio::test]
async fn an_entry_that_alone_keeps_a_commit_stays() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.git(&lease, &["checkout", "-q", "--detach"]);
    write(&lease, "a.txt", "a");
    harness.git(&lease, &["add", "."]);
    harness.git(&lease, &["commit", "-q", "-m", "Detached"]);
    fs::remove_dir_all(&lease.path).expect("the folder goes");
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
}

#[tokio::test]
async fn a_worktree_that_was_never_finished_is_cleared_away_with_its_branch() {
    let harness = Harness::new();
    let lease = harness.create("half").await;
    // As it is when the process is killed while the files are written.
    fs::write(harness.repo.path().join(".git/worktrees/half/locked"), "initializing\n").expect("a lock");
    fs::remove_file(lease.path.join("src/lib.rs")).expect("a file that is not there yet");
    let pruned = harness.worktrees.prune(false).await.expect("a list");
    assert_eq!(pruned, [Pruned::HalfMade { path: lease.path.clone() }]);
    assert!(!lease.path.exists());
    assert_eq!(harness.branches(), ["main"]);
    harness.assert_sound();
}

/// Makes a worktree as git does, and leaves it as it is before git has finished.
fn begin(harness: &Harness, name: &str, branch: &str) -> PathBuf {
    let folder = harness.folder().join(name);
    let lock = ["--lock", "--reason", "initializing"];
    harness.repo.git(&[&["worktree", "add", "-q"], &lock[..], &["-b", branch, &folder.to_string_lossy()]].concat());
    folder
}

#[tokio::test]
async fn a_worktree_that_a_crash_left_without_our_note_is_cleared_away_with_its_branch() {
    let harness = Harness::new();
    let folder = begin(&harness, "half", "gadugi/half");
    assert_eq!(harness.worktrees.leases().await.expect("a list"), []);
    let pruned = harness.worktrees.prune(false).await.expect("a list");
    assert_eq!(pruned, [Pruned::HalfMade { path: folder.clone() }]);
    assert!(!folder.exists());
    assert_eq!(harness.branches(), ["main"]);
    harness.assert_sound();
}

#[tokio::test]
async fn a_worktree_that_a_crash_left_without_our_note_and_without_files_is_cleared_away_with_its_branch() {
    let harness = Harness::new();
    let folder = begin(&harness, "half", "gadugi/half");
    for name in ["src/lib.rs", ".gitignore"] {
        fs::remove_file(folder.join(name)).expect("a file that is not there yet");
    }
    fs::remove_dir(folder.join("src")).expect("a folder that is not there yet");
    let head = harness.repo.path().join(".git/worktrees/half/HEAD");
    fs::write(head, "0000000000000000000000000000000000000000\n").expect("a HEAD");
    assert_eq!(harness.worktrees.prune(false).await.expect("a list").len(), 1);
    assert!(!folder.exists());
    assert_eq!(harness.branches(), ["main"]);
}

#[tokio::test]
async fn a_worktree_in_our_folder_that_somebody_else_is_making_stays() {
    let harness = Harness::new();
    let folder = begin(&harness, "theirs", "theirs");
    let detached = begin(&harness, "detached", "gadugi/detached-by-hand");
    harness.repo.git_in(&detached, &["checkout", "-q", "--detach"]);
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    assert!(folder.join("src/lib.rs").exists());
    assert_eq!(harness.listed(), [detached, folder]);
}

#[tokio::test]
async fn the_worktrees_that_are_there_are_listed_as_the_leases_they_were_made_for() {
    let harness = Harness::new();
    let (a, b) = (harness.create("a").await, harness.create("b").await);
    let (gone, half) = (harness.create("gone").await, harness.create("half").await);
    let theirs = harness.folder().join("theirs");
    harness.repo.git(&["worktree", "add", "-q", "-b", "theirs", &theirs.to_string_lossy()]);
    fs::remove_dir_all(&gone.path).expect("the folder goes");
    fs::write(harness.repo.path().join(".git/worktrees/half/locked"), "initializing\n").expect("a lock");
    assert_eq!(harness.worktrees.leases().await.expect("a list"), [a.clone(), b.clone()]);
    for lease in [a, b] {
        assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    }
    assert_eq!(harness.worktrees.leases().await.expect("a list"), []);
    assert!(half.path.exists());
}

#[tokio::test]
async fn there_is_nothing_to_clear_in_a_fresh_repository() {
    let harness = Harness::new();
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
}
