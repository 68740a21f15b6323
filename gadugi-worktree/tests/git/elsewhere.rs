//! Work that is not on the branch of its attempt: what of it is taken over, and that the rest is named.

use std::fs;

use gadugi_core::{Elsewhere, Lease, Work, WorktreeFate, Worktrees};

use crate::ground::{Ground, KEEP, branch, commit_id, write};
use crate::isolated::{Isolated, kept};

/// Runs git as a task does: now, and not at the moment of the user's commits.
fn try_git(ground: &Ground, lease: &Lease, args: &[&str]) -> bool {
    let mut command = ground.repo.git_command(&lease.path);
    command.env_remove("GIT_COMMITTER_DATE").args(args).output().expect("git can be started").status.success()
}

#[track_caller]
fn git(ground: &Ground, lease: &Lease, args: &[&str]) {
    assert!(try_git(ground, lease, args), "{args:?}");
}

/// Commits a file in a worktree, and gives the commit.
fn commit(ground: &Ground, lease: &Lease, path: &str, text: &str) -> String {
    write(lease, path, text);
    git(ground, lease, &["add", "--", path]);
    git(ground, lease, &["commit", "-q", "-m", &format!("Write {path}")]);
    ground.git(lease, &["rev-parse", "HEAD"])
}

/// That the branch has the work, the worktree is on it, and nothing is left to say.
fn assert_taken_over(ground: &Ground, lease: &Lease, work: &Work, from: &str) {
    assert_eq!(work.taken_over.as_deref(), Some(from));
    assert_eq!((&work.elsewhere[..], work.missing()), (&[][..], None));
    assert_eq!(ground.git(lease, &["symbolic-ref", "HEAD"]), format!("refs/heads/{}", branch(lease)));
    assert_eq!(ground.git(lease, &["status", "--porcelain"]), "");
    assert_eq!(work.tip, Some(commit_id(&ground.repo.git(&["rev-parse", branch(lease)]))));
}

