//! Commits that were made in isolation come to their branch.

use std::fs;

use gadugi_core::{KeepReason, Lease, Release, WorktreeFate, Worktrees};
use gadugi_worktree::GitWorktrees;

use crate::ground::{DELETE, DISCARD, Ground, KEEP, branch, chain, worktrees_of, write};
use crate::isolated::{Isolated, Untouched, all_private, kept};
use crate::process;

#[tokio::test]
async fn they_are_on_the_branch_and_the_worktree_is_as_git_would_have_it() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let before = Untouched::of(&ground, &task.lease);
    task.commit(&ground, "a.txt", "a");
    fs::remove_file(task.lease.path.join("src/lib.rs")).expect("a file goes");
    task.git(&ground, &["commit", "-q", "-a", "-m", "Remove"]);
    let tip = task.commit(&ground, "deep/er/b.txt", "b");
    assert_eq!(task.tip(&ground), task.base());
    for _ in 0..2 {
        task.import(&ground).await.expect("an import");
        assert_eq!(task.tip(&ground), tip);
        assert_eq!(ground.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a");
        assert_eq!(ground.git(&task.lease, &["ls-files"]), ".gitignore\na.txt\ndeep/er/b.txt");
        task.assert_nothing_begun();
    }
    let log = ground.repo.git(&["log", "-g", "--format=%gs", "-1", "gadugi/a"]);
    assert_eq!(log, "gadugi: import what was committed in isolation");
    let work = ground.count(&task.lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (3, 3, 0));
    assert_eq!((kept(&ground), work.kept_refs), (Vec::new(), Vec::new()));
    assert_eq!(Untouched::of(&ground, &task.lease), before);
    ground.assert_sound();
    assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert!(!all_private(ground.repo.path()).exists());
    assert_eq!(task.tip(&ground), tip);
}

#[tokio::test]
async fn what_is_not_committed_becomes_a_commit_on_top() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let tip = task.commit(&ground, "a.txt", "a");
    write(&task.lease, "a.txt", "changed");
    write(&task.lease, "b.txt", "b");
    write(&task.lease, "staged.txt", "staged");
    task.git(&ground, &["add", "staged.txt"]);
    task.import(&ground).await.expect("an import");
    let work = ground.commit(&task.lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (2, 3, 0));
    assert_eq!(ground.repo.git(&["rev-parse", "gadugi/a^"]), tip);
    // The branch went on, and what the task knows of it stands still.
    task.import(&ground).await.expect("there is nothing to import");
    assert_eq!(task.tip(&ground), work.tip.expect("a tip").as_str());
    assert_eq!(ground.git(&task.lease, &["status", "--porcelain"]), "");
    ground.assert_sound();
}

/// That another process, which finds no git, does a step to its end.
fn works_without_git(ground: &Ground, step: &str) {
    let status = process::run_without_programs(ground.repo.path(), step);
    assert!(status.success(), "{step} needs git");
}

#[tokio::test]
async fn nothing_to_import_needs_no_process_and_neither_does_isolation() {
    let ground = Ground::new();
    let lease = ground.create("a").await;
    works_without_git(&ground, "import a");
    works_without_git(&ground, "isolate a");
    let task = Isolated::of(&ground, lease).await;
    task.git(&ground, &["branch", "same"]);
    write(&task.lease, "open.txt", "open");
    works_without_git(&ground, "import a");
    task.git(&ground, &["branch", "-D", "-q", "same"]);
    let tip = task.commit(&ground, "a.txt", "a");
    task.git(&ground, &["branch", "same"]);
    task.git(&ground, &["checkout", "-q", "-b", "other"]);
    task.commit(&ground, "b.txt", "b");
    task.git(&ground, &["stash", "-u"]);
    let status = process::run_without_programs(ground.repo.path(), "import a");
    assert!(!status.success(), "there is something to import");
    task.import(&ground).await.expect("an import");
    works_without_git(&ground, "import a");
    assert_eq!(task.tip(&ground), tip);
}

