//! Work that is not on the branch of its attempt: a part is brought there, and the rest is named.

use std::fs;

use gadugi_core::worktrees::{Elsewhere, Work, WorktreeFate};
use gadugi_core::{Lease, Worktrees};

use crate::harness::{Harness, KEEP, branch, commit_id, write};
use crate::isolated::{Isolated, kept};

/// Runs git as a task does: now, and not at the moment of the user's commits.
fn try_git(harness: &Harness, lease: &Lease, args: &[&str]) -> bool {
    let mut command = harness.repo.git_command(&lease.path);
    command.env_remove("GIT_COMMITTER_DATE").args(args).output().expect("git can be started").status.success()
}

#[track_caller]
fn git(harness: &Harness, lease: &Lease, args: &[&str]) {
    assert!(try_git(harness, lease, args), "{args:?}");
}

/// Commits a file in a worktree, and gives the commit.
fn commit(harness: &Harness, lease: &Lease, path: &str, text: &str) -> String {
    write(lease, path, text);
    git(harness, lease, &["add", "--", path]);
    git(harness, lease, &["commit", "-q", "-m", &format!("Write {path}")]);
    harness.git(lease, &["rev-parse", "HEAD"])
}

/// Checks that the branch has the work, the worktree is on it, and nothing is left to say.
fn assert_taken_over(harness: &Harness, lease: &Lease, work: &Work, from: &str) {
    assert_eq!(work.taken_over.as_deref(), Some(from));
    assert_eq!((&work.elsewhere[..], work.missing()), (&[][..], None));
    assert_eq!(harness.git(lease, &["symbolic-ref", "HEAD"]), format!("refs/heads/{}", branch(lease)));
    assert_eq!(harness.git(lease, &["status", "--porcelain"]), "");
    assert_eq!(work.tip, Some(commit_id(&harness.repo.git(&["rev-parse", branch(lease)]))));
}

#[tokio::test]
async fn work_on_a_branch_that_the_task_has_made_is_taken_over_and_that_branch_stays() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    commit(&harness, &lease, "first.txt", "on the task's branch");
    git(&harness, &lease, &["checkout", "-q", "-b", "feature/x"]);
    let tip = commit(&harness, &lease, "second.txt", "on the other");
    write(&lease, "third.txt", "not committed");
    let counted = harness.count(&lease).await;
    assert_eq!(counted.elsewhere, [Elsewhere::Branch { name: "feature/x".into(), commits: 1 }]);
    assert_eq!(counted.missing(), counted.elsewhere.first());
    let work = harness.commit(&lease).await;
    assert_taken_over(&harness, &lease, &work, "branch feature/x");
    assert_eq!((work.commits, work.files, work.uncommitted), (3, 3, 0));
    assert_eq!(harness.repo.git(&["rev-parse", "feature/x", "gadugi/fix~1"]), format!("{tip}\n{tip}"));
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    harness.assert_sound();
}

#[tokio::test]
async fn a_renamed_branch_is_made_again_under_its_own_name() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    git(&harness, &lease, &["branch", "-m", "feature/x"]);
    let tip = commit(&harness, &lease, "done.txt", "done");
    let work = harness.commit(&lease).await;
    assert_taken_over(&harness, &lease, &work, "branch feature/x");
    assert_eq!(harness.repo.git(&["rev-parse", "feature/x", "gadugi/fix"]), format!("{tip}\n{tip}"));
}

#[tokio::test]
async fn work_on_no_branch_is_taken_over() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    git(&harness, &lease, &["checkout", "-q", "--detach"]);
    let tip = commit(&harness, &lease, "done.txt", "done");
    // A branch that the task has made of it changes nothing.
    git(&harness, &lease, &["branch", "backup"]);
    let work = harness.commit(&lease).await;
    assert_taken_over(&harness, &lease, &work, "a detached HEAD");
    assert_eq!((work.commits, work.tip), (1, Some(commit_id(&tip))));
}

#[tokio::test]
async fn uncommitted_files_beside_a_head_without_a_branch_become_a_commit_on_the_tasks_branch() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    git(&harness, &lease, &["checkout", "-q", "--detach"]);
    write(&lease, "a.txt", "a");
    let work = harness.commit(&lease).await;
    assert_taken_over(&harness, &lease, &work, "a detached HEAD");
    assert_eq!((work.commits, work.uncommitted), (1, 0));
}

