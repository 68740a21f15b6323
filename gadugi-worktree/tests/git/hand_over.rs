//! Worktrees in which a further attempt goes on.

use std::fs;

use gadugi_core::{Lease, WorktreeFate, WorktreeRequest, Worktrees};

use crate::ground::{DELETE, Ground, KEEP, branch, next_in, request, worktrees_of, write};
use crate::isolated::{Isolated, all_private, kept};
use crate::killed::{assert_clean, kill_at};

async fn leases(ground: &Ground) -> Vec<Lease> {
    ground.worktrees.leases().await.expect("a list")
}

/// A worktree with a commit, a changed file and a new one.
async fn worked_in(ground: &Ground) -> Lease {
    let (lease, _) = ground.done("fix", "first.txt", "first").await;
    write(&lease, "src/lib.rs", "pub fn two() {}\n");
    write(&lease, "new.txt", "new");
    lease
}

const WORKED: &str = " M src/lib.rs\n?? new.txt";

#[tokio::test]
async fn the_next_attempt_gets_the_same_folder_and_branch_with_all_that_is_there() {
    let ground = Ground::new();
    let first = worked_in(&ground).await;
    let second = ground.try_create(next_in(&first)).await.expect("the place");
    assert_eq!(second, Lease { attempt: next_in(&first).attempt, ..first.clone() });
    assert_eq!(ground.git(&second, &["status", "--porcelain"]), WORKED);
    assert_eq!((leases(&ground).await, ground.listed().len()), (vec![second.clone()], 1));
    let work = ground.commit(&second).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (2, 3, 0), "what the earlier one made is its own too");
    // A third goes on where the second was.
    let third = ground.try_create(next_in(&second)).await.expect("the place");
    assert_eq!((&third.path, leases(&ground).await), (&first.path, vec![third.clone()]));
    assert_eq!(ground.release(&third, KEEP).await.worktree, WorktreeFate::Removed);
    assert_eq!(ground.branches(), ["gadugi/fix", "main"]);
    ground.assert_sound();
}

#[tokio::test]
async fn for_the_earlier_attempt_it_is_gone_and_its_release_touches_nothing() {
    let ground = Ground::new();
    let first = worked_in(&ground).await;
    let second = ground.try_create(next_in(&first)).await.expect("the place");
    for request in [KEEP, DELETE] {
        assert_eq!(ground.release(&first, request).await.worktree, WorktreeFate::Absent);
    }
    assert_eq!(ground.git(&second, &["status", "--porcelain"]), WORKED);
    assert_eq!((leases(&ground).await, ground.branches()), (vec![second], vec!["gadugi/fix".into(), "main".into()]));
    ground.assert_sound();
}

#[tokio::test]
async fn a_place_that_is_gone_or_belongs_to_somebody_else_is_not_taken() {
    let ground = Ground::new();
    let gone = ground.create("gone").await;
    assert_eq!(ground.release(&gone, KEEP).await.worktree, WorktreeFate::Removed);
    let given = ground.create("given").await;
    let second = ground.try_create(next_in(&given)).await.expect("the place");
    let third = next_in(&second);
    // Of another attempt since.
    let late = WorktreeRequest { take_over: Some(given.clone()), ..third };
    // Of another run.
    let foreign = ground.create("foreign").await;
    let of_other = Lease { run: "20261122-083355-zzz".parse().expect("a run id"), ..foreign.clone() };
    // With another branch than the one that was made for it.
    let other_branch = ground.create("moved").await;
    let moved = Lease { branch: Some("gadugi/elsewhere".parse().expect("a branch")), ..other_branch.clone() };
    // A worktree of the user's.
    let users = ground.repo.path().with_file_name("users");
    ground.repo.git(&["worktree", "add", "-q", "-b", "users", &users.to_string_lossy()]);
    let not_ours = Lease { path: users.clone(), ..foreign.clone() };
    for request in [next_in(&gone), late, next_in(&of_other), next_in(&moved), next_in(&not_ours)] {
        let asked = request.take_over.clone().expect("a place");
        let made = ground.try_create(request.clone()).await.expect("another one");
        assert_ne!(made.path, asked.path);
        assert_eq!(made.attempt, request.attempt);
    }
    let there = leases(&ground).await;
    for lease in [&second, &foreign, &other_branch] {
        assert!(there.contains(lease), "{lease:?} stays as it was");
    }
    ground.repo.git(&["worktree", "remove", "--force", &users.to_string_lossy()]);
    ground.assert_sound();
}

