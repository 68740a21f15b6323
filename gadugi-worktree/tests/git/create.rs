use std::fs;

use gadugi_core::worktrees::{WorktreeError, WorktreeFate};
use gadugi_core::{AttemptNo, Worktrees};
use gadugi_test_support::repo::TestRepo;
use gadugi_worktree::{GitWorktrees, WorktreeSettings};

use crate::harness::{DELETE, DISCARD, Harness, branch, chain, commit_id, discover, request, write};

#[tokio::test]
async fn a_worktree_has_the_files_of_the_base_on_a_branch_of_its_own() {
    let harness = Harness::new();
    let lease = harness.create("fix-login").await;
    assert_eq!(lease.path, harness.folder().join("fix-login"));
    assert_eq!(branch(&lease), "gadugi/fix-login");
    assert_eq!(lease.base, Some(commit_id(&harness.repo.git(&["rev-parse", "main"]))));
    assert_eq!(fs::read_to_string(lease.path.join("src/lib.rs")).expect("a file"), "pub fn one() {}\n");
    assert_eq!(harness.git(&lease, &["rev-parse", "--abbrev-ref", "HEAD"]), "gadugi/fix-login");
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
    assert_eq!(harness.listed(), [lease.path]);
    harness.assert_sound();
}

#[tokio::test]
async fn nothing_of_the_user_is_touched_by_making_snapshotting_and_releasing() {
    let harness = Harness::new();
    harness.repo.git(&["config", "branch.autoSetupMerge", "always"]);
    harness.repo.git(&["config", "branch.autoSetupRebase", "always"]);
    harness.repo.git(&["tag", "v1"]);
    harness.repo.write("src/lib.rs", "changed, not committed\n");
    harness.repo.write("staged.txt", "staged\n");
    harness.repo.git(&["add", "staged.txt"]);
    let before = harness.repo.fingerprint();
    let (lease, _) = harness.done("a", "new.txt", "new").await;
    let other = harness.create("b").await;
    harness.release(&lease, crate::harness::KEEP).await;
    harness.release(&other, crate::harness::DISCARD).await;
    assert_eq!(harness.repo.fingerprint(), before);
}

#[tokio::test]
async fn a_branch_that_exists_gives_the_next_number_to_branch_and_folder() {
    let harness = Harness::new();
    harness.repo.git(&["branch", "gadugi/fix"]);
    let lease = harness.create("fix").await;
    assert_eq!((branch(&lease), &lease.path), ("gadugi/fix-2", &harness.folder().join("fix-2")));
}

#[tokio::test]
async fn a_folder_that_exists_gives_the_next_number_and_is_left_alone() {
    let harness = Harness::new();
    fs::create_dir_all(harness.folder().join("fix")).expect("a folder");
    fs::write(harness.folder().join("fix/mine.txt"), "mine").expect("a file");
    fs::write(harness.folder().join("fix-2"), "a file of this name").expect("a file");
    let lease = harness.create("fix").await;
    assert_eq!((branch(&lease), &lease.path), ("gadugi/fix-3", &harness.folder().join("fix-3")));
    assert_eq!(fs::read_to_string(harness.folder().join("fix/mine.txt")).expect("a file"), "mine");
}

#[tokio::test]
async fn a_second_attempt_gets_a_worktree_beside_the_first() {
    let harness = Harness::new();
    let first = harness.create("fix").await;
    let mut again = request("fix");
    again.attempt.number = AttemptNo::FIRST.next();
    let second = harness.try_create(again).await.expect("a worktree");
    assert_eq!((branch(&first), branch(&second)), ("gadugi/fix", "gadugi/fix-2"));
    assert_ne!(first.path, second.path);
}

#[tokio::test]
async fn two_requests_of_one_name_in_one_batch_get_different_numbers() {
    let harness = Harness::new();
    let made = harness.worktrees.create(vec![request("fix"), request("fix")]).await;
    let branches: Vec<_> = made.iter().map(|made| branch(&made.as_ref().expect("a worktree").lease)).collect();
    assert_eq!(branches, ["gadugi/fix", "gadugi/fix-2"]);
}

#[tokio::test]
async fn a_stale_entry_of_git_for_the_folder_gives_the_next_number() {
    let harness = Harness::new();
    let first = harness.create("fix").await;
    fs::remove_dir_all(&first.path).expect("the folder goes");
    harness.repo.git(&["update-ref", "-d", "refs/heads/gadugi/fix"]);
    let second = harness.create("fix").await;
    assert_eq!(branch(&second), "gadugi/fix-2");
}

