//! Landings that are cut short, and what the next process makes of them; and users who work beside a landing.

use std::fs;
use std::path::Path;

use gadugi_core::CommitId;
use gadugi_core::merge::{Integration, Landing, RecoveredLanding};

use crate::harness::{Harness, commit_id, worktrees_of};
use crate::killed::kill_at;
use crate::landing::{assert_no_leftovers, prepared, status};
use crate::merging::{harness, merge_id};
use crate::process;

/// The points of a landing before and after the branch has moved.
const BEFORE: [&str; 3] = ["landing-prepared", "landing-recorded", "landing-files-updated"];
const AFTER: [&str; 4] = ["landing-branch-moved", "landing-head-logged", "landing-index-written", "landing-ended"];

fn kill(harness: &Harness, tip: &CommitId, point: &str) {
    kill_at(harness, &format!("land main {} {tip}", harness.rev("main")), point);
}

async fn recover(harness: &Harness) -> Option<RecoveredLanding> {
    worktrees_of(harness.repo.path()).recover_landing(&merge_id()).await.expect("an answer")
}

/// Things of the user's that a landing leaves alone.
fn dirty(harness: &Harness) {
    harness.repo.write("c.txt", "changed\n");
    harness.repo.write("dir/e.txt", "staged\n");
    harness.repo.git(&["add", "dir/e.txt"]);
    harness.repo.write("untracked.txt", "untracked\n");
    harness.repo.write("x.log", "ignored\n");
}

const DIRTY: &str = " M c.txt\nM  dir/e.txt\n?? untracked.txt\n!! x.log";

#[tokio::test]
async fn a_landing_that_is_killed_before_the_branch_has_moved_is_undone() {
    for point in BEFORE {
        let harness = harness();
        let tip = prepared(&harness).await;
        dirty(&harness);
        let before = harness.repo.fingerprint();
        kill(&harness, &tip, point);
        assert_eq!(harness.repo.git(&["rev-parse", "main~0"]), harness.rev("main"), "{point}");
        let recovered = recover(&harness).await;
        assert!(recovered.is_none_or(|recovered| !recovered.landed), "{point}");
        assert_eq!(harness.repo.fingerprint(), before, "{point}");
        assert_eq!(status(&harness), DIRTY, "{point}");
        assert_eq!(recover(&harness).await, None, "{point}");
        // And once more, to its end.
        let landing = harness.land("main", Some("main"), &tip).await;
        assert_eq!(landing, Landing::Landed { followed: vec![harness.repo.path().to_owned()] }, "{point}");
        assert_eq!(status(&harness), DIRTY, "{point}");
        assert_no_leftovers(&harness).await;
    }
}

#[tokio::test]
async fn a_landing_that_is_killed_after_the_branch_has_moved_is_finished() {
    for point in AFTER {
        let harness = harness();
        let tip = prepared(&harness).await;
        dirty(&harness);
        kill(&harness, &tip, point);
        assert_eq!(harness.id("main"), tip, "{point}");
        let recovered = recover(&harness).await.expect("it has landed");
        let followed = vec![harness.repo.path().to_owned()];
        let branch = "main".parse().expect("a branch");
        assert_eq!(recovered, RecoveredLanding { branch, new: tip, landed: true, followed }, "{point}");
        assert_eq!(status(&harness), DIRTY, "{point}");
        for log in ["main", "HEAD"] {
            let entries = harness.repo.git(&["log", "-g", "--format=%gs", log]);
            assert_eq!(entries.matches("gadugi merge").count(), 1, "{point}: {entries}");
        }
        assert!(recover(&harness).await.is_some_and(|again| again.landed), "{point}");
        assert_no_leftovers(&harness).await;
        assert_eq!(recover(&harness).await, None, "{point}");
    }
}

#[tokio::test]
async fn files_that_were_written_in_part_are_finished_or_undone_and_those_of_the_user_stay() {
    for (point, landed) in [("landing-files-updated", false), ("landing-branch-moved", true)] {
        let harness = harness();
        let tip = prepared(&harness).await;
        kill(&harness, &tip, point);
        let file = |path: &str| harness.repo.path().join(path);
        // As a loss of power leaves them, with one that git has not come to, and one of the user's.
        fs::write(file("a.txt"), "").expect("a file");
        fs::write(file("new/deep/file.txt"), "ne").expect("a file");
        harness.repo.write("b.txt", crate::merging::lines("b.txt"));
        fs::write(file("dir/d.txt/inner.txt"), "mine\n").expect("a file");
        let recovered = recover(&harness).await.expect("it was begun");
        assert_eq!(recovered.landed, landed, "{point}");
        assert_eq!(fs::read_to_string(file("dir/d.txt/inner.txt")).expect("a file"), "mine\n", "{point}");
        let expected = match landed {
            true => " M dir/d.txt/inner.txt",
            false => " D dir/d.txt\n?? dir/d.txt/inner.txt",
        };
        assert_eq!(status(&harness), expected, "{point}");
        assert_no_leftovers(&harness).await;
    }
}