#[tokio::test]
async fn a_branch_of_the_users_is_never_taken_over() {
    let harness = Harness::new();
    harness.repo.git(&["branch", "dev"]);
    let lease = harness.create("fix").await;
    // It contains the task's start, and what the user has committed to it is nobody else's.
    let tree = harness.repo.git(&["rev-parse", "HEAD^{tree}"]);
    let theirs = harness.repo.git(&["commit-tree", "-m", "The user's", "-p", "HEAD", &tree]);
    harness.repo.git(&["update-ref", "-m", "commit: The user's", "refs/heads/dev", &theirs]);
    for (args, place) in [
        (vec!["checkout", "-q", "dev"], "branch dev, 1 commit".to_owned()),
        (vec!["checkout", "-q", "--detach"], String::new()),
    ] {
        git(&harness, &lease, &args);
        let tip = commit(&harness, &lease, "mine.txt", &place);
        write(&lease, "new.txt", "not committed");
        let work = harness.commit(&lease).await;
        let place = if place.is_empty() { format!("detached HEAD at {}, 2 commits", &tip[..10]) } else { place };
        let said = work.missing().map(ToString::to_string);
        assert_eq!((said, work.commits, work.uncommitted, &work.taken_over), (Some(place), 0, 1, &None));
        assert_eq!(harness.repo.git(&["rev-parse", "gadugi/fix"]), lease.base.as_ref().expect("a base").as_str());
        assert_eq!(harness.git(&lease, &["rev-parse", "HEAD"]), tip);
    }
}

#[tokio::test]
async fn a_branch_that_was_left_for_the_tasks_own_without_its_commits_is_named() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    git(&harness, &lease, &["checkout", "-q", "-b", "feature/x"]);
    commit(&harness, &lease, "done.txt", "done");
    git(&harness, &lease, &["checkout", "-q", "gadugi/fix"]);
    let work = harness.commit(&lease).await;
    assert_eq!(work.missing(), Some(&Elsewhere::Branch { name: "feature/x".into(), commits: 1 }));
    git(&harness, &lease, &["merge", "-q", "--no-edit", "feature/x"]);
    assert_eq!(harness.commit(&lease).await.missing(), None);
}

#[tokio::test]
async fn what_another_task_has_made_at_the_same_time_is_not_taken_over() {
    let harness = Harness::new();
    let requests = vec![crate::harness::request("a"), crate::harness::request("b")];
    let mut leases = harness.worktrees.create(requests).await.into_iter().map(|made| made.expect("a worktree").lease);
    let (a, b) = (leases.next().expect("a"), leases.next().expect("b"));
    commit(&harness, &a, "a.txt", "a");
    for args in
        [&["checkout", "-q", "--detach", "gadugi/a"][..], &["checkout", "-q", "--ignore-other-worktrees", "gadugi/a"]]
    {
        git(&harness, &b, args);
        let work = harness.commit(&b).await;
        assert_eq!((work.commits, work.taken_over, work.tip), (0, None, b.base.clone()), "{args:?}");
    }
}

#[tokio::test]
async fn a_commit_that_another_task_has_made_too_is_taken_over() {
    let harness = Harness::new();
    let (a, b) = (harness.create("a").await, harness.create("b").await);
    git(&harness, &b, &["checkout", "-q", "--detach"]);
    let commits = [&a, &b].map(|lease| {
        write(lease, "same.txt", "same");
        harness.git(lease, &["add", "."]);
        // At one moment, with one author.
        harness.git(lease, &["commit", "-q", "-m", "Same"]);
        harness.git(lease, &["rev-parse", "HEAD"])
    });
    assert_eq!(commits[0], commits[1]);
    let work = harness.commit(&b).await;
    assert_taken_over(&harness, &b, &work, "a detached HEAD");
    assert_eq!(work.commits, 1);
}

#[tokio::test]
async fn a_head_that_was_only_looked_at_elsewhere_is_no_work() {
    let harness = Harness::new();
    harness.repo.git(&["branch", "old"]);
    harness.repo.git(&["commit", "-q", "--allow-empty", "-m", "Later"]);
    let worktrees = crate::harness::worktrees_of(harness.repo.path());
    let harness = Harness { worktrees, ..harness };
    let lease = harness.create("fix").await;
    let tip = commit(&harness, &lease, "done.txt", "done");
    for args in [&["checkout", "-q", "old"][..], &["checkout", "-q", "--detach", "gadugi/fix~1"]] {
        git(&harness, &lease, args);
        let work = harness.commit(&lease).await;
        assert_eq!((&work.elsewhere[..], work.commits, work.tip), (&[][..], 1, Some(commit_id(&tip))), "{args:?}");
    }
}

