use std::fs;
use std::process::Command;

use gadugi_core::worktrees::{Elsewhere, SnapshotRequest, Work, WorktreeError};
use gadugi_core::{AttemptNo, Lease, Worktrees};

use crate::harness::{Harness, RUN, branch, chain, commit_id, request, worktrees_of, write};

const COMMIT: SnapshotRequest = SnapshotRequest { commit: true, subject: None, since: None };

fn status(harness: &Harness, lease: &Lease) -> String {
    harness.git(lease, &["status", "--porcelain"])
}

#[tokio::test]
async fn uncommitted_and_untracked_files_become_one_commit_that_names_run_and_task() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "src/lib.rs", "pub fn two() {}\n");
    write(&lease, "docs/new file.md", "new\n");
    write(&lease, "target/ignored.o", "ignored");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (1, 2, 0));
    assert_eq!(work.tip, Some(commit_id(&harness.repo.git(&["rev-parse", branch(&lease)]))));
    let message = harness.git(&lease, &["log", "-1", "--format=%B"]);
    assert_eq!(message.trim(), format!("Work of fix\n\nGadugi-Run: {RUN}\nGadugi-Task: fix"));
    assert_eq!(harness.git(&lease, &["log", "-1", "--format=%(trailers:key=Gadugi-Task,valueonly)"]).trim(), "fix");
    assert_eq!(harness.git(&lease, &["show", "--format=", "--name-status"]), "A\tdocs/new file.md\nM\tsrc/lib.rs");
    assert_eq!(status(&harness, &lease), "");
    assert_eq!(harness.git(&lease, &["show", "HEAD:docs/new file.md"]), "new");
    harness.assert_sound();
}

#[tokio::test]
async fn commits_of_the_task_are_counted_with_the_one_that_is_added() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    for number in 0..3 {
        write(&lease, "counter.txt", number.to_string());
        harness.git(&lease, &["add", "."]);
        harness.git(&lease, &["commit", "-q", "-m", "By the task"]);
    }
    write(&lease, "rest.txt", "rest");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (4, 2, 0));
}

#[tokio::test]
async fn a_task_that_changes_nothing_has_no_work() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (0, 0, 0));
    assert_eq!(work.tip, lease.base);
}

#[tokio::test]
async fn a_second_snapshot_adds_nothing() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "a.txt", "a");
    let first = harness.commit(&lease).await;
    assert_eq!(harness.commit(&lease).await, first);
}

#[tokio::test]
async fn counting_commits_nothing() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "src/lib.rs", "changed");
    write(&lease, "a.txt", "a");
    fs::create_dir(lease.path.join("empty")).expect("a folder");
    let before = (status(&harness, &lease), harness.git(&lease, &["rev-parse", "HEAD"]));
    let work = harness.count(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (0, 0, 2));
    assert_eq!((status(&harness, &lease), harness.git(&lease, &["rev-parse", "HEAD"])), before);
}

#[tokio::test]
async fn files_that_look_like_secrets_are_left_out_and_named_unless_they_are_tracked() {
    let harness = Harness::new();
    harness.repo.commit_file("config/.env.test", "TRACKED=1\n");
    let harness = Harness::on(harness.repo);
    let lease = harness.create("fix").await;
    write(&lease, ".env", "TOKEN=x\n");
    write(&lease, "keys/server.pem", "key\n");
    write(&lease, "config/.env.test", "TRACKED=2\n");
    write(&lease, "a.txt", "a\n");
    let work = harness.commit(&lease).await;
    assert_eq!((work.files, work.uncommitted), (2, 2));
    assert_eq!(work.left_out, [".env", "keys/server.pem"]);
    assert_eq!(status(&harness, &lease), "?? .env\n?? keys/");
    assert_eq!(harness.git(&lease, &["show", "HEAD:config/.env.test"]), "TRACKED=2");
}

