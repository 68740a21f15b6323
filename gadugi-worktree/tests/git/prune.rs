use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gadugi_core::{BranchRelease, KeepReason, Pruned, Release, ReleaseRequest, WorktreeFate, Worktrees};

use crate::ground::{DELETE, Ground, KEEP, write};

#[tokio::test]
async fn entries_of_ours_whose_folder_is_gone_are_cleared_away_when_git_would_do_it() {
    let ground = Ground::new();
    let (gone, here) = (ground.create("gone").await, ground.create("here").await);
    fs::remove_dir_all(&gone.path).expect("the folder goes");
    let kept = [Pruned::EntryKept { name: "gone".into(), path: gone.path.clone() }];
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), kept);
    let index = File::options().append(true).open(ground.repo.path().join(".git/worktrees/gone/index"));
    let long_ago = SystemTime::now() - Duration::from_secs(100 * 24 * 60 * 60);
    index.and_then(|index| index.set_modified(long_ago)).expect("a time");
    for expire in ["never", "4.months.ago", "no time"] {
        ground.repo.git(&["config", "gc.worktreePruneExpire", expire]);
        assert_eq!(ground.worktrees.prune(false).await.expect("a list"), kept, "{expire}");
    }
    ground.repo.git(&["config", "--unset", "gc.worktreePruneExpire"]);
    let expected = [Pruned::Entry { name: "gone".into(), path: gone.path }];
    assert_eq!(ground.worktrees.prune(true).await.expect("a list"), expected);
    assert_eq!(ground.listed().len(), 2);
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), expected);
    assert_eq!(ground.listed(), [here.path]);
    assert_eq!(ground.branches(), ["gadugi/gone", "gadugi/here", "main"]);
    ground.assert_sound();
}

#[tokio::test]
async fn a_worktree_that_is_away_for_a_while_is_whole_when_it_is_back() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    write(&lease, "staged.txt", "work");
    ground.git(&lease, &["add", "."]);
    write(&lease, "untracked.txt", "work");
    let status = ground.git(&lease, &["status", "--porcelain"]);
    let away = ground.repo.root().join("away");
    fs::rename(&lease.path, &away).expect("the folder moves");
    ground.create("other").await;
    for dry_run in [true, false] {
        let kept = [Pruned::EntryKept { name: "a".into(), path: lease.path.clone() }];
        assert_eq!(ground.worktrees.prune(dry_run).await.expect("a list"), kept);
        let release = ground.release(&lease, ReleaseRequest { dry_run, ..DELETE }).await;
        let branch = BranchRelease::Kept(KeepReason::CheckedOut { path: lease.path.clone() });
        assert_eq!(release, Release::new(WorktreeFate::Absent, branch));
    }
    fs::rename(&away, &lease.path).expect("the folder moves back");
    assert_eq!(ground.git(&lease, &["status", "--porcelain"]), status);
    assert!(ground.worktrees.leases().await.expect("a list").contains(&lease));
    let reasons = vec![KeepReason::Uncommitted { files: 2 }];
    assert_eq!(ground.release(&lease, DELETE).await.worktree, WorktreeFate::Kept(reasons));
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
async fn an_entry_in_our_folder_that_somebody_else_made_stays_also_when_its_folder_was_moved() {
    let ground = Ground::new();
    let folder = ground.folder().join("by-hand");
    ground.repo.git(&["worktree", "add", "-q", "-b", "by-hand", &folder.to_string_lossy()]);
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
    fs::rename(&folder, ground.repo.root().join("moved")).expect("the folder moves");
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(ground.listed(), [folder]);
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
    assert_eq!(pruned, [Pruned::HalfMade { path: lease.path.clone() }]);
    assert!(!lease.path.exists());
    assert_eq!(ground.branches(), ["main"]);
    ground.assert_sound();
}

/// Makes a worktree as git does, and leaves it as it is before git has finished.
fn begin(ground: &Ground, name: &str, branch: &str) -> PathBuf {
    let folder = ground.folder().join(name);
    let lock = ["--lock", "--reason", "initializing"];
    ground.repo.git(&[&["worktree", "add", "-q"], &lock[..], &["-b", branch, &folder.to_string_lossy()]].concat());
    folder
}

#[tokio::test]
async fn a_worktree_that_a_crash_left_without_our_note_is_cleared_away_with_its_branch() {
    let ground = Ground::new();
    let folder = begin(&ground, "half", "gadugi/half");
    assert_eq!(ground.worktrees.leases().await.expect("a list"), []);
    let pruned = ground.worktrees.prune(false).await.expect("a list");
    assert_eq!(pruned, [Pruned::HalfMade { path: folder.clone() }]);
    assert!(!folder.exists());
    assert_eq!(ground.branches(), ["main"]);
    ground.assert_sound();
}

#[tokio::test]
async fn a_worktree_that_a_crash_left_without_our_note_and_without_files_is_cleared_away_with_its_branch() {
    let ground = Ground::new();
    let folder = begin(&ground, "half", "gadugi/half");
    for name in ["src/lib.rs", ".gitignore"] {
        fs::remove_file(folder.join(name)).expect("a file that is not there yet");
    }
    fs::remove_dir(folder.join("src")).expect("a folder that is not there yet");
    let head = ground.repo.path().join(".git/worktrees/half/HEAD");
    fs::write(head, "0000000000000000000000000000000000000000\n").expect("a HEAD");
    assert_eq!(ground.worktrees.prune(false).await.expect("a list").len(), 1);
    assert!(!folder.exists());
    assert_eq!(ground.branches(), ["main"]);
}

#[tokio::test]
async fn a_worktree_in_our_folder_that_somebody_else_is_making_stays() {
    let ground = Ground::new();
    let folder = begin(&ground, "theirs", "theirs");
    let detached = begin(&ground, "detached", "gadugi/detached-by-hand");
    ground.repo.git_in(&detached, &["checkout", "-q", "--detach"]);
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
    assert!(folder.join("src/lib.rs").exists());
    assert_eq!(ground.listed(), [detached, folder]);
}

#[tokio::test]
async fn the_worktrees_that_are_there_are_listed_as_the_leases_they_were_made_for() {
    let ground = Ground::new();
    let (a, b) = (ground.create("a").await, ground.create("b").await);
    let (gone, half) = (ground.create("gone").await, ground.create("half").await);
    let theirs = ground.folder().join("theirs");
    ground.repo.git(&["worktree", "add", "-q", "-b", "theirs", &theirs.to_string_lossy()]);
    fs::remove_dir_all(&gone.path).expect("the folder goes");
    fs::write(ground.repo.path().join(".git/worktrees/half/locked"), "initializing\n").expect("a lock");
    assert_eq!(ground.worktrees.leases().await.expect("a list"), [a.clone(), b.clone()]);
    for lease in [a, b] {
        assert_eq!(ground.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    }
    assert_eq!(ground.worktrees.leases().await.expect("a list"), []);
    assert!(half.path.exists());
}

#[tokio::test]
async fn there_is_nothing_to_clear_in_a_fresh_repository() {
    let ground = Ground::new();
    assert_eq!(ground.worktrees.prune(false).await.expect("a list"), []);
}
