//! Commits that no branch of an isolated task leads to any more.

use gadugi_core::{KeepReason, WorktreeFate};

use crate::ground::{Ground, KEEP};
use crate::isolated::{Isolated, Untouched, all_private, kept};
use crate::process;

/// That a task's commit is kept by this name alone, that a further import has nothing to do, and that the place can go.
async fn assert_kept(ground: &Ground, task: &Isolated, names: &[(&str, &str)]) {
    let before = Untouched::of(ground, &task.lease);
    for _ in 0..2 {
        task.import(ground).await.expect("an import");
        let mut all: Vec<String> = names.iter().map(|(name, _)| task.kept(name)).collect();
        all.sort();
        assert_eq!(kept(ground), all);
        for (name, commit) in names {
            assert_eq!(ground.repo.git(&["rev-parse", &task.kept(name)]), *commit, "{name}");
        }
        task.assert_nothing_begun();
    }
    let status = process::run_without_programs(ground.repo.path(), &format!("import {}", task.lease.attempt.task));
    assert!(status.success(), "a further import needs git");
    assert_eq!(Untouched::of(ground, &task.lease), before);
    assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert!(!all_private(ground.repo.path()).exists());
    for (_, commit) in names {
        ground.repo.git(&["show", "-q", commit]);
    }
    ground.assert_sound();
}

#[tokio::test]
async fn what_only_a_tag_leads_to_is_kept() {
    for packed in [false, true] {
        let ground = Ground::new();
        let task = Isolated::new(&ground, "a").await;
        let light = task.commit(&ground, "a.txt", "a");
        task.git(&ground, &["tag", "v1"]);
        task.git(&ground, &["reset", "-q", "--hard", "HEAD~1"]);
        let annotated = task.commit(&ground, "b.txt", "b");
        task.git(&ground, &["tag", "-a", "-m", "Two", "v/2"]);
        task.git(&ground, &["reset", "-q", "--hard", "HEAD~1"]);
        task.git(&ground, &["tag", "base"]);
        task.git(&ground, &["tag", "of-a-tree", "HEAD^{tree}"]);
        task.git(&ground, &["tag", "-a", "-m", "A file", "of-a-file", &task.git(&ground, &["rev-parse", "v1:a.txt"])]);
        if packed {
            task.git(&ground, &["pack-refs", "--all"]);
        }
        assert_kept(&ground, &task, &[("tags/v/2", &annotated), ("tags/v1", &light)]).await;
        assert_eq!(task.tip(&ground), task.base());
    }
}

#[tokio::test]
async fn what_the_task_has_reset_is_kept_and_what_it_has_amended_is_not() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.commit(&ground, "amended.txt", "a");
    task.git(&ground, &["commit", "-q", "--amend", "-m", "Better"]);
    let one = task.commit(&ground, "one.txt", "1");
    task.git(&ground, &["reset", "-q", "--hard", "HEAD~1"]);
    task.commit(&ground, "two.txt", "2");
    let two = task.commit(&ground, "two.txt", "more");
    task.git(&ground, &["reset", "-q", "--hard", "HEAD~2"]);
    // It comes back, so that nothing of it is left behind.
    task.commit(&ground, "three.txt", "3");
    task.git(&ground, &["reset", "-q", "--hard", "HEAD~1"]);
    task.git(&ground, &["reset", "-q", "--hard", "HEAD@{1}"]);
    task.git(&ground, &["update-ref", "ORIG_HEAD", "HEAD"]);
    assert_kept(&ground, &task, &[("reset", &two), ("reset@2", &one)]).await;
}

#[tokio::test]
async fn what_orig_head_leads_to_is_kept_also_without_a_log() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.git(&ground, &["config", "core.logAllRefUpdates", "false"]);
    let tip = task.commit(&ground, "a.txt", "a");
    task.git(&ground, &["reset", "-q", "--hard", "HEAD~1"]);
    assert_kept(&ground, &task, &[("ORIG_HEAD", &tip)]).await;
}

#[tokio::test]
async fn what_was_committed_without_a_branch_is_kept_after_the_task_has_gone_back_to_it() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.git(&ground, &["checkout", "-q", "--detach"]);
    let tip = task.commit(&ground, "a.txt", "a");
    task.git(&ground, &["checkout", "-q", "gadugi/a"]);
    assert_kept(&ground, &task, &[("detached", &tip)]).await;
}

#[tokio::test]
async fn what_was_committed_in_a_worktree_of_the_task_is_kept() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let root = tempfile::tempdir().expect("a folder");
    let inner = root.path().join("inner").to_string_lossy().into_owned();
    task.git(&ground, &["worktree", "add", "-q", "--detach", &inner]);
    ground.repo.git_in(inner.as_ref(), &["commit", "-q", "--allow-empty", "-m", "Inside"]);
    let tip = ground.repo.git_in(inner.as_ref(), &["rev-parse", "HEAD"]);
    assert_kept(&ground, &task, &[("worktrees/inner", &tip)]).await;
}

#[tokio::test]
async fn a_head_on_a_reference_that_is_no_branch_is_kept_and_keeps_the_worktree() {
    for packed in [false, true] {
        let ground = Ground::new();
        let task = Isolated::new(&ground, "a").await;
        task.git(&ground, &["symbolic-ref", "HEAD", "refs/foo/x"]);
        let tip = task.commit(&ground, "a.txt", "a");
        if packed {
            task.git(&ground, &["pack-refs", "--all"]);
        }
        task.import(&ground).await.expect("an import");
        assert_eq!(kept(&ground), [task.kept("refs/foo/x")]);
        assert_eq!(ground.git(&task.lease, &["rev-parse", "HEAD"]), tip);
        let release = ground.release(&task.lease, KEEP).await;
        assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::HeadElsewhere]));
    }
}

#[tokio::test]
async fn tags_and_logs_that_lead_nowhere_hinder_nothing() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    let lost = task.commit(&ground, "lost.txt", "lost");
    task.git(&ground, &["tag", "lost"]);
    task.git(&ground, &["reset", "-q", "--hard", "HEAD~1"]);
    std::fs::remove_file(task.git.join("objects").join(&lost[..2]).join(&lost[2..])).expect("it goes");
    let left = task.commit(&ground, "left.txt", "left");
    task.git(&ground, &["tag", "left"]);
    task.git(&ground, &["reset", "-q", "--hard", "HEAD~1"]);
    let tip = task.commit(&ground, "a.txt", "a");
    task.write("refs/tags/broken", "broken");
    task.write("ORIG_HEAD", "\u{1b}[31m");
    task.write("worktrees/file", "no folder");
    task.import(&ground).await.expect("an import");
    assert_eq!((task.tip(&ground), kept(&ground)), (tip, vec![task.kept("tags/left")]));
    assert_eq!(ground.repo.git(&["rev-parse", &task.kept("tags/left")]), left);
    assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    ground.assert_sound();
}
