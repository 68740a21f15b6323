//! Landings: a branch moves, and the work trees that have it checked out follow.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gadugi_core::CommitId;
use gadugi_core::merge::{Integration, Landing, MergeError, Strategy};
use gadugi_test_support::repo::Fingerprint;

use crate::harness::{Harness, chain, commit_id};
use crate::merging::{harness, merge_id};

const REFLOG: &str = "gadugi merge 20261123-101500-abc";

/// A chain that changes, adds, moves and deletes files.
pub(crate) async fn prepared(harness: &Harness) -> CommitId {
    let commits: &[&[(&str, Option<&str>)]] = &[
        &[("a.txt", Some("a\n")), ("new/deep/file.txt", Some("new\n")), ("b.txt", None)],
        &[("dir/d.txt", None), ("dir/d.txt/inner.txt", Some("a file became a folder\n"))],
    ];
    let a = harness.branch("a", "main", commits);
    harness.chain(Strategy::Merge, &[&a]).await.tip
}

fn landed(followed: &[&Path]) -> Landing {
    Landing::Landed { followed: followed.iter().map(|path| path.to_path_buf()).collect() }
}

/// Checks that nothing of a landing is left once its merge is forgotten.
pub(crate) async fn assert_no_leftovers(harness: &Harness) {
    harness.worktrees.forget(&merge_id()).await.expect("it is forgotten");
    let mut left = Vec::new();
    leftovers(&harness.repo.path().join(".git"), &mut left);
    assert_eq!(left, Vec::<PathBuf>::new());
    harness.assert_sound();
}

fn leftovers(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            leftovers(&path, found);
        }
        let is_left = path.extension().is_some_and(|end| end == "lock")
            || path.ends_with("gadugi/landings")
            || path.parent().is_some_and(|parent| parent.ends_with("gadugi/locks"));
        if is_left {
            found.push(path);
        }
    }
}

pub(crate) fn status(harness: &Harness) -> String {
    harness.repo.git(&["status", "--porcelain", "--ignored", "--untracked-files=all"])
}

