//! Home folders that agents keep from one attempt to the next.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gadugi_core::{RunId, TaskId, Worktrees};
use gadugi_worktree::{Footprint, GitWorktrees, WorktreeSettings};

use crate::aside::{is_above_permissions, run_without_privileges};
use crate::harness::{Harness, RUN, discover, worktrees_of};
use crate::killed::{assert_clean, kill_at};

fn run() -> RunId {
    RUN.parse().expect("a run id")
}

fn id(task: &str) -> TaskId {
    task.parse().expect("a task id")
}

fn all(harness: &Harness) -> PathBuf {
    harness.repo.path().join(".git/gadugi/homes")
}

async fn home(worktrees: &GitWorktrees, task: &str) -> (PathBuf, bool) {
    let home = worktrees.home(&run(), &id(task)).await.expect("a home").expect("one");
    (home.path, home.is_new)
}

/// Whether nothing is left of any home, also of none that was put aside.
fn are_gone(harness: &Harness) -> bool {
    fs::read_dir(all(harness)).map_or(true, |mut left| left.next().is_none())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a folder").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_task_finds_its_home_again_with_what_it_has_left_and_nobody_else_comes_in() {
    let harness = Harness::new();
    let before = harness.repo.fingerprint();
    let (path, is_new) = home(&harness.worktrees, "a").await;
    assert!(is_new && path.starts_with(all(&harness)));
    assert_eq!((mode(&path), mode(&all(&harness))), (0o700, 0o700));
    assert_eq!(home(&harness.worktrees, "a").await, (path.clone(), true), "nothing is in it yet");
    fs::write(path.join("session"), "s1").expect("a file");
    assert_eq!(home(&worktrees_of(harness.repo.path()), "a").await, (path.clone(), false));
    let (other, is_new) = home(&harness.worktrees, "b").await;
    assert!(is_new && other != path);
    let homes = harness.worktrees.homes().await.expect("a list");
    assert_eq!(homes, [(run(), id("a")), (run(), id("b"))]);
    for task in ["a", "b", "never-there"] {
        harness.worktrees.remove_home(&run(), &id(task)).await.expect("it is gone");
    }
    assert_eq!(harness.worktrees.homes().await.expect("a list"), []);
    harness.worktrees.swept().await.expect("it is deleted");
    assert!(are_gone(&harness));
    assert_eq!(harness.repo.fingerprint(), before);
}

#[tokio::test]
async fn whatever_is_left_in_a_home_goes_with_it_and_nothing_else_does() {
    if is_above_permissions() {
        let test = "whatever_is_left_in_a_home_goes_with_it_and_nothing_else_does";
        return run_without_privileges(&format!("homes::{test}"));
    }
    let harness = Harness::new();
    let outside = harness.repo.root().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("file.txt"), "precious").expect("a file");
    let (path, _) = home(&harness.worktrees, "a").await;
    symlink(&outside, path.join("link")).expect("a link");
    symlink("/", path.join(".config")).expect("a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, path.join("pipe"), rustix::fs::Mode::RWXU).expect("a pipe");
    fs::create_dir_all(path.join("closed/inner")).expect("a folder");
    fs::write(path.join("closed/inner/file"), "x").expect("a file");
    let close = |path: PathBuf| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("it is closed");
    close(path.join("closed/inner"));
    close(path.join("closed"));
    close(path.clone());
    assert!(harness.worktrees.check_home(&run(), &id("a")).await.expect("an answer").is_none(), "what it has counts");
    assert_eq!(home(&harness.worktrees, "a").await, (path.clone(), false), "nobody knows that it is empty");
    harness.worktrees.remove_home(&run(), &id("a")).await.expect("it is gone");
    harness.worktrees.swept().await.expect("it is deleted");
    assert!(are_gone(&harness));
    assert_eq!(fs::read_to_string(outside.join("file.txt")).expect("the file"), "precious");
}

#[tokio::test]
async fn a_home_with_too_much_in_it_is_removed_and_that_is_said() {
    let harness = Harness::new();
    let repository = discover(harness.repo.path());
    let (base, folder) = (repository.head_commit().clone(), repository.default_worktrees_folder());
    let settings = WorktreeSettings::new(repository, base, folder);
    let home_limit = Footprint { bytes: 1 << 20, inodes: 100 };
    let worktrees = GitWorktrees::new(WorktreeSettings { home_limit, ..settings }).expect("a valid prefix");
    let check = async || worktrees.check_home(&run(), &id("a")).await.expect("an answer");
    assert_eq!(check().await, None, "there is none");
    let (path, _) = home(&worktrees, "a").await;
    // However long it says that it is, and wherever a link leads.
    let sparse = fs::File::create(path.join("sparse")).expect("a file");
    sparse.set_len(1 << 40).expect("a length");
    symlink("/usr", path.join("link")).expect("a link");
    assert_eq!(check().await, None);
    fs::create_dir_all(path.join("cache/inner")).expect("a folder");
    fs::write(path.join("cache/inner/large"), vec![7; 2 << 20]).expect("a file");
    let said = check().await.expect("a sentence");
    assert!(said.contains("the home folder of the agent of a had more than 1 MiB or 100 files in it"), "{said}");
    assert_eq!(home(&worktrees, "a").await, (path.clone(), true));
    for number in 0..=100 {
        fs::write(path.join(format!("file-{number}")), "").expect("a file");
    }
    assert!(check().await.is_some());
    worktrees.swept().await.expect("it is deleted");
    assert!(are_gone(&harness));
}

#[tokio::test]
async fn a_process_that_is_killed_at_a_home_leaves_one_that_is_found_or_one_that_is_deleted() {
    let harness = Harness::new();
    kill_at(&harness, "home a", "home-made");
    assert_eq!(harness.worktrees.homes().await.expect("a list"), [(run(), id("a"))]);
    let (path, _) = home(&harness.worktrees, "a").await;
    fs::write(path.join("session"), "s1").expect("a file");
    kill_at(&harness, "forget-home a", "home-renamed-aside");
    assert!(!path.exists() && all(&harness).exists());
    assert_eq!(harness.worktrees.homes().await.expect("a list"), []);
    // As every command does that begins.
    let next = worktrees_of(harness.repo.path());
    next.prune(false).await.expect("cleared");
    next.swept().await.expect("it is deleted");
    assert!(!all(&harness).exists());
    assert_clean(&harness).await;
    harness.assert_sound();
}

#[tokio::test]
async fn a_later_run_takes_the_home_of_an_earlier_one_once_and_never_over_its_own() {
    let harness = Harness::new();
    let (path, _) = home(&harness.worktrees, "a").await;
    fs::write(path.join("session"), "s-1").expect("a file");
    let later: RunId = "20261122-093355-k7q".parse().expect("a run id");
    for _ in 0..2 {
        harness.worktrees.adopt_home(&run(), &later, &id("a")).await.expect("it is taken");
        let taken = harness.worktrees.home(&later, &id("a")).await.expect("a home").expect("one");
        assert!(!taken.is_new && !path.exists());
        assert_eq!(fs::read_to_string(taken.path.join("session")).expect("a file"), "s-1");
    }
    let (path, is_new) = home(&harness.worktrees, "a").await;
    assert!(is_new);
    harness.worktrees.adopt_home(&run(), &later, &id("a")).await.expect("there is one already");
    assert!(path.exists());
    // Nothing is there to take.
    harness.worktrees.adopt_home(&run(), &later, &id("b")).await.expect("nothing is done");
}
