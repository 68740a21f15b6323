use std::fs;

use gadugi_core::{Lease, NeededTip, WorktreeError, WorktreeRequest};

use crate::ground::{Ground, RUN, branch, request, write};

fn needing(task: &str, needs: &[&NeededTip]) -> WorktreeRequest {
    WorktreeRequest { needs: needs.iter().copied().cloned().collect(), ..request(task) }
}

fn read(lease: &Lease, path: &str) -> String {
    fs::read_to_string(lease.path.join(path)).expect("a file")
}

#[tokio::test]
async fn one_need_is_the_start_itself() {
    let ground = Ground::new();
    let (_, need) = ground.done("models", "models.rs", "struct Model;\n").await;
    let lease = ground.try_create(needing("api", &[&need])).await.expect("a worktree");
    assert_eq!(lease.base, Some(need.tip));
    assert_eq!(read(&lease, "models.rs"), "struct Model;\n");
}

#[tokio::test]
async fn several_needs_are_merged_into_commits_that_name_them() {
    let ground = Ground::new();
    let (_, a) = ground.done("a", "a.txt", "a\n").await;
    let (_, b) = ground.done("b", "b.txt", "b\n").await;
    let (_, c) = ground.done("c", "c/c.txt", "c\n").await;
    let lease = ground.try_create(needing("all", &[&a, &b, &c])).await.expect("a worktree");
    assert_eq!(
        (read(&lease, "a.txt"), read(&lease, "b.txt"), read(&lease, "c/c.txt")),
        ("a\n".into(), "b\n".into(), "c\n".into())
    );
    let message = ground.git(&lease, &["log", "-1", "--format=%B"]);
    assert_eq!(message.trim(), format!("gadugi: merge a, b and c for all\n\nGadugi-Run: {RUN}\nGadugi-Task: all"));
    assert_eq!(ground.git(&lease, &["rev-parse", "HEAD^2"]), c.tip.as_str());
    assert_eq!(ground.git(&lease, &["rev-parse", "HEAD^1^1", "HEAD^1^2"]), format!("{}\n{}", a.tip, b.tip));
    let work = ground.count(&lease).await;
    assert_eq!((work.commits, work.files), (0, 0));
    ground.assert_sound();
}

#[tokio::test]
async fn changes_of_one_file_that_do_not_touch_are_merged_in_it() {
    let ground = Ground::new();
    let lines = |first: &str, last: &str| format!("{first}\n2\n3\n4\n5\n6\n7\n8\n{last}\n");
    ground.repo.commit_file("lines.txt", lines("1", "9"));
    let ground = Ground::on(ground.repo);
    let (_, a) = ground.done("a", "lines.txt", &lines("one", "9")).await;
    let (_, b) = ground.done("b", "lines.txt", &lines("1", "nine")).await;
    let lease = ground.try_create(needing("both", &[&a, &b])).await.expect("a worktree");
    assert_eq!(read(&lease, "lines.txt"), lines("one", "nine"));
}

#[tokio::test]
async fn a_need_that_contains_the_others_needs_no_merge() {
    let ground = Ground::new();
    let (_, a) = ground.done("a", "a.txt", "a").await;
    let later = ground.try_create(needing("later", &[&a])).await.expect("a worktree");
    write(&later, "later.txt", "later");
    let later = NeededTip { task: later.attempt.task.clone(), tip: ground.commit(&later).await.tip.expect("a tip") };
    for needs in [[&a, &later], [&later, &a]] {
        let lease = ground.try_create(needing("last", &needs)).await.expect("a worktree");
        assert_eq!(lease.base, Some(later.tip.clone()));
    }
}

#[tokio::test]
async fn needs_that_changed_nothing_start_from_the_base() {
    let ground = Ground::new();
    let (a, b) = (ground.create("a").await, ground.create("b").await);
    let tip = |lease: &Lease| NeededTip { task: lease.attempt.task.clone(), tip: lease.base.clone().expect("a base") };
    let lease = ground.try_create(needing("c", &[&tip(&a), &tip(&b)])).await.expect("a worktree");
    assert_eq!(lease.base, a.base);
}

#[tokio::test]
async fn a_conflict_names_the_files_and_tasks_and_makes_nothing() {
    let ground = Ground::new();
    let (_, a) = ground.done("a", "a.txt", "a").await;
    let (_, b) = ground.done("b", "src/lib.rs", "pub fn b() {}\n").await;
    let (_, c) = ground.done("c", "src/lib.rs", "pub fn c() {}\n").await;
    let before = (ground.branches(), ground.listed());
    let error = ground.try_create(needing("d", &[&a, &b, &c])).await.expect_err("b and c conflict");
    let WorktreeError::Conflict { tasks, files } = error else { panic!("{error:?}") };
    assert_eq!(tasks, [b.task, c.task]);
    assert_eq!(files, ["src/lib.rs"]);
    assert_eq!((ground.branches(), ground.listed()), before);
    assert!(!ground.folder().join("d").exists());
    ground.assert_sound();
}

#[tokio::test]
async fn a_file_that_one_deletes_and_the_other_changes_is_a_conflict() {
    let ground = Ground::new();
    let deleting = ground.create("deleting").await;
    fs::remove_file(deleting.path.join("src/lib.rs")).expect("a file goes");
    let tip = ground.commit(&deleting).await.tip.expect("a tip");
    let deleting = NeededTip { task: deleting.attempt.task, tip };
    let (_, changing) = ground.done("changing", "src/lib.rs", "pub fn two() {}\n").await;
    let error = ground.try_create(needing("d", &[&deleting, &changing])).await.expect_err("they conflict");
    assert!(matches!(&error, WorktreeError::Conflict { files, .. } if files == &["src/lib.rs"]), "{error:?}");
}

#[tokio::test]
async fn the_branch_of_a_task_with_needs_is_its_own() {
    let ground = Ground::new();
    let (needed, need) = ground.done("a", "a.txt", "a").await;
    let lease = ground.try_create(needing("b", &[&need])).await.expect("a worktree");
    write(&lease, "b.txt", "b");
    let work = ground.commit(&lease).await;
    assert_eq!((work.commits, work.files), (1, 1));
    assert_eq!(ground.git(&needed, &["rev-parse", branch(&needed)]), need.tip.as_str());
}
