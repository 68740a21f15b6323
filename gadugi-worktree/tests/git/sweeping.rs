//! Deleting in the background what was given back.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use gadugi_core::Worktrees;
use gadugi_core::worktrees::WorktreeFate;
use gadugi_worktree::{GitWorktrees, WorktreeSettings, left_to_sweep, sweep_left};
use rustix::fs::{Mode, OFlags};

use crate::aside::{is_above_permissions, run_without_privileges};
use crate::harness::{DELETE, Harness, KEEP, discover, write};

/// Worktrees whose deletion is deferred.
fn deferring(harness: &Harness) -> GitWorktrees {
    let repository = discover(harness.repo.path());
    let (base, folder) = (repository.head_commit().clone(), repository.default_worktrees_folder());
    let settings = WorktreeSettings::new(repository, base, folder);
    GitWorktrees::new(WorktreeSettings { defer_deletion: true, ..settings }).expect("a valid prefix")
}

fn left(harness: &Harness) -> (usize, bool) {
    left_to_sweep(&harness.repo.path().join(".git/gadugi"), &harness.folder()).expect("a number")
}

fn open_folder(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("a folder")
}

fn make_folder(holder: &OwnedFd, name: &str) -> OwnedFd {
    rustix::fs::mkdirat(holder, name, Mode::RWXU).expect("a folder");
    rustix::fs::openat(holder, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("a folder")
}

fn make_file(holder: &OwnedFd, name: &str) {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = rustix::fs::openat(holder, name, flags, Mode::RUSR | Mode::WUSR).expect("a file");
    rustix::io::write(file, b"x\n").expect("its content");
}

/// Makes folders `deep/deep/…` in a folder, this many, and opens the last. A shell takes half a minute for 2,500 of them, since
/// it asks for the path at each step.
fn make_deep(path: &Path, number: u32) -> OwnedFd {
    (0..number).fold(open_folder(path), |folder, _| make_folder(&folder, "deep"))
}

#[tokio::test]
async fn a_released_worktree_is_gone_at_once_and_its_room_is_given_back_when_somebody_waits_for_it() {
    let harness = Harness::new();
    let worktrees = deferring(&harness);
    let lease = harness.create("a").await;
    let fate = worktrees.release(&lease, DELETE).await.expect("a release").worktree;
    assert_eq!(fate, WorktreeFate::Removed);
    assert!(!lease.path.exists() && harness.listed().is_empty());
    assert_eq!(harness.branches(), ["main"]);
    assert_eq!(left(&harness), (1, false));
    // The name is free again while the old folder is still there.
    let again = harness.create("a").await;
    assert_eq!(again.path, lease.path);
    worktrees.swept().await.expect("it is deleted");
    assert_eq!(left(&harness), (0, false));
    assert!(again.path.join("src/lib.rs").exists());
}

#[tokio::test]
async fn what_a_process_leaves_another_one_deletes_while_nobody_else_does() {
    let harness = Harness::new();
    let worktrees = deferring(&harness);
    assert!(worktrees.leave_to_sweep().expect("an answer").is_none());
    for task in ["a", "b"] {
        let lease = harness.create(task).await;
        worktrees.release(&lease, KEEP).await.expect("a release");
    }
    let state = harness.repo.path().join(".git/gadugi");
    let given = worktrees.leave_to_sweep().expect("an answer").expect("something is left");
    assert_eq!(left(&harness), (2, true));
    assert!(worktrees.leave_to_sweep().expect("an answer").is_none(), "somebody is at it");
    // What comes meanwhile is found too.
    let lease = harness.create("c").await;
    worktrees.release(&lease, KEEP).await.expect("a release");
    sweep_left(&state, &given.lock, &given.folders).expect("it is deleted");
    assert_eq!(left(&harness), (0, false));
    assert!(!harness.folder().exists());
}

#[tokio::test]
async fn waiting_for_the_room_deletes_also_what_a_killed_process_has_left() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    crate::killed::kill_at(&harness, "release a", "release-entry-removed");
    assert!(!lease.path.exists());
    assert_eq!(left(&harness), (1, false));
    harness.worktrees.swept().await.expect("it is deleted");
    assert_eq!(left(&harness), (0, false));
}

