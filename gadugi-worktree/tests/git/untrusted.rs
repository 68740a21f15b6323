//! What a task leaves behind is never run and leads nowhere else.

use std::fs;
use std::path::{Path, PathBuf};

use gadugi_core::{KeepReason, Lease, SnapshotRequest, WorktreeFate, Worktrees};

use crate::ground::{DISCARD, Ground, KEEP, RUN, branch, chain, write};

/// A program that leaves a trace when it is run.
pub(crate) fn canary(ground: &Ground) -> (String, PathBuf) {
    let trace = ground.repo.root().join("canary-sang");
    let program = ground.repo.root().join("canary");
    fs::write(&program, format!("#!/bin/sh\ntouch '{}'\ncat\n", trace.display())).expect("a program");
    make_executable(&program);
    (program.to_string_lossy().into_owned(), trace)
}

pub(crate) fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// Makes a repository in a folder whose configuration runs the canary as often as it can.
pub(crate) fn trap(ground: &Ground, folder: &Path, program: &str) {
    fs::create_dir_all(folder).expect("a folder");
    ground.repo.git_in(folder, &["init", "-q"]);
    ground.repo.git_in(folder, &["commit", "-q", "--allow-empty", "-m", "Begin"]);
    for key in ["core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "diff.external"] {
        ground.repo.git_in(folder, &["config", key, program]);
    }
    fs::write(folder.join(".gitattributes"), "* filter=trap\n").expect("attributes");
    fs::write(folder.join("file.txt"), "text\n").expect("a file");
}

async fn collect_and_release(ground: &Ground, lease: &Lease) -> WorktreeFate {
    ground.commit(lease).await;
    ground.release(lease, KEEP).await.worktree
}

#[tokio::test]
async fn a_repository_in_place_of_the_git_file_is_not_used_and_its_files_are_committed() {
    let ground = Ground::new();
    let (program, trace) = canary(&ground);
    let lease = ground.create("a").await;
    fs::remove_file(lease.path.join(".git")).expect("the .git file goes");
    trap(&ground, &lease.path, &program);
    let work = ground.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (1, 2, 0));
    assert_eq!(work.tip.expect("a tip").as_str(), ground.repo.git(&["rev-parse", branch(&lease)]));
    let release = ground.release(&lease, KEEP).await;
    assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::GitFileReplaced]));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_git_file_that_leads_elsewhere_is_not_followed() {
    let ground = Ground::new();
    let (program, trace) = canary(&ground);
    let lease = ground.create("a").await;
    let elsewhere = ground.repo.root().join("elsewhere");
    trap(&ground, &elsewhere, &program);
    write(&lease, ".git", format!("gitdir: {}\n", elsewhere.join(".git").display()));
    write(&lease, "a.txt", "a");
    assert_eq!(ground.commit(&lease).await.files, 1);
    let release = ground.release(&lease, KEEP).await;
    assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::GitFileReplaced]));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_worktree_without_its_git_file_is_collected_and_kept() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    fs::remove_file(lease.path.join(".git")).expect("the .git file goes");
    write(&lease, "a.txt", "a");
    assert_eq!(collect_and_release(&ground, &lease).await, WorktreeFate::Kept(vec![KeepReason::GitFileReplaced]));
}

