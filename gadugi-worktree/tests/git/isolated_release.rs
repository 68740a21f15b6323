//! Places with commits that were made in isolation are given back, and cleared away, without losing any.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gadugi_core::Worktrees;
use gadugi_core::worktrees::{KeepReason, Release, WorktreeFate};

use crate::harness::{DELETE, DISCARD, Harness, KEEP, RUN, chain, write};
use crate::isolated::{Isolated, all_private, kept};

async fn assert_apart(harness: &Harness, task: &Isolated, tip: &str, says: &str) {
    let (here, name) = (task.tip(harness), task.kept("gadugi/a"));
    for _ in 0..2 {
        let error = chain(&task.import(harness).await.expect_err("it cannot be on the branch"));
        assert!(error.contains(says) && error.contains(&name), "{error}");
        assert_eq!((task.tip(harness), kept(harness)), (here.clone(), vec![name.clone()]));
        assert_eq!(harness.repo.git(&["rev-parse", &name]), tip);
        task.assert_nothing_begun();
    }
    let release = harness.release(&task.lease, DELETE).await;
    let WorktreeFate::Kept(reasons) = release.worktree else { panic!("{release:?}") };
    assert!(reasons.contains(&KeepReason::HeadElsewhere), "{reasons:?}");
    let release = harness.release(&task.lease, DISCARD).await;
    assert_eq!((release.worktree, release.dropped), (WorktreeFate::Removed, vec![]));
    assert_eq!(harness.repo.git(&["rev-parse", &name]), tip);
    assert!(!all_private(harness.repo.path()).exists());
    harness.assert_sound();
}

#[tokio::test]
async fn a_branch_whose_start_was_rewritten_is_kept_apart_and_stays_here_as_it_is() {
    let harness = Harness::new();
    harness.repo.commit_file("second.txt", "second");
    let harness = Harness::on(harness.repo);
    let task = Isolated::new(&harness, "a").await;
    write(&task.lease, "a.txt", "a");
    task.git(&harness, &["add", "."]);
    task.git(&harness, &["commit", "-q", "--amend", "-m", "Amended"]);
    let tip = task.git(&harness, &["rev-parse", "HEAD"]);
    assert_apart(&harness, &task, &tip, "does not contain its start").await;
}

#[tokio::test]
async fn a_branch_that_was_moved_here_meanwhile_is_not_moved_again() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let tip = task.commit(&harness, "a.txt", "a");
    let other = harness.repo.git(&["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "Of somebody else"]);
    harness.repo.git(&["update-ref", "refs/heads/gadugi/a", &other]);
    assert_apart(&harness, &task, &tip, "was moved here").await;
}

#[tokio::test]
async fn a_release_imports_first_and_a_dry_one_changes_nothing() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let tip = task.commit(&harness, "a.txt", "a");
    let dry = gadugi_core::worktrees::ReleaseRequest { dry_run: true, ..KEEP };
    harness.release(&task.lease, dry).await;
    assert_eq!(task.tip(&harness), task.base());
    assert!(task.git.exists());
    assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert_eq!(task.tip(&harness), tip);
    assert!(!all_private(harness.repo.path()).exists());
    harness.assert_sound();
}

#[tokio::test]
async fn a_release_after_the_folder_was_removed_by_hand_imports_too() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let tip = task.commit(&harness, "a.txt", "a");
    fs::remove_dir_all(&task.lease.path).expect("the folder goes");
    assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Absent);
    assert_eq!(task.tip(&harness), tip);
    assert!(!all_private(harness.repo.path()).exists());
}

#[tokio::test]
async fn what_cannot_be_imported_keeps_the_worktree_until_it_is_discarded_by_name() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.commit(&harness, "a.txt", "a");
    fs::remove_dir_all(task.git.join("objects")).expect("the objects go");
    let error = chain(&task.import(&harness).await.expect_err("nothing is there"));
    assert!(error.contains("git pack-objects"), "{error}");
    harness.worktrees.release(&task.lease, DELETE).await.expect_err("it is not imported");
    assert!(task.lease.path.join("a.txt").exists() && task.git.exists());
    let Release { worktree, dropped, .. } = harness.release(&task.lease, DISCARD).await;
    assert_eq!(worktree, WorktreeFate::Removed);
    let place = in_trash(&harness, "a");
    assert!(
        matches!(&dropped[..], [one] if one.starts_with(".git: ") && one.contains(&*place.to_string_lossy())),
        "{dropped:?}"
    );
    assert!(place.join("git/refs/heads/gadugi/a").exists());
    assert!(!all_private(harness.repo.path()).exists());
    let trash = harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/trash"]);
    assert!(harness.repo.git(&["show", &format!("{trash}:a.txt")]).contains('a'));
}

/// Where the private folder of a task is that was discarded.
fn in_trash(harness: &Harness, task: &str) -> PathBuf {
    harness.repo.path().join(".git/gadugi/trash").join(format!("{RUN}-{task}-1"))
}

