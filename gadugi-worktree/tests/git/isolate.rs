//! The git folder that an isolated task gets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gadugi_core::Worktrees;
use gadugi_core::executor::Mount;
use gadugi_test_support::repo::TestRepo;

use crate::harness::{Harness, KEEP, branch, chain, write};
use crate::isolated::{Isolated, all_private};

#[tokio::test]
async fn git_works_in_it_as_in_the_worktree() {
    let harness = Harness::new();
    fs::write(harness.repo.path().join(".git/info/exclude"), "*.tmp\n").expect("a rule");
    let task = Isolated::new(&harness, "a").await;
    write(&task.lease, "x.tmp", "x");
    assert_eq!(task.git(&harness, &["status", "--porcelain", "--branch"]), "## gadugi/a");
    assert_eq!(task.git(&harness, &["log", "--format=%s"]), "Begin");
    write(&task.lease, "src/lib.rs", "pub fn two() {}\n");
    assert_eq!(task.git(&harness, &["diff", "--stat"]).lines().next(), Some(" src/lib.rs | 2 +-"));
    task.git(&harness, &["stash"]);
    task.git(&harness, &["stash", "pop", "-q"]);
    task.git(&harness, &["checkout", "-q", "-b", "topic"]);
    task.git(&harness, &["commit", "-q", "-a", "-m", "Two"]);
    task.git(&harness, &["checkout", "-q", "gadugi/a"]);
    task.git(&harness, &["merge", "-q", "topic"]);
    assert_eq!(task.git(&harness, &["log", "--format=%s"]), "Two\nBegin");
    assert_eq!(task.git(&harness, &["fsck", "--strict", "--no-dangling"]), "");
    assert_eq!(task.git(&harness, &["remote"]), "");
    assert_eq!(task.git(&harness, &["reflog", "--format=%gs", "-1", "topic"]), "commit: Two");
    harness.assert_sound();
}

#[tokio::test]
async fn the_task_sees_the_objects_and_its_git_file_read_only_and_its_git_folder_alone_to_write() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let place = all_private(harness.repo.path()).join("20261122-083355-k7q/a/1");
    let (git, objects) = (place.join("git"), harness.repo.path().join(".git/objects"));
    let own = |path: &Path, writable| Mount { source: path.to_owned(), target: path.to_owned(), writable };
    let link = Mount { source: place.join("gitfile"), target: task.lease.path.join(".git"), writable: false };
    assert_eq!(task.mounts, [own(&git, true), own(&objects, false), link]);
    let text = fs::read_to_string(place.join("gitfile")).expect("a file");
    assert_eq!(text, format!("gitdir: {}\n", git.display()));
    for folder in [&git, &place, &all_private(harness.repo.path())] {
        assert_eq!(fs::metadata(folder).expect("a folder").permissions().mode() & 0o777, 0o700);
    }
}

#[tokio::test]
async fn asked_again_what_is_there_stays() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let tip = task.commit(&harness, "a.txt", "a");
    let again = Isolated::of(&harness, task.lease.clone()).await;
    assert_eq!((again.mounts, again.git), (task.mounts.clone(), task.git.clone()));
    assert_eq!(task.git(&harness, &["rev-parse", "gadugi/a"]), tip);
    let names = |path: &Path| fs::read_dir(path).expect("a folder").count();
    assert_eq!(names(task.git.parent().and_then(Path::parent).expect("a folder")), 1);
}