#[tokio::test]
async fn a_branch_that_does_not_contain_the_tasks_is_named_with_its_commits() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    commit(&harness, &lease, "first.txt", "on the task's branch");
    git(&harness, &lease, &["checkout", "-q", "-b", "feature/x", "HEAD~1"]);
    commit(&harness, &lease, "second.txt", "beside it");
    let work = harness.commit(&lease).await;
    assert_eq!(work.elsewhere, [Elsewhere::Branch { name: "feature/x".into(), commits: 1 }]);
    git(&harness, &lease, &["checkout", "-q", "--orphan", "alone"]);
    git(&harness, &lease, &["commit", "-q", "-m", "Alone"]);
    let work = harness.commit(&lease).await;
    assert_eq!(work.elsewhere, [Elsewhere::Branch { name: "alone".into(), commits: 1 }]);
    assert_eq!((work.commits, work.taken_over), (1, None));
}

#[tokio::test]
async fn operations_that_are_not_finished_are_named() {
    let harness = Harness::new();
    let (_, other) = harness.done("other", "src/lib.rs", "theirs\n").await;
    for (operation, args) in [
        ("a merge", vec!["merge", "-q", other.tip.as_str()]),
        ("a rebase", vec!["rebase", "-q", other.tip.as_str()]),
        ("a cherry-pick", vec!["cherry-pick", other.tip.as_str()]),
        ("a bisect", vec!["bisect", "start"]),
    ] {
        let lease = harness.create(&operation[2..]).await;
        commit(&harness, &lease, "src/lib.rs", "ours\n");
        try_git(&harness, &lease, &args);
        let work = harness.commit(&lease).await;
        let unfinished = Elsewhere::Unfinished { operation: operation.into(), isolated: false };
        assert_eq!((work.missing(), work.commits), (Some(&unfinished), 1));
    }
}

#[tokio::test]
async fn what_was_stashed_is_missing_unless_there_are_commits_beside_it() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, "src/lib.rs", "stashed");
    git(&harness, &lease, &["stash", "-q"]);
    let entry = harness.repo.git(&["rev-parse", "stash"]);
    let stash = Elsewhere::Stash { entries: vec![entry] };
    let work = harness.commit(&lease).await;
    assert_eq!(work.missing(), Some(&stash));
    write(&lease, "done.txt", "done");
    let work = harness.commit(&lease).await;
    assert_eq!((work.missing(), &work.elsewhere[..]), (None, &[stash][..]));
}

#[tokio::test]
async fn what_was_stashed_on_a_branch_that_was_taken_over_is_missing_too() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    git(&harness, &lease, &["checkout", "-q", "-b", "feature/x"]);
    write(&lease, "src/lib.rs", "stashed");
    git(&harness, &lease, &["stash", "-q"]);
    let entry = harness.repo.git(&["rev-parse", "stash"]);
    let work = harness.commit(&lease).await;
    assert_eq!(work.missing(), Some(&Elsewhere::Stash { entries: vec![entry] }));
}

#[tokio::test]
async fn a_worktree_that_was_moved_is_found_and_one_that_is_gone_is_missing_unless_its_branch_has_commits() {
    let harness = Harness::new();
    let (moved, gone) = (harness.create("moved").await, harness.create("gone").await);
    let path = harness.repo.root().join("somewhere");
    harness.repo.git(&["worktree", "move", &moved.path.to_string_lossy(), &path.to_string_lossy()]);
    let work = harness.commit(&moved).await;
    assert_eq!(work.missing(), Some(&Elsewhere::Moved { path }));
    let committed = harness.create("committed").await;
    commit(&harness, &committed, "done.txt", "done");
    for lease in [&gone, &committed] {
        fs::remove_dir_all(&lease.path).expect("it goes");
    }
    assert_eq!(harness.commit(&gone).await.missing(), Some(&Elsewhere::Removed));
    let work = harness.commit(&committed).await;
    assert_eq!((work.missing(), &work.elsewhere[..], work.commits), (None, &[Elsewhere::Removed][..], 1));
}

