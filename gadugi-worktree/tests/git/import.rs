//! Commits that were made in isolation come to their branch.

use std::fs;

use gadugi_core::worktrees::{KeepReason, WorktreeFate};
use gadugi_core::{Lease, Worktrees};
use gadugi_worktree::GitWorktrees;

use crate::harness::{Harness, KEEP, branch, chain, worktrees_of, write};
use crate::isolated::{Isolated, Untouched, all_private, kept};
use crate::process;

#[tokio::test]
async fn they_are_on_the_branch_and_the_worktree_is_as_git_would_have_it() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let before = Untouched::of(&harness, &task.lease);
    task.commit(&harness, "a.txt", "a");
    fs::remove_file(task.lease.path.join("src/lib.rs")).expect("a file goes");
    task.git(&harness, &["commit", "-q", "-a", "-m", "Remove"]);
    let tip = task.commit(&harness, "deep/er/b.txt", "b");
    assert_eq!(task.tip(&harness), task.base());
    for _ in 0..2 {
        task.import(&harness).await.expect("an import");
        assert_eq!(task.tip(&harness), tip);
        assert_eq!(harness.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a");
        assert_eq!(harness.git(&task.lease, &["ls-files"]), ".gitignore\na.txt\ndeep/er/b.txt");
        task.assert_nothing_begun();
    }
    let log = harness.repo.git(&["log", "-g", "--format=%gs", "-1", "gadugi/a"]);
    assert_eq!(log, "gadugi: import what was committed in isolation");
    let work = harness.count(&task.lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (3, 3, 0));
    assert_eq!((kept(&harness), work.kept_refs), (Vec::new(), Vec::new()));
    assert_eq!(Untouched::of(&harness, &task.lease), before);
    harness.assert_sound();
    assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert!(!all_private(harness.repo.path()).exists());
    assert_eq!(task.tip(&harness), tip);
}

#[tokio::test]
async fn what_is_not_committed_becomes_a_commit_on_top() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let tip = task.commit(&harness, "a.txt", "a");
    write(&task.lease, "a.txt", "changed");
    write(&task.lease, "b.txt", "b");
    write(&task.lease, "staged.txt", "staged");
    task.git(&harness, &["add", "staged.txt"]);
    task.import(&harness).await.expect("an import");
    let work = harness.commit(&task.lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (2, 3, 0));
    assert_eq!(harness.repo.git(&["rev-parse", "gadugi/a^"]), tip);
    // The branch went on, and what the task knows of it stands still.
    task.import(&harness).await.expect("there is nothing to import");
    assert_eq!(task.tip(&harness), work.tip.expect("a tip").as_str());
    assert_eq!(harness.git(&task.lease, &["status", "--porcelain"]), "");
    harness.assert_sound();
}

/// Checks that another process, which finds no git, does a step to its end.
fn works_without_git(harness: &Harness, step: &str) {
    let status = process::run_without_programs(harness.repo.path(), step);
    assert!(status.success(), "{step} needs git");
}

#[tokio::test]
async fn nothing_to_import_needs_no_process_and_neither_does_isolation() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    works_without_git(&harness, "import a");
    works_without_git(&harness, "isolate a");
    let task = Isolated::of(&harness, lease).await;
    task.git(&harness, &["branch", "same"]);
    write(&task.lease, "open.txt", "open");
    works_without_git(&harness, "import a");
    task.git(&harness, &["branch", "-D", "-q", "same"]);
    let tip = task.commit(&harness, "a.txt", "a");
    task.git(&harness, &["branch", "same"]);
    task.git(&harness, &["checkout", "-q", "-b", "other"]);
    task.commit(&harness, "b.txt", "b");
    task.git(&harness, &["stash", "-u"]);
    let status = process::run_without_programs(harness.repo.path(), "import a");
    assert!(!status.success(), "there is something to import");
    task.import(&harness).await.expect("an import");
    works_without_git(&harness, "import a");
    assert_eq!(task.tip(&harness), tip);
}

