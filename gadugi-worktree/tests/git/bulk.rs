//! Worktrees that are written together: what is shared, what is not, and what git is called for.

use std::fs;

use gadugi_core::Worktrees;
use gadugi_core::worktrees::{CreatedWorktree, WorktreeError, WorktreeRequest};
use gadugi_test_support::repo::TestRepo;

use crate::harness::{Harness, chain, commit_id, request};

async fn make(harness: &Harness, requests: Vec<WorktreeRequest>) -> Vec<CreatedWorktree> {
    let made: Result<Vec<CreatedWorktree>, WorktreeError> =
        harness.worktrees.create(requests).await.into_iter().collect();
    made.expect("all worktrees")
}

/// Why git made the worktree of a task, by the warning.
async fn why_git(harness: &Harness) -> Option<String> {
    let made = harness.make(request("a")).await.expect("a worktree");
    assert_eq!(harness.git(&made.lease, &["status", "--porcelain"]), "");
    let [warning] = &made.warnings[..] else { return None };
    let (what, why) = warning.split_once(", since ").expect("a reason");
    assert_eq!(what, format!("git itself made the worktree {}", made.lease.path.display()));
    Some(why.to_owned())
}

#[tokio::test]
async fn requests_with_different_starts_get_the_files_of_their_own() {
    let repo = TestRepo::new();
    let commits: Vec<String> = (0..3).map(|number| repo.commit_file("a.txt", format!("{number}\n"))).collect();
    let harness = Harness::on(repo);
    let requests = (0..7).map(|number| {
        let from = Some(commit_id(&commits[number % 3]));
        WorktreeRequest { from, ..request(&format!("task-{number}")) }
    });
    let made = make(&harness, requests.collect()).await;
    for (number, CreatedWorktree { lease, warnings, .. }) in made.iter().enumerate() {
        assert_eq!(fs::read_to_string(lease.path.join("a.txt")).expect("a file"), format!("{}\n", number % 3));
        assert_eq!(harness.git(lease, &["status", "--porcelain"]), "");
        assert!(warnings.is_empty());
    }
    harness.assert_sound();
}