#[tokio::test]
async fn secrets_that_are_staged_or_announced_are_left_out_as_well_unless_the_task_has_committed_them() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "own.pem", "committed by the task");
    harness.git(&lease, &["add", "own.pem"]);
    harness.git(&lease, &["commit", "-q", "-m", "By the task"]);
    write(&lease, "own.pem", "and changed");
    for name in [".env", "staged.key", "announced.pem", "changed.key", "gone.key", "a.txt"] {
        write(&lease, name, "TOKEN=x\n");
    }
    harness.git(&lease, &["add", ".env", "staged.key", "changed.key", "gone.key", "a.txt", "own.pem"]);
    harness.git(&lease, &["add", "-N", "announced.pem"]);
    write(&lease, "changed.key", "changed since\n");
    fs::remove_file(lease.path.join("gone.key")).expect("it goes");
    let before = status(&harness, &lease);
    assert!(before.contains("A  .env"), "{before}");
    let work = harness.commit(&lease).await;
    assert_eq!(work.left_out, [".env", "announced.pem", "changed.key", "staged.key"]);
    assert_eq!((work.commits, work.files, work.uncommitted), (2, 2, 4));
    assert_eq!(harness.git(&lease, &["show", "--format=", "--name-only"]), "a.txt\nown.pem");
    assert_eq!(status(&harness, &lease), "A  .env\n A announced.pem\nAM changed.key\nA  staged.key");
    let release = harness.release(&lease, crate::harness::KEEP).await;
    assert!(matches!(release.worktree, gadugi_core::worktrees::WorktreeFate::Kept(_)), "{release:?}");
    let release = harness.release(&lease, crate::harness::DISCARD).await;
    assert_eq!(release.dropped, [".env", "announced.pem", "changed.key", "staged.key"]);
}

#[tokio::test]
async fn only_secrets_make_no_commit() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, ".env", "TOKEN=x\n");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.uncommitted, work.tip), (0, 1, lease.base));
}

#[tokio::test]
async fn changes_that_are_hidden_from_git_status_are_committed() {
    let harness = Harness::new();
    harness.repo.commit_file("b.txt", "b");
    let harness = Harness::on(harness.repo);
    let lease = harness.create("fix").await;
    write(&lease, "src/lib.rs", "hidden change\n");
    write(&lease, "b.txt", "hidden too");
    harness.git(&lease, &["update-index", "--assume-unchanged", "src/lib.rs"]);
    harness.git(&lease, &["update-index", "--skip-worktree", "b.txt"]);
    assert_eq!(status(&harness, &lease), "");
    assert_eq!(harness.commit(&lease).await.files, 2);
    assert_eq!(harness.git(&lease, &["show", "HEAD:src/lib.rs"]), "hidden change");
}

#[tokio::test]
async fn a_merge_that_the_task_has_not_finished_is_not_committed() {
    let harness = Harness::new();
    let (_, other) = harness.done("other", "src/lib.rs", "theirs\n").await;
    let lease = harness.create("fix").await;
    write(&lease, "src/lib.rs", "ours\n");
    harness.git(&lease, &["commit", "-q", "-a", "-m", "Ours"]);
    let merge = harness.repo.try_git_in(&lease.path, &["merge", "-q", other.tip.as_str()]);
    assert!(!merge.status.success());
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.uncommitted), (1, 1));
    assert_eq!(status(&harness, &lease), "UU src/lib.rs");
}

#[tokio::test]
async fn conflicts_that_no_operation_belongs_to_are_committed_as_they_are_in_the_files() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "src/lib.rs", "stashed\n");
    harness.git(&lease, &["stash", "-q"]);
    write(&lease, "src/lib.rs", "committed\n");
    harness.git(&lease, &["commit", "-q", "-a", "-m", "Committed"]);
    let pop = harness.repo.try_git_in(&lease.path, &["stash", "pop", "-q"]);
    assert!(!pop.status.success());
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.uncommitted), (2, 0));
    assert!(harness.git(&lease, &["show", "HEAD:src/lib.rs"]).contains("<<<<<<<"));
    assert_eq!(status(&harness, &lease), "");
}