#[tokio::test]
async fn branches_below_the_name_give_the_next_number() {
    let harness = Harness::new();
    harness.repo.git(&["branch", "gadugi/fix/part"]);
    let lease = harness.create("fix").await;
    assert_eq!(branch(&lease), "gadugi/fix-2");
}

#[tokio::test]
async fn a_branch_that_is_the_prefix_is_an_error_that_names_it() {
    let harness = Harness::new();
    harness.repo.git(&["branch", "gadugi"]);
    let error = harness.try_create(request("fix")).await.expect_err("there is no place for the branch");
    assert!(matches!(error, WorktreeError::Create { .. }));
    let text = chain(&error);
    assert!(text.contains("the branch `gadugi` is in the way"), "{text}");
    assert!(text.contains("another branch prefix"), "{text}");
    assert_eq!(harness.branches(), ["gadugi", "main"]);
    assert!(!harness.folder().exists());
}

#[tokio::test]
async fn a_packed_branch_counts_as_existing() {
    let harness = Harness::new();
    harness.repo.git(&["branch", "gadugi/fix"]);
    harness.repo.git(&["pack-refs", "--all", "--prune"]);
    let lease = harness.create("fix").await;
    assert_eq!(branch(&lease), "gadugi/fix-2");
    harness.assert_sound();
}

#[tokio::test]
async fn the_prefix_of_branches_can_be_chosen_and_must_be_valid() {
    let repo = TestRepo::new();
    repo.commit_file("a", "a");
    let repository = discover(repo.path());
    let folder = repository.default_worktrees_folder();
    let base = repository.head_commit().clone();
    let mut settings = WorktreeSettings::new(repository, base, folder);
    settings.branch_prefix = "agents/run ".into();
    assert!(GitWorktrees::new(settings.clone()).is_err());
    settings.branch_prefix = "agents/run-".into();
    let worktrees = GitWorktrees::new(settings).expect("a valid prefix");
    let lease = worktrees.create(vec![request("a")]).await.remove(0).expect("a worktree").lease;
    assert_eq!(branch(&lease), "agents/run-a");
}

#[tokio::test]
async fn a_detached_head_is_a_base_like_any_other() {
    let repo = TestRepo::new();
    let first = repo.commit_file("a.txt", "one");
    repo.commit_file("a.txt", "two");
    repo.git(&["checkout", "-q", "--detach", &first]);
    let harness = Harness::on(repo);
    let lease = harness.create("a").await;
    assert_eq!(fs::read_to_string(lease.path.join("a.txt")).expect("a file"), "one");
    assert_eq!(harness.git(&lease, &["symbolic-ref", "HEAD"]), "refs/heads/gadugi/a");
}

#[tokio::test]
async fn uncommitted_changes_of_the_user_stay_where_they_are() {
    let harness = Harness::new();
    harness.repo.write("src/lib.rs", "changed\n");
    let lease = harness.create("a").await;
    assert_eq!(fs::read_to_string(lease.path.join("src/lib.rs")).expect("a file"), "pub fn one() {}\n");
    assert_eq!(harness.repo.git(&["status", "--porcelain"]), " M src/lib.rs");
}

#[tokio::test]
async fn spaces_and_unicode_in_paths_are_kept() {
    let repo = TestRepo::init("müll tonne/ein repo", &[]);
    repo.commit_file("größe und gewicht/日本語 ファイル.txt", "text\n");
    repo.commit_file("-dash.txt", "dash\n");
    let harness = Harness::on(repo);
    let lease = harness.create("a").await;
    let file = lease.path.join("größe und gewicht/日本語 ファイル.txt");
    assert_eq!(fs::read_to_string(file).expect("a file"), "text\n");
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
    harness.assert_sound();
    let name = harness.repo.path().file_name().expect("a name").to_owned();
    assert_eq!(name, "ein repo");
}

#[tokio::test]
async fn a_repository_of_sha256_objects_works_too() {
    let repo = TestRepo::init("repo", &["--object-format=sha256"]);
    repo.commit_file("a.txt", "one");
    let harness = Harness::on(repo);
    let (lease, need) = harness.done("a", "b.txt", "two").await;
    assert_eq!(need.tip.as_str().len(), 64);
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
    harness.assert_sound();
}

#[tokio::test]
async fn a_user_without_an_identity_gets_worktrees_and_commits_by_gadugi() {
    let harness = Harness::new();
    let (lease, _) = harness.done("a", "b.txt", "two").await;
    let authors = harness.git(&lease, &["log", "-1", "--format=%an <%ae> %cn <%ce>"]);
    assert_eq!(authors, "gadugi <gadugi@localhost> gadugi <gadugi@localhost>");
}