#[tokio::test]
async fn a_user_who_has_removed_the_lock_and_gone_on_is_not_disturbed() {
    for point in ["landing-files-updated", "landing-branch-moved"] {
        let harness = harness();
        let tip = prepared(&harness).await;
        kill(&harness, &tip, point);
        fs::remove_file(harness.repo.path().join(".git/index.lock")).expect("it goes");
        harness.repo.git(&["reset", "-q", "--hard"]);
        let mine = harness.repo.commit_file("a.txt", "mine\n");
        let before = (harness.repo.fingerprint(), status(&harness));
        recover(&harness).await;
        assert_eq!((harness.repo.fingerprint(), status(&harness)), before, "{point}");
        assert_eq!(harness.rev("main"), mine, "{point}");
        assert_no_leftovers(&harness).await;
    }
}

/// Stops a landing at a point, lets a user do something, and then lets it be killed or go on by another process.
async fn beside(point: &str, user: impl FnOnce(&Harness)) -> (Harness, CommitId, Option<RecoveredLanding>) {
    let harness = harness();
    let tip = prepared(&harness).await;
    let step = format!("land main {} {tip}", harness.rev("main"));
    let mut process = process::start(harness.repo.path(), &step, &format!("stop {point}"));
    process::wait_for(&mut process, "here");
    user(&harness);
    process::kill(process);
    let recovered = recover(&harness).await;
    (harness, tip, recovered)
}

#[tokio::test]
async fn a_user_cannot_commit_between_the_files_and_the_branch() {
    let (harness, _, recovered) = beside("landing-files-updated", |harness| {
        for args in [
            &["commit", "-q", "-a", "-m", "Mine"][..],
            &["add", "."],
            &["reset", "-q", "--hard"],
            &["checkout", "-q", "-b", "other"],
        ] {
            let output = harness.repo.try_git_in(harness.repo.path(), args);
            assert!(
                !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("index.lock"),
                "{args:?}"
            );
        }
    })
    .await;
    assert!(recovered.is_some_and(|recovered| !recovered.landed));
    assert_eq!(status(&harness), "");
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn a_branch_that_moves_while_the_files_follow_takes_them_back() {
    let harness = harness();
    let tip = prepared(&harness).await;
    let before = harness.rev("main");
    // A commit that needs no index, such as that of an editor which was open already.
    let other = harness.repo.git(&["commit-tree", "-p", "HEAD", "-m", "Meanwhile", "HEAD^{tree}"]);
    let step = format!("land main {before} {tip}");
    let mut process = process::start(harness.repo.path(), &step, "stop landing-files-updated");
    process::wait_for(&mut process, "here");
    harness.repo.git(&["update-ref", "refs/heads/main", &other]);
    process::kill(process);
    let recovered = recover(&harness).await.expect("it was begun");
    assert!(!recovered.landed);
    assert_eq!((harness.rev("main"), status(&harness)), (other, String::new()));
    assert_no_leftovers(&harness).await;
}

#[tokio::test]
async fn a_killed_chain_leaves_objects_that_garbage_collection_takes() {
    for point in ["chain-made", "chain-written", "chain-kept"] {
        let harness = harness();
        let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))]]);
        let b = harness.branch("b", "main", &[&[("b.txt", Some("b\n"))]]);
        let before = (harness.repo.fingerprint(), harness.branches());
        kill_at(&harness, &format!("chain {} {} {}", harness.rev("main"), a.tip, b.tip), point);
        assert_eq!((harness.repo.fingerprint(), harness.branches()), before, "{point}");
        let chain = harness.chain(gadugi_core::merge::Strategy::Merge, &[&a, &b]).await;
        assert_eq!(harness.subjects(&format!("main..{}", chain.tip)).len(), 4, "{point}");
        assert_no_leftovers(&harness).await;
        assert_eq!(harness.kept(), [""; 0], "{point}");
    }
}

#[tokio::test]
async fn landings_of_two_processes_wait_for_each_other() {
    let harness = harness();
    let tip = prepared(&harness).await;
    let before = harness.rev("main");
    let step = format!("land main {before} {tip}");
    let mut process = process::start(harness.repo.path(), &step, "stop landing-branch-moved");
    process::wait_for(&mut process, "here");
    // Waits until the other one is over, which is when it is killed.
    let path = harness.repo.path().to_owned();
    let waiting = std::thread::spawn(move || process::run(Path::new(&path), "recover -", "none"));
    process::kill(process);
    assert!(waiting.join().expect("an end").success());
    assert_eq!(commit_id(&harness.rev("main")), tip);
    assert_eq!(status(&harness), "");
    assert_no_leftovers(&harness).await;
}