#[tokio::test]
async fn a_locked_index_is_an_error_that_names_the_lock_while_somebody_holds_it_and_changes_nothing() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "a.txt", "a");
    let lock = harness.repo.path().join(".git/worktrees/fix/index.lock");
    let held = fs::File::create_new(&lock).expect("a lock");
    let error = harness.worktrees.snapshot(&lease, COMMIT).await.expect_err("the index is locked");
    assert!(matches!(error, WorktreeError::Snapshot { .. }));
    assert!(chain(&error).contains(&lock.display().to_string()), "{}", chain(&error));
    assert_eq!(harness.git(&lease, &["rev-parse", "HEAD"]), lease.base.as_ref().expect("a base").as_str());
    assert!(lock.exists());
    drop(held);
    assert_eq!(harness.commit(&lease).await.files, 1);
    assert!(!lock.exists(), "it was left by a git that was killed with the task");
}

#[tokio::test]
async fn locks_that_a_killed_git_has_left_of_the_task_go_and_those_of_others_stay() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    let git = harness.repo.path().join(".git");
    let own = ["worktrees/fix/index.lock", "worktrees/fix/HEAD.lock", "refs/heads/gadugi/fix.lock"];
    let others = ["index.lock", "HEAD.lock", "refs/heads/main.lock"];
    for lock in own.iter().chain(&others) {
        fs::write(git.join(lock), "").expect("a lock");
    }
    write(&lease, "a.txt", "a");
    assert_eq!(harness.commit(&lease).await.files, 1);
    assert_eq!(own.map(|lock| git.join(lock).exists()), [false; 3]);
    for lock in others {
        fs::remove_file(git.join(lock)).expect("it is there");
    }
}

#[tokio::test]
async fn a_lock_stays_while_a_git_works_in_the_worktree() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "a.txt", "a");
    let lock = harness.repo.path().join(".git/worktrees/fix/index.lock");
    // While its editor is open it has the lock, and no file of it open.
    let mut editing = harness.repo.git_command(&lease.path);
    let gate = harness.repo.root().join("gate");
    let editor = format!("sh -c 'while [ ! -e {0} ]; do sleep 0.02; done; echo Work > \"$1\"' sh", gate.display());
    let editing = editing.args(["commit", "-q", "-a", "-e", "--allow-empty"]).env("GIT_EDITOR", editor).spawn();
    let mut editing = editing.expect("git can be started");
    while !lock.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let error = harness.worktrees.snapshot(&lease, COMMIT).await.expect_err("the index is locked");
    assert!(chain(&error).contains(&lock.display().to_string()), "{}", chain(&error));
    fs::write(&gate, "").expect("the editor ends");
    assert!(editing.wait().expect("it ends").success());
    assert_eq!(harness.commit(&lease).await.commits, 2);
}

#[tokio::test]
async fn a_worktree_that_lost_its_index_loses_no_file() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "a.txt", "a");
    fs::remove_file(harness.repo.path().join(".git/worktrees/fix/index")).expect("the index goes");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files), (1, 1));
    assert_eq!(status(&harness, &lease), "");
}

#[tokio::test]
async fn pipes_are_passed_over_and_one_in_place_of_a_file_counts_as_uncommitted() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    let pipe = |path: &str| {
        let made = Command::new("mkfifo").arg(lease.path.join(path)).status().expect("mkfifo can be started");
        assert!(made.success());
    };
    pipe("new-pipe");
    fs::remove_file(lease.path.join("src/lib.rs")).expect("the file goes");
    pipe("src/lib.rs");
    write(&lease, "a.txt", "a");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (1, 1, 1));
}

#[tokio::test]
async fn a_branch_that_is_gone_is_an_error_that_names_it() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    harness.git(&lease, &["update-ref", "-d", "refs/heads/gadugi/fix"]);
    let error = harness.worktrees.snapshot(&lease, COMMIT).await.expect_err("the branch is gone");
    assert!(chain(&error).contains("`gadugi/fix` does not exist any more"), "{}", chain(&error));
}