#[tokio::test]
async fn the_identity_of_the_repository_is_used_where_there_is_one() {
    let harness = Harness::new();
    harness.repo.git(&["config", "user.name", "Ada"]);
    harness.repo.git(&["config", "user.email", "ada@example.com"]);
    let (lease, _) = harness.done("a", "b.txt", "two").await;
    assert_eq!(harness.git(&lease, &["log", "-1", "--format=%an <%ae>"]), "Ada <ada@example.com>");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_leaves_nothing_behind() {
    let harness = Harness::new();
    fs::write(harness.folder(), "a file is in the way").expect("a file");
    let before = harness.repo.fingerprint();
    let results = harness.worktrees.create(vec![request("a"), request("b")]).await;
    for result in results {
        let error = result.expect_err("a file is no folder");
        assert!(matches!(&error, WorktreeError::Create { .. }), "{}", chain(&error));
    }
    assert_eq!(harness.branches(), ["main"]);
    assert!(harness.listed().is_empty());
    assert_eq!(harness.repo.fingerprint(), before);
    harness.assert_sound();
}

#[tokio::test]
async fn a_checkout_that_fails_midway_leaves_neither_branch_nor_entry_nor_folder() {
    let harness = Harness::new();
    harness.repo.commit_file("data.bin", "content");
    let blob = harness.repo.git(&["rev-parse", "HEAD:data.bin"]);
    let object = harness.repo.path().join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    let bytes = fs::read(&object).expect("a loose object");
    fs::remove_file(&object).expect("the object goes");
    let harness = Harness::on(harness.repo);
    let error = harness.try_create(request("a")).await.expect_err("a blob is missing");
    assert!(matches!(error, WorktreeError::Create { .. }), "{}", chain(&error));
    assert_eq!(harness.branches(), ["main"]);
    assert!(harness.listed().is_empty());
    assert!(!harness.folder().exists());
    assert!(!harness.repo.path().join(".git/worktrees").exists());
    fs::write(&object, bytes).expect("the object comes back");
    harness.create("a").await;
    harness.assert_sound();
}

#[tokio::test]
async fn one_failure_in_a_batch_does_not_hinder_the_others() {
    let harness = Harness::new();
    let (_, ours) = harness.done("ours", "same.txt", "ours").await;
    let (_, theirs) = harness.done("theirs", "same.txt", "theirs").await;
    let mut conflict = request("conflict");
    conflict.needs = vec![ours, theirs];
    let results = harness.worktrees.create(vec![request("x"), conflict, request("y")]).await;
    let made: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(made, [true, false, true]);
}

#[tokio::test]
async fn a_batch_of_none_is_nothing() {
    let harness = Harness::new();
    assert!(harness.worktrees.create(Vec::new()).await.is_empty());
}

#[cfg(not(windows))]
#[tokio::test]
async fn tasks_with_the_names_of_windows_devices_work_where_these_are_ordinary_names() {
    let harness = Harness::new();
    for task in ["con", "nul", "aux", "com1", "lpt1.txt"] {
        let lease = harness.create(task).await;
        write(&lease, "a.txt", task);
        assert_eq!(harness.commit(&lease).await.commits, 1, "{task}");
        assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Removed, "{task}");
        assert_eq!(harness.release(&lease, DISCARD).await.worktree, WorktreeFate::Absent, "{task}");
    }
    assert_eq!(harness.branches(), ["main"]);
    harness.assert_sound();
}

#[tokio::test]
async fn a_repository_in_whose_worktrees_git_would_work_elsewhere_is_refused() {
    let repo = TestRepo::new();
    repo.commit_file("a.txt", "a");
    let harness = Harness::on(repo);
    harness.create("before").await;
    harness.repo.git(&["config", "extensions.worktreeConfig", "true"]);
    let folder = harness.repo.path().to_string_lossy().into_owned();
    // As a submodule has it.
    harness.repo.git(&["config", "core.worktree", &folder]);
    let error = chain(&harness.try_create(request("a")).await.expect_err("it is refused"));
    assert!(error.contains("core.worktree is set for all worktrees"), "{error}");
    harness.repo.git(&["config", "--worktree", "core.worktree", &folder]);
    harness.repo.git(&["config", "--local", "--unset", "core.worktree"]);
    let lease = harness.try_create(request("a")).await.expect("a worktree");
    assert_eq!(harness.git(&lease, &["rev-parse", "--show-toplevel"]), lease.path.to_string_lossy());
}
