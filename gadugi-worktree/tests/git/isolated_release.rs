//! Places with commits that were made in isolation are given back, and cleared away, without losing any.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gadugi_core::{KeepReason, Release, WorktreeFate, Worktrees};

use crate::ground::{DELETE, DISCARD, Ground, KEEP, RUN, chain, write};
use crate::isolated::{Isolated, all_private, kept};

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
    let place = in_trash(&ground, "a");
    assert!(
        matches!(&dropped[..], [one] if one.starts_with(".git: ") && one.contains(&*place.to_string_lossy())),
        "{dropped:?}"
    );
    assert!(place.join("git/refs/heads/gadugi/a").exists());
    assert!(!all_private(ground.repo.path()).exists());
    let trash = ground.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/trash"]);
    assert!(ground.repo.git(&["show", &format!("{trash}:a.txt")]).contains('a'));
}

/// Where the private folder of a task is that was discarded.
fn in_trash(ground: &Ground, task: &str) -> PathBuf {
    ground.repo.path().join(".git/gadugi/trash").join(format!("{RUN}-{task}-1"))
}

#[tokio::test]
async fn commits_whose_import_fails_only_now_are_discarded_for_fourteen_days_and_not_for_good() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let tip = task.commit(&ground, "a.txt", "a");
    write(&task.lease, "a.txt", "changed");
    let lock = ground.git(&task.lease, &["rev-parse", "--path-format=absolute", "--git-path", "index.lock"]);
    fs::write(&lock, "").expect("a lock");
    let release = ground.release(&task.lease, DISCARD).await;
    assert_eq!((release.worktree, release.dropped.len()), (WorktreeFate::Removed, 1));
    let place = in_trash(&ground, "a");
    ground.repo.git(&["fetch", "-q", &place.join("git").to_string_lossy(), "gadugi/a"]);
    assert_eq!(ground.repo.git(&["rev-parse", "FETCH_HEAD"]), tip);
    let lies_since = |hours: u64| {
        let since = SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        File::open(&place).and_then(|file| file.set_modified(since)).expect("a time");
    };
    for (hours, stays) in [(0, true), (14 * 24 - 1, true), (14 * 24 + 1, false)] {
        lies_since(hours);
        ground.worktrees.prune(true).await.expect("a list");
        assert!(place.exists());
        ground.worktrees.prune(false).await.expect("a list");
        assert_eq!(place.exists(), stays, "{hours}");
    }
    assert!(!place.parent().expect("a folder").exists());
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
    let note = task.git.with_file_name("failed");
    ground.worktrees.prune(false).await.expect("a list");
    assert!(task.git.exists() && note.exists());
    // The same is not tried again before a day has passed.
    let importing = task.git.with_file_name("importing");
    for (hours, tries) in [(23, false), (25, true)] {
        fs::remove_file(&importing).expect("an import has begun");
        let since = SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        File::options().write(true).open(&note).and_then(|file| file.set_modified(since)).expect("a time");
        // A process that another test has just begun may hold the place's lock for a moment; then the place is passed over.
        for _ in 0..100 {
            ground.worktrees.prune(false).await.expect("a list");
            if importing.exists() || !tries {
                break;
            }
        }
        assert_eq!(importing.exists(), tries);
        fs::write(&importing, "").expect("a note");
    }
    let release = ground.release(&task.lease, DISCARD).await;
    assert_eq!((release.worktree, release.dropped.len()), (WorktreeFate::Absent, 1));
    assert!(!task.git.exists());
}