#[tokio::test]
async fn a_nested_repository_is_neither_entered_nor_committed_and_keeps_the_worktree() {
    let ground = Ground::new();
    let (program, trace) = canary(&ground);
    let lease = ground.create("a").await;
    trap(&ground, &lease.path.join("vendor/nested"), &program);
    write(&lease, "a.txt", "a");
    let work = ground.commit(&lease).await;
    assert_eq!((work.files, work.uncommitted), (1, 1));
    assert_eq!(ground.git(&lease, &["ls-tree", "-r", "--name-only", "HEAD", "vendor"]), "");
    let fate = ground.release(&lease, KEEP).await.worktree;
    assert_eq!(fate, WorktreeFate::Kept(vec![KeepReason::Uncommitted { files: 1 }]));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_nested_repository_that_the_task_committed_is_not_entered_either() {
    let ground = Ground::new();
    let (program, trace) = canary(&ground);
    let lease = ground.create("a").await;
    trap(&ground, &lease.path.join("nested"), &program);
    write(&lease, ".gitmodules", "[submodule \"nested\"]\n\tpath = nested\n\turl = ./nested\n");
    ground.git(&lease, &["-c", "advice.addEmbeddedRepo=false", "add", "."]);
    ground.git(&lease, &["commit", "-q", "-m", "With a nested repository"]);
    fs::remove_file(&trace).ok();
    fs::write(lease.path.join("nested/file.txt"), "changed\n").expect("a file");
    write(&lease, "a.txt", "a");
    assert_eq!(ground.commit(&lease).await.uncommitted, 0);
    let fate = ground.release(&lease, KEEP).await.worktree;
    assert_eq!(fate, WorktreeFate::Kept(vec![KeepReason::Submodule { path: "nested".into() }]));
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn neither_hooks_nor_the_file_system_monitor_of_the_user_run() {
    let ground = Ground::new();
    let (program, trace) = canary(&ground);
    let lease = ground.create("a").await;
    ground.repo.git(&["config", "core.fsmonitor", &program]);
    let hooks = ground.repo.path().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("a folder");
    for hook in ["pre-commit", "post-commit", "commit-msg", "reference-transaction", "post-index-change", "pre-auto-gc"]
    {
        fs::copy(&program, hooks.join(hook)).expect("a hook");
    }
    write(&lease, "a.txt", "a");
    assert_eq!(collect_and_release(&ground, &lease).await, WorktreeFate::Removed);
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn gits_own_files_of_the_worktree_cannot_lead_to_another_repository() {
    let ground = Ground::new();
    let (program, trace) = canary(&ground);
    let lease = ground.create("a").await;
    let elsewhere = ground.repo.root().join("elsewhere");
    trap(&ground, &elsewhere, &program);
    let shared = ground.repo.path().join(".git/worktrees/a/commondir");
    fs::write(&shared, format!("{}\n", elsewhere.join(".git").display())).expect("a redirection");
    let error = ground.worktrees.snapshot(&lease, SnapshotRequest { commit: true, since: None }).await;
    let error = error.expect_err("it leads to another repository");
    assert!(chain(&error).contains("leads to"), "{}", chain(&error));
    let refused = ground.worktrees.release(&lease, KEEP).await;
    refused.expect_err("it leads to another repository");
    assert!(lease.path.join("src/lib.rs").exists());
    let discarded = ground.release(&lease, DISCARD).await;
    assert!(discarded.dropped[0].contains("leads to"), "{:?}", discarded.dropped);
    let trash = ground.repo.path().join(format!(".git/gadugi/trash/{RUN}-a-1-worktree"));
    assert!(trash.join("src/lib.rs").exists() && elsewhere.join(".git").exists());
    assert!(!trace.exists(), "the canary was run");
}

#[tokio::test]
async fn a_worktree_replaced_by_a_link_is_refused() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    let home = ground.repo.root().join("precious");
    fs::rename(&lease.path, &home).expect("a rename");
    std::os::unix::fs::symlink(&home, &lease.path).expect("a symbolic link");
    ground.worktrees.snapshot(&lease, SnapshotRequest { commit: true, since: None }).await.expect_err("it is a link");
    ground.worktrees.release(&lease, DISCARD).await.expect_err("it is a link");
    assert!(home.join("src/lib.rs").exists());
}

#[tokio::test]
async fn links_in_a_worktree_are_removed_without_what_they_lead_to() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    let precious = ground.repo.root().join("precious");
    fs::create_dir(&precious).expect("a folder");
    fs::write(precious.join("file"), "precious").expect("a file");
    std::os::unix::fs::symlink(&precious, lease.path.join("link")).expect("a symbolic link");
    assert_eq!(collect_and_release(&ground, &lease).await, WorktreeFate::Removed);
    assert_eq!(fs::read_to_string(precious.join("file")).expect("a file"), "precious");
}

#[tokio::test]
async fn a_broken_list_of_submodules_does_not_hinder_the_snapshot() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    write(&lease, ".gitmodules", "[submodule \"x\"\n\0broken");
    write(&lease, ".gitattributes", "\u{0}\u{1}[attr\n* =broken\n");
    assert_eq!(ground.commit(&lease).await.files, 2);
}
