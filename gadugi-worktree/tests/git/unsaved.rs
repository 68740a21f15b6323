//! Files that git cannot store.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gadugi_core::worktrees::{Release, WorktreeFate};
use gadugi_core::{Lease, Worktrees};
use gadugi_test_support::repo::TestRepo;

use crate::aside::{is_above_permissions, run_without_privileges};
use crate::harness::{DISCARD, Harness, RUN, write};

/// The folders in the trash.
fn trash(harness: &Harness) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(harness.repo.path().join(".git/gadugi/trash")) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// Discards a worktree; gives its folder in the trash.
async fn discard(harness: &Harness, lease: &Lease, why: &str) -> PathBuf {
    let Release { worktree, dropped, .. } = harness.release(lease, DISCARD).await;
    assert_eq!(worktree, WorktreeFate::Removed);
    let [said] = &dropped[..] else { panic!("{dropped:?}") };
    assert!(said.contains(why), "{said}");
    assert!(!lease.path.exists() && harness.listed().is_empty() && harness.branches() == ["main"]);
    let folder =
        trash(harness).into_iter().find(|path| path.to_string_lossy().ends_with("-worktree")).expect("it is there");
    assert!(said.ends_with(&format!("; it stays at {} for 14 days", folder.display())), "{said}");
    folder
}

/// Checks that trash is deleted in time, and not before.
async fn assert_expires(harness: &Harness) {
    harness.worktrees.prune(false).await.expect("it is tidied");
    assert!(!trash(harness).is_empty());
    let long_ago = SystemTime::now() - Duration::from_secs(15 * 24 * 60 * 60);
    for folder in trash(harness) {
        File::open(folder).and_then(|folder| folder.set_modified(long_ago)).expect("it is old");
    }
    harness.worktrees.prune(false).await.expect("it is tidied");
    assert_eq!(trash(harness), Vec::<PathBuf>::new());
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

#[tokio::test]
async fn a_file_that_git_refuses_is_named_and_the_others_are_committed() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "git~1", "refused");
    write(&lease, "d/.GIT", "refused");
    write(&lease, "other.txt", "other");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files), (1, 1));
    assert!(work.unsaved.iter().any(|file| file.path == "git~1" && file.why.contains("name")), "{:?}", work.unsaved);
    assert!(work.uncommitted >= 1);
    let folder = discard(&harness, &lease, "git~1").await;
    assert_eq!(fs::read_to_string(folder.join("git~1")).expect("it is kept"), "refused");
    let other = harness.repo.git(&["show", &format!("refs/gadugi/trash/{RUN}/a:other.txt")]);
    assert_eq!(other, "other");
    assert_expires(&harness).await;
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_named_and_goes_to_the_trash_when_it_is_discarded() {
    if is_above_permissions() {
        let test = "a_file_that_may_not_be_read_is_named_and_goes_to_the_trash_when_it_is_discarded";
        return run_without_privileges(&format!("unsaved::{test}"));
    }
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "closed.txt", "closed");
    write(&lease, "other.txt", "other");
    set_mode(&lease.path.join("closed.txt"), 0);
    let work = harness.commit(&lease).await;
    assert_eq!((work.files, work.uncommitted, work.unsaved[0].path.as_str()), (1, 1, "closed.txt"));
    assert!(work.unsaved[0].why.contains("Permission denied"), "{:?}", work.unsaved);
    let folder = discard(&harness, &lease, "closed.txt").await;
    assert!(folder.join("closed.txt").exists());
    assert_expires(&harness).await;
}

#[tokio::test]
async fn a_folder_that_may_not_be_opened_is_discarded_into_the_trash() {
    if is_above_permissions() {
        return run_without_privileges("unsaved::a_folder_that_may_not_be_opened_is_discarded_into_the_trash");
    }
    for closed in ["closed", "."] {
        let harness = Harness::new();
        let lease = harness.create("a").await;
        write(&lease, "closed/file.txt", "closed");
        set_mode(&lease.path.join(closed), 0);
        let folder = discard(&harness, &lease, "").await;
        set_mode(&folder.join("closed"), 0o700);
        assert_eq!(fs::read_to_string(folder.join("closed/file.txt")).expect("it is kept"), "closed");
        set_mode(&folder.join("closed"), 0);
        assert_expires(&harness).await;
    }
}

