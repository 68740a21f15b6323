//! Worktrees in which a task has mounted something.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gadugi_core::worktrees::{BranchRelease, KeepReason, Pruned, ReleaseRequest, WorktreeFate};
use gadugi_core::{Lease, Worktrees};

use crate::harness::{DELETE, DISCARD, Harness, KEEP, chain, write};
use crate::process::has_own_mounts;

fn run(program: &str, args: &[&Path]) {
    let status = Command::new(program).args(args).status().expect("it can be started");
    assert!(status.success(), "{program} {args:?}");
}

fn bind(from: &Path, to: &Path) {
    run("mount", &[Path::new("--bind"), from, to]);
}

/// A folder of the user's, on the disk of the worktrees.
fn precious(harness: &Harness) -> PathBuf {
    let folder = harness.repo.root().join("precious");
    fs::create_dir_all(folder.join("sub")).expect("a folder");
    for file in ["file.txt", "sub/file.txt"] {
        fs::write(folder.join(file), "precious").expect("a file");
    }
    folder
}

fn assert_whole(precious: &Path) {
    for file in ["file.txt", "sub/file.txt"] {
        assert_eq!(fs::read_to_string(precious.join(file)).expect("it is there"), "precious");
    }
}

/// Mounts something in the ignored folder of a worktree, and tells where.
type Mount = fn(&Path, &Path) -> PathBuf;

const MOUNTS: [(&str, Mount); 6] = [
    ("a folder", |precious, target| {
        bind(precious, &target.join("m"));
        target.join("m")
    }),
    ("a file", |precious, target| {
        bind(&precious.join("file.txt"), &target.join("f"));
        target.join("f")
    }),
    ("a folder in a mounted folder", |precious, target| {
        bind(&precious.join("sub"), &target.join("m"));
        bind(precious, &target.join("m"));
        bind(&precious.join("sub"), &target.join("m/sub"));
        target.join("m")
    }),
    ("a folder with a space in its name", |precious, target| {
        bind(precious, &target.join("with a\\tspace"));
        target.join("with a\\tspace")
    }),
    ("a disk in memory", |_, target| {
        run(
            "mount",
            &["-t", "tmpfs", "none"].map(Path::new).into_iter().chain([&*target.join("m")]).collect::<Vec<_>>(),
        );
        target.join("m")
    }),
    ("a link's folder", |precious, target| {
        std::os::unix::fs::symlink("m", target.join("link")).expect("a link");
        bind(precious, &target.join("link"));
        target.join("m")
    }),
];

/// A worktree with a mount in it.
async fn with_mount(harness: &Harness, task: &str, mount: Mount) -> (Lease, PathBuf) {
    let lease = harness.create(task).await;
    for file in ["target/f", "target/m/file.txt", "target/with a\\tspace/file.txt"] {
        write(&lease, file, "the task's");
    }
    let point = mount(&precious(harness), &lease.path.join("target"));
    (lease, point)
}

#[tokio::test]
async fn a_worktree_in_which_something_is_mounted_stays_and_says_where_and_goes_when_it_is_not_any_more() {
    let test = "a_worktree_in_which_something_is_mounted_stays_and_says_where_and_goes_when_it_is_not_any_more";
    if !has_own_mounts(&format!("mounted::{test}")) {
        return;
    }
    let harness = Harness::new();
    for (what, mount) in MOUNTS {
        let (lease, point) = with_mount(&harness, "a", mount).await;
        for request in [KEEP, DELETE, DISCARD, ReleaseRequest { dry_run: true, ..DISCARD }] {
            let released = harness.release(&lease, request).await;
            let kept = WorktreeFate::Kept(vec![KeepReason::Mounted { path: point.clone() }]);
            assert_eq!(released.worktree, kept, "{what}");
            assert!(matches!(released.branch, BranchRelease::Kept(_)), "{what}");
        }
        assert!(lease.path.join("src/lib.rs").exists(), "{what}");
        assert_whole(&precious(&harness));
        while harness.release(&lease, DELETE).await.worktree != WorktreeFate::Removed {
            run("umount", &[Path::new("-R"), &point]);
        }
        assert!(!lease.path.exists(), "{what}");
        assert_whole(&precious(&harness));
    }
}

#[tokio::test]
async fn a_folder_that_git_does_not_know_any_more_stays_while_something_is_mounted_in_it() {
    let test = "a_folder_that_git_does_not_know_any_more_stays_while_something_is_mounted_in_it";
    if !has_own_mounts(&format!("mounted::{test}")) {
        return;
    }
    let harness = Harness::new();
    let (lease, point) = with_mount(&harness, "a", MOUNTS[0].1).await;
    fs::remove_dir_all(harness.repo.path().join(".git/worktrees/a")).expect("its entry goes");
    let pruned = harness.worktrees.prune(false).await.expect("a list");
    let why = format!("something is mounted at {}; `umount {}` first", point.display(), point.display());
    assert_eq!(pruned, [Pruned::StrayKept { path: lease.path.clone(), why }]);
    assert_whole(&precious(&harness));
    run("umount", &[Path::new("-R"), &point]);
    assert!(matches!(harness.worktrees.prune(false).await.expect("a list")[..], [Pruned::Stray { .. }]));
    assert!(!lease.path.exists());
}

#[tokio::test]
async fn what_is_mounted_in_a_folder_that_is_about_to_be_deleted_is_not_deleted_and_all_else_is() {
    let test = "what_is_mounted_in_a_folder_that_is_about_to_be_deleted_is_not_deleted_and_all_else_is";
    if !has_own_mounts(&format!("mounted::{test}")) {
        return;
    }
    for (what, mount) in MOUNTS {
        let harness = Harness::new();
        let aside = harness.folder().join(".gadugi-removed-1-a");
        for file in ["target/f", "target/m/sub/file.txt", "target/with a\\tspace/file.txt", "deep/er/file.txt"] {
            fs::create_dir_all(aside.join(file).parent().expect("a folder")).expect("a folder");
            fs::write(aside.join(file), "of a worktree").expect("a file");
        }
        let point = mount(&precious(&harness), &aside.join("target"));
        let error = chain(&harness.worktrees.swept().await.expect_err("not all can be deleted"));
        let named = format!("something is mounted at {}; `umount", point.display());
        assert!(error.contains(&named), "{what}: {error}");
        assert_whole(&precious(&harness));
        assert!(!aside.join("deep").exists(), "{what}");
        while harness.worktrees.swept().await.is_err() {
            run("umount", &[Path::new("-R"), &point]);
        }
        assert!(!aside.exists(), "{what}");
        assert_whole(&precious(&harness));
    }
}
