//! Files that a task has staged in isolation and not committed.

use std::fs;

use gadugi_core::Worktrees;
use gadugi_core::worktrees::{KeepReason, WorktreeFate};

use crate::harness::{DISCARD, Harness, KEEP, write};
use crate::isolated::{Isolated, Untouched, all_private};
use crate::killed::kill_at;

#[tokio::test]
async fn ignored_files_that_are_staged_are_committed_as_without_isolation() {
    for commits in [false, true] {
        let harness = Harness::new();
        let task = Isolated::new(&harness, "a").await;
        let before = Untouched::of(&harness, &task.lease);
        write(&task.lease, "target/app.js", "built");
        write(&task.lease, "target/deep/run.sh", "built too");
        write(&task.lease, "target/not.js", "not staged");
        task.git(&harness, &["add", "-f", "target/app.js", "target/deep"]);
        task.git(&harness, &["update-index", "--chmod=+x", "target/deep/run.sh"]);
        if commits {
            write(&task.lease, "src/lib.rs", "changed");
            task.git(&harness, &["commit", "-q", "-m", "Other", "--only", "src/lib.rs"]);
            let staged = task.git(&harness, &["diff", "--cached", "--name-only"]);
            assert_eq!(staged, "target/app.js\ntarget/deep/run.sh");
        }
        task.import(&harness).await.expect("an import");
        assert_eq!(
            harness.git(&task.lease, &["diff", "--cached", "--summary"]),
            " create mode 100644 target/app.js\n create mode 100755 target/deep/run.sh"
        );
        harness.commit(&task.lease).await;
        let files = harness.repo.git(&["ls-tree", "-r", "--name-only", "gadugi/a", "target"]);
        assert_eq!(files, "target/app.js\ntarget/deep/run.sh");
        assert_eq!(harness.repo.git(&["show", "gadugi/a:target/app.js"]), "built");
        assert_eq!(Untouched::of(&harness, &task.lease), before);
        assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        harness.assert_sound();
    }
}

#[tokio::test]
async fn what_was_staged_stays_so_through_further_imports_and_is_not_staged_again_once_it_was_committed() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    write(&task.lease, "target/app.js", "one");
    write(&task.lease, "a.txt", "one");
    task.git(&harness, &["add", "-f", "target/app.js", "a.txt"]);
    task.import(&harness).await.expect("an import");
    write(&task.lease, "b.txt", "b");
    task.git(&harness, &["add", "b.txt"]);
    task.git(&harness, &["commit", "-q", "-m", "B", "--only", "b.txt"]);
    task.import(&harness).await.expect("an import");
    assert_eq!(harness.git(&task.lease, &["diff", "--cached", "--name-only"]), "a.txt\ntarget/app.js");
    write(&task.lease, "a.txt", "two");
    write(&task.lease, "target/app.js", "two");
    harness.commit(&task.lease).await;
    for path in ["a.txt", "target/app.js"] {
        assert_eq!(harness.repo.git(&["show", &format!("gadugi/a:{path}")]), "two");
    }
    task.import(&harness).await.expect("an import");
    assert_eq!(harness.git(&task.lease, &["status", "--porcelain"]), "");
    assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert!(!all_private(harness.repo.path()).exists());
    harness.assert_sound();
}

#[tokio::test]
async fn staged_files_that_are_gone_in_the_worktree_end_as_without_isolation() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let open = harness.create("open").await;
    write(&task.lease, "gone.txt", "gone");
    task.git(&harness, &["add", "gone.txt"]);
    fs::remove_file(task.lease.path.join("gone.txt")).expect("a file goes");
    write(&open, "gone.txt", "gone");
    harness.git(&open, &["add", "gone.txt"]);
    fs::remove_file(open.path.join("gone.txt")).expect("a file goes");
    task.import(&harness).await.expect("an import");
    let status = ["status", "--porcelain"];
    assert_eq!(harness.git(&task.lease, &status), harness.git(&open, &status));
    assert_eq!(harness.git(&task.lease, &["show", ":gone.txt"]), "gone");
    let (work, openly) = (harness.commit(&task.lease).await, harness.commit(&open).await);
    assert_eq!((work.commits, work.uncommitted), (openly.commits, openly.uncommitted));
    for lease in [&task.lease, &open] {
        assert_eq!(harness.release(lease, KEEP).await.worktree, WorktreeFate::Removed);
    }
}