#[tokio::test]
async fn very_many_and_very_deep_folders_are_deleted_and_what_links_lead_to_is_not() {
    let harness = Harness::new();
    let outside = harness.repo.root().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("file.txt"), "precious").expect("a file");
    let lease = harness.create("a").await;
    for number in 0..300 {
        write(&lease, &format!("target/{}/{number}/file.txt", number % 7), "x");
    }
    // Deeper than any path may be long.
    let deepest = make_deep(&lease.path.join("target"), 1500);
    make_file(&deepest, "file");
    rustix::fs::symlinkat(&outside, &deepest, "link").expect("a link");
    symlink(&outside, lease.path.join("target/link")).expect("a link");
    symlink("nowhere", lease.path.join("target/broken")).expect("a link");
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert!(!harness.folder().exists());
    assert_eq!(fs::read_to_string(outside.join("file.txt")).expect("the file"), "precious");
}

#[tokio::test]
async fn what_cannot_be_deleted_is_named_and_stays_and_all_else_goes() {
    if is_above_permissions() {
        let test = "what_cannot_be_deleted_is_named_and_stays_and_all_else_goes";
        return run_without_privileges(&format!("sweeping::{test}"));
    }
    use std::os::unix::fs::PermissionsExt;
    let set_mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    let harness = Harness::new();
    let worktrees = deferring(&harness);
    let lease = harness.create("a").await;
    worktrees.release(&lease, KEEP).await.expect("a release");
    set_mode(&harness.folder(), 0o555);
    let error = worktrees.swept().await.expect_err("its folder is closed");
    assert!(crate::harness::chain(&error).contains(".gadugi-removed-1-a"), "{}", crate::harness::chain(&error));
    let rest = fs::read_dir(harness.folder().join(".gadugi-removed-1-a")).expect("it stays").count();
    assert_eq!(rest, 0, "what was in it is gone");
    set_mode(&harness.folder(), 0o755);
    worktrees.swept().await.expect("it is deleted");
    assert!(!harness.folder().exists());
}

#[tokio::test]
async fn folders_go_however_deep_they_lie_and_whoever_may_enter_them() {
    if is_above_permissions() {
        let test = "folders_go_however_deep_they_lie_and_whoever_may_enter_them";
        return run_without_privileges(&format!("sweeping::{test}"));
    }
    let harness = Harness::new();
    let aside = harness.folder().join(".gadugi-removed-1-a");
    fs::create_dir_all(&aside).expect("a folder");
    let close = |folder: &OwnedFd| rustix::fs::fchmod(folder, Mode::empty()).expect("permissions");
    let make_closed = |folder: &OwnedFd| {
        let closed = make_folder(folder, "closed");
        make_file(&closed, "file");
        close(&closed);
    };
    make_closed(&open_folder(&aside));
    let deepest = make_deep(&aside, 2500);
    make_closed(&deepest);
    close(&deepest);
    harness.worktrees.swept().await.expect("it is deleted");
    assert!(!aside.exists());
}

#[tokio::test]
async fn what_is_immutable_is_named_with_the_remedy_and_all_else_goes() {
    let harness = Harness::new();
    let aside = harness.folder().join(".gadugi-removed-1-a");
    for file in ["kept/file", "kept/other", "deep/er/file"] {
        fs::create_dir_all(aside.join(file).parent().expect("a folder")).expect("a folder");
        fs::write(aside.join(file), "x").expect("a file");
    }
    let file = aside.join("kept/file");
    let chattr = |flag: &str| {
        let output = std::process::Command::new("chattr").arg(flag).arg(&file).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !chattr("+i") {
        eprintln!("skipped: this user, or this file system, knows no immutable files");
        return;
    }
    let error = crate::harness::chain(&harness.worktrees.swept().await.expect_err("it cannot be deleted"));
    let left = (file.exists(), aside.join("kept/other").exists(), aside.join("deep").exists());
    assert!(chattr("-i"), "it stays otherwise");
    assert!(error.contains(&format!("{0}: it is immutable; `chattr -i {0}` first", file.display())), "{error}");
    assert_eq!(left, (true, false, false));
    harness.worktrees.swept().await.expect("it is deleted");
    assert!(!aside.exists());
}