#[tokio::test]
async fn other_branches_and_the_stash_are_kept_by_references_of_their_own() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let before = Untouched::of(&ground, &task.lease);
    let tip = task.commit(&ground, "a.txt", "a");
    task.git(&ground, &["branch", "merged"]);
    for name in ["topic", "topic-2/deep", "main"] {
        task.git(&ground, &["checkout", "-q", "-b", name, "gadugi/a"]);
        task.commit(&ground, &format!("{name}.txt"), name);
    }
    let topic = task.git(&ground, &["rev-parse", "topic"]);
    task.git(&ground, &["checkout", "-q", "gadugi/a"]);
    for text in ["first", "second"] {
        write(&task.lease, "a.txt", text);
        task.git(&ground, &["stash", "-q"]);
    }
    task.import(&ground).await.expect("an import");
    let names = ["main", "stash", "stash@2", "topic", "topic-2/deep"].map(|name| task.kept(name));
    assert_eq!(kept(&ground), names);
    assert_eq!(ground.repo.git(&["rev-parse", &task.kept("topic")]), topic);
    assert_eq!(ground.repo.git(&["show", &format!("{}:a.txt", task.kept("stash"))]), "second");
    assert_eq!(ground.repo.git(&["show", &format!("{}:a.txt", task.kept("stash@2"))]), "first");
    assert_eq!(task.tip(&ground), tip);
    assert_eq!(ground.commit(&task.lease).await.kept_refs, names);
    // Also for a process that knows nothing of it.
    let count = gadugi_core::SnapshotRequest { commit: false };
    let others = worktrees_of(ground.repo.path()).snapshot(&task.lease, count).await.expect("a snapshot");
    assert_eq!(others.kept_refs, names);
    // One that goes on is followed.
    task.git(&ground, &["checkout", "-q", "topic"]);
    let next = task.commit(&ground, "more.txt", "more");
    task.import(&ground).await.expect("an import");
    assert_eq!((kept(&ground), ground.repo.git(&["rev-parse", &task.kept("topic")])), (names.to_vec(), next));
    assert_eq!(Untouched::of(&ground, &task.lease), before);
    ground.assert_sound();
}

#[tokio::test]
async fn a_head_elsewhere_is_kept_and_keeps_the_worktree() {
    for detach in [true, false] {
        let ground = Ground::new();
        let task = Isolated::new(&ground, "a").await;
        let how: &[&str] = if detach { &["--detach"] } else { &["-b", "topic"] };
        task.git(&ground, &[&["checkout", "-q"], how].concat());
        let tip = task.commit(&ground, "a.txt", "a");
        for _ in 0..2 {
            task.import(&ground).await.expect("an import");
            assert_eq!(task.tip(&ground), task.base());
            assert_eq!(ground.git(&task.lease, &["rev-parse", "HEAD"]), tip);
            assert_eq!(ground.git(&task.lease, &["status", "--porcelain"]), "");
        }
        assert_eq!(kept(&ground), [task.kept(if detach { "HEAD" } else { "topic" })]);
        let release = ground.release(&task.lease, KEEP).await;
        assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::HeadElsewhere]));
        // The task goes back to its branch.
        task.git(&ground, &["checkout", "-q", "gadugi/a"]);
        task.import(&ground).await.expect("an import");
        assert_eq!(ground.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a");
        assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        ground.assert_sound();
    }
}

#[tokio::test]
async fn packed_references_and_packed_objects_are_taken_over() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    for number in 0..150 {
        write(&task.lease, &format!("many/{number}.txt"), format!("{number}\n"));
    }
    task.git(&ground, &["add", "."]);
    task.git(&ground, &["commit", "-q", "-m", "Many"]);
    task.git(&ground, &["gc", "-q", "--prune=now"]);
    task.commit(&ground, "loose.txt", "loose");
    task.git(&ground, &["branch", "topic"]);
    let tip = task.commit(&ground, "more.txt", "more");
    task.git(&ground, &["pack-refs", "--all"]);
    assert!(!task.git.join("refs/heads/gadugi/a").exists());
    task.import(&ground).await.expect("an import");
    assert_eq!(task.tip(&ground), tip);
    assert_eq!(ground.count(&task.lease).await.files, 152);
    assert_eq!(ground.git(&task.lease, &["status", "--porcelain"]), "");
    ground.assert_sound();
    assert!(kept(&ground).is_empty());
}

async fn assert_apart(ground: &Ground, task: &Isolated, tip: &str, says: &str) {
    let (here, name) = (task.tip(ground), task.kept("gadugi/a"));
    for _ in 0..2 {
        let error = chain(&task.import(ground).await.expect_err("it cannot be on the branch"));
        assert!(error.contains(says) && error.contains(&name), "{error}");
        assert_eq!((task.tip(ground), kept(ground)), (here.clone(), vec![name.clone()]));
        assert_eq!(ground.repo.git(&["rev-parse", &name]), tip);
        task.assert_nothing_begun();
    }
    let release = ground.release(&task.lease, DELETE).await;
    let WorktreeFate::Kept(reasons) = release.worktree else { panic!("{release:?}") };
    assert!(reasons.contains(&KeepReason::HeadElsewhere), "{reasons:?}");
    let release = ground.release(&task.lease, DISCARD).await;
    assert_eq!((release.worktree, release.dropped), (WorktreeFate::Removed, vec![]));
    assert_eq!(ground.repo.git(&["rev-parse", &name]), tip);
    assert!(!all_private(ground.repo.path()).exists());
    ground.assert_sound();
}