#[tokio::test]
async fn commits_whose_import_fails_only_now_are_discarded_for_fourteen_days_and_not_for_good() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let tip = task.commit(&harness, "a.txt", "a");
    write(&task.lease, "a.txt", "changed");
    let lock = harness.git(&task.lease, &["rev-parse", "--path-format=absolute", "--git-path", "index.lock"]);
    fs::write(&lock, "").expect("a lock");
    let release = harness.release(&task.lease, DISCARD).await;
    assert_eq!((release.worktree, release.dropped.len()), (WorktreeFate::Removed, 1));
    let place = in_trash(&harness, "a");
    harness.repo.git(&["fetch", "-q", &place.join("git").to_string_lossy(), "gadugi/a"]);
    assert_eq!(harness.repo.git(&["rev-parse", "FETCH_HEAD"]), tip);
    let lies_since = |hours: u64| {
        let since = SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        File::open(&place).and_then(|file| file.set_modified(since)).expect("a time");
    };
    for (hours, stays) in [(0, true), (14 * 24 - 1, true), (14 * 24 + 1, false)] {
        lies_since(hours);
        harness.worktrees.prune(true).await.expect("a list");
        assert!(place.exists());
        harness.worktrees.prune(false).await.expect("a list");
        assert_eq!(place.exists(), stays, "{hours}");
    }
    assert!(!place.parent().expect("a folder").exists());
}

#[tokio::test]
async fn an_operation_that_is_not_finished_in_isolation_keeps_the_worktree_and_is_not_committed() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.commit(&harness, "a.txt", "ours");
    task.git(&harness, &["checkout", "-q", "-b", "topic", task.base()]);
    task.commit(&harness, "a.txt", "theirs");
    task.git(&harness, &["checkout", "-q", "gadugi/a"]);
    assert!(!task.try_git(&harness, &["merge", "-q", "topic"]).status.success());
    task.import(&harness).await.expect("an import");
    let work = harness.commit(&task.lease).await;
    assert_eq!((work.commits, work.uncommitted), (1, 1));
    let WorktreeFate::Kept(reasons) = harness.release(&task.lease, KEEP).await.worktree else { panic!("it is kept") };
    assert!(reasons.contains(&KeepReason::OperationInProgress { operation: "a merge".into() }), "{reasons:?}");
}

#[tokio::test]
async fn private_folders_of_worktrees_that_are_gone_are_pruned_and_what_is_in_them_is_kept() {
    let harness = Harness::new();
    let (idle, busy, live) = (
        Isolated::new(&harness, "idle").await,
        Isolated::new(&harness, "busy").await,
        Isolated::new(&harness, "live").await,
    );
    let tip = busy.commit(&harness, "b.txt", "b");
    busy.git(&harness, &["checkout", "-q", "-b", "topic"]);
    let topic = busy.commit(&harness, "c.txt", "c");
    live.commit(&harness, "d.txt", "d");
    for task in [&idle, &busy] {
        harness.repo.git(&["worktree", "remove", "--force", &task.lease.path.to_string_lossy()]);
    }
    let half = all_private(harness.repo.path()).join("20261122-083355-k7q/other/.new-1-7-1/git");
    fs::create_dir_all(&half).expect("a half-made folder");
    fs::create_dir_all(live.git.join("../quarantine/objects")).expect("a quarantine");
    harness.worktrees.prune(true).await.expect("a list");
    assert!(half.exists() && busy.git.exists());
    harness.worktrees.prune(false).await.expect("a list");
    assert!(!half.join("../..").exists() && !idle.git.exists() && !busy.git.exists() && live.git.exists());
    live.assert_nothing_begun();
    assert_eq!(busy.tip(&harness), tip);
    assert_eq!(harness.repo.git(&["rev-parse", &busy.kept("topic")]), topic);
    assert_eq!(live.tip(&harness), live.base());
    harness.assert_sound();
}

#[tokio::test]
async fn prune_leaves_what_it_cannot_import() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.commit(&harness, "a.txt", "a");
    fs::remove_dir_all(task.git.join("objects")).expect("the objects go");
    harness.repo.git(&["worktree", "remove", "--force", &task.lease.path.to_string_lossy()]);
    let note = task.git.with_file_name("failed");
    harness.worktrees.prune(false).await.expect("a list");
    assert!(task.git.exists() && note.exists());
    // The same is not tried again before a day has passed.
    let importing = task.git.with_file_name("importing");
    for (hours, tries) in [(23, false), (25, true)] {
        fs::remove_file(&importing).expect("an import has begun");
        let since = SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        File::options().write(true).open(&note).and_then(|file| file.set_modified(since)).expect("a time");
        // A process that another test has just begun may hold the place's lock for a moment; then the place is passed over.
        for _ in 0..100 {
            harness.worktrees.prune(false).await.expect("a list");
            if importing.exists() || !tries {
                break;
            }
        }
        assert_eq!(importing.exists(), tries);
        fs::write(&importing, "").expect("a note");
    }
    let release = harness.release(&task.lease, DISCARD).await;
    assert_eq!((release.worktree, release.dropped.len()), (WorktreeFate::Absent, 1));
    assert!(!task.git.exists());
}