#[tokio::test]
async fn folders_deeper_than_any_path_are_discarded_into_the_trash() {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let mut folder = open(&lease.path, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).expect("a folder");
    let name = "d".repeat(100);
    for _ in 0..60 {
        mkdirat(&folder, &name, 0o755.into()).expect("a folder");
        folder = openat(&folder, &name, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).expect("a folder");
    }
    openat(&folder, "file", OFlags::CREATE | OFlags::WRONLY, 0o644.into()).expect("a file");
    drop(folder);
    discard(&harness, &lease, "").await;
    assert_expires(&harness).await;
}

#[tokio::test]
async fn a_file_whose_filter_is_missing_is_discarded_into_the_trash() {
    let repo = TestRepo::new();
    repo.commit_file(".gitattributes", "*.bin filter=lfs\n");
    repo.git(&["config", "filter.lfs.process", "no-such-program"]);
    repo.git(&["config", "filter.lfs.required", "true"]);
    let harness = Harness::on(repo);
    let lease = harness.create("a").await;
    write(&lease, "a.bin", "content");
    assert_eq!(harness.commit(&lease).await.unsaved[0].path, "a.bin");
    let folder = discard(&harness, &lease, "a.bin").await;
    assert_eq!(fs::read_to_string(folder.join("a.bin")).expect("it is kept"), "content");
}

#[tokio::test]
async fn a_damaged_index_does_not_keep_a_worktree_from_being_discarded() {
    let index = |harness: &Harness, lease: &Lease| {
        PathBuf::from(harness.git(lease, &["rev-parse", "--path-format=absolute", "--git-path", "index"]))
    };
    for damage in ["", "DIRC damaged"] {
        let harness = Harness::new();
        let lease = harness.create("a").await;
        write(&lease, "work.txt", "work");
        let index = index(&harness, &lease);
        fs::write(&index, damage).expect("damage");
        let folder = discard(&harness, &lease, "").await;
        assert_eq!(fs::read_to_string(folder.join("work.txt")).expect("it is kept"), "work");
        assert_expires(&harness).await;
    }
}

#[tokio::test]
async fn a_repository_of_its_own_is_discarded_into_the_trash_with_its_commits() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    fs::create_dir(lease.path.join("nested")).expect("a folder");
    let nested = lease.path.join("nested");
    harness.repo.git_in(&nested, &["init", "-q"]);
    harness.repo.git_in(&nested, &["commit", "-q", "--allow-empty", "-m", "Only here"]);
    let commit = harness.repo.git_in(&nested, &["rev-parse", "HEAD"]);
    let folder = discard(&harness, &lease, "nested (a repository of its own)").await;
    assert_eq!(harness.repo.git_in(&folder.join("nested"), &["rev-parse", "HEAD"]), commit);
    assert_expires(&harness).await;
}

#[tokio::test]
async fn a_submodule_is_discarded_into_the_trash_with_its_repository() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let other = harness.repo.root().join("other");
    fs::create_dir(&other).expect("a folder");
    harness.repo.git_in(&other, &["init", "-q"]);
    harness.repo.git_in(&other, &["commit", "-q", "--allow-empty", "-m", "Other"]);
    let other = other.to_string_lossy().into_owned();
    harness.git(&lease, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &other, "sub"]);
    harness.repo.git_in(&lease.path.join("sub"), &["commit", "-q", "--allow-empty", "-m", "Only here"]);
    let commit = harness.repo.git_in(&lease.path.join("sub"), &["rev-parse", "HEAD"]);
    discard(&harness, &lease, "sub (a repository of its own)").await;
    let index =
        trash(&harness).into_iter().find(|path| path.to_string_lossy().ends_with("-index")).expect("git's files");
    assert_eq!(
        harness.repo.git_in(&index.join("modules/sub"), &["--git-dir=.", "--work-tree=/", "rev-parse", "HEAD"]),
        commit
    );
}
