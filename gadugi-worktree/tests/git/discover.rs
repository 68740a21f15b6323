use std::fs;

use gadugi_core::worktrees::WorktreeFate;
use gadugi_test_support::repo::TestRepo;
use gadugi_worktree::{
    BaseError, ConfigSources, GitWorktrees, Head, ObjectFormat, OpenError, PlaceError, Repository, Uncommitted,
    WorktreeSettings, check_worktrees_folder,
};

use crate::harness::{Harness, KEEP, chain, commit_id, discover};

fn refused(dir: &std::path::Path) -> OpenError {
    Repository::discover_with(dir, ConfigSources::RepositoryOnly).expect_err("no run can work here")
}

#[test]
fn a_folder_outside_any_repository_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(matches!(refused(folder.path()), OpenError::NotARepository { .. }));
}

#[test]
fn a_folder_that_does_not_exist_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(matches!(refused(&folder.path().join("nowhere")), OpenError::Folder { .. }));
}

#[test]
fn a_bare_repository_is_refused() {
    let repo = TestRepo::init("bare.git", &["--bare"]);
    assert!(matches!(refused(repo.path()), OpenError::Bare { path, worktree: None } if path == repo.path()));
}

#[test]
fn a_repository_without_commits_is_refused() {
    let repo = TestRepo::new();
    assert!(matches!(refused(repo.path()), OpenError::NoCommits { path } if path == repo.path()));
}

#[test]
fn references_in_another_format_are_refused_by_name() {
    let repo = TestRepo::new();
    repo.commit_file("a", "a");
    repo.git(&["config", "core.repositoryFormatVersion", "1"]);
    repo.git(&["config", "extensions.refStorage", "reftable"]);
    let error = refused(repo.path());
    assert!(matches!(&error, OpenError::RefFormat { format, .. } if format == "reftable"), "{}", chain(&error));
}

#[test]
fn a_subfolder_leads_to_the_whole_repository() {
    let harness = Harness::new();
    let found = discover(&harness.repo.path().join("src"));
    assert_eq!(found.work_tree(), harness.repo.path());
    assert_eq!(found.root(), harness.repo.path());
    assert_eq!(found.common_dir(), harness.repo.path().join(".git"));
    assert_eq!(found.name(), "repo");
    assert_eq!(found.head(), &Head::Branch("main".into()));
    assert_eq!(found.head_commit(), &commit_id(&harness.repo.git(&["rev-parse", "HEAD"])));
    assert_eq!(found.object_format(), ObjectFormat::Sha1);
    assert_eq!(found.default_worktrees_folder(), harness.repo.root().join("repo.gadugi"));
}

#[test]
fn a_detached_head_is_told_from_a_branch() {
    let harness = Harness::new();
    harness.repo.git(&["checkout", "-q", "--detach"]);
    assert_eq!(discover(harness.repo.path()).head(), &Head::Detached);
}

#[tokio::test]
async fn a_linked_worktree_leads_to_the_repository_with_the_head_of_the_worktree() {
    let harness = Harness::new();
    let linked = harness.repo.root().join("linked");
    harness.repo.git(&["worktree", "add", "-q", "-b", "topic", &linked.to_string_lossy()]);
    fs::write(linked.join("topic.txt"), "topic").expect("a file");
    harness.repo.git_in(&linked, &["add", "."]);
    harness.repo.git_in(&linked, &["commit", "-q", "-m", "On the topic"]);
    let found = discover(&linked);
    assert_eq!((found.work_tree(), found.root()), (linked.as_path(), harness.repo.path()));
    assert_eq!(found.head(), &Head::Branch("topic".into()));
    assert_eq!(found.default_worktrees_folder(), harness.folder());
    let worktrees = crate::harness::worktrees_of(&linked);
    let harness = Harness { repo: harness.repo, worktrees };
    let lease = harness.create("a").await;
    assert_eq!(fs::read_to_string(lease.path.join("topic.txt")).expect("a file"), "topic");
    harness.assert_sound();
}

#[tokio::test]
async fn the_worktree_that_a_process_was_started_in_can_be_given_back_while_it_goes_on() {
    for (attributes, made_by) in [("*.c text\n", "gix"), ("*.c ident\n", "git")] {
        let harness = Harness::new();
        harness.repo.commit_file(".gitattributes", attributes);
        let harness = Harness::on(harness.repo);
        let lease = harness.create("a").await;
        let end = crate::process::run(&lease.path, "leave a b", "");
        assert!(end.success(), "{made_by}: {end}");
        assert!(!lease.path.exists(), "{made_by}");
        assert_eq!(harness.branches(), ["gadugi/b", "main"], "{made_by}");
        harness.assert_sound();
    }
}

#[test]
fn a_worktree_of_a_bare_repository_is_a_place_to_work_in() {
    let source = Harness::new().repo;
    let bare = source.root().join("project.git");
    source.git(&["clone", "-q", "--bare", ".", &bare.to_string_lossy()]);
    let linked = source.root().join("checkout");
    source.git_in(&bare, &["worktree", "add", "-q", "-b", "topic", &linked.to_string_lossy()]);
    let found = discover(&linked);
    assert_eq!((found.work_tree(), found.root(), found.name()), (linked.as_path(), bare.as_path(), "project".into()));
    assert_eq!(found.default_worktrees_folder(), source.root().join("project.gadugi"));
}