#[tokio::test]
async fn large_files_come_through_whole_and_with_their_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let repo = TestRepo::new();
    // Above what is held in memory; the second one is empty of anything that repeats at the size of a buffer.
    let large: Vec<u8> = (0..9_000_001_u32).map(|number| (number / 7 % 251) as u8).collect();
    repo.write("deep/in/large.bin", &large);
    fs::set_permissions(repo.path().join("deep/in/large.bin"), fs::Permissions::from_mode(0o755)).expect("permissions");
    repo.write("deep/small.txt", "small\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    let harness = Harness::on(repo);
    for CreatedWorktree { lease, .. } in make(&harness, ["a", "b", "c"].map(request).into()).await {
        let path = lease.path.join("deep/in/large.bin");
        assert!(fs::read(&path).expect("a file") == large);
        assert_eq!(path.metadata().expect("metadata").permissions().mode() & 0o111, 0o111);
        assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
        assert_eq!(harness.git(&lease, &["diff", "--stat", "main"]), "");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named_and_hinders_only_those_that_have_it() {
    let repo = TestRepo::new();
    let before = repo.commit_file("a.txt", "whole\n");
    repo.commit_file("folder/b.txt", "broken\n");
    let blob = repo.git(&["rev-parse", "HEAD:folder/b.txt"]);
    fs::remove_file(repo.path().join(".git/objects").join(&blob[..2]).join(&blob[2..])).expect("the blob goes");
    let harness = Harness::on(repo);
    let whole = WorktreeRequest { from: Some(commit_id(&before)), ..request("whole") };
    let made = harness.worktrees.create(vec![request("a"), whole, request("b")]).await;
    let [Err(first), Ok(whole), Err(second)] = &made[..] else { panic!("{made:?}") };
    for error in [first, second] {
        assert!(chain(error).contains("cannot read what is in folder/b.txt"), "{}", chain(error));
    }
    assert_eq!(harness.listed(), std::slice::from_ref(&whole.lease.path));
    assert_eq!(harness.branches(), ["gadugi/whole", "main"]);
}

#[tokio::test]
async fn git_is_not_called_for_what_needs_no_filter() {
    let repo = TestRepo::new();
    repo.write(".gitattributes", "* text=auto\n*.bat text eol=crlf\n*.png filter=lfs -text\n");
    repo.write("a.bat", "one\n");
    repo.write("a.png", "version https://git-lfs.github.com/spec/v1\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    assert_eq!(why_git(&Harness::on(repo)).await, None);
}

#[tokio::test]
async fn the_reason_why_git_made_a_worktree_is_told() {
    let filtered = |repo: &TestRepo| {
        repo.git(&["config", "filter.lfs.smudge", "cat"]);
        repo.commit_file("sub/.gitattributes", "*.png filter=lfs -text\n");
    };
    let ident = |repo: &TestRepo| drop(repo.commit_file(".gitattributes", "*.c ident\n"));
    let everywhere = |repo: &TestRepo| {
        repo.commit_file("a.txt", "a\n");
        repo.write(".git/info/attributes", "*.c working-tree-encoding=UTF-16\n");
    };
    let shared = |repo: &TestRepo| {
        repo.commit_file("a.txt", "a\n");
        repo.git(&["config", "core.sharedRepository", "all"]);
    };
    let deep = |repo: &TestRepo| drop(repo.commit_file(&format!("{}a.txt", "d/".repeat(130)), "a\n"));
    type Case<'a> = (&'a dyn Fn(&TestRepo), &'a str);
    let sparse = |repo: &TestRepo| {
        let head = repo.commit_file("in/a.txt", "a\n");
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},out")]);
        repo.git(&["commit", "-q", "-m", "With a submodule"]);
        repo.git(&["config", "core.sparseCheckout", "true"]);
        repo.write(".git/info/sparse-checkout", "/*\n!/out/\n");
    };
    let cases: [Case<'_>; 6] = [
        (&filtered, "the filter `lfs` is configured"),
        (&ident, "the attribute `ident` is set"),
        (&everywhere, "the attribute `working-tree-encoding` is set"),
        (&shared, "core.sharedRepository is set"),
        (&deep, "it has folders that lie deeper than 128"),
        (&sparse, "a sparse checkout has submodules in it"),
    ];
    for (prepare, why) in cases {
        let repo = TestRepo::new();
        prepare(&repo);
        assert_eq!(why_git(&Harness::on(repo)).await.as_deref(), Some(why));
    }
}

/// A stand-in for a file system that takes `README` and `readme` for one file: a tree, which git does not make, that has
/// one name twice.
#[tokio::test]
async fn files_that_meet_at_one_name_are_left_to_git() {
    let repo = TestRepo::new();
    repo.commit_file("a.txt", "a\n");
    let blob = repo.git(&["rev-parse", "HEAD:a.txt"]);
    let mut tree = Vec::new();
    for _ in 0..2 {
        tree.extend_from_slice(b"100644 twice\0");
        tree.extend((0..20).map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).expect("hex digits")));
    }
    repo.write("tree", tree);
    let tree = repo.git(&["hash-object", "-t", "tree", "-w", "--literally", "tree"]);
    let commit = repo.git(&["commit-tree", "-m", "Twice", &tree]);
    let harness = Harness::on(repo);
    let twice = WorktreeRequest { from: Some(commit_id(&commit)), ..request("twice") };
    let made = make(&harness, vec![request("a"), twice]).await;
    assert_eq!(made[0].warnings, [""; 0]);
    let [warning] = &made[1].warnings[..] else { panic!("{made:?}") };
    assert!(warning.ends_with(", since two of its files have one name on this file system"), "{warning}");
    assert_eq!(fs::read_to_string(made[1].lease.path.join("twice")).expect("a file"), "a\n");
    assert_eq!(harness.listed().len(), 2);
}

mod heavy {
    use super::*;

    #[tokio::test]
    #[ignore = "heavy: writes four worktrees of 100 MB"]
    async fn a_tree_that_is_not_held_at_once_comes_through_whole() {
        let repo = TestRepo::new();
        for number in 0..20_u8 {
            let text: Vec<u8> = (0..5_000_000_u32).map(|at| (at / 11 % 241) as u8 ^ number).collect();
            repo.write(&format!("{}/large-{number}.bin", number % 3), text);
            repo.write(&format!("{}/small-{number}.txt", number % 3), format!("{number}\n"));
        }
        repo.git(&["add", "."]);
        repo.git(&["commit", "-q", "-m", "Begin"]);
        let harness = Harness::on(repo);
        for CreatedWorktree { lease, warnings, .. } in make(&harness, ["a", "b", "c", "d"].map(request).into()).await {
            assert!(warnings.is_empty());
            assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
            for path in harness.git(&lease, &["ls-files"]).lines() {
                let (ours, its) = (lease.path.join(path), harness.repo.path().join(path));
                assert!(fs::read(ours).expect("a file") == fs::read(its).expect("a file"), "{path}");
            }
        }
    }
}
