//! Files that a task leaves behind are never run, and lead nowhere.

use std::fs;
use std::path::{Path, PathBuf};

use gadugi_core::worktrees::{KeepReason, SnapshotRequest, WorktreeFate};
use gadugi_core::{Lease, Worktrees};

use crate::harness::{DISCARD, Harness, KEEP, RUN, branch, chain, write};

/// A program that leaves a trace when it is run.
pub(crate) fn canary(harness: &Harness) -> (String, PathBuf) {
    let trace = harness.repo.root().join("canary-sang");
    let program = harness.repo.root().join("canary");
    fs::write(&program, format!("#!/bin/sh\ntouch '{}'\ncat\n", trace.display())).expect("a program");
    make_executable(&program);
    (program.to_string_lossy().into_owned(), trace)
}

pub(crate) fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// Makes a repository in a folder whose configuration runs the canary as often as it can.
pub(crate) fn trap(harness: &Harness, folder: &Path, program: &str) {
    fs::create_dir_all(folder).expect("a folder");
    harness.repo.git_in(folder, &["init", "-q"]);
    harness.repo.git_in(folder, &["commit", "-q", "--allow-empty", "-m", "Begin"]);
    for key in ["core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "diff.external"] {
        harness.repo.git_in(folder, &["config", key, program]);
    }
    fs::write(folder.join(".gitattributes"), "* filter=trap\n").expect("attributes");
    fs::write(folder.join("file.txt"), "text\n").expect("a file");
}

async fn collect_and_release(harness: &Harness, lease: &Lease) -> WorktreeFate {
    harness.commit(lease).await;
    harness.release(lease, KEEP).await.worktree
}

#[tokio::test]
async fn a_repository_in_place_of_the_git_file_is_not_used_and_its_files_are_committed() {
    let harness = Harness::new();
    let (program, trace) = canary(&harness);
    let lease = harness.create("a").await;
    fs::remove_file(lease.path.join(".git")).expect("the .git file goes");
    trap(&harness, &lease.path, &program);
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (1, 2, 0));
    assert_eq!(work.tip.expect("a tip").as_str(), harness.repo.git(&["rev-parse", branch(&lease)]));
    let release = harness.release(&lease, KEEP).await;
    assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::GitFileReplaced]));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_git_file_that_leads_elsewhere_is_not_followed() {
    let harness = Harness::new();
    let (program, trace) = canary(&harness);
    let lease = harness.create("a").await;
    let elsewhere = harness.repo.root().join("elsewhere");
    trap(&harness, &elsewhere, &program);
    write(&lease, ".git", format!("gitdir: {}\n", elsewhere.join(".git").display()));
    write(&lease, "a.txt", "a");
    assert_eq!(harness.commit(&lease).await.files, 1);
    let release = harness.release(&lease, KEEP).await;
    assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::GitFileReplaced]));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_worktree_without_its_git_file_is_collected_and_kept() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    fs::remove_file(lease.path.join(".git")).expect("the .git file goes");
    write(&lease, "a.txt", "a");
    assert_eq!(collect_and_release(&harness, &lease).await, WorktreeFate::Kept(vec![KeepReason::GitFileReplaced]));
}

