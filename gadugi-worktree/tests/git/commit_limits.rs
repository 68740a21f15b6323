//! Commits of tasks that have more in them than can be looked at.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gadugi_core::Worktrees;
use gadugi_core::worktrees::{BranchRelease, KeepReason, Release, SnapshotRequest, WorktreeFate};

use crate::harness::{DELETE, DISCARD, Harness, branch, chain};
use crate::isolated::Isolated;
use crate::process::run_and_measure;

const MAX_MEMORY: u64 = 128 * 1024 * 1024;

/// Runs git, by a command that knows its repository, with an input.
fn ask(mut git: Command, args: &[&str], input: &str) -> String {
    let mut child = git.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git can be started");
    child.stdin.take().expect("an input").write_all(input.as_bytes()).expect("it is read");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("an id").trim().to_owned()
}

/// Makes a commit on `HEAD`: a folder with ten entries of these names in ten entries and so on, so many times.
fn nested(git: impl Fn() -> Command, levels: usize, name: &str) -> String {
    let mut below = format!("100644 blob {}", ask(git(), &["hash-object", "-w", "--stdin"], "file"));
    for _ in 0..levels {
        let entries: String = (0..10).map(|number| format!("{below}\t{name}{number}\n")).collect();
        below = format!("040000 tree {}", ask(git(), &["mktree"], &entries));
    }
    let tree = below.rsplit(' ').next().expect("an id").to_owned();
    ask(git(), &["commit-tree", "-p", "HEAD", "-m", "Many", &tree], "")
}

fn in_worktree(harness: &Harness, folder: &Path) -> impl Fn() -> Command {
    move || harness.repo.git_command(folder)
}

#[tokio::test]
async fn a_commit_with_more_files_than_can_be_counted_keeps_the_worktree_until_it_is_discarded() {
    let why = "more than 500000 files that its base has not";
    for levels in [6, 7, 10] {
        let harness = Harness::new();
        let lease = harness.create("a").await;
        let commit = nested(in_worktree(&harness, &lease.path), levels, "d");
        harness.git(&lease, &["update-ref", &format!("refs/heads/{}", branch(&lease)), &commit]);
        let (said, memory) = run_and_measure(harness.repo.path(), "fail-to-snapshot a");
        assert!(said.contains(why) && said.contains(&commit), "{said}");
        assert!(memory < MAX_MEMORY, "{memory}");
        let error = harness.worktrees.release(&lease, DELETE).await.expect_err("it is not looked at");
        assert!(chain(&error).contains(why), "{}", chain(&error));
        assert!(lease.path.join("src/lib.rs").exists());
        let Release { worktree, branch, dropped, .. } = harness.release(&lease, DISCARD).await;
        assert_eq!(worktree, WorktreeFate::Removed);
        assert!(matches!(branch, BranchRelease::Deleted { .. }), "{branch:?}");
        assert!(dropped[0].contains(why) && dropped[0].contains("/gadugi/trash/"), "{dropped:?}");
        let kept = harness.repo.git(&["for-each-ref", "--format=%(objectname)", "refs/gadugi/trash"]);
        assert_eq!(kept, commit);
        assert!(!lease.path.exists() && harness.listed().is_empty());
    }
}

#[tokio::test]
async fn a_commit_with_paths_that_no_system_has_keeps_the_worktree() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let mut below = format!("100644 blob {}", harness.git(&lease, &["hash-object", "-w", "src/lib.rs"]));
    for _ in 0..20 {
        let tree = ask(in_worktree(&harness, &lease.path)(), &["mktree"], &format!("{below}\t{}\n", "d".repeat(250)));
        below = format!("040000 tree {tree}");
    }
    let tree = below.rsplit(' ').next().expect("an id");
    let commit = harness.git(&lease, &["commit-tree", "-p", "HEAD", "-m", "Deep", tree]);
    harness.git(&lease, &["update-ref", &format!("refs/heads/{}", branch(&lease)), &commit]);
    let error = harness
        .worktrees
        .snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None })
        .await
        .expect_err("it is too deep");
    assert!(chain(&error).contains("paths that are longer than 4096 bytes"), "{}", chain(&error));
}

#[tokio::test]
async fn many_files_that_are_in_one_folder_many_times_are_counted_each_time_and_no_more_often() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let commit = nested(in_worktree(&harness, &lease.path), 4, "d");
    harness.git(&lease, &["reset", "-q", "--soft", &commit]);
    harness.git(&lease, &["read-tree", "HEAD"]);
    let work = harness.count(&lease).await;
    // The two that were there before are gone.
    assert_eq!((work.commits, work.files), (1, 10_002));
}

#[tokio::test]
async fn a_branch_that_is_too_large_to_be_compared_with_others_stays() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let commit = nested(in_worktree(&harness, &lease.path), 10, "d");
    harness.git(&lease, &["update-ref", &format!("refs/heads/{}", branch(&lease)), &commit]);
    fs::remove_dir_all(&lease.path).expect("the worktree goes");
    harness.repo.git(&["worktree", "prune"]);
    harness.repo.commit_file("other.txt", "other");
    let release = harness.release(&lease, DELETE).await;
    assert_eq!(release.branch, BranchRelease::Kept(KeepReason::Unmerged { commits: 1 }));
}

#[tokio::test]
async fn a_commit_of_an_isolated_task_with_more_files_than_can_be_counted_is_not_imported() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let git = || {
        let mut git = harness.repo.git_command(&task.lease.path);
        git.arg("--git-dir").arg(&task.git).arg("--work-tree").arg(&task.lease.path);
        git
    };
    let commit = nested(git, 10, "d");
    task.git(&harness, &["update-ref", &format!("refs/heads/{}", branch(&task.lease)), &commit]);
    let (said, memory) = run_and_measure(harness.repo.path(), "fail-to-import a");
    assert!(said.contains("more than 500000 files that its base has not"), "{said}");
    assert!(memory < MAX_MEMORY, "{memory}");
    assert_eq!(task.tip(&harness), task.base());
    assert!(task.lease.path.exists());
    let Release { worktree, dropped, .. } = harness.release(&task.lease, DISCARD).await;
    assert_eq!(worktree, WorktreeFate::Removed);
    assert!(dropped.iter().any(|what| what.starts_with(".git: ") && what.contains("500000")), "{dropped:?}");
}