#[tokio::test]
async fn a_branch_whose_start_was_rewritten_is_kept_apart_and_stays_here_as_it_is() {
    let ground = Ground::new();
    ground.repo.commit_file("second.txt", "second");
    let ground = Ground::on(ground.repo);
    let task = Isolated::new(&ground, "a").await;
    write(&task.lease, "a.txt", "a");
    task.git(&ground, &["add", "."]);
    task.git(&ground, &["commit", "-q", "--amend", "-m", "Amended"]);
    let tip = task.git(&ground, &["rev-parse", "HEAD"]);
    assert_apart(&ground, &task, &tip, "does not contain its start").await;
}

#[tokio::test]
async fn a_branch_that_was_moved_here_meanwhile_is_not_moved_again() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let tip = task.commit(&ground, "a.txt", "a");
    let other = ground.repo.git(&["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "Of somebody else"]);
    ground.repo.git(&["update-ref", "refs/heads/gadugi/a", &other]);
    assert_apart(&ground, &task, &tip, "was moved here").await;
}

#[tokio::test]
async fn a_task_that_has_deleted_its_branch_has_nothing_for_it() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.git(&ground, &["checkout", "-q", "--orphan", "new"]);
    task.git(&ground, &["branch", "-q", "-D", "gadugi/a"]);
    task.import(&ground).await.expect("an import");
    assert_eq!(ground.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a");
    let tip = task.commit(&ground, "a.txt", "a");
    task.import(&ground).await.expect("an import");
    assert_eq!(ground.repo.git(&["rev-parse", &task.kept("new")]), tip);
    assert_eq!(task.tip(&ground), task.base());
    ground.assert_sound();
}

#[tokio::test]
async fn a_release_imports_first_and_a_dry_one_changes_nothing() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let tip = task.commit(&ground, "a.txt", "a");
    let dry = gadugi_core::ReleaseRequest { dry_run: true, ..KEEP };
    ground.release(&task.lease, dry).await;
    assert_eq!(task.tip(&ground), task.base());
    assert!(task.git.exists());
    assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert_eq!(task.tip(&ground), tip);
    assert!(!all_private(ground.repo.path()).exists());
    ground.assert_sound();
}

#[tokio::test]
async fn a_release_after_the_folder_was_removed_by_hand_imports_too() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let tip = task.commit(&ground, "a.txt", "a");
    fs::remove_dir_all(&task.lease.path).expect("the folder goes");
    assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Absent);
    assert_eq!(task.tip(&ground), tip);
    assert!(!all_private(ground.repo.path()).exists());
}

#[tokio::test]
async fn what_cannot_be_imported_keeps_the_worktree_until_it_is_discarded_by_name() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.commit(&ground, "a.txt", "a");
    fs::remove_dir_all(task.git.join("objects")).expect("the objects go");
    let error = chain(&task.import(&ground).await.expect_err("nothing is there"));
    assert!(error.contains("git pack-objects"), "{error}");
    ground.worktrees.release(&task.lease, DELETE).await.expect_err("it is not imported");
    assert!(task.lease.path.join("a.txt").exists() && task.git.exists());
    let Release { worktree, dropped, .. } = ground.release(&task.lease, DISCARD).await;
    assert_eq!(worktree, WorktreeFate::Removed);
    assert!(matches!(&dropped[..], [one] if one.starts_with(".git: ")), "{dropped:?}");
    assert!(!all_private(ground.repo.path()).exists());
    let trash = ground.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/trash"]);
    assert!(ground.repo.git(&["show", &format!("{trash}:a.txt")]).contains('a'));
}

#[tokio::test]
async fn an_operation_that_is_not_finished_in_isolation_keeps_the_worktree_and_is_not_committed() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.commit(&ground, "a.txt", "ours");
    task.git(&ground, &["checkout", "-q", "-b", "topic", task.base()]);
    task.commit(&ground, "a.txt", "theirs");
    task.git(&ground, &["checkout", "-q", "gadugi/a"]);
    assert!(!task.try_git(&ground, &["merge", "-q", "topic"]).status.success());
    task.import(&ground).await.expect("an import");
    let work = ground.commit(&task.lease).await;
    assert_eq!((work.commits, work.uncommitted), (1, 1));
    let WorktreeFate::Kept(reasons) = ground.release(&task.lease, KEEP).await.worktree else { panic!("it is kept") };
    assert!(reasons.contains(&KeepReason::OperationInProgress { operation: "a merge".into() }), "{reasons:?}");
}