#[tokio::test]
async fn its_configuration_says_who_commits_and_how_files_are_read_and_nothing_else_of_the_users() {
    let harness = Harness::new();
    for (key, value) in [
        ("core.autocrlf", "input"),
        ("core.safecrlf", "warn"),
        ("core.fileMode", "false"),
        ("core.hooksPath", "/hooks"),
        ("core.fsmonitor", "/monitor"),
        ("filter.x.clean", "/filter"),
        ("include.path", "/other"),
        ("user.name", "A \"quoted\" # name"),
        ("user.email", "a@example.com"),
        ("author.name", "Another"),
        ("remote.origin.url", "https://example.com"),
    ] {
        harness.repo.git(&["config", key, value]);
    }
    let task = Isolated::new(&harness, "a").await;
    let list = task.git(&harness, &["config", "--local", "--list"]);
    let worktree = format!("core.worktree={}", task.lease.path.display());
    let mut found: Vec<&str> = list.lines().collect();
    found.sort_unstable();
    let mut expected = vec![
        "author.email=a@example.com",
        "author.name=Another",
        "core.autocrlf=input",
        "core.bare=false",
        "core.filemode=false",
        "core.logallrefupdates=true",
        "core.repositoryformatversion=0",
        "core.safecrlf=warn",
        "core.splitindex=false",
        &worktree,
        "user.email=a@example.com",
        "user.name=A \"quoted\" # name",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_objects_that_a_repository_borrows_are_seen_too_under_the_names_that_git_knows() {
    let lender = TestRepo::init("lender", &[]);
    let first = lender.commit_file("old.txt", "old");
    let lenders = lender.path().join(".git/objects");
    let harness = Harness::new();
    let info = harness.repo.path().join(".git/objects/info");
    let link = harness.repo.root().join("link");
    std::os::unix::fs::symlink(lender.path(), &link).expect("a link");
    fs::create_dir_all(&info).expect("a folder");
    let linked = link.join(".git/objects");
    fs::write(info.join("alternates"), format!("# one\n{}\n", linked.display())).expect("a list");
    let task = Isolated::new(&harness, "a").await;
    let seen: Vec<_> = task.mounts.iter().filter(|mount| !mount.writable).collect();
    assert!(seen.iter().any(|mount| mount.target == linked && mount.source == lenders), "{seen:?}");
    assert_eq!(task.git(&harness, &["cat-file", "-t", &first]), "commit");
    task.git(&harness, &["merge", "-q", "--allow-unrelated-histories", "-m", "Merge", &first]);
    task.import(&harness).await.expect("an import");
    assert_eq!(harness.repo.git(&["log", "--format=%s", "-1", "gadugi/a"]), "Merge");
    harness.assert_sound();
}

#[tokio::test]
async fn a_sha256_repository_and_a_path_with_spaces_and_quotes_work_too() {
    let repo = TestRepo::init("a \"b\" #c/repo", &["--object-format=sha256"]);
    repo.commit_file("one.txt", "one");
    let harness = Harness::on(repo);
    let task = Isolated::new(&harness, "a").await;
    assert_eq!(task.git(&harness, &["config", "core.worktree"]), task.lease.path.display().to_string());
    let tip = task.commit(&harness, "a.txt", "a");
    assert_eq!(tip.len(), 64);
    task.import(&harness).await.expect("an import");
    assert_eq!(task.tip(&harness), tip);
    harness.assert_sound();
}

#[tokio::test]
async fn a_sparse_checkout_stays_one() {
    let harness = Harness::new();
    harness.repo.commit_file("left/a.txt", "a");
    harness.repo.commit_file("right/b.txt", "b");
    harness.repo.git(&["config", "extensions.worktreeConfig", "true"]);
    let harness = Harness::on(harness.repo);
    let lease = harness.create("a").await;
    harness.git(&lease, &["sparse-checkout", "set", "--cone", "left"]);
    let task = Isolated::of(&harness, lease).await;
    assert_eq!(task.git(&harness, &["status", "--porcelain"]), "");
    task.commit(&harness, "left/new.txt", "new");
    write(&task.lease, "left/open.txt", "open");
    task.import(&harness).await.expect("an import");
    assert_eq!(harness.git(&task.lease, &["status", "--porcelain"]), "?? left/open.txt");
    let work = harness.commit(&task.lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (2, 2, 0));
    let files = harness.repo.git(&["ls-tree", "-r", "--name-only", branch(&task.lease)]);
    assert!(files.contains("right/b.txt"), "{files}");
}

#[tokio::test]
async fn a_shallow_repository_works_too() {
    let origin = TestRepo::init("origin", &[]);
    for text in ["1", "2", "3"] {
        origin.commit_file("a.txt", text);
    }
    let repo = TestRepo::new();
    let url = format!("file://{}", origin.path().display());
    repo.git(&["fetch", "-q", "--depth=2", &url, "main"]);
    repo.git(&["reset", "-q", "--hard", "FETCH_HEAD"]);
    let harness = Harness::on(repo);
    let task = Isolated::new(&harness, "a").await;
    assert_eq!(task.git(&harness, &["rev-list", "--count", "HEAD"]), "2");
    let tip = task.commit(&harness, "b.txt", "b");
    task.import(&harness).await.expect("an import");
    assert_eq!(task.tip(&harness), tip);
    harness.assert_sound();
}

#[tokio::test]
async fn a_split_index_is_copied_with_its_parts() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.git(&lease, &["update-index", "--split-index"]);
    let task = Isolated::of(&harness, lease).await;
    assert_eq!(task.git(&harness, &["status", "--porcelain"]), "");
    assert_eq!(task.git(&harness, &["ls-files"]), ".gitignore\nsrc/lib.rs");
}

#[tokio::test]
async fn a_partial_clone_is_refused_with_a_remedy() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.repo.git(&["config", "remote.origin.promisor", "true"]);
    let error = harness.worktrees.isolate(&lease).await.expect_err("it is a partial clone");
    assert!(chain(&error).contains("partial clone"), "{}", chain(&error));
    assert!(!all_private(harness.repo.path()).exists());
}

#[tokio::test]
async fn a_place_that_was_given_back_is_not_isolated() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.release(&lease, KEEP).await;
    harness.worktrees.isolate(&lease).await.expect_err("it is gone");
    assert!(!all_private(harness.repo.path()).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_that_isolate_one_place_at_once_get_the_same() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let all: Vec<_> = (0..8)
        .map(|_| {
            let (worktrees, lease) = (harness.worktrees.clone(), lease.clone());
            tokio::spawn(async move { worktrees.isolate(&lease).await.expect("what it has to see") })
        })
        .collect();
    let first = harness.worktrees.isolate(&lease).await.expect("what it has to see");
    for one in all {
        assert_eq!(one.await.expect("it ends"), first);
    }
    let names = fs::read_dir(first[0].source.join("../..")).expect("a folder").count();
    assert_eq!(names, 1);
}
