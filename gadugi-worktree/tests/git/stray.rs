//! Folders of worktrees whose entry in git's list is gone.

use std::fs;
use std::path::{Path, PathBuf};

use gadugi_core::worktrees::Pruned;
use gadugi_core::{Lease, Worktrees};

use crate::harness::{Harness, write};

fn lose_entry(harness: &Harness, name: &str) {
    fs::remove_dir_all(harness.repo.path().join(".git/worktrees").join(name)).expect("the entry goes");
}

async fn prune(harness: &Harness) -> Vec<Pruned> {
    let foreseen = harness.worktrees.prune(true).await.expect("a list");
    let pruned = harness.worktrees.prune(false).await.expect("a list");
    harness.worktrees.swept().await.expect("it is deleted");
    assert_eq!(pruned, foreseen);
    pruned
}

/// Checks that a folder stays, for a reason with these words.
async fn assert_kept(harness: &Harness, folder: &Path, words: &str) {
    match &prune(harness).await[..] {
        [Pruned::StrayKept { path, why }] if path == folder && why.contains(words) => {}
        other => panic!("not {words}: {other:?}"),
    }
    assert!(folder.exists());
}

#[tokio::test]
async fn a_folder_that_git_has_forgotten_goes_when_all_of_it_is_on_its_branch() {
    let harness = Harness::new();
    let (lease, need) = harness.done("a", "a.txt", "a").await;
    write(&lease, "target/big.o", "ignored");
    lose_entry(&harness, "a");
    let branch = lease.branch.clone().expect("a branch");
    assert_eq!(prune(&harness).await, [Pruned::Stray { path: lease.path.clone(), branch }]);
    assert!(!lease.path.exists() && !harness.folder().exists());
    assert_eq!(harness.repo.git(&["rev-parse", "gadugi/a"]), need.tip.as_str());
    harness.assert_sound();
}

/// A change in a worktree.
type Change = fn(&Lease);

#[tokio::test]
async fn a_folder_that_git_has_forgotten_stays_with_anything_that_is_not_on_its_branch() {
    let changes: [(&str, Change); 5] = [
        ("src/lib.rs", |lease| write(lease, "src/lib.rs", "changed")),
        ("new.txt", |lease| write(lease, "new.txt", "new")),
        ("src/lib.rs", |lease| fs::remove_file(lease.path.join("src/lib.rs")).expect("it goes")),
        ("hidden/x", |lease| {
            write(lease, "hidden/.gitignore", "*\n");
            write(lease, "hidden/x", "x");
        }),
        ("nested", |lease| {
            gix_init(&lease.path.join("nested"));
            write(lease, "nested/x", "x");
        }),
    ];
    for (words, change) in changes {
        let harness = Harness::new();
        let (lease, _) = harness.done("a", "a.txt", "a").await;
        change(&lease);
        lose_entry(&harness, "a");
        assert_kept(&harness, &lease.path, words).await;
    }
}

/// A repository of another user, as far as git reads it from outside.
fn gix_init(folder: &Path) {
    fs::create_dir_all(folder.join(".git/refs")).expect("a folder");
    fs::create_dir_all(folder.join(".git/objects")).expect("a folder");
    fs::write(folder.join(".git/HEAD"), "ref: refs/heads/main\n").expect("a HEAD");
}

#[tokio::test]
async fn a_folder_that_git_has_forgotten_stays_when_its_branch_has_gone_or_moved_on_elsewhere() {
    let harness = Harness::new();
    let (lease, _) = harness.done("a", "a.txt", "a").await;
    lose_entry(&harness, "a");
    harness.repo.git(&["branch", "-f", "gadugi/a", "main"]);
    assert_kept(&harness, &lease.path, "a.txt").await;
    harness.repo.git(&["branch", "-D", "gadugi/a"]);
    assert_kept(&harness, &lease.path, "does not exist").await;
    // One of that name which somebody else has made says nothing.
    harness.repo.git(&["branch", "gadugi/a"]);
    assert_kept(&harness, &lease.path, "cannot be told").await;
}

#[tokio::test]
async fn what_others_have_in_the_folder_of_worktrees_stays_and_is_not_talked_of() {
    let harness = Harness::new();
    harness.create("ours").await;
    let theirs = |name: &str| harness.folder().join(name);
    let add = |branch: &str, folder: &PathBuf| {
        harness.repo.git(&["worktree", "add", "-q", "-b", branch, &folder.to_string_lossy()]);
    };
    add("by-hand", &theirs("by-hand"));
    add("moved", &theirs("moved"));
    fs::rename(theirs("moved"), theirs("moved-away")).expect("it moves");
    fs::create_dir(theirs("plain")).expect("a folder");
    fs::write(theirs("plain/notes.txt"), "notes").expect("a file");
    fs::create_dir(theirs("clone")).expect("a folder");
    harness.repo.git_in(&theirs("clone"), &["init", "-q"]);
    fs::create_dir(theirs("of-another")).expect("a folder");
    fs::write(theirs("of-another/.git"), "gitdir: /nowhere/.git/worktrees/of-another\n").expect("a link");
    assert_eq!(prune(&harness).await, []);
    for (name, file) in [
        ("by-hand", "src/lib.rs"),
        ("moved-away", "src/lib.rs"),
        ("plain", "notes.txt"),
        ("clone", ".git"),
        ("of-another", ".git"),
    ] {
        assert!(theirs(name).join(file).exists(), "{name}");
    }
    // Also when git has forgotten it: it has no branch of ours.
    fs::remove_dir_all(harness.repo.path().join(".git/worktrees/by-hand")).expect("the entry goes");
    assert_kept(&harness, &theirs("by-hand"), "does not exist").await;
}
