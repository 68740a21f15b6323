use std::fs;

use gadugi_core::Lease;
use gadugi_core::worktrees::{NeededTip, WorktreeError, WorktreeRequest};

use crate::harness::{Harness, RUN, branch, commit_id, request, write};

fn needing(task: &str, needs: &[&NeededTip]) -> WorktreeRequest {
    WorktreeRequest { needs: needs.iter().copied().cloned().collect(), ..request(task) }
}

fn read(lease: &Lease, path: &str) -> String {
    fs::read_to_string(lease.path.join(path)).expect("a file")
}

#[tokio::test]
async fn one_need_is_the_start_itself() {
    let harness = Harness::new();
    let (_, need) = harness.done("models", "models.rs", "struct Model;\n").await;
    let lease = harness.try_create(needing("api", &[&need])).await.expect("a worktree");
    assert_eq!(lease.base, Some(need.tip));
    assert_eq!(read(&lease, "models.rs"), "struct Model;\n");
}

#[tokio::test]
async fn several_needs_are_merged_into_commits_that_name_them() {
    let harness = Harness::new();
    let (_, a) = harness.done("a", "a.txt", "a\n").await;
    let (_, b) = harness.done("b", "b.txt", "b\n").await;
    let (_, c) = harness.done("c", "c/c.txt", "c\n").await;
    let lease = harness.try_create(needing("all", &[&a, &b, &c])).await.expect("a worktree");
    assert_eq!(
        (read(&lease, "a.txt"), read(&lease, "b.txt"), read(&lease, "c/c.txt")),
        ("a\n".into(), "b\n".into(), "c\n".into())
    );
    let message = harness.git(&lease, &["log", "-1", "--format=%B"]);
    assert_eq!(message.trim(), format!("gadugi: merge a, b and c for all\n\nGadugi-Run: {RUN}\nGadugi-Task: all"));
    assert_eq!(harness.git(&lease, &["rev-parse", "HEAD^2"]), c.tip.as_str());
    assert_eq!(harness.git(&lease, &["rev-parse", "HEAD^1^1", "HEAD^1^2"]), format!("{}\n{}", a.tip, b.tip));
    let work = harness.count(&lease).await;
    assert_eq!((work.commits, work.files), (0, 0));
    harness.assert_sound();
}

#[tokio::test]
async fn changes_of_one_file_that_do_not_touch_are_merged_in_it() {
    let harness = Harness::new();
    let lines = |first: &str, last: &str| format!("{first}\n2\n3\n4\n5\n6\n7\n8\n{last}\n");
    harness.repo.commit_file("lines.txt", lines("1", "9"));
    let harness = Harness::on(harness.repo);
    let (_, a) = harness.done("a", "lines.txt", &lines("one", "9")).await;
    let (_, b) = harness.done("b", "lines.txt", &lines("1", "nine")).await;
    let lease = harness.try_create(needing("both", &[&a, &b])).await.expect("a worktree");
    assert_eq!(read(&lease, "lines.txt"), lines("one", "nine"));
}

#[tokio::test]
async fn a_need_that_contains_the_others_needs_no_merge() {
    let harness = Harness::new();
    let (_, a) = harness.done("a", "a.txt", "a").await;
    let later = harness.try_create(needing("later", &[&a])).await.expect("a worktree");
    write(&later, "later.txt", "later");
    let later = NeededTip { task: later.attempt.task.clone(), tip: harness.commit(&later).await.tip.expect("a tip") };
    for needs in [[&a, &later], [&later, &a]] {
        let lease = harness.try_create(needing("last", &needs)).await.expect("a worktree");
        assert_eq!(lease.base, Some(later.tip.clone()));
    }
}

#[tokio::test]
async fn needs_that_changed_nothing_start_from_the_base() {
    let harness = Harness::new();
    let (a, b) = (harness.create("a").await, harness.create("b").await);
    let tip = |lease: &Lease| NeededTip { task: lease.attempt.task.clone(), tip: lease.base.clone().expect("a base") };
    let lease = harness.try_create(needing("c", &[&tip(&a), &tip(&b)])).await.expect("a worktree");
    assert_eq!(lease.base, a.base);
}