#[tokio::test]
async fn other_branches_and_the_stash_are_kept_by_references_of_their_own() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let before = Untouched::of(&harness, &task.lease);
    let tip = task.commit(&harness, "a.txt", "a");
    task.git(&harness, &["branch", "merged"]);
    for name in ["topic", "topic-2/deep", "main"] {
        task.git(&harness, &["checkout", "-q", "-b", name, "gadugi/a"]);
        task.commit(&harness, &format!("{name}.txt"), name);
    }
    let topic = task.git(&harness, &["rev-parse", "topic"]);
    task.git(&harness, &["checkout", "-q", "gadugi/a"]);
    for text in ["first", "second"] {
        write(&task.lease, "a.txt", text);
        task.git(&harness, &["stash", "-q"]);
    }
    task.import(&harness).await.expect("an import");
    let names = ["main", "stash", "stash@2", "topic", "topic-2/deep"].map(|name| task.kept(name));
    assert_eq!(kept(&harness), names);
    assert_eq!(harness.repo.git(&["rev-parse", &task.kept("topic")]), topic);
    assert_eq!(harness.repo.git(&["show", &format!("{}:a.txt", task.kept("stash"))]), "second");
    assert_eq!(harness.repo.git(&["show", &format!("{}:a.txt", task.kept("stash@2"))]), "first");
    assert_eq!(task.tip(&harness), tip);
    assert_eq!(harness.commit(&task.lease).await.kept_refs, names);
    // Also for a process that knows nothing of it.
    let count = gadugi_core::worktrees::SnapshotRequest { commit: false, subject: None, since: None };
    let others = worktrees_of(harness.repo.path()).snapshot(&task.lease, count).await.expect("a snapshot");
    assert_eq!(others.kept_refs, names);
    // One that goes on is followed.
    task.git(&harness, &["checkout", "-q", "topic"]);
    let next = task.commit(&harness, "more.txt", "more");
    task.import(&harness).await.expect("an import");
    assert_eq!((kept(&harness), harness.repo.git(&["rev-parse", &task.kept("topic")])), (names.to_vec(), next));
    assert_eq!(Untouched::of(&harness, &task.lease), before);
    harness.assert_sound();
}

#[tokio::test]
async fn a_head_elsewhere_is_kept_and_keeps_the_worktree() {
    for detach in [true, false] {
        let harness = Harness::new();
        let task = Isolated::new(&harness, "a").await;
        let how: &[&str] = if detach { &["--detach"] } else { &["-b", "topic"] };
        task.git(&harness, &[&["checkout", "-q"], how].concat());
        let tip = task.commit(&harness, "a.txt", "a");
        for _ in 0..2 {
            task.import(&harness).await.expect("an import");
            assert_eq!(task.tip(&harness), task.base());
            assert_eq!(harness.git(&task.lease, &["rev-parse", "HEAD"]), tip);
            assert_eq!(harness.git(&task.lease, &["status", "--porcelain"]), "");
        }
        assert_eq!(kept(&harness), [task.kept(if detach { "HEAD" } else { "topic" })]);
        let release = harness.release(&task.lease, KEEP).await;
        assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::HeadElsewhere]));
        // The task goes back to its branch.
        task.git(&harness, &["checkout", "-q", "gadugi/a"]);
        task.import(&harness).await.expect("an import");
        assert_eq!(harness.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a");
        assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        harness.assert_sound();
    }
}

#[tokio::test]
async fn packed_references_and_packed_objects_are_taken_over() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    for number in 0..150 {
        write(&task.lease, &format!("many/{number}.txt"), format!("{number}\n"));
    }
    task.git(&harness, &["add", "."]);
    task.git(&harness, &["commit", "-q", "-m", "Many"]);
    task.git(&harness, &["gc", "-q", "--prune=now"]);
    task.commit(&harness, "loose.txt", "loose");
    task.git(&harness, &["branch", "topic"]);
    let tip = task.commit(&harness, "more.txt", "more");
    task.git(&harness, &["pack-refs", "--all"]);
    assert!(!task.git.join("refs/heads/gadugi/a").exists());
    task.import(&harness).await.expect("an import");
    assert_eq!(task.tip(&harness), tip);
    assert_eq!(harness.count(&task.lease).await.files, 152);
    assert_eq!(harness.git(&task.lease, &["status", "--porcelain"]), "");
    harness.assert_sound();
    assert!(kept(&harness).is_empty());
}

