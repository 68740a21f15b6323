//! Worktrees whose folders are hard to delete, and what is left of them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use gadugi_core::Worktrees;
use gadugi_core::worktrees::WorktreeFate;

use crate::harness::{DELETE, Harness, KEEP, write};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

/// Whether permissions mean nothing to this process, as for root.
pub(crate) fn is_above_permissions() -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    set_mode(folder.path(), 0o555);
    let is_above = fs::write(folder.path().join("file"), "").is_ok();
    set_mode(folder.path(), 0o755);
    is_above
}

/// Runs one test of this program again, as a process that permissions bind.
pub(crate) fn run_without_privileges(test: &str) {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(program).args(["--exact", test]);
    let output = command.output().expect("root needs setpriv for this test");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn folders_that_are_not_writable_go_with_the_worktree_and_links_out_of_it_are_not_followed() {
    if is_above_permissions() {
        let test = "folders_that_are_not_writable_go_with_the_worktree_and_links_out_of_it_are_not_followed";
        return run_without_privileges(&format!("aside::{test}"));
    }
    let harness = Harness::new();
    let outside = harness.repo.root().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("file.txt"), "precious").expect("a file");
    set_mode(&outside, 0o555);
    let lease = harness.create("a").await;
    write(&lease, "d/inner/w.txt", "w");
    write(&lease, "m.txt", "m");
    symlink(&outside, lease.path.join("d/link")).expect("a link");
    for folder in ["d/inner", "d", ""] {
        set_mode(&lease.path.join(folder), 0o555);
    }
    harness.commit(&lease).await;
    let fate = harness.release(&lease, KEEP).await.worktree;
    assert_eq!(fate, WorktreeFate::Removed);
    assert!(!harness.folder().exists(), "something of the worktree is left");
    assert_eq!(fs::metadata(&outside).expect("the folder").permissions().mode() & 0o777, 0o555);
    assert_eq!(fs::read_to_string(outside.join("file.txt")).expect("the file"), "precious");
    harness.assert_sound();
    set_mode(&outside, 0o755);
}

#[tokio::test]
async fn the_folder_of_worktrees_goes_with_the_last_of_them() {
    let harness = Harness::new();
    let (a, b) = (harness.create("a").await, harness.create("b").await);
    harness.release(&a, DELETE).await;
    assert!(harness.folder().exists());
    harness.release(&b, DELETE).await;
    assert!(!harness.folder().exists());
}

#[tokio::test]
async fn what_is_left_of_a_deletion_that_was_cut_short_is_deleted_later() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let folder = harness.folder();
    // As it is when the process is killed after the renaming.
    fs::write(harness.repo.path().join(".git/worktrees/a/gadugi-removing"), "").expect("a note");
    fs::rename(&lease.path, folder.join(".gadugi-removed-1-a")).expect("a new name");
    fs::create_dir(folder.join(".mine")).expect("a folder of somebody's");
    assert_eq!(harness.worktrees.prune(true).await.expect("a list").len(), 1);
    assert!(folder.join(".gadugi-removed-1-a").exists());
    assert_eq!(harness.worktrees.prune(false).await.expect("a list").len(), 1);
    harness.worktrees.swept().await.expect("it is deleted");
    assert!(!folder.join(".gadugi-removed-1-a").exists());
    assert!(folder.join(".mine").exists());
    assert!(harness.listed().is_empty());
}