#[tokio::test]
async fn a_submodule_is_a_repository_of_its_own() {
    let harness = Harness::new();
    let outer = TestRepo::new();
    outer.commit_file("outer.txt", "outer");
    let url = format!("file://{}", harness.repo.path().display());
    outer.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "inner"]);
    outer.git(&["commit", "-q", "-m", "With a submodule"]);
    let before = outer.fingerprint();
    let inner = outer.path().join("inner");
    let found = discover(&inner);
    assert_eq!((found.root(), found.name()), (inner.as_path(), "inner".into()));
    assert!(check_worktrees_folder(&found.default_worktrees_folder()).is_err());
    let base = found.head_commit().clone();
    let settings = WorktreeSettings::new(found, base, outer.root().join("elsewhere"));
    let worktrees = GitWorktrees::new(settings).expect("a valid prefix");
    let harness = Harness { repo: outer, worktrees };
    let (lease, _) = harness.done("a", "a.txt", "a").await;
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
    assert_eq!(harness.git(&lease, &["ls-files"]), ".gitignore\na.txt\nsrc/lib.rs");
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert_eq!(harness.repo.git_in(&inner, &["status", "--porcelain"]), "");
    assert_eq!(harness.repo.fingerprint(), before);
}

#[tokio::test]
async fn a_git_folder_that_lies_elsewhere_is_found() {
    let repo = TestRepo::init("repo", &["--separate-git-dir=../apart"]);
    repo.commit_file("a.txt", "a");
    let found = discover(repo.path());
    assert_eq!(found.root(), repo.path());
    let harness = Harness::on(repo);
    let (lease, _) = harness.done("a", "b.txt", "b").await;
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    harness.assert_sound();
}

#[test]
fn a_base_can_be_a_branch_a_tag_a_remote_branch_or_an_id() {
    let harness = Harness::new();
    let first = harness.repo.git(&["rev-parse", "HEAD"]);
    harness.repo.git(&["tag", "-a", "v1", "-m", "annotated"]);
    harness.repo.git(&["update-ref", "refs/remotes/origin/topic", &first]);
    harness.repo.commit_file("later", "later");
    let found = discover(harness.repo.path());
    for base in ["v1", "origin/topic", "HEAD~1", &first, &first[..12], "main^", "v1^{commit}"] {
        assert_eq!(found.resolve(base).expect(base), commit_id(&first), "{base}");
    }
    assert_eq!(found.resolve("HEAD").expect("a commit"), *found.head_commit());
}

#[test]
fn a_base_that_does_not_exist_is_an_error_with_its_name_and_a_remedy() {
    let harness = Harness::new();
    let found = discover(harness.repo.path());
    for base in
        ["no-such-branch", "", "-x", "--all", "main..HEAD", "0000000000000000000000000000000000000000", "ünï\ncode"]
    {
        let error = found.resolve(base).expect_err(base);
        assert!(matches!(error, BaseError::Missing { .. }), "{base}: {error:?}");
        assert!(error.to_string().contains(&format!("`{base}`")), "{error}");
        assert!(error.to_string().contains("name a branch, a tag or a commit"), "{error}");
    }
}

#[test]
fn a_file_is_no_base() {
    let harness = Harness::new();
    let error = discover(harness.repo.path()).resolve("HEAD:src/lib.rs").expect_err("a file is no commit");
    assert!(matches!(error, BaseError::NotACommit { .. }), "{error:?}");
}

#[test]
fn uncommitted_files_are_counted_and_nothing_is_written() {
    let harness = Harness::new();
    let found = discover(harness.repo.path());
    assert_eq!(found.uncommitted().expect("a count"), Uncommitted::default());
    harness.repo.write("src/lib.rs", "changed\n");
    harness.repo.write("staged.txt", "staged");
    harness.repo.git(&["add", "staged.txt"]);
    harness.repo.write("new/one.txt", "1");
    harness.repo.write("new/two.txt", "2");
    harness.repo.write("ignored.log", "log");
    let before = harness.repo.fingerprint();
    assert_eq!(found.uncommitted().expect("a count"), Uncommitted { changed: 2, untracked: 2 });
    assert_eq!(harness.repo.fingerprint(), before);
}

#[test]
fn the_place_beside_a_repository_is_usable_and_one_inside_another_is_not() {
    let harness = Harness::new();
    let beside = discover(harness.repo.path()).default_worktrees_folder();
    check_worktrees_folder(&beside).expect("a usable place");
    assert!(!beside.exists());
    let inner = harness.repo.path().join("vendor/inner");
    fs::create_dir_all(&inner).expect("a folder");
    harness.repo.git_in(&inner, &["init", "-q"]);
    harness.repo.git_in(&inner, &["commit", "-q", "--allow-empty", "-m", "Begin"]);
    let inside = discover(&inner).default_worktrees_folder();
    let error = check_worktrees_folder(&inside).expect_err("it lies in the outer repository");
    assert!(
        matches!(&error, PlaceError::InARepository { repository, .. } if repository == harness.repo.path()),
        "{error}"
    );
}

#[test]
fn a_place_below_a_file_is_not_usable() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), "").expect("a file");
    let error = check_worktrees_folder(&folder.path().join("file/worktrees")).expect_err("a file is no folder");
    assert!(matches!(error, PlaceError::NotWritable { .. }), "{error}");
}
