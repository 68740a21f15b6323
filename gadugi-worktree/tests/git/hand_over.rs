//! Worktrees that a further attempt reuses.

use std::fs;

use gadugi_core::worktrees::{WorktreeFate, WorktreeRequest};
use gadugi_core::{Lease, Worktrees};

use crate::harness::{DELETE, Harness, KEEP, branch, next_in, request, worktrees_of, write};
use crate::isolated::{Isolated, all_private, kept};
use crate::killed::{assert_clean, kill_at};

async fn leases(harness: &Harness) -> Vec<Lease> {
    harness.worktrees.leases().await.expect("a list")
}

/// A worktree with a commit, a changed file and a new one.
async fn worked_in(harness: &Harness) -> Lease {
    let (lease, _) = harness.done("fix", "first.txt", "first").await;
    write(&lease, "src/lib.rs", "pub fn two() {}\n");
    write(&lease, "new.txt", "new");
    lease
}

const WORKED: &str = " M src/lib.rs\n?? new.txt";

#[tokio::test]
async fn the_next_attempt_gets_the_same_folder_and_branch_with_all_that_is_there() {
    let harness = Harness::new();
    let first = worked_in(&harness).await;
    let second = harness.try_create(next_in(&first)).await.expect("the place");
    assert_eq!(second, Lease { attempt: next_in(&first).attempt, ..first.clone() });
    assert_eq!(harness.git(&second, &["status", "--porcelain"]), WORKED);
    assert_eq!((leases(&harness).await, harness.listed().len()), (vec![second.clone()], 1));
    let work = harness.commit(&second).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (2, 3, 0), "what the earlier one made is its own too");
    // A third goes on where the second was.
    let third = harness.try_create(next_in(&second)).await.expect("the place");
    assert_eq!((&third.path, leases(&harness).await), (&first.path, vec![third.clone()]));
    assert_eq!(harness.release(&third, KEEP).await.worktree, WorktreeFate::Removed);
    assert_eq!(harness.branches(), ["gadugi/fix", "main"]);
    harness.assert_sound();
}

#[tokio::test]
async fn for_the_earlier_attempt_it_is_gone_and_its_release_touches_nothing() {
    let harness = Harness::new();
    let first = worked_in(&harness).await;
    let second = harness.try_create(next_in(&first)).await.expect("the place");
    for request in [KEEP, DELETE] {
        assert_eq!(harness.release(&first, request).await.worktree, WorktreeFate::Absent);
    }
    assert_eq!(harness.git(&second, &["status", "--porcelain"]), WORKED);
    assert_eq!((leases(&harness).await, harness.branches()), (vec![second], vec!["gadugi/fix".into(), "main".into()]));
    harness.assert_sound();
}

#[tokio::test]
async fn a_place_that_is_gone_or_belongs_to_somebody_else_is_not_taken() {
    let harness = Harness::new();
    let gone = harness.create("gone").await;
    assert_eq!(harness.release(&gone, KEEP).await.worktree, WorktreeFate::Removed);
    let given = harness.create("given").await;
    let second = harness.try_create(next_in(&given)).await.expect("the place");
    let third = next_in(&second);
    // Of another attempt since.
    let late = WorktreeRequest { reuse: Some(given.clone()), ..third };
    // Of another run.
    let foreign = harness.create("foreign").await;
    let of_other = Lease { run: "20261122-083355-zzz".parse().expect("a run id"), ..foreign.clone() };
    // With another branch than the one that was made for it.
    let other_branch = harness.create("moved").await;
    let moved = Lease { branch: Some("gadugi/elsewhere".parse().expect("a branch")), ..other_branch.clone() };
    // A worktree of the user's.
    let users = harness.repo.path().with_file_name("users");
    harness.repo.git(&["worktree", "add", "-q", "-b", "users", &users.to_string_lossy()]);
    let not_ours = Lease { path: users.clone(), ..foreign.clone() };
    for request in [next_in(&gone), late, next_in(&of_other), next_in(&moved), next_in(&not_ours)] {
        let asked = request.reuse.clone().expect("a place");
        let made = harness.try_create(request.clone()).await.expect("another one");
        assert_ne!(made.path, asked.path);
        assert_eq!(made.attempt, request.attempt);
    }
    let there = leases(&harness).await;
    for lease in [&second, &foreign, &other_branch] {
        assert!(there.contains(lease), "{lease:?} stays as it was");
    }
    harness.repo.git(&["worktree", "remove", "--force", &users.to_string_lossy()]);
    harness.assert_sound();
}