#[tokio::test]
async fn a_conflict_names_the_files_and_tasks_and_makes_nothing() {
    let harness = Harness::new();
    let (_, a) = harness.done("a", "a.txt", "a").await;
    let (_, b) = harness.done("b", "src/lib.rs", "pub fn b() {}\n").await;
    let (_, c) = harness.done("c", "src/lib.rs", "pub fn c() {}\n").await;
    let before = (harness.branches(), harness.listed());
    let error = harness.try_create(needing("d", &[&a, &b, &c])).await.expect_err("b and c conflict");
    let WorktreeError::Conflict { tasks, files } = error else { panic!("{error:?}") };
    assert_eq!(tasks, [b.task, c.task]);
    assert_eq!(files, ["src/lib.rs"]);
    assert_eq!((harness.branches(), harness.listed()), before);
    assert!(!harness.folder().join("d").exists());
    harness.assert_sound();
}

#[tokio::test]
async fn a_file_that_one_deletes_and_the_other_changes_is_a_conflict() {
    let harness = Harness::new();
    let deleting = harness.create("deleting").await;
    fs::remove_file(deleting.path.join("src/lib.rs")).expect("a file goes");
    let tip = harness.commit(&deleting).await.tip.expect("a tip");
    let deleting = NeededTip { task: deleting.attempt.task, tip };
    let (_, changing) = harness.done("changing", "src/lib.rs", "pub fn two() {}\n").await;
    let error = harness.try_create(needing("d", &[&deleting, &changing])).await.expect_err("they conflict");
    assert!(matches!(&error, WorktreeError::Conflict { files, .. } if files == &["src/lib.rs"]), "{error:?}");
}

#[tokio::test]
async fn the_branch_of_a_task_with_needs_is_its_own() {
    let harness = Harness::new();
    let (needed, need) = harness.done("a", "a.txt", "a").await;
    let lease = harness.try_create(needing("b", &[&need])).await.expect("a worktree");
    write(&lease, "b.txt", "b");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files), (1, 1));
    assert_eq!(harness.git(&needed, &["rev-parse", branch(&needed)]), need.tip.as_str());
}

#[tokio::test]
async fn needs_are_merged_into_a_base_of_its_own() {
    let harness = Harness::new();
    let (_, a) = harness.done("a", "a.txt", "a\n").await;
    harness.repo.commit_file("later.txt", "later\n");
    let base = commit_id(&harness.repo.git(&["rev-parse", "HEAD"]));
    let request = WorktreeRequest { base: Some(base.clone()), ..needing("api", &[&a]) };
    let lease = harness.try_create(request).await.expect("a worktree");
    assert_eq!((read(&lease, "a.txt"), read(&lease, "later.txt")), ("a\n".into(), "later\n".into()));
    assert_eq!(harness.git(&lease, &["rev-parse", "HEAD^1", "HEAD^2"]), format!("{base}\n{}", a.tip));
    // One that has been merged already is in it.
    harness.repo.git(&["merge", "-q", "--no-edit", a.tip.as_str()]);
    let merged = commit_id(&harness.repo.git(&["rev-parse", "HEAD"]));
    let request = WorktreeRequest { base: Some(merged.clone()), ..needing("ui", &[&a]) };
    assert_eq!(harness.try_create(request).await.expect("a worktree").base, Some(merged));
}

#[tokio::test]
async fn a_need_that_conflicts_with_a_base_of_its_own_is_named_alone() {
    let harness = Harness::new();
    let (_, a) = harness.done("a", "both.txt", "a\n").await;
    harness.repo.commit_file("both.txt", "mine\n");
    let base = commit_id(&harness.repo.git(&["rev-parse", "HEAD"]));
    let request = WorktreeRequest { base: Some(base), ..needing("api", &[&a]) };
    match harness.try_create(request).await {
        Err(WorktreeError::Conflict { tasks, files }) => {
            assert_eq!((tasks, files), (vec![a.task], vec!["both.txt".to_owned()]));
        }
        other => panic!("{other:?}"),
    }
}