#[tokio::test]
async fn a_staged_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file() {
    let harness = Harness::new();
    harness.repo.commit_file("file", "file");
    let harness = Harness::on(harness.repo);
    let task = Isolated::new(&harness, "a").await;
    fs::remove_dir_all(task.lease.path.join("src")).expect("a folder goes");
    fs::remove_file(task.lease.path.join("file")).expect("a file goes");
    write(&task.lease, "src", "now a file");
    write(&task.lease, "file/inside", "now a folder");
    task.git(&harness, &["add", "-A"]);
    task.import(&harness).await.expect("an import");
    assert_eq!(harness.git(&task.lease, &["ls-files"]), ".gitignore\nfile/inside\nsrc");
    harness.commit(&task.lease).await;
    assert_eq!(harness.git(&task.lease, &["status", "--porcelain"]), "");
    assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    harness.assert_sound();
}

#[tokio::test]
async fn an_index_that_cannot_be_taken_over_hinders_no_commit_and_keeps_the_worktree() {
    let cases: [(&str, Spoil); 5] = [
        ("no index", |task| task.write("index", "garbage")),
        ("a part of one", |task| {
            let index = fs::read(task.git.join("index")).expect("an index");
            task.write("index", &index[..index.len() / 2]);
        }),
        ("an object that is gone", |task| {
            let id = staged_id();
            fs::remove_file(task.git.join("objects").join(&id[..2]).join(&id[2..])).expect("it goes");
        }),
        ("a path of git's", |task| {
            let mut index = fs::read(task.git.join("index")).expect("an index");
            let at = index.windows(8).position(|bytes| bytes == b"ygit/app").expect("a path");
            index[at] = b'.';
            task.write("index", index);
        }),
        ("a folder", |task| {
            fs::remove_file(task.git.join("index")).expect("it goes");
            fs::create_dir(task.git.join("index")).expect("a folder");
        }),
    ];
    for (name, spoil) in cases {
        for discard in [false, true] {
            let harness = Harness::new();
            let task = Isolated::new(&harness, "a").await;
            let tip = task.commit(&harness, "a.txt", "a");
            write(&task.lease, "ygit/app.log", STAGED);
            task.git(&harness, &["add", "-f", "ygit/app.log"]);
            spoil(&task);
            task.import(&harness).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(task.tip(&harness), tip, "{name}");
            assert_eq!(harness.git(&task.lease, &["status", "--porcelain"]), "", "{name}");
            harness.assert_sound();
            let release = harness.release(&task.lease, if discard { DISCARD } else { KEEP }).await;
            if discard {
                assert_eq!((release.worktree, release.dropped.len()), (WorktreeFate::Removed, 1), "{name}");
            } else {
                let reasons = vec![KeepReason::Uncommitted { files: 1 }];
                assert_eq!(release.worktree, WorktreeFate::Kept(reasons), "{name}");
                assert!(task.git.exists(), "{name}");
            }
        }
    }
}

type Spoil = fn(&Isolated);

const STAGED: &str = "staged and nowhere else";

fn staged_id() -> String {
    let root = tempfile::tempdir().expect("a folder");
    let file = root.path().join("file");
    fs::write(&file, STAGED).expect("a file");
    let output = std::process::Command::new("git").arg("hash-object").arg("--").arg(&file).output().expect("git");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[tokio::test]
async fn nothing_that_is_staged_is_lost_when_an_import_is_killed() {
    for point in ["import-quarantined", "import-objects-taken", "import-others-kept", "import-branch-moved"] {
        let harness = Harness::new();
        let task = Isolated::new(&harness, "a").await;
        task.commit(&harness, "a.txt", "a");
        write(&task.lease, "target/app.js", "built");
        task.git(&harness, &["add", "-f", "target/app.js"]);
        kill_at(&harness, "import a", point);
        harness.worktrees.prune(false).await.expect("a list");
        task.import(&harness).await.expect("an import");
        harness.commit(&task.lease).await;
        assert_eq!(harness.repo.git(&["show", "gadugi/a:target/app.js"]), "built", "{point}");
        assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        harness.assert_sound();
    }
}

#[tokio::test]
async fn what_was_staged_in_a_worktree_that_was_removed_by_hand_is_kept_for_a_while() {
    for prune in [false, true] {
        let harness = Harness::new();
        let task = Isolated::new(&harness, "a").await;
        write(&task.lease, "target/app.js", "built");
        task.git(&harness, &["add", "-f", "target/app.js"]);
        harness.repo.git(&["worktree", "remove", "--force", &task.lease.path.to_string_lossy()]);
        if prune {
            harness.worktrees.prune(false).await.expect("a list");
        } else {
            let release = harness.release(&task.lease, KEEP).await;
            assert!(release.dropped[0].starts_with(".git: what was staged in isolation"), "{:?}", release.dropped);
        }
        assert!(!all_private(harness.repo.path()).exists());
        let trash = harness.repo.path().join(".git/gadugi/trash");
        assert_eq!(fs::read_dir(trash).expect("a folder").count(), 1);
    }
}
