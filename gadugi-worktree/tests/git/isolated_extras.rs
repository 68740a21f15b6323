//! Commits that no branch of an isolated task leads to any more.

use gadugi_core::worktrees::{KeepReason, WorktreeFate};

use crate::harness::{Harness, KEEP};
use crate::isolated::{Isolated, Untouched, all_private, kept};
use crate::process;

/// Checks that a task's commit is kept by these names alone, that a further import has nothing to do, and that the worktree can
/// go.
async fn assert_kept(harness: &Harness, task: &Isolated, names: &[(&str, &str)]) {
    let before = Untouched::of(harness, &task.lease);
    for _ in 0..2 {
        task.import(harness).await.expect("an import");
        let mut all: Vec<String> = names.iter().map(|(name, _)| task.kept(name)).collect();
        all.sort();
        assert_eq!(kept(harness), all);
        for (name, commit) in names {
            assert_eq!(harness.repo.git(&["rev-parse", &task.kept(name)]), *commit, "{name}");
        }
        task.assert_nothing_begun();
    }
    let status = process::run_without_programs(harness.repo.path(), &format!("import {}", task.lease.attempt.task));
    assert!(status.success(), "a further import needs git");
    assert_eq!(Untouched::of(harness, &task.lease), before);
    assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert!(!all_private(harness.repo.path()).exists());
    for (_, commit) in names {
        harness.repo.git(&["show", "-q", commit]);
    }
    harness.assert_sound();
}

#[tokio::test]
async fn what_only_a_tag_leads_to_is_kept() {
    for packed in [false, true] {
        let harness = Harness::new();
        let task = Isolated::new(&harness, "a").await;
        let light = task.commit(&harness, "a.txt", "a");
        task.git(&harness, &["tag", "v1"]);
        task.git(&harness, &["reset", "-q", "--hard", "HEAD~1"]);
        let annotated = task.commit(&harness, "b.txt", "b");
        task.git(&harness, &["tag", "-a", "-m", "Two", "v/2"]);
        task.git(&harness, &["reset", "-q", "--hard", "HEAD~1"]);
        task.git(&harness, &["tag", "base"]);
        task.git(&harness, &["tag", "of-a-tree", "HEAD^{tree}"]);
        task.git(
            &harness,
            &["tag", "-a", "-m", "A file", "of-a-file", &task.git(&harness, &["rev-parse", "v1:a.txt"])],
        );
        if packed {
            task.git(&harness, &["pack-refs", "--all"]);
        }
        assert_kept(&harness, &task, &[("tags/v/2", &annotated), ("tags/v1", &light)]).await;
        assert_eq!(task.tip(&harness), task.base());
    }
}

#[tokio::test]
async fn what_the_task_has_reset_is_kept_and_what_it_has_amended_is_not() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.commit(&harness, "amended.txt", "a");
    task.git(&harness, &["commit", "-q", "--amend", "-m", "Better"]);
    let one = task.commit(&harness, "one.txt", "1");
    task.git(&harness, &["reset", "-q", "--hard", "HEAD~1"]);
    task.commit(&harness, "two.txt", "2");
    let two = task.commit(&harness, "two.txt", "more");
    task.git(&harness, &["reset", "-q", "--hard", "HEAD~2"]);
    // It comes back, so that nothing of it is left behind.
    task.commit(&harness, "three.txt", "3");
    task.git(&harness, &["reset", "-q", "--hard", "HEAD~1"]);
    task.git(&harness, &["reset", "-q", "--hard", "HEAD@{1}"]);
    task.git(&harness, &["update-ref", "ORIG_HEAD", "HEAD"]);
    assert_kept(&harness, &task, &[("reset", &two), ("reset@2", &one)]).await;
}

#[tokio::test]
async fn what_orig_head_leads_to_is_kept_also_without_a_log() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.git(&harness, &["config", "core.logAllRefUpdates", "false"]);
    let tip = task.commit(&harness, "a.txt", "a");
    task.git(&harness, &["reset", "-q", "--hard", "HEAD~1"]);
    assert_kept(&harness, &task, &[("ORIG_HEAD", &tip)]).await;
}

#[tokio::test]
async fn what_was_committed_without_a_branch_is_kept_after_the_task_has_gone_back_to_it() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.git(&harness, &["checkout", "-q", "--detach"]);
    let tip = task.commit(&harness, "a.txt", "a");
    task.git(&harness, &["checkout", "-q", "gadugi/a"]);
    assert_kept(&harness, &task, &[("detached", &tip)]).await;
}

#[tokio::test]
async fn what_was_committed_in_a_worktree_of_the_task_is_kept() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let root = tempfile::tempdir().expect("a folder");
    let inner = root.path().join("inner").to_string_lossy().into_owned();
    task.git(&harness, &["worktree", "add", "-q", "--detach", &inner]);
    harness.repo.git_in(inner.as_ref(), &["commit", "-q", "--allow-empty", "-m", "Inside"]);
    let tip = harness.repo.git_in(inner.as_ref(), &["rev-parse", "HEAD"]);
    assert_kept(&harness, &task, &[("worktrees/inner", &tip)]).await;
}

#[tokio::test]
async fn a_head_on_a_reference_that_is_no_branch_is_kept_and_keeps_the_worktree() {
    for packed in [false, true] {
        let harness = Harness::new();
        let task = Isolated::new(&harness, "a").await;
        task.git(&harness, &["symbolic-ref", "HEAD", "refs/foo/x"]);
        let tip = task.commit(&harness, "a.txt", "a");
        if packed {
            task.git(&harness, &["pack-refs", "--all"]);
        }
        task.import(&harness).await.expect("an import");
        assert_eq!(kept(&harness), [task.kept("refs/foo/x")]);
        assert_eq!(harness.git(&task.lease, &["rev-parse", "HEAD"]), tip);
        let release = harness.release(&task.lease, KEEP).await;
        assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::HeadElsewhere]));
    }
}

#[tokio::test]
async fn tags_and_logs_that_lead_nowhere_hinder_nothing() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    let lost = task.commit(&harness, "lost.txt", "lost");
    task.git(&harness, &["tag", "lost"]);
    task.git(&harness, &["reset", "-q", "--hard", "HEAD~1"]);
    std::fs::remove_file(task.git.join("objects").join(&lost[..2]).join(&lost[2..])).expect("it goes");
    let left = task.commit(&harness, "left.txt", "left");
    task.git(&harness, &["tag", "left"]);
    task.git(&harness, &["reset", "-q", "--hard", "HEAD~1"]);
    let tip = task.commit(&harness, "a.txt", "a");
    task.write("refs/tags/broken", "broken");
    task.write("ORIG_HEAD", "\u{1b}[31m");
    task.write("worktrees/file", "no folder");
    task.import(&harness).await.expect("an import");
    assert_eq!((task.tip(&harness), kept(&harness)), (tip, vec![task.kept("tags/left")]));
    assert_eq!(harness.repo.git(&["rev-parse", &task.kept("tags/left")]), left);
    assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
    harness.assert_sound();
}