#[tokio::test]
async fn in_one_batch_some_are_handed_over_and_others_made_each_in_its_turn() {
    let harness = Harness::new();
    let (a, c) = (harness.create("a").await, harness.create("c").await);
    let requests = vec![next_in(&a), request("b"), next_in(&c), request("d")];
    let wanted: Vec<_> = requests.iter().map(|request| request.attempt.clone()).collect();
    let made = harness.worktrees.create(requests).await;
    let made: Vec<Lease> = made.into_iter().map(|made| made.expect("a worktree").lease).collect();
    assert_eq!(made.iter().map(|lease| lease.attempt.clone()).collect::<Vec<_>>(), wanted);
    assert_eq!((&made[0].path, &made[2].path), (&a.path, &c.path));
    assert_eq!((branch(&made[1]), branch(&made[3])), ("gadugi/b", "gadugi/d"));
    harness.assert_sound();
}

#[tokio::test]
async fn what_cannot_be_made_in_a_batch_fails_alone() {
    let harness = Harness::new();
    let a = harness.create("a").await;
    let from = crate::harness::commit_id("e83c5163316f89bfbde7d9ab23ca2e25604af290");
    let nowhere = WorktreeRequest { from: Some(from), ..request("b") };
    let mut made = harness.worktrees.create(vec![nowhere, next_in(&a)]).await.into_iter();
    made.next().expect("an answer").expect_err("there is no such commit");
    assert_eq!(made.next().expect("an answer").expect("the place").lease.path, a.path);
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_hands_over_is_followed_by_one_that_finds_the_place() {
    let harness = Harness::new();
    let first = worked_in(&harness).await;
    kill_at(&harness, "take-over fix", "worktree-handed-over");
    let next = worktrees_of(harness.repo.path());
    let there = next.leases().await.expect("a list");
    let [second] = &there[..] else { panic!("{there:?}") };
    assert_eq!(second, &Lease { attempt: next_in(&first).attempt, ..first.clone() });
    // One that has not looked asks once more.
    let again = next.create(vec![next_in(&first)]).await.pop().expect("an answer").expect("the place");
    assert_eq!(&again.lease, second);
    assert_eq!(harness.git(second, &["status", "--porcelain"]), WORKED);
    assert_clean(&harness).await;
    harness.assert_sound();
}

#[tokio::test]
async fn what_was_done_in_isolation_is_there_for_the_next_attempt_and_nothing_is_lost() {
    let harness = Harness::new();
    let first = Isolated::new(&harness, "a").await;
    let tip = first.commit(&harness, "a.txt", "a");
    write(&first.lease, "staged.txt", "staged");
    first.git(&harness, &["add", "staged.txt"]);
    write(&first.lease, "src/lib.rs", "pub fn two() {}\n");
    first.git(&harness, &["branch", "aside"]);
    first.import(&harness).await.expect("an import");

    let lease = harness.try_create(next_in(&first.lease)).await.expect("the place");
    let second = Isolated::of(&harness, lease).await;
    assert_ne!(second.git, first.git, "it has a git folder of its own");
    assert_eq!(second.git(&harness, &["rev-parse", "HEAD"]), tip);
    assert_eq!(second.git(&harness, &["status", "--porcelain"]), " M src/lib.rs\nA  staged.txt");
    let next = second.commit(&harness, "b.txt", "b");
    second.import(&harness).await.expect("an import");
    assert_eq!(second.tip(&harness), next);

    // The git folder of the first is not needed any more, and what is in it moves nothing back.
    let before = kept(&harness);
    harness.worktrees.prune(false).await.expect("cleared");
    assert!(!first.git.exists() && second.git.exists());
    assert_eq!((second.tip(&harness), kept(&harness)), (next, before));
    let work = harness.commit(&second.lease).await;
    assert_eq!((work.commits, work.uncommitted), (3, 0));
    assert_eq!(harness.release(&second.lease, KEEP).await.worktree, WorktreeFate::Removed);
    let files = harness.repo.git(&["ls-tree", "-r", "--name-only", branch(&second.lease)]);
    for file in ["a.txt", "b.txt", "staged.txt"] {
        assert!(files.lines().any(|there| there == file), "{file} in {files}");
    }
    assert!(!all_private(harness.repo.path()).exists());
    harness.assert_sound();
}

#[tokio::test]
async fn what_could_not_be_imported_before_is_not_lost_with_the_place() {
    let harness = Harness::new();
    let first = Isolated::new(&harness, "a").await;
    // Its driver goes on without the import.
    let tip = first.commit(&harness, "a.txt", "a");
    let lease = harness.try_create(next_in(&first.lease)).await.expect("the place");
    let second = Isolated::of(&harness, lease).await;
    assert_eq!(fs::read_to_string(second.lease.path.join("a.txt")).expect("a file"), "a");
    harness.release(&first.lease, KEEP).await;
    let reachable = harness.repo.git(&["for-each-ref", "--contains", &tip, "--format=%(refname)"]);
    assert_ne!(reachable, "", "a release of the earlier attempt imports first");
    harness.assert_sound();
}