#[tokio::test]
async fn in_one_batch_some_are_handed_over_and_others_made_each_in_its_turn() {
    let ground = Ground::new();
    let (a, c) = (ground.create("a").await, ground.create("c").await);
    let requests = vec![next_in(&a), request("b"), next_in(&c), request("d")];
    let wanted: Vec<_> = requests.iter().map(|request| request.attempt.clone()).collect();
    let made = ground.worktrees.create(requests).await;
    let made: Vec<Lease> = made.into_iter().map(|made| made.expect("a worktree").lease).collect();
    assert_eq!(made.iter().map(|lease| lease.attempt.clone()).collect::<Vec<_>>(), wanted);
    assert_eq!((&made[0].path, &made[2].path), (&a.path, &c.path));
    assert_eq!((branch(&made[1]), branch(&made[3])), ("gadugi/b", "gadugi/d"));
    ground.assert_sound();
}

#[tokio::test]
async fn what_cannot_be_made_in_a_batch_fails_alone() {
    let ground = Ground::new();
    let a = ground.create("a").await;
    let from = crate::ground::commit_id("e83c5163316f89bfbde7d9ab23ca2e25604af290");
    let nowhere = WorktreeRequest { from: Some(from), ..request("b") };
    let mut made = ground.worktrees.create(vec![nowhere, next_in(&a)]).await.into_iter();
    made.next().expect("an answer").expect_err("there is no such commit");
    assert_eq!(made.next().expect("an answer").expect("the place").lease.path, a.path);
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_hands_over_is_followed_by_one_that_finds_the_place() {
    let ground = Ground::new();
    let first = worked_in(&ground).await;
    kill_at(&ground, "take-over fix", "worktree-handed-over");
    let next = worktrees_of(ground.repo.path());
    let there = next.leases().await.expect("a list");
    let [second] = &there[..] else { panic!("{there:?}") };
    assert_eq!(second, &Lease { attempt: next_in(&first).attempt, ..first.clone() });
    // One that has not looked asks once more.
    let again = next.create(vec![next_in(&first)]).await.pop().expect("an answer").expect("the place");
    assert_eq!(&again.lease, second);
    assert_eq!(ground.git(second, &["status", "--porcelain"]), WORKED);
    assert_clean(&ground).await;
    ground.assert_sound();
}

#[tokio::test]
async fn what_was_done_in_isolation_is_there_for_the_next_attempt_and_nothing_is_lost() {
    let ground = Ground::new();
    let first = Isolated::new(&ground, "a").await;
    let tip = first.commit(&ground, "a.txt", "a");
    write(&first.lease, "staged.txt", "staged");
    first.git(&ground, &["add", "staged.txt"]);
    write(&first.lease, "src/lib.rs", "pub fn two() {}\n");
    first.git(&ground, &["branch", "aside"]);
    first.import(&ground).await.expect("an import");

    let lease = ground.try_create(next_in(&first.lease)).await.expect("the place");
    let second = Isolated::of(&ground, lease).await;
    assert_ne!(second.git, first.git, "it has a git folder of its own");
    assert_eq!(second.git(&ground, &["rev-parse", "HEAD"]), tip);
    assert_eq!(second.git(&ground, &["status", "--porcelain"]), " M src/lib.rs\nA  staged.txt");
    let next = second.commit(&ground, "b.txt", "b");
    second.import(&ground).await.expect("an import");
    assert_eq!(second.tip(&ground), next);

    // The git folder of the first is not needed any more, and what is in it moves nothing back.
    let before = kept(&ground);
    ground.worktrees.prune(false).await.expect("cleared");
    assert!(!first.git.exists() && second.git.exists());
    assert_eq!((second.tip(&ground), kept(&ground)), (next, before));
    let work = ground.commit(&second.lease).await;
    assert_eq!((work.commits, work.uncommitted), (3, 0));
    assert_eq!(ground.release(&second.lease, KEEP).await.worktree, WorktreeFate::Removed);
    let files = ground.repo.git(&["ls-tree", "-r", "--name-only", branch(&second.lease)]);
    for file in ["a.txt", "b.txt", "staged.txt"] {
        assert!(files.lines().any(|there| there == file), "{file} in {files}");
    }
    assert!(!all_private(ground.repo.path()).exists());
    ground.assert_sound();
}

#[tokio::test]
async fn what_could_not_be_imported_before_is_not_lost_with_the_place() {
    let ground = Ground::new();
    let first = Isolated::new(&ground, "a").await;
    // Its driver goes on without the import.
    let tip = first.commit(&ground, "a.txt", "a");
    let lease = ground.try_create(next_in(&first.lease)).await.expect("the place");
    let second = Isolated::of(&ground, lease).await;
    assert_eq!(fs::read_to_string(second.lease.path.join("a.txt")).expect("a file"), "a");
    ground.release(&first.lease, KEEP).await;
    let reachable = ground.repo.git(&["for-each-ref", "--contains", &tip, "--format=%(refname)"]);
    assert_ne!(reachable, "", "a release of the earlier attempt imports first");
    ground.assert_sound();
}