#[tokio::test]
async fn a_task_that_has_deleted_its_branch_has_nothing_for_it() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.git(&harness, &["checkout", "-q", "--orphan", "new"]);
    task.git(&harness, &["branch", "-q", "-D", "gadugi/a"]);
    task.import(&harness).await.expect("an import");
    assert_eq!(harness.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a");
    let tip = task.commit(&harness, "a.txt", "a");
    task.import(&harness).await.expect("an import");
    assert_eq!(harness.repo.git(&["rev-parse", &task.kept("new")]), tip);
    assert_eq!(task.tip(&harness), task.base());
    harness.assert_sound();
}

async fn import(worktrees: GitWorktrees, lease: Lease) {
    worktrees.import(&lease).await.expect("an import");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_imports_at_once_and_several_of_one_all_succeed() {
    let harness = Harness::new();
    let mut tasks = Vec::new();
    for number in 0..8 {
        let task = Isolated::new(&harness, &format!("task-{number}")).await;
        for file in 0..40 {
            task.commit(&harness, &format!("{file}.txt"), &format!("{number} {file}"));
        }
        tasks.push(task);
    }
    let all: Vec<_> = tasks
        .iter()
        .flat_map(|task| [task; 2])
        .map(|task| tokio::spawn(import(worktrees_of(harness.repo.path()), task.lease.clone())))
        .collect();
    for one in all {
        one.await.expect("it ends");
    }
    for task in &tasks {
        assert_eq!(task.tip(&harness), task.git(&harness, &["rev-parse", "HEAD"]));
        assert_eq!(harness.git(&task.lease, &["status", "--porcelain"]), "");
        let work = harness.commit(&task.lease).await;
        assert_eq!((work.commits, work.files, work.uncommitted), (40, 40, 0));
        assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        assert_eq!(harness.repo.git(&["log", "--format=%s", "-1", branch(&task.lease)]), "Write 39.txt");
    }
    assert!(!all_private(harness.repo.path()).exists());
    harness.assert_sound();
}

#[tokio::test]
async fn in_a_shared_repository_new_objects_have_the_permissions_that_git_gives_them() {
    use std::os::unix::fs::PermissionsExt;
    for shared in ["umask", "group", "all", "0640"] {
        let harness = Harness::new();
        harness.repo.git(&["config", "core.sharedRepository", shared]);
        let task = Isolated::new(&harness, "a").await;
        let tip = task.commit(&harness, "a.txt", "a");
        task.import(&harness).await.expect("an import");
        let mode = |path: std::path::PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
        let modes = |id: &str| {
            let folder = harness.repo.path().join(".git/objects").join(&id[..2]);
            (mode(folder.clone()), mode(folder.join(&id[2..])))
        };
        // A folder that is not there yet, as that of the commit most likely was not.
        let mut git = (0, 0);
        for number in 0..20 {
            let by_git = harness.repo.git(&["commit-tree", "HEAD^{tree}", "-m", &format!("{number}")]);
            git = git.max(modes(&by_git));
        }
        assert_eq!(modes(&tip), git, "{shared}");
        harness.assert_sound();
    }
}

#[tokio::test]
async fn a_task_may_be_called_like_a_device_of_windows_and_its_branches_too() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "con").await;
    let tip = task.commit(&harness, "a.txt", "a");
    task.git(&harness, &["checkout", "-q", "-b", "aux/nul"]);
    task.commit(&harness, "b.txt", "b");
    for _ in 0..2 {
        task.import(&harness).await.expect("an import");
        assert_eq!((task.tip(&harness), kept(&harness)), (tip.clone(), vec![task.kept("aux/nul")]));
        assert_eq!(harness.count(&task.lease).await.kept_refs, [task.kept("aux/nul")]);
    }
    harness.assert_sound();
}

#[tokio::test]
async fn an_amended_commit_that_was_not_imported_yet_is_as_good_as_any_other() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.commit(&harness, "a.txt", "a");
    task.git(&harness, &["commit", "-q", "--amend", "-m", "Better"]);
    task.import(&harness).await.expect("an import");
    let imported = task.tip(&harness);
    // Once it is here, it stays.
    task.git(&harness, &["commit", "-q", "--amend", "-m", "Best"]);
    let error = chain(&task.import(&harness).await.expect_err("it was taken over already"));
    assert!(error.contains(&task.kept("gadugi/a")), "{error}");
    assert_eq!(task.tip(&harness), imported);
    task.git(&harness, &["reset", "-q", "--soft", &imported]);
    task.import(&harness).await.expect("an import");
    harness.assert_sound();
}
