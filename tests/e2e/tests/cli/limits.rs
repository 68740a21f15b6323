//! Full disks and folders that cannot be written.

use std::path::Path;
use std::process::Command;

use gadugi_test_support::repo::TestRepo;
use gadugi_test_support::small_disk::SmallDisk;
use rustix::mount::MountFlags;

use crate::harness::{Answer, Harness};

fn git(folder: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "-c",
            "init.defaultBranch=main",
            "-c",
            "maintenance.auto=false",
        ])
        .args(args);
    assert!(command.current_dir(folder).status().expect("git starts").success(), "git {args:?}");
}

/// A repository on a disk of that size.
fn on_small_disk(size: &str) -> Option<(SmallDisk, std::path::PathBuf)> {
    let disk = SmallDisk::new(&format!("size={size}"))?;
    let repo = disk.path().join("repo");
    std::fs::create_dir(&repo).expect("a folder");
    git(&repo, &["init", "-q"]);
    std::fs::write(repo.join("file"), vec![b'x'; 100_000]).expect("a file");
    git(&repo, &["add", "file"]);
    git(&repo, &["commit", "-qm", "one"]);
    Some((disk, repo))
}

#[test]
fn a_disk_that_a_task_fills_loses_nothing_and_damages_nothing() {
    let Some((_disk, repo)) = on_small_disk("6m") else { return };
    let harness = Harness::of(TestRepo::new());
    let file = harness.script("fill", "echo kept > kept.txt; cat /dev/zero > big.bin || true; echo full");
    let answer: Answer = harness.command_in(&repo, &["run", &file]).output().expect("it starts").into();
    assert!(matches!(answer.code, Some(1 | 4)), "{:?}\n{}", answer.code, answer.err);
    assert!(answer.err.contains("error") || answer.out.contains("failed"), "{}{}", answer.out, answer.err);
    let worktree = repo.with_file_name("repo.gadugi").join("fill");
    assert_eq!(std::fs::read_to_string(worktree.join("kept.txt")).expect("it stays"), "kept\n");
    std::fs::remove_file(worktree.join("big.bin")).expect("there is room again");
    git(&repo, &["fsck", "--full"]);
    let answer: Answer = harness.command_in(&repo, &["ps", "--all"]).output().expect("it starts").into();
    assert!(answer.expect(0).out.contains("fill"));
    let file = harness.script("again", "echo again > again.txt");
    let answer: Answer = harness.command_in(&repo, &["run", &file]).output().expect("it starts").into();
    answer.expect(0);
}

#[test]
fn a_worktree_that_does_not_fit_is_a_failure_that_leaves_neither_branch_nor_folder() {
    let Some((_disk, repo)) = on_small_disk("1300k") else { return };
    std::fs::write(repo.join("filler"), vec![b'x'; 500_000]).expect("room so far");
    let harness = Harness::of(TestRepo::new());
    let file = harness.script("a", "true");
    std::fs::write(repo.join("large"), vec![b'y'; 150_000]).expect("room so far");
    git(&repo, &["add", "large"]);
    git(&repo, &["commit", "-qm", "two"]);
    let answer: Answer = harness.command_in(&repo, &["run", "--force", &file]).output().expect("it starts").into();
    assert!(matches!(answer.code, Some(1 | 4)), "{:?}\n{}", answer.code, answer.err);
    let branches = Command::new("git").args(["for-each-ref", "refs/heads/gadugi"]).current_dir(&repo).output();
    assert!(branches.expect("git starts").stdout.is_empty(), "a branch was left behind");
    assert!(!repo.with_file_name("repo.gadugi").join("a").exists(), "a folder was left behind");
    git(&repo, &["fsck", "--full"]);
}

#[test]
fn a_read_only_repository_is_refused_before_anything_is_started() {
    let Some((disk, repo)) = on_small_disk("6m") else { return };
    let flags = MountFlags::from_bits_retain(rustix::mount::MountFlags::RDONLY.bits());
    // A file that another test has just inherited and not closed yet keeps the disk busy for a moment.
    while rustix::mount::mount_remount(disk.path(), flags, c"") == Err(rustix::io::Errno::BUSY) {
        std::thread::yield_now();
    }
    let harness = Harness::of(TestRepo::new());
    let file = harness.script("a", "true");
    let answer: Answer = harness.command_in(&repo, &["run", &file]).output().expect("it starts").into();
    answer.expect(3).says(&["error: ", "hint: "]);
    let answer: Answer = harness.command_in(&repo, &["ps"]).output().expect("it starts").into();
    answer.expect(0);
}