#[tokio::test]
async fn a_nested_repository_is_neither_entered_nor_committed_and_keeps_the_worktree() {
    let harness = Harness::new();
    let (program, trace) = canary(&harness);
    let lease = harness.create("a").await;
    trap(&harness, &lease.path.join("vendor/nested"), &program);
    write(&lease, "a.txt", "a");
    let work = harness.commit(&lease).await;
    assert_eq!((work.files, work.uncommitted), (1, 1));
    assert_eq!(harness.git(&lease, &["ls-tree", "-r", "--name-only", "HEAD", "vendor"]), "");
    let fate = harness.release(&lease, KEEP).await.worktree;
    assert_eq!(fate, WorktreeFate::Kept(vec![KeepReason::Uncommitted { files: 1 }]));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_nested_repository_that_the_task_committed_is_not_entered_either() {
    let harness = Harness::new();
    let (program, trace) = canary(&harness);
    let lease = harness.create("a").await;
    trap(&harness, &lease.path.join("nested"), &program);
    write(&lease, ".gitmodules", "[submodule \"nested\"]\n\tpath = nested\n\turl = ./nested\n");
    harness.git(&lease, &["-c", "advice.addEmbeddedRepo=false", "add", "."]);
    harness.git(&lease, &["commit", "-q", "-m", "With a nested repository"]);
    fs::remove_file(&trace).ok();
    fs::write(lease.path.join("nested/file.txt"), "changed\n").expect("a file");
    write(&lease, "a.txt", "a");
    assert_eq!(harness.commit(&lease).await.uncommitted, 0);
    let fate = harness.release(&lease, KEEP).await.worktree;
    assert_eq!(fate, WorktreeFate::Kept(vec![KeepReason::Submodule { path: "nested".into() }]));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn neither_hooks_nor_the_file_system_monitor_of_the_user_run() {
    let harness = Harness::new();
    let (program, trace) = canary(&harness);
    let lease = harness.create("a").await;
    harness.repo.git(&["config", "core.fsmonitor", &program]);
    let hooks = harness.repo.path().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("a folder");
    for hook in ["pre-commit", "post-commit", "commit-msg", "reference-transaction", "post-index-change", "pre-auto-gc"]
    {
        fs::copy(&program, hooks.join(hook)).expect("a hook");
    }
    write(&lease, "a.txt", "a");
    assert_eq!(collect_and_release(&harness, &lease).await, WorktreeFate::Removed);
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn gits_own_files_of_the_worktree_cannot_lead_to_another_repository() {
    let harness = Harness::new();
    let (program, trace) = canary(&harness);
    let lease = harness.create("a").await;
    let elsewhere = harness.repo.root().join("elsewhere");
    trap(&harness, &elsewhere, &program);
    let shared = harness.repo.path().join(".git/worktrees/a/commondir");
    fs::write(&shared, format!("{}\n", elsewhere.join(".git").display())).expect("a redirection");
    let error = harness.worktrees.snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None }).await;
    let error = error.expect_err("it leads to another repository");
    assert!(chain(&error).contains("leads to"), "{}", chain(&error));
    let refused = harness.worktrees.release(&lease, KEEP).await;
    refused.expect_err("it leads to another repository");
    assert!(lease.path.join("src/lib.rs").exists());
    let discarded = harness.release(&lease, DISCARD).await;
    assert!(discarded.dropped[0].contains("leads to"), "{:?}", discarded.dropped);
    let trash = harness.repo.path().join(format!(".git/gadugi/trash/{RUN}-a-1-worktree"));
    assert!(trash.join("src/lib.rs").exists() && elsewhere.join(".git").exists());
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_worktree_replaced_by_a_link_is_refused() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let home = harness.repo.root().join("precious");
    fs::rename(&lease.path, &home).expect("a rename");
    std::os::unix::fs::symlink(&home, &lease.path).expect("a symbolic link");
    harness
        .worktrees
        .snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None })
        .await
        .expect_err("it is a link");
    harness.worktrees.release(&lease, DISCARD).await.expect_err("it is a link");
    assert!(home.join("src/lib.rs").exists());
}

#[tokio::test]
async fn links_in_a_worktree_are_removed_without_what_they_lead_to() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let precious = harness.repo.root().join("precious");
    fs::create_dir(&precious).expect("a folder");
    fs::write(precious.join("file"), "precious").expect("a file");
    std::os::unix::fs::symlink(&precious, lease.path.join("link")).expect("a symbolic link");
    assert_eq!(collect_and_release(&harness, &lease).await, WorktreeFate::Removed);
    assert_eq!(fs::read_to_string(precious.join("file")).expect("a file"), "precious");
}

#[tokio::test]
async fn a_broken_list_of_submodules_does_not_hinder_the_snapshot() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, ".gitmodules", "[submodule \"x\"\n\0broken");
    write(&lease, ".gitattributes", "\u{0}\u{1}[attr\n* =broken\n");
    assert_eq!(harness.commit(&lease).await.files, 2);
}
