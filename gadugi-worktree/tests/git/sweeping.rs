//! Deleting in the background what was given back.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use gadugi_core::{WorktreeFate, Worktrees};
use gadugi_worktree::{GitWorktrees, WorktreeSettings, left_to_sweep, sweep_left};

use crate::aside::{is_above_permissions, run_without_privileges};
use crate::ground::{DELETE, Ground, KEEP, discover, write};

/// Worktrees of which nothing is deleted before somebody says so.
fn deferring(ground: &Ground) -> GitWorktrees {
    let repository = discover(ground.repo.path());
    let (base, folder) = (repository.head_commit().clone(), repository.default_worktrees_folder());
    let settings = WorktreeSettings::new(repository, base, folder);
    GitWorktrees::new(WorktreeSettings { defer_deletion: true, ..settings }).expect("a valid prefix")
}

fn left(ground: &Ground) -> (usize, bool) {
    left_to_sweep(&ground.repo.path().join(".git/gadugi"), &ground.folder()).expect("a number")
}

#[tokio::test]
async fn a_released_worktree_is_gone_at_once_and_its_room_is_given_back_when_somebody_waits_for_it() {
    let ground = Ground::new();
    let worktrees = deferring(&ground);
    let lease = ground.create("a").await;
    let fate = worktrees.release(&lease, DELETE).await.expect("a release").worktree;
    assert_eq!(fate, WorktreeFate::Removed);
    assert!(!lease.path.exists() && ground.listed().is_empty());
    assert_eq!(ground.branches(), ["main"]);
    assert_eq!(left(&ground), (1, false));
    // The name is free again while the old folder is still there.
    let again = ground.create("a").await;
    assert_eq!(again.path, lease.path);
    worktrees.swept().await.expect("it is deleted");
    assert_eq!(left(&ground), (0, false));
    assert!(again.path.join("src/lib.rs").exists());
}

#[tokio::test]
async fn what_a_process_leaves_another_one_deletes_while_nobody_else_does() {
    let ground = Ground::new();
    let worktrees = deferring(&ground);
    assert!(worktrees.leave_to_sweep().expect("an answer").is_none());
    for task in ["a", "b"] {
        let lease = ground.create(task).await;
        worktrees.release(&lease, KEEP).await.expect("a release");
    }
    let state = ground.repo.path().join(".git/gadugi");
    let given = worktrees.leave_to_sweep().expect("an answer").expect("something is left");
    assert_eq!(left(&ground), (2, true));
    assert!(worktrees.leave_to_sweep().expect("an answer").is_none(), "somebody is at it");
    // What comes meanwhile is found too.
    let lease = ground.create("c").await;
    worktrees.release(&lease, KEEP).await.expect("a release");
    sweep_left(&state, &given.lock, &given.folders).expect("it is deleted");
    assert_eq!(left(&ground), (0, false));
    assert!(!ground.folder().exists());
}

#[tokio::test]
async fn waiting_for_the_room_deletes_also_what_a_killed_process_has_left() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    crate::killed::kill_at(&ground, "release a", "release-entry-removed");
    assert!(!lease.path.exists());
    assert_eq!(left(&ground), (1, false));
    ground.worktrees.swept().await.expect("it is deleted");
    assert_eq!(left(&ground), (0, false));
}

#[tokio::test]
async fn very_many_and_very_deep_folders_are_deleted_and_what_links_lead_to_is_not() {
    let ground = Ground::new();
    let outside = ground.repo.root().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("file.txt"), "precious").expect("a file");
    let lease = ground.create("a").await;
    for number in 0..300 {
        write(&lease, &format!("target/{}/{number}/file.txt", number % 7), "x");
    }
    // Deeper than any path may be long, made from within.
    let script = "cd target && i=0 && while [ $i -lt 1500 ]; do mkdir deep && cd -P deep && i=$((i+1)) || exit 1; done; \
                  echo x > file; ln -s \"$1\" link";
    let shell =
        std::process::Command::new("sh").args(["-c", script, "sh"]).arg(&outside).current_dir(&lease.path).status();
    assert!(shell.expect("a shell").success());
    symlink(&outside, lease.path.join("target/link")).expect("a link");
    symlink("nowhere", lease.path.join("target/broken")).expect("a link");
    assert_eq!(ground.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert!(!ground.folder().exists());
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
    let ground = Ground::new();
    let worktrees = deferring(&ground);
    let lease = ground.create("a").await;
    worktrees.release(&lease, KEEP).await.expect("a release");
    set_mode(&ground.folder(), 0o555);
    let error = worktrees.swept().await.expect_err("its folder is closed");
    assert!(crate::ground::chain(&error).contains(".gadugi-removed-1-a"), "{}", crate::ground::chain(&error));
    let rest = fs::read_dir(ground.folder().join(".gadugi-removed-1-a")).expect("it stays").count();
    assert_eq!(rest, 0, "what was in it is gone");
    set_mode(&ground.folder(), 0o755);
    worktrees.swept().await.expect("it is deleted");
    assert!(!ground.folder().exists());
}

#[tokio::test]
async fn folders_go_however_deep_they_lie_and_whoever_may_enter_them() {
    if is_above_permissions() {
        let test = "folders_go_however_deep_they_lie_and_whoever_may_enter_them";
        return run_without_privileges(&format!("sweeping::{test}"));
    }
    let ground = Ground::new();
    let aside = ground.folder().join(".gadugi-removed-1-a");
    fs::create_dir_all(&aside).expect("a folder");
    let script = "close() { mkdir closed && echo x > closed/file && chmod 000 closed; }; close; i=0
        while [ $i -lt 2500 ]; do mkdir deep && cd -P deep && i=$((i+1)) || exit 1; done; close; chmod 000 .";
    let shell = std::process::Command::new("sh").args(["-c", script]).current_dir(&aside).status();
    assert!(shell.expect("a shell").success());
    ground.worktrees.swept().await.expect("it is deleted");
    assert!(!aside.exists());
}

#[tokio::test]
async fn what_is_immutable_is_named_with_the_remedy_and_all_else_goes() {
    let ground = Ground::new();
    let aside = ground.folder().join(".gadugi-removed-1-a");
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
    let error = crate::ground::chain(&ground.worktrees.swept().await.expect_err("it cannot be deleted"));
    let left = (file.exists(), aside.join("kept/other").exists(), aside.join("deep").exists());
    assert!(chattr("-i"), "it stays otherwise");
    assert!(error.contains(&format!("{0}: it is immutable; `chattr -i {0}` first", file.display())), "{error}");
    assert_eq!(left, (true, false, false));
    ground.worktrees.swept().await.expect("it is deleted");
    assert!(!aside.exists());
}