#[tokio::test]
async fn another_repository_in_the_worktree_is_named_beside_the_files_and_one_of_which_all_is_gone_is_as_good_as_removed()
 {
    let harness = Harness::new();
    let (other, emptied) = (harness.create("other").await, harness.create("emptied").await);
    fs::remove_file(other.path.join(".git")).expect("it goes");
    write(&other, "done.txt", "done");
    harness.git(&other, &["init", "-q", "."]);
    let work = harness.commit(&other).await;
    assert_eq!((work.missing(), work.commits, work.files), (Some(&Elsewhere::OtherRepository), 1, 1));
    fs::remove_dir_all(&emptied.path).expect("it goes");
    fs::create_dir(&emptied.path).expect("a folder");
    let work = harness.commit(&emptied).await;
    assert_eq!((work.missing(), work.commits), (Some(&Elsewhere::Removed), 0));
}

#[tokio::test]
async fn work_of_an_isolated_task_on_another_branch_or_none_is_taken_over_for_good() {
    for (args, place) in [
        (vec!["checkout", "-q", "-b", "feature/x"], "branch feature/x"),
        (vec!["checkout", "-q", "--detach"], "a detached HEAD"),
        (vec!["branch", "-m", "feature/x"], "branch feature/x"),
    ] {
        let harness = Harness::new();
        let task = Isolated::new(&harness, "a").await;
        task.git(&harness, &args);
        let tip = task.commit(&harness, "a.txt", "a");
        write(&task.lease, "b.txt", "b");
        task.import(&harness).await.expect("an import");
        let work = harness.commit(&task.lease).await;
        assert_taken_over(&harness, &task.lease, &work, place);
        assert_eq!((work.commits, work.files, work.uncommitted), (2, 2, 0));
        assert_eq!(harness.repo.git(&["rev-parse", "gadugi/a~1"]), tip);
        assert_eq!(kept(&harness).len(), 1);
        // A further import leaves it so, and the worktree can go.
        task.import(&harness).await.expect("an import");
        assert_eq!(harness.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a");
        assert_eq!(harness.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        harness.assert_sound();
    }
}

#[tokio::test]
async fn work_of_an_isolated_task_beside_its_branch_is_named_by_the_reference_that_keeps_it() {
    let harness = Harness::new();
    let task = Isolated::new(&harness, "a").await;
    task.commit(&harness, "a.txt", "a");
    task.git(&harness, &["checkout", "-q", "-b", "topic", task.base()]);
    task.commit(&harness, "b.txt", "b");
    task.import(&harness).await.expect("an import");
    let work = harness.commit(&task.lease).await;
    assert_eq!(work.elsewhere, [Elsewhere::Branch { name: task.kept("topic"), commits: 1 }]);
    assert_eq!((work.commits, work.taken_over), (1, None));
    // A merge that it has not finished.
    task.git(&harness, &["checkout", "-q", "gadugi/a"]);
    write(&task.lease, "c.txt", "c");
    task.git(&harness, &["merge", "-q", "--no-commit", "--no-ff", "topic"]);
    task.import(&harness).await.expect("an import");
    let work = harness.commit(&task.lease).await;
    assert_eq!(work.missing(), Some(&Elsewhere::Unfinished { operation: "a merge".into(), isolated: true }));
}

#[tokio::test]
async fn conflict_markers_that_the_task_has_committed_are_named_and_no_others() {
    let conflict = "one\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> topic\n";
    let harness = Harness::new();
    harness.repo.write("fixture.txt", conflict);
    harness.repo.write(".gitattributes", "*.fixture conflict-marker-size=40\n");
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "A fixture"]);
    let worktrees = crate::harness::worktrees_of(harness.repo.path());
    let harness = Harness { worktrees, ..harness };
    let lease = harness.create("fix").await;
    write(&lease, "fixture.txt", format!("{conflict}more\n"));
    write(&lease, "page.rst", "Heading\n=======\n\n<<<<<<< is how a conflict begins\n");
    write(&lease, "own.fixture", conflict);
    write(&lease, "binary", format!("\0{conflict}"));
    assert_eq!(harness.commit(&lease).await.conflict_markers, Vec::<String>::new());
    harness.git(&lease, &["mv", "fixture.txt", "deep.txt"]);
    assert_eq!(harness.commit(&lease).await.conflict_markers, Vec::<String>::new());
    let other = harness.create("other").await;
    write(&other, "src/deep/lib.rs", conflict);
    write(&other, "fixture.txt", format!("{conflict}{conflict}"));
    assert_eq!(harness.commit(&other).await.conflict_markers, ["fixture.txt", "src/deep/lib.rs"]);
}
