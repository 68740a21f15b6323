//! Branches whose changes are in another one, although their commits are not.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gadugi_core::worktrees::{BranchRelease, KeepReason, MergedBy, Pruned, ReleaseRequest};
use gadugi_core::{CommitId, Lease, Worktrees};

use crate::harness::{DELETE, Harness, RUN, commit_id, write};

const TEXT: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";

/// A repository with a text that can be changed in several places.
fn harness() -> Harness {
    let harness = Harness::new();
    harness.repo.commit_file("text.txt", TEXT);
    Harness::on(harness.repo)
}

fn commit(harness: &Harness, lease: &Lease, path: &str, text: &str) {
    write(lease, path, text);
    harness.git(lease, &["add", "--", path]);
    harness.git(lease, &["commit", "-q", "-m", &format!("Change {path}")]);
}

/// A worktree with two commits: a changed text, and a new file.
async fn two_commits(harness: &Harness, task: &str) -> Lease {
    let lease = harness.create(task).await;
    commit(harness, &lease, "text.txt", &TEXT.replace("two\n", "2\n"));
    commit(harness, &lease, "new.txt", "new\n");
    lease
}

fn head(harness: &Harness) -> CommitId {
    commit_id(&harness.repo.git(&["rev-parse", "HEAD"]))
}

fn squash(harness: &Harness, branch: &str) -> CommitId {
    harness.repo.git(&["merge", "-q", "--squash", branch]);
    harness.repo.git(&["commit", "-q", "-m", "All at once"]);
    head(harness)
}