#[tokio::test]
async fn a_branch_that_is_checked_out_nowhere_moves_alone() {
    let harness = harness();
    let tip = prepared(&harness).await;
    harness.repo.git(&["branch", "release"]);
    let before = harness.repo.git(&["status", "--porcelain"]);
    assert_eq!(harness.land("release", Some("release"), &tip).await, landed(&[]));
    assert_eq!(harness.id("release"), tip);
    assert_eq!(harness.repo.git(&["log", "-g", "-1", "--format=%gs", "release"]), REFLOG);
    assert_eq!(harness.repo.git(&["status", "--porcelain"]), before);
    // A new one.
    assert_eq!(harness.land("gadugi/merged/x", None, &tip).await, landed(&[]));
    assert_eq!(harness.id("gadugi/merged/x"), tip);
    let again = harness.land("gadugi/merged/x", None, &harness.id("main")).await;
    assert_eq!(again, Landing::Moved { now: Some(tip) });
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn the_work_tree_follows_as_with_a_fast_forward_of_git() {
    let harness = harness();
    let tip = prepared(&harness).await;
    // The same by git, in a clone beside it.
    let twin = harness.repo.root().join("twin");
    harness.repo.git(&["clone", "-q", ".", twin.to_str().expect("a path")]);
    harness.repo.git_in(&twin, &["fetch", "-q", "origin", tip.as_str()]);
    harness.repo.git_in(&twin, &["merge", "-q", "--ff-only", tip.as_str()]);
    let main = harness.repo.path().to_owned();
    assert_eq!(harness.land("main", Some("main"), &tip).await, landed(&[&main]));
    assert_eq!(harness.id("main"), tip);
    assert_eq!(status(&harness), "");
    let listed = |folder: &Path| harness.repo.git_in(folder, &["ls-files", "-s"]);
    assert_eq!(listed(&main), listed(&twin));
    for path in ["a.txt", "new/deep/file.txt", "dir/d.txt/inner.txt"] {
        assert_eq!(fs::read(main.join(path)).expect(path), fs::read(twin.join(path)).expect(path));
    }
    assert!(!main.join("b.txt").exists());
    for log in ["main", "HEAD"] {
        assert_eq!(harness.repo.git(&["log", "-g", "-1", "--format=%gs", log]), REFLOG, "{log}");
    }
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn a_linked_work_tree_follows_and_the_main_one_stays() {
    let harness = harness();
    let tip = prepared(&harness).await;
    let linked = harness.repo.root().join("linked");
    harness.repo.git(&["worktree", "add", "-q", "-b", "release", linked.to_str().expect("a path")]);
    harness.repo.write("a.txt", "not committed\n");
    let before = harness.repo.git(&["status", "--porcelain"]);
    let target =
        harness.worktrees.target(&"release".parse().expect("a name")).await.expect("it is read").expect("it is there");
    assert_eq!((target.worktrees, target.tip), (vec![linked.clone()], harness.id("release")));
    assert_eq!(harness.land("release", Some("release"), &tip).await, landed(&[&linked]));
    assert_eq!(harness.repo.git_in(&linked, &["status", "--porcelain", "--branch"]), "## release");
    assert_eq!(fs::read_to_string(linked.join("a.txt")).expect("a file"), "a\n");
    assert_eq!(harness.repo.git(&["status", "--porcelain"]), before);
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn what_the_landing_does_not_touch_stays_byte_for_byte() {
    let harness = harness();
    let tip = prepared(&harness).await;
    harness.repo.write("c.txt", "changed\n");
    harness.repo.write("dir/e.txt", "staged\n");
    harness.repo.git(&["add", "dir/e.txt"]);
    harness.repo.write("dir/e.txt", "and changed\n");
    harness.repo.write("untracked.txt", "untracked\n");
    harness.repo.write("x.log", "ignored\n");
    harness.repo.write("new/ignored.log", "ignored\n");
    harness.repo.write("added.txt", "added\n");
    harness.repo.git(&["add", "added.txt"]);
    harness.repo.write("later.txt", "later\n");
    harness.repo.git(&["add", "--intent-to-add", "later.txt"]);
    let state =
        |harness: &Harness| (status(harness), harness.repo.git(&["diff"]), harness.repo.git(&["diff", "--cached"]));
    let before = state(&harness);
    assert_eq!(harness.land("main", Some("main"), &tip).await, landed(&[harness.repo.path()]));
    assert_eq!(state(&harness), before);
    assert_eq!(fs::read_to_string(harness.repo.path().join("a.txt")).expect("a file"), "a\n");
    assert_no_leftovers(&harness).await;
}

/// Lands over something of the user's, which must be refused with these files and change nothing.
async fn assert_blocked(prepare: impl FnOnce(&Harness), files: &[&str]) {
    let harness = harness();
    let tip = prepared(&harness).await;
    prepare(&harness);
    let before: Fingerprint = harness.repo.fingerprint();
    let landing = harness.land("main", Some("main"), &tip).await;
    let Landing::Blocked { worktree, reason, files: named } = landing else { panic!("{landing:?}") };
    assert_eq!(
        (worktree.as_path(), named),
        (harness.repo.path(), files.iter().map(ToString::to_string).collect()),
        "{reason}"
    );
    assert!(!reason.is_empty());
    assert_eq!(harness.repo.fingerprint(), before);
    assert_eq!(harness.worktrees.recover_landing(&merge_id()).await.expect("an answer"), None);
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn nothing_changes_where_something_of_the_users_would_be_overwritten() {
    assert_blocked(|harness| harness.repo.write("a.txt", "changed\n"), &["a.txt"]).await;
    assert_blocked(|harness| harness.repo.write("b.txt", "changed, and deleted there\n"), &["b.txt"]).await;
    assert_blocked(
        |harness| {
            harness.repo.write("a.txt", "staged\n");
            harness.repo.git(&["add", "a.txt"]);
        },
        &["a.txt"],
    )
    .await;
    assert_blocked(|harness| harness.repo.write("new/deep/file.txt", "untracked\n"), &["new/deep/file.txt"]).await;
    assert_blocked(|harness| harness.repo.write("new/deep", "in the place of a folder\n"), &["new/deep"]).await;
    // Git itself overwrites what it ignores.
    assert_blocked(
        |harness| {
            fs::write(harness.repo.path().join(".git/info/exclude"), "/new/\n").expect("a file");
            harness.repo.write("new/deep/file.txt", "ignored\n");
        },
        &["new/deep/file.txt"],
    )
    .await;
    assert_blocked(
        |harness| {
            let path = harness.repo.path().join("a.txt");
            fs::remove_file(&path).expect("it goes");
            symlink("c.txt", path).expect("a link");
        },
        &["a.txt"],
    )
    .await;
    assert_blocked(
        |harness| {
            let path = harness.repo.path().join("a.txt");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
        },
        &["a.txt"],
    )
    .await;
}

/// What begins an operation of git.
type Begin<'a> = &'a dyn Fn(&Harness);

#[tokio::test]
async fn an_unfinished_operation_of_git_blocks_the_branch() {
    let unfinished: [(&str, Begin<'_>); 5] = [
        ("merge", &|harness| {
            harness.repo.git(&["branch", "other", "main~1"]);
            assert!(!harness.repo.try_git_in(harness.repo.path(), &["merge", "side"]).status.success());
        }),
        ("rebase", &|harness| {
            assert!(!harness.repo.try_git_in(harness.repo.path(), &["rebase", "side"]).status.success());
        }),
        ("cherry-pick", &|harness| {
            assert!(!harness.repo.try_git_in(harness.repo.path(), &["cherry-pick", "side"]).status.success());
        }),
        ("bisect", &|harness| {
            harness.repo.git(&["bisect", "start"]);
        }),
        ("bisect", &|harness| {
            harness.repo.git(&["bisect", "start", "main", "main~1"]);
            harness.repo.git(&["checkout", "-q", "--detach", "main~1"]);
        }),
    ];
    for (operation, begin) in unfinished {
        let harness = harness();
        harness.branch("side", "main", &[&[("c.txt", Some("side\n"))]]);
        harness.repo.git(&["branch", "side", "gadugi/side"]);
        harness.repo.commit_file("c.txt", "main\n");
        let tip = prepared(&harness).await;
        begin(&harness);
        let before = harness.repo.fingerprint();
        let landing = harness.land("main", Some("main"), &tip).await;
        let Landing::Blocked { reason, .. } = landing else { panic!("{operation}: {landing:?}") };
        assert!(reason.contains(operation), "{operation}: {reason}");
        assert_eq!(harness.repo.fingerprint(), before, "{operation}");
        assert_no_leftovers(&harness).await;
    }
}

#[tokio::test]
async fn a_branch_that_has_moved_is_left_where_it_is() {
    let harness = harness();
    let tip = prepared(&harness).await;
    let looked_at = harness.id("main");
    let now = harness.repo.commit_file("c.txt", "meanwhile\n");
    let before = harness.repo.fingerprint();
    let landing = harness.land("main", Some(looked_at.as_str()), &tip).await;
    assert_eq!(landing, Landing::Moved { now: Some(commit_id(&now)) });
    assert_eq!(harness.repo.fingerprint(), before);
    let gone = harness.land("gone", Some(looked_at.as_str()), &tip).await;
    assert_eq!(gone, Landing::Moved { now: None });
    // Neither backwards nor sideways.
    let request = harness.landing("main", Some("main"), &tip);
    let error = harness.worktrees.land(request).await.expect_err("it is no descendant");
    assert!(matches!(error, MergeError::Land { .. }), "{error:?}");
    assert!(chain(&error).contains("does not contain"), "{}", chain(&error));
    assert_eq!(harness.repo.fingerprint(), before);
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn a_locked_index_and_a_missing_folder_block() {
    let harness = harness();
    let tip = prepared(&harness).await;
    let lock = harness.repo.path().join(".git/index.lock");
    fs::write(&lock, "").expect("a file");
    let landing = harness.land("main", Some("main"), &tip).await;
    let Landing::Blocked { reason, .. } = landing else { panic!("{landing:?}") };
    assert!(reason.contains("index.lock"), "{reason}");
    fs::remove_file(lock).expect("it goes");
    let linked = harness.repo.root().join("linked");
    harness.repo.git(&["worktree", "add", "-q", "-b", "release", linked.to_str().expect("a path")]);
    fs::remove_dir_all(&linked).expect("it goes");
    let landing = harness.land("release", Some("release"), &tip).await;
    let Landing::Blocked { reason, .. } = landing else { panic!("{landing:?}") };
    assert!(reason.contains("missing"), "{reason}");
    harness.repo.git(&["worktree", "prune"]);
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn two_work_trees_on_one_branch_follow_both_or_not_at_all() {
    let harness = harness();
    let tip = prepared(&harness).await;
    let linked = harness.repo.root().join("linked");
    harness.repo.git(&["worktree", "add", "-q", "--force", linked.to_str().expect("a path"), "main"]);
    fs::write(linked.join("a.txt"), "changed\n").expect("a file");
    let before = harness.repo.fingerprint();
    let landing = harness.land("main", Some("main"), &tip).await;
    assert!(matches!(&landing, Landing::Blocked { worktree, .. } if *worktree == linked), "{landing:?}");
    // The files have gone back, with other times; git looks at them anew.
    assert_eq!(harness.repo.fingerprint(), before);
    assert_eq!(status(&harness), "");
    harness.repo.git_in(&linked, &["checkout", "-q", "--", "a.txt"]);
    assert_eq!(harness.land("main", Some("main"), &tip).await, landed(&[harness.repo.path(), &linked]));
    for folder in [harness.repo.path(), &linked] {
        assert_eq!(harness.repo.git_in(folder, &["status", "--porcelain"]), "");
    }
    harness.repo.git(&["worktree", "remove", linked.to_str().expect("a path")]);
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn filters_line_ends_and_a_sparse_checkout_are_as_gits_own() {
    let harness = harness();
    harness.repo.write(".gitattributes", "*.crlf text eol=crlf\n*.up filter=up\n");
    harness.repo.write("one.crlf", "one\ntwo\n");
    harness.repo.write("shout.up", "small\n");
    harness.repo.git(&["config", "filter.up.smudge", "tr a-z A-Z"]);
    harness.repo.git(&["config", "filter.up.clean", "tr A-Z a-z"]);
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Attributes"]);
    let a = harness.branch(
        "a",
        "main",
        &[&[
            ("one.crlf", Some("one\ntwo\nthree\n")),
            ("shout.up", Some("louder\n")),
            ("dir/d.txt", Some("outside\n")),
            ("dir/new.txt", Some("outside\n")),
            ("c.txt", Some("inside\n")),
        ]],
    );
    let tip = harness.chain(Strategy::Merge, &[&a]).await.tip;
    harness.repo.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/dir/"]);
    assert!(!harness.repo.path().join("dir").exists());
    assert_eq!(harness.land("main", Some("main"), &tip).await, landed(&[harness.repo.path()]));
    assert_eq!(status(&harness), "");
    let read = |path: &str| fs::read_to_string(harness.repo.path().join(path)).expect(path);
    assert_eq!(read("one.crlf"), "one\r\ntwo\r\nthree\r\n");
    assert_eq!(read("shout.up"), "LOUDER\n");
    assert_eq!(read("c.txt"), "inside\n");
    assert!(!harness.repo.path().join("dir").exists());
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn what_fails_half_way_is_undone() {
    let harness = harness();
    harness.repo.write(".gitattributes", "*.bad filter=bad\n");
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Attributes"]);
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n")), ("x.bad", Some("x\n")), ("y.txt", Some("y\n"))]]);
    let tip = harness.chain(Strategy::Merge, &[&a]).await.tip;
    harness.repo.git(&["config", "filter.bad.smudge", "false"]);
    harness.repo.git(&["config", "filter.bad.required", "true"]);
    fs::remove_file(harness.repo.path().join("c.txt")).expect("it goes");
    let before = harness.repo.fingerprint();
    let error =
        harness.worktrees.land(harness.landing("main", Some("main"), &tip)).await.expect_err("the filter fails");
    assert!(matches!(error, MergeError::Land { .. }), "{error:?}");
    assert!(chain(&error).contains("smudge filter bad failed"), "{}", chain(&error));
    assert_eq!(harness.repo.fingerprint(), before);
    assert_eq!(status(&harness), " D c.txt");
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn a_file_that_the_user_has_deleted_comes_back_only_with_the_landing() {
    let harness = harness();
    let tip = prepared(&harness).await;
    for name in ["a.txt", "c.txt"] {
        fs::remove_file(harness.repo.path().join(name)).expect("it goes");
    }
    // As git does: a deleted file is no change that could be lost.
    assert_eq!(harness.land("main", Some("main"), &tip).await, landed(&[harness.repo.path()]));
    assert_eq!(status(&harness), " D c.txt");
    assert_eq!(fs::read_to_string(harness.repo.path().join("a.txt")).expect("a file"), "a\n");
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn a_bare_repository_with_work_trees_beside_it_lands_too() {
    let harness = harness();
    let tip = prepared(&harness).await;
    let linked = harness.repo.root().join("linked");
    harness.repo.git(&["worktree", "add", "-q", "-b", "release", linked.to_str().expect("a path")]);
    harness.repo.git(&["config", "core.bare", "true"]);
    let worktrees = crate::harness::worktrees_of(&linked);
    let landing = worktrees.land(harness.landing("release", Some("release"), &tip)).await.expect("it lands");
    assert_eq!(landing, landed(&[&linked]));
    assert_eq!(harness.repo.git_in(&linked, &["status", "--porcelain"]), "");
}