#[tokio::test]
async fn work_on_a_branch_that_the_task_has_made_is_taken_over_and_that_branch_stays() {
    let ground = Ground::new();
    let lease = ground.create("fix").await;
    commit(&ground, &lease, "first.txt", "on the task's branch");
    git(&ground, &lease, &["checkout", "-q", "-b", "feature/x"]);
    let tip = commit(&ground, &lease, "second.txt", "on the other");
    write(&lease, "third.txt", "not committed");
    let counted = ground.count(&lease).await;
    assert_eq!(counted.elsewhere, [Elsewhere::Branch { name: "feature/x".into(), commits: 1 }]);
    assert_eq!(counted.missing(), counted.elsewhere.first());
    let work = ground.commit(&lease).await;
    assert_taken_over(&ground, &lease, &work, "branch feature/x");
    assert_eq!((work.commits, work.files, work.uncommitted), (3, 3, 0));
    assert_eq!(ground.repo.git(&["rev-parse", "feature/x", "gadugi/fix~1"]), format!("{tip}\n{tip}"));
    assert_eq!(ground.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    ground.assert_sound();
}

#[tokio::test]
async fn a_renamed_branch_is_made_again_under_its_own_name() {
    let ground = Ground::new();
    let lease = ground.create("fix").await;
    git(&ground, &lease, &["branch", "-m", "feature/x"]);
    let tip = commit(&ground, &lease, "done.txt", "done");
    let work = ground.commit(&lease).await;
    assert_taken_over(&ground, &lease, &work, "branch feature/x");
    assert_eq!(ground.repo.git(&["rev-parse", "feature/x", "gadugi/fix"]), format!("{tip}\n{tip}"));
}

#[tokio::test]
async fn work_on_no_branch_is_taken_over() {
    let ground = Ground::new();
    let lease = ground.create("fix").await;
    git(&ground, &lease, &["checkout", "-q", "--detach"]);
    let tip = commit(&ground, &lease, "done.txt", "done");
    // A branch that the task has made of it changes nothing.
    git(&ground, &lease, &["branch", "backup"]);
    let work = ground.commit(&lease).await;
    assert_taken_over(&ground, &lease, &work, "a detached HEAD");
    assert_eq!((work.commits, work.tip), (1, Some(commit_id(&tip))));
}

#[tokio::test]
async fn uncommitted_files_beside_a_head_without_a_branch_become_a_commit_on_the_tasks_branch() {
    let ground = Ground::new();
    let lease = ground.create("fix").await;
    git(&ground, &lease, &["checkout", "-q", "--detach"]);
    write(&lease, "a.txt", "a");
    let work = ground.commit(&lease).await;
    assert_taken_over(&ground, &lease, &work, "a detached HEAD");
    assert_eq!((work.commits, work.uncommitted), (1, 0));
}

#[tokio::test]
async fn a_branch_of_the_users_is_never_taken_over() {
    let ground = Ground::new();
    ground.repo.git(&["branch", "dev"]);
    let lease = ground.create("fix").await;
    // It contains the task's start, and what the user has committed to it is nobody else's.
    let tree = ground.repo.git(&["rev-parse", "HEAD^{tree}"]);
    let theirs = ground.repo.git(&["commit-tree", "-m", "The user's", "-p", "HEAD", &tree]);
    ground.repo.git(&["update-ref", "-m", "commit: The user's", "refs/heads/dev", &theirs]);
    for (args, place) in [
        (vec!["checkout", "-q", "dev"], "branch dev, 1 commit".to_owned()),
        (vec!["checkout", "-q", "--detach"], String::new()),
    ] {
        git(&ground, &lease, &args);
        let tip = commit(&ground, &lease, "mine.txt", &place);
        write(&lease, "new.txt", "not committed");
        let work = ground.commit(&lease).await;
        let place = if place.is_empty() { format!("detached HEAD at {}, 2 commits", &tip[..10]) } else { place };
        let said = work.missing().map(ToString::to_string);
        assert_eq!((said, work.commits, work.uncommitted, &work.taken_over), (Some(place), 0, 1, &None));
        assert_eq!(ground.repo.git(&["rev-parse", "gadugi/fix"]), lease.base.as_ref().expect("a base").as_str());
        assert_eq!(ground.git(&lease, &["rev-parse", "HEAD"]), tip);
    }
}

#[tokio::test]
async fn a_branch_that_was_left_for_the_tasks_own_without_its_commits_is_named() {
    let ground = Ground::new();
    let lease = ground.create("fix").await;
    git(&ground, &lease, &["checkout", "-q", "-b", "feature/x"]);
    commit(&ground, &lease, "done.txt", "done");
    git(&ground, &lease, &["checkout", "-q", "gadugi/fix"]);
    let work = ground.commit(&lease).await;
    assert_eq!(work.missing(), Some(&Elsewhere::Branch { name: "feature/x".into(), commits: 1 }));
    git(&ground, &lease, &["merge", "-q", "--no-edit", "feature/x"]);
    assert_eq!(ground.commit(&lease).await.missing(), None);
}

#[tokio::test]
async fn what_another_task_has_made_at_the_same_time_is_not_taken_over() {
    let ground = Ground::new();
    let requests = vec![crate::ground::request("a"), crate::ground::request("b")];
    let mut leases = ground.worktrees.create(requests).await.into_iter().map(|made| made.expect("a worktree").lease);
    let (a, b) = (leases.next().expect("a"), leases.next().expect("b"));
    commit(&ground, &a, "a.txt", "a");
    for args in
        [&["checkout", "-q", "--detach", "gadugi/a"][..], &["checkout", "-q", "--ignore-other-worktrees", "gadugi/a"]]
    {
        git(&ground, &b, args);
        let work = ground.commit(&b).await;
        assert_eq!((work.commits, work.taken_over, work.tip), (0, None, b.base.clone()), "{args:?}");
    }
}

#[tokio::test]
async fn a_commit_that_another_task_has_made_too_is_taken_over() {
    let ground = Ground::new();
    let (a, b) = (ground.create("a").await, ground.create("b").await);
    git(&ground, &b, &["checkout", "-q", "--detach"]);
    let commits = [&a, &b].map(|lease| {
        write(lease, "same.txt", "same");
        ground.git(lease, &["add", "."]);
        // At one moment, with one author.
        ground.git(lease, &["commit", "-q", "-m", "Same"]);
        ground.git(lease, &["rev-parse", "HEAD"])
    });
    assert_eq!(commits[0], commits[1]);
    let work = ground.commit(&b).await;
    assert_taken_over(&ground, &b, &work, "a detached HEAD");
    assert_eq!(work.commits, 1);
}

#[tokio::test]
async fn a_head_that_was_only_looked_at_elsewhere_is_no_work() {
    let ground = Ground::new();
    ground.repo.git(&["branch", "old"]);
    ground.repo.git(&["commit", "-q", "--allow-empty", "-m", "Later"]);
    let worktrees = crate::ground::worktrees_of(ground.repo.path());
    let ground = Ground { worktrees, ..ground };
    let lease = ground.create("fix").await;
    let tip = commit(&ground, &lease, "done.txt", "done");
    for args in [&["checkout", "-q", "old"][..], &["checkout", "-q", "--detach", "gadugi/fix~1"]] {
        git(&ground, &lease, args);
        let work = ground.commit(&lease).await;
        assert_eq!((&work.elsewhere[..], work.commits, work.tip), (&[][..], 1, Some(commit_id(&tip))), "{args:?}");
    }
}

#[tokio::test]
async fn a_branch_that_does_not_contain_the_tasks_is_named_with_its_commits() {
    let ground = Ground::new();
    let lease = ground.create("fix").await;
    commit(&ground, &lease, "first.txt", "on the task's branch");
    git(&ground, &lease, &["checkout", "-q", "-b", "feature/x", "HEAD~1"]);
    commit(&ground, &lease, "second.txt", "beside it");
    let work = ground.commit(&lease).await;
    assert_eq!(work.elsewhere, [Elsewhere::Branch { name: "feature/x".into(), commits: 1 }]);
    git(&ground, &lease, &["checkout", "-q", "--orphan", "alone"]);
    git(&ground, &lease, &["commit", "-q", "-m", "Alone"]);
    let work = ground.commit(&lease).await;
    assert_eq!(work.elsewhere, [Elsewhere::Branch { name: "alone".into(), commits: 1 }]);
    assert_eq!((work.commits, work.taken_over), (1, None));
}

#[tokio::test]
async fn operations_that_are_not_finished_are_named() {
    let ground = Ground::new();
    let (_, other) = ground.done("other", "src/lib.rs", "theirs\n").await;
    for (operation, args) in [
        ("a merge", vec!["merge", "-q", other.tip.as_str()]),
        ("a rebase", vec!["rebase", "-q", other.tip.as_str()]),
        ("a cherry-pick", vec!["cherry-pick", other.tip.as_str()]),
        ("a bisect", vec!["bisect", "start"]),
    ] {
        let lease = ground.create(&operation[2..]).await;
        commit(&ground, &lease, "src/lib.rs", "ours\n");
        try_git(&ground, &lease, &args);
        let work = ground.commit(&lease).await;
        let unfinished = Elsewhere::Unfinished { operation: operation.into(), isolated: false };
        assert_eq!((work.missing(), work.commits), (Some(&unfinished), 1));
    }
}

#[tokio::test]
async fn what_was_stashed_is_missing_unless_there_are_commits_beside_it() {
    let ground = Ground::new();
    let lease = ground.create("fix").await;
    write(&lease, "src/lib.rs", "stashed");
    git(&ground, &lease, &["stash", "-q"]);
    let entry = ground.repo.git(&["rev-parse", "stash"]);
    let stash = Elsewhere::Stash { entries: vec![entry] };
    let work = ground.commit(&lease).await;
    assert_eq!(work.missing(), Some(&stash));
    write(&lease, "done.txt", "done");
    let work = ground.commit(&lease).await;
    assert_eq!((work.missing(), &work.elsewhere[..]), (None, &[stash][..]));
}

#[tokio::test]
async fn what_was_stashed_on_a_branch_that_was_taken_over_is_missing_too() {
    let ground = Ground::new();
    let lease = ground.create("fix").await;
    git(&ground, &lease, &["checkout", "-q", "-b", "feature/x"]);
    write(&lease, "src/lib.rs", "stashed");
    git(&ground, &lease, &["stash", "-q"]);
    let entry = ground.repo.git(&["rev-parse", "stash"]);
    let work = ground.commit(&lease).await;
    assert_eq!(work.missing(), Some(&Elsewhere::Stash { entries: vec![entry] }));
}

#[tokio::test]
async fn a_worktree_that_was_moved_is_found_and_one_that_is_gone_is_missing_unless_its_branch_has_commits() {
    let ground = Ground::new();
    let (moved, gone) = (ground.create("moved").await, ground.create("gone").await);
    let path = ground.repo.root().join("somewhere");
    ground.repo.git(&["worktree", "move", &moved.path.to_string_lossy(), &path.to_string_lossy()]);
    let work = ground.commit(&moved).await;
    assert_eq!(work.missing(), Some(&Elsewhere::Moved { path }));
    let committed = ground.create("committed").await;
    commit(&ground, &committed, "done.txt", "done");
    for lease in [&gone, &committed] {
        fs::remove_dir_all(&lease.path).expect("it goes");
    }
    assert_eq!(ground.commit(&gone).await.missing(), Some(&Elsewhere::Removed));
    let work = ground.commit(&committed).await;
    assert_eq!((work.missing(), &work.elsewhere[..], work.commits), (None, &[Elsewhere::Removed][..], 1));
}

#[tokio::test]
async fn another_repository_in_the_worktree_is_named_beside_the_files_and_one_of_which_all_is_gone_is_as_good_as_removed()
 {
    let ground = Ground::new();
    let (other, emptied) = (ground.create("other").await, ground.create("emptied").await);
    fs::remove_file(other.path.join(".git")).expect("it goes");
    write(&other, "done.txt", "done");
    ground.git(&other, &["init", "-q", "."]);
    let work = ground.commit(&other).await;
    assert_eq!((work.missing(), work.commits, work.files), (Some(&Elsewhere::OtherRepository), 1, 1));
    fs::remove_dir_all(&emptied.path).expect("it goes");
    fs::create_dir(&emptied.path).expect("a folder");
    let work = ground.commit(&emptied).await;
    assert_eq!((work.missing(), work.commits), (Some(&Elsewhere::Removed), 0));
}

#[tokio::test]
async fn work_of_an_isolated_task_on_another_branch_or_none_is_taken_over_for_good() {
    for (args, place) in [
        (vec!["checkout", "-q", "-b", "feature/x"], "branch feature/x"),
        (vec!["checkout", "-q", "--detach"], "a detached HEAD"),
        (vec!["branch", "-m", "feature/x"], "branch feature/x"),
    ] {
        let ground = Ground::new();
        let task = Isolated::new(&ground, "a").await;
        task.git(&ground, &args);
        let tip = task.commit(&ground, "a.txt", "a");
        write(&task.lease, "b.txt", "b");
        task.import(&ground).await.expect("an import");
        let work = ground.commit(&task.lease).await;
        assert_taken_over(&ground, &task.lease, &work, place);
        assert_eq!((work.commits, work.files, work.uncommitted), (2, 2, 0));
        assert_eq!(ground.repo.git(&["rev-parse", "gadugi/a~1"]), tip);
        assert_eq!(kept(&ground).len(), 1);
        // A further import leaves it so, and the worktree can go.
        task.import(&ground).await.expect("an import");
        assert_eq!(ground.git(&task.lease, &["status", "--porcelain", "--branch"]), "## gadugi/a");
        assert_eq!(ground.release(&task.lease, KEEP).await.worktree, WorktreeFate::Removed);
        ground.assert_sound();
    }
}

#[tokio::test]
async fn work_of_an_isolated_task_beside_its_branch_is_named_by_the_reference_that_keeps_it() {
    let ground = Ground::new();
    let task = Isolated::new(&ground, "a").await;
    task.commit(&ground, "a.txt", "a");
    task.git(&ground, &["checkout", "-q", "-b", "topic", task.base()]);
    task.commit(&ground, "b.txt", "b");
    task.import(&ground).await.expect("an import");
    let work = ground.commit(&task.lease).await;
    assert_eq!(work.elsewhere, [Elsewhere::Branch { name: task.kept("topic"), commits: 1 }]);
    assert_eq!((work.commits, work.taken_over), (1, None));
    // A merge that it has not finished.
    task.git(&ground, &["checkout", "-q", "gadugi/a"]);
    write(&task.lease, "c.txt", "c");
    task.git(&ground, &["merge", "-q", "--no-commit", "--no-ff", "topic"]);
    task.import(&ground).await.expect("an import");
    let work = ground.commit(&task.lease).await;
    assert_eq!(work.missing(), Some(&Elsewhere::Unfinished { operation: "a merge".into(), isolated: true }));
}

#[tokio::test]
async fn conflict_markers_that_the_task_has_committed_are_named_and_no_others() {
    let conflict = "one\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> topic\n";
    let ground = Ground::new();
    ground.repo.write("fixture.txt", conflict);
    ground.repo.write(".gitattributes", "*.fixture conflict-marker-size=40\n");
    ground.repo.git(&["add", "."]);
    ground.repo.git(&["commit", "-q", "-m", "A fixture"]);
    let worktrees = crate::ground::worktrees_of(ground.repo.path());
    let ground = Ground { worktrees, ..ground };
    let lease = ground.create("fix").await;
    write(&lease, "fixture.txt", format!("{conflict}more\n"));
    write(&lease, "page.rst", "Heading\n=======\n\n<<<<<<< is how a conflict begins\n");
    write(&lease, "own.fixture", conflict);
    write(&lease, "binary", format!("\0{conflict}"));
    assert_eq!(ground.commit(&lease).await.conflict_markers, Vec::<String>::new());
    ground.git(&lease, &["mv", "fixture.txt", "deep.txt"]);
    assert_eq!(ground.commit(&lease).await.conflict_markers, Vec::<String>::new());
    let other = ground.create("other").await;
    write(&other, "src/deep/lib.rs", conflict);
    write(&other, "fixture.txt", format!("{conflict}{conflict}"));
    assert_eq!(ground.commit(&other).await.conflict_markers, ["fixture.txt", "src/deep/lib.rs"]);
}