/// Releases a worktree; why its branch went.
async fn by(harness: &Harness, lease: &Lease) -> Option<MergedBy> {
    let tip = harness.repo.git(&["rev-parse", lease.branch.as_ref().expect("a branch").as_str()]);
    let dry = harness.release(lease, ReleaseRequest { dry_run: true, ..DELETE }).await;
    let before = harness.repo.fingerprint();
    let release = harness.release(lease, DELETE).await;
    assert_eq!(dry, release);
    assert_eq!(harness.repo.fingerprint(), before);
    harness.assert_sound();
    let trash = format!("refs/gadugi/trash/{RUN}/{}", lease.attempt.task);
    match release.branch {
        BranchRelease::Deleted { tip: was, by } => {
            assert_eq!(was.as_str(), tip);
            assert_eq!(harness.repo.git(&["rev-parse", &trash]), tip, "its commits are on no branch");
            Some(by)
        }
        BranchRelease::Kept(KeepReason::Unmerged { .. }) => {
            assert_eq!(release.details.compared_with, ["main"]);
            assert_eq!(harness.repo.git(&["for-each-ref", "refs/gadugi"]), "");
            None
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_branch_that_was_squashed_goes_and_its_tip_is_kept_for_a_while() {
    let harness = harness();
    let lease = two_commits(&harness, "a").await;
    harness.repo.commit_file("other.txt", "beside it\n");
    let commit = squash(&harness, "gadugi/a");
    harness.repo.commit_file("text.txt", TEXT.replace("two\n", "2\n").replace("nine\n", "9\n"));
    assert_eq!(by(&harness, &lease).await, Some(MergedBy::Squash { commit, into: "main".into() }));
    assert_eq!(harness.branches(), ["main"]);
}

#[tokio::test]
async fn a_branch_that_was_rebased_or_picked_goes() {
    let harness = harness();
    let lease = two_commits(&harness, "a").await;
    harness.repo.commit_file("text.txt", TEXT.replace("ten\n", "10\n"));
    harness.repo.git(&["cherry-pick", "main..gadugi/a"]);
    assert_eq!(by(&harness, &lease).await, Some(MergedBy::Rebase { commits: 2, onto: "main".into() }));
    let lease = harness.create("b").await;
    commit(&harness, &lease, "b.txt", "b\n");
    harness.repo.commit_file("other.txt", "beside it\n");
    harness.repo.git(&["cherry-pick", "gadugi/b"]);
    assert_eq!(by(&harness, &lease).await, Some(MergedBy::Rebase { commits: 1, onto: "main".into() }));
}

#[tokio::test]
async fn a_branch_of_which_only_a_part_was_picked_stays() {
    let harness = harness();
    let lease = two_commits(&harness, "a").await;
    harness.repo.commit_file("other.txt", "beside it\n");
    harness.repo.git(&["cherry-pick", "gadugi/a"]);
    assert_eq!(by(&harness, &lease).await, None);
}

#[tokio::test]
async fn a_branch_whose_tree_somebody_else_came_to_goes() {
    let harness = harness();
    let lease = harness.create("a").await;
    commit(&harness, &lease, "text.txt", &TEXT.replace("two\n", "2\n"));
    commit(&harness, &lease, "text.txt", &TEXT.replace("two\n", "2\n").replace("three\n", "3\n"));
    // The same in other steps.
    harness.repo.commit_file("text.txt", TEXT.replace("three\n", "3\n"));
    harness.repo.commit_file("text.txt", TEXT.replace("two\n", "2\n").replace("three\n", "3\n"));
    let commit = head(&harness);
    assert_eq!(by(&harness, &lease).await, Some(MergedBy::SameTree { commit, of: "main".into() }));
}

#[tokio::test]
async fn a_branch_whose_merge_would_change_nothing_goes() {
    let harness = harness();
    let lease = two_commits(&harness, "a").await;
    harness.repo.write("new.txt", "new\n");
    harness.repo.write("text.txt", TEXT.replace("two\n", "2\n").replace("ten\n", "10\n"));
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "With more"]);
    assert_eq!(by(&harness, &lease).await, Some(MergedBy::NothingLeft { into: "main".into() }));
}

#[tokio::test]
async fn where_git_was_told_other_ways_to_merge_a_merge_that_changes_nothing_is_no_proof() {
    let harness = harness();
    harness.repo.git(&["config", "merge.ours.driver", "true"]);
    harness.repo.commit_file(".gitattributes", "text.txt merge=ours\n");
    let harness = Harness::on(harness.repo);
    let lease = harness.create("a").await;
    commit(&harness, &lease, "text.txt", &TEXT.replace("two\n", "2\n"));
    harness.repo.commit_file("text.txt", TEXT.replace("ten\n", "10\n"));
    assert_eq!(by(&harness, &lease).await, None);
}

#[tokio::test]
async fn a_branch_whose_squash_was_reverted_stays_until_that_is_reverted_too() {
    let harness = harness();
    let lease = two_commits(&harness, "a").await;
    harness.repo.commit_file("other.txt", "beside it\n");
    let commit = squash(&harness, "gadugi/a");
    harness.repo.commit_file("other.txt", "more beside it\n");
    harness.repo.git(&["revert", "--no-edit", commit.as_str()]);
    assert_eq!(by(&harness, &lease).await, None);
    harness.repo.git(&["revert", "--no-edit", "HEAD"]);
    let again = head(&harness);
    assert_eq!(by(&harness, &lease).await, Some(MergedBy::Squash { commit: again, into: "main".into() }));
}

#[tokio::test]
async fn a_branch_of_which_one_commit_was_reverted_after_a_rebase_stays() {
    let harness = harness();
    let lease = two_commits(&harness, "a").await;
    harness.repo.commit_file("other.txt", "beside it\n");
    harness.repo.git(&["cherry-pick", "main..gadugi/a"]);
    harness.repo.git(&["revert", "--no-edit", "HEAD~1"]);
    assert_eq!(by(&harness, &lease).await, None);
}

#[tokio::test]
async fn where_both_sides_have_changed_the_same_lines_since_the_commits_decide() {
    let harness = harness();
    let lease = harness.create("a").await;
    commit(&harness, &lease, "text.txt", &TEXT.replace("two\n", "2\n"));
    harness.repo.commit_file("other.txt", "beside it\n");
    harness.repo.git(&["cherry-pick", "gadugi/a"]);
    let picked = head(&harness);
    // Somebody went on from there: a merge would conflict, and the commit is there.
    harness.repo.commit_file("text.txt", TEXT.replace("two\n", "II\n"));
    let gone_on = head(&harness);
    // Reverted step by step, and then changed in a third way: a merge conflicts, and the changes are not there.
    harness.repo.git(&["branch", "further"]);
    harness.repo.git(&["revert", "--no-edit", gone_on.as_str()]);
    harness.repo.git(&["revert", "--no-edit", picked.as_str()]);
    harness.repo.commit_file("text.txt", TEXT.replace("two\n", "zwei\n"));
    assert_eq!(by(&harness, &lease).await, None);
    harness.repo.git(&["reset", "-q", "--hard", "further"]);
    assert_eq!(by(&harness, &lease).await, Some(MergedBy::Rebase { commits: 1, onto: "main".into() }));
}

#[tokio::test]
async fn a_branch_that_changes_nothing_in_the_end_stays_with_its_commits() {
    let harness = harness();
    let lease = harness.create("a").await;
    commit(&harness, &lease, "idea.txt", "tried out\n");
    harness.git(&lease, &["revert", "--no-edit", "HEAD"]);
    assert_eq!(by(&harness, &lease).await, None);
    let lease = harness.create("b").await;
    harness.git(&lease, &["commit", "-q", "--allow-empty", "-m", "A note"]);
    harness.repo.commit_file("other.txt", "beside it\n");
    assert_eq!(by(&harness, &lease).await, None);
}

#[tokio::test]
async fn a_change_of_white_space_alone_is_a_change() {
    let harness = harness();
    let lease = harness.create("a").await;
    commit(&harness, &lease, "text.txt", &TEXT.replace("two\n", "  two\n"));
    // The same but for the white space, and then undone by hand.
    harness.repo.commit_file("text.txt", TEXT.replace("two\n", "\ttwo\n"));
    assert_eq!(by(&harness, &lease).await, None);
}

#[tokio::test]
async fn binary_files_are_compared_by_their_content() {
    let harness = harness();
    let (a, b) = (harness.create("a").await, harness.create("b").await);
    commit(&harness, &a, "x.bin", "\0a");
    commit(&harness, &b, "x.bin", "\0b");
    harness.repo.commit_file("other.txt", "beside it\n");
    let commit = squash(&harness, "gadugi/a");
    harness.repo.commit_file("x.bin", "\0further");
    assert_eq!(by(&harness, &b).await, None);
    let rebased = MergedBy::Rebase { commits: 1, onto: "main".into() };
    assert_eq!(by(&harness, &a).await, Some(rebased), "{commit}");
}

#[tokio::test]
async fn what_a_remote_names_as_its_branch_counts_too() {
    let harness = harness();
    let lease = two_commits(&harness, "a").await;
    harness.repo.git(&["checkout", "-q", "-b", "upstream"]);
    harness.repo.commit_file("other.txt", "beside it\n");
    let commit = squash(&harness, "gadugi/a");
    harness.repo.git(&["update-ref", "refs/remotes/origin/trunk", "HEAD"]);
    harness.repo.git(&["checkout", "-q", "main"]);
    harness.repo.git(&["branch", "-D", "upstream"]);
    assert_eq!(by(&harness, &lease).await, None, "nobody names it");
    harness.repo.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
    assert_eq!(by(&harness, &lease).await, Some(MergedBy::Squash { commit, into: "origin/trunk".into() }));
}

/// The note of the trash reference of a task.
fn note(harness: &Harness, task: &str) -> PathBuf {
    harness.repo.path().join(".git/gadugi/discarded").join(RUN).join(task)
}

fn trash(harness: &Harness) -> Vec<String> {
    let list = harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/trash"]);
    list.lines().map(str::to_owned).collect()
}

/// Lets a note be as old as this, by what it says and by its time.
fn set_age(harness: &Harness, task: &str, said: Duration, touched: Duration) {
    let path = note(harness, task);
    let text = fs::read_to_string(&path).expect("a note");
    let (id, _) = text.trim_end().split_once(' ').expect("an id and a time");
    let now = SystemTime::now();
    let seconds = (now - said).duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    fs::write(&path, format!("{id} {seconds}\n")).expect("a note");
    File::options().write(true).open(&path).and_then(|file| file.set_modified(now - touched)).expect("a time");
}

#[tokio::test]
async fn the_tip_of_a_branch_that_is_gone_is_kept_for_fourteen_days_and_not_for_less() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let harness = harness();
    let lease = two_commits(&harness, "a").await;
    harness.repo.commit_file("other.txt", "beside it\n");
    squash(&harness, "gadugi/a");
    by(&harness, &lease).await.expect("it goes");
    let reference = format!("refs/gadugi/trash/{RUN}/a");
    let expired = [Pruned::Expired { reference: reference.clone() }];
    for (said, touched) in [(DAY * 13, DAY * 13), (DAY * 15, DAY * 13), (DAY * 13, DAY * 15)] {
        set_age(&harness, "a", said, touched);
        assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
        assert_eq!(trash(&harness), [&*reference]);
    }
    // One that has lost its note, or whose note is of another commit, counts from now.
    fs::remove_file(note(&harness, "a")).expect("the note goes");
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    set_age(&harness, "a", DAY * 15, DAY * 15);
    harness.repo.git(&["update-ref", &reference, "HEAD"]);
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    assert_eq!(trash(&harness), [&*reference]);
    set_age(&harness, "a", DAY * 15, DAY * 15);
    assert_eq!(harness.worktrees.prune(true).await.expect("a list"), expired);
    assert_eq!(trash(&harness), [&*reference]);
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), expired);
    assert_eq!(trash(&harness), [""; 0]);
    assert!(!harness.repo.path().join(".git/gadugi/discarded").exists());
}