#[tokio::test]
async fn private_folders_of_worktrees_that_are_gone_are_pruned_and_what_is_in_them_is_kept() {
    let ground = Ground::new();
    let (idle, busy, live) = (
        Isolated::new(&ground, "idle").await,
        Isolated::new(&ground, "busy").await,
        Isolated::new(&ground, "live").await,
    );
    let tip = busy.commit(&ground, "b.txt", "b");
    busy.git(&ground, &["checkout", "-q", "-b", "topic"]);
    let topic = busy.commit(&ground, "c.txt", "c");
    live.commit(&ground, "d.txt", "d");
    for task in [&idle, &busy] {
        ground.repo.git(&["worktree", "remove", "--force", &task.lease.path.to_string_lossy()]);
    }
    let half = all_private(ground.repo.path()).join("20261122-083355-k7q/other/.new-1-7-1/git");
    fs::create_dir_all(&half).expect("a half-made folder");
    fs::create_dir_all(live.git.join("../quarantine/objects")).expect("a quarantine");
    ground.worktrees.prune(true).await.expect("a list");
    assert!(half.exists() && busy.git.exists());
    ground.worktrees.prune(false).await.expect("a list");
    assert!(!half.join("../..").exists() && !idle.git.exists() && !busy.git.exists() && live.git.exists());
    live.assert_nothing_begun();
    assert_eq!(busy.tip(&ground), tip);
    assert_eq!(ground.repo.git(&["rev-parse", &busy.kept("topic")]), topic);
    assert_eq!(live.tip(&ground), live.base());
    ground.assert_sound();
}

#[tokio::test]
async fn prune_leaves_what_it_cannot_import() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.commit(&ground, "a.txt", "a");
    fs::remove_dir_all(task.git.join("objects")).expect("the objects go");
    ground.repo.git(&["worktree", "remove", "--force", &task.lease.path.to_string_lossy()]);
    ground.worktrees.prune(false).await.expect_err("it cannot be imported");
    assert!(task.git.exists());
    let release = ground.release(&task.lease, DISCARD).await;
    assert_eq!((release.worktree, release.dropped.len()), (WorktreeFate::Absent, 1));
    assert!(!task.git.exists());
}

async fn import(worktrees: GitWorktrees, lease: Lease) {
    worktrees.import(&lease).await.expect("an import");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_imports_at_once_and_several_of_one_all_succeed() {
    let ground = Ground::new();
    let mut tasks = Vec::new();
    for number in 0..8 {
        let task = Isolated::new(&ground, &format!("task-{number}")).await;
        for file in 0..40 {
            task.commit(&ground, &format!("{file}.txt"), &format!("{number} {file}"));
        }
        tasks.push(task);
    }
    let all: Vec<_> = tasks
        .iter()
        .flat_map(|task| [task; 2])
        .map(|task| tokio::spawn(import(worktrees_of(ground.repo.path()), task.lease.clone())))
        .collect();
    for one in all {
        one.await.expect("it ends");
    }
    for task in &tasks {
        assert_eq!(task.tip(&ground), task.git(&ground, &["rev-parse", "HEAD"]));
        assert_eq!(ground.git(&task.lease, &["status", "--porcelain"]), "");
        let work = ground.commit(&task.lease).await;
        assert_eq!((work.commits, work.files, work.uncommitted), (40, 40, 0));
        assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        assert_eq!(ground.repo.git(&["log", "--format=%s", "-1", branch(&task.lease)]), "Write 39.txt");
    }
    assert!(!all_private(ground.repo.path()).exists());
    ground.assert_sound();
}

#[tokio::test]
async fn a_task_may_be_called_like_a_device_of_windows_and_its_branches_too() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "con").await;
    let tip = task.commit(&ground, "a.txt", "a");
    task.git(&ground, &["checkout", "-q", "-b", "aux/nul"]);
    task.commit(&ground, "b.txt", "b");
    for _ in 0..2 {
        task.import(&ground).await.expect("an import");
        assert_eq!((task.tip(&ground), kept(&ground)), (tip.clone(), vec![task.kept("aux/nul")]));
        assert_eq!(ground.count(&task.lease).await.kept_refs, [task.kept("aux/nul")]);
    }
    ground.assert_sound();
}

#[tokio::test]
async fn an_amended_commit_that_was_not_imported_yet_is_as_good_as_any_other() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.commit(&ground, "a.txt", "a");
    task.git(&ground, &["commit", "-q", "--amend", "-m", "Better"]);
    task.import(&ground).await.expect("an import");
    let imported = task.tip(&ground);
    // Once it is here, it stays.
    task.git(&ground, &["commit", "-q", "--amend", "-m", "Best"]);
    let error = chain(&task.import(&ground).await.expect_err("it was taken over already"));
    assert!(error.contains(&task.kept("gadugi/a")), "{error}");
    assert_eq!(task.tip(&ground), imported);
    task.git(&ground, &["reset", "-q", "--soft", &imported]);
    task.import(&ground).await.expect("an import");
    ground.assert_sound();
}