#[tokio::test]
async fn of_a_worktree_that_somebody_has_removed_the_branch_is_collected() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "done.txt", "done");
    harness.git(&lease, &["add", "."]);
    harness.git(&lease, &["commit", "-q", "-m", "By the task"]);
    let tip = harness.repo.git(&["rev-parse", branch(&lease)]);
    let before = Work { elsewhere: vec![Elsewhere::Removed], ..harness.count(&lease).await };
    fs::remove_dir_all(&lease.path).expect("it goes");
    assert_eq!(harness.commit(&lease).await, before);
    harness.repo.git(&["worktree", "prune"]);
    let work = harness.commit(&lease).await;
    assert_eq!(work, before);
    assert_eq!((work.tip, work.commits, work.files, work.uncommitted), (Some(commit_id(&tip)), 1, 1, 0));
    assert_eq!(harness.count(&lease).await, before);
}

#[tokio::test]
async fn a_worktree_that_is_gone_with_its_branch_is_an_error_that_says_so() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    harness.repo.git(&["worktree", "remove", &lease.path.to_string_lossy()]);
    harness.repo.git(&["branch", "-q", "-D", branch(&lease)]);
    let error = harness.worktrees.snapshot(&lease, COMMIT).await.expect_err("nothing is left");
    let expected = format!(
        "cannot take the snapshot of {path}: the worktree {path} does not exist any more: \
         the branch `gadugi/fix` does not exist any more",
        path = lease.path.display()
    );
    assert_eq!(chain(&error), expected);
}

#[tokio::test]
async fn a_branch_that_took_the_name_of_the_one_of_a_worktree_that_is_gone_is_not_collected() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    harness.repo.git(&["worktree", "remove", &lease.path.to_string_lossy()]);
    let refused = async || {
        let error = harness.worktrees.snapshot(&lease, COMMIT).await.expect_err("it is another branch");
        let end = "does not exist any more: the branch `gadugi/fix` is not the one that was made for this attempt";
        assert!(chain(&error).ends_with(end), "{}", chain(&error));
    };
    let tree = harness.repo.git(&["rev-parse", "HEAD^{tree}"]);
    let unrelated = harness.repo.git(&["commit-tree", "-m", "Unrelated", &tree]);
    harness.repo.git(&["update-ref", "refs/heads/gadugi/fix", &unrelated]);
    refused().await;
    // In a folder elsewhere, since that of the lease has to be gone.
    harness.repo.git(&["branch", "-q", "-D", "gadugi/fix"]);
    let mut next = request("fix");
    next.attempt.number = AttemptNo::new(2).expect("a number");
    let next = harness.try_create(next).await.expect("a worktree");
    assert_eq!(next.branch, lease.branch);
    harness.git(&next, &["commit", "-q", "--allow-empty", "-m", "By the next one"]);
    let elsewhere = harness.repo.root().join("elsewhere");
    harness.repo.git(&["worktree", "move", &next.path.to_string_lossy(), &elsewhere.to_string_lossy()]);
    refused().await;
}

#[tokio::test]
async fn a_lease_of_an_earlier_process_can_be_collected() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "a.txt", "a");
    harness.repo.commit_file("later.txt", "the user goes on");
    let later = worktrees_of(harness.repo.path());
    let work = later.snapshot(&lease, COMMIT).await.expect("a snapshot");
    assert_eq!((work.commits, work.files), (1, 1));
}

#[tokio::test]
async fn thousands_of_files_of_which_few_changed_are_told_apart() {
    let harness = Harness::new();
    harness.repo.many_files(3000);
    let harness = Harness::on(harness.repo);
    let lease = harness.create("fix").await;
    assert_eq!(harness.commit(&lease).await.uncommitted, 0);
    write(&lease, "many/007/file-00742.txt", "changed\n");
    fs::remove_file(lease.path.join("many/029/file-02999.txt")).expect("a file goes");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (1, 2, 0));
    harness.assert_sound();
}
