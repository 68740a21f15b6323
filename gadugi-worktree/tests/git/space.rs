//! The disk space of a worktree is known before it is made.

use std::fs;
use std::path::{Path, PathBuf};

use gadugi_core::CommitId;
use gadugi_test_support::repo::TestRepo;
use gadugi_worktree::{Footprint, FreeSpace};

use crate::harness::{Harness, discover};

/// Files of every size, some in the work tree as they are committed and some not.
fn many_sizes() -> TestRepo {
    let repo = TestRepo::new();
    for number in 0..400_usize {
        let text = format!("{number:4}\n").repeat(1 + number * number / 40);
        repo.write(&format!("src/part-{}/file-{number}.rs", number / 16), text);
    }
    repo.write("empty", "");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Many"]);
    repo
}

/// The disk space of these folders, as `du` counts it.
fn used(folders: &[PathBuf]) -> Footprint {
    use std::os::unix::fs::MetadataExt;
    let mut waiting = folders.to_vec();
    let mut used = Footprint::default();
    while let Some(path) = waiting.pop() {
        let metadata = path.symlink_metadata().expect("a file or folder");
        used = used + Footprint { bytes: metadata.blocks() * 512, inodes: 1 };
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
    used
}

fn estimate(harness: &Harness, commit: &str, folder: &Path) -> Footprint {
    let commit: CommitId = commit.parse().expect("an id");
    discover(harness.repo.path()).footprint(&commit, folder).expect("an estimate")
}

#[track_caller]
fn assert_near(estimate: Footprint, used: Footprint) {
    let ratio = estimate.bytes as f64 / used.bytes as f64;
    assert!((0.9..1.1).contains(&ratio), "{estimate:?}, and it is {used:?}");
    let ratio = estimate.inodes as f64 / used.inodes as f64;
    assert!((0.95..1.05).contains(&ratio), "{estimate:?}, and it is {used:?}");
}

#[tokio::test]
async fn the_estimate_is_near_what_a_worktree_takes() {
    let harness = Harness::on(many_sizes());
    let base = harness.repo.git(&["rev-parse", "HEAD"]);
    let before = estimate(&harness, &base, harness.repo.path());
    let lease = harness.create("a").await;
    let entry = harness.repo.path().join(".git/worktrees/a");
    assert_near(before, used(&[lease.path, entry]));
}

#[tokio::test]
async fn sizes_come_from_the_objects_where_the_work_tree_has_other_files() {
    let harness = Harness::on(many_sizes());
    let base = harness.repo.git(&["rev-parse", "HEAD"]);
    let before = estimate(&harness, &base, harness.repo.path());
    harness.repo.git(&["rm", "-q", "-r", "src"]);
    harness.repo.write("src/part-0/file-0.rs", "small");
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Few"]);
    assert_eq!(estimate(&harness, &base, harness.repo.path()), before);
    let few = harness.repo.git(&["rev-parse", "HEAD"]);
    let few = estimate(&harness, &few, harness.repo.path());
    assert!(few.bytes < before.bytes / 10 && few.inodes < 30, "{few:?}");
}

#[tokio::test]
async fn what_sparse_checkout_leaves_out_is_not_counted() {
    let harness = Harness::on(many_sizes());
    let base = harness.repo.git(&["rev-parse", "HEAD"]);
    let whole = estimate(&harness, &base, harness.repo.path());
    harness.repo.git(&["sparse-checkout", "set", "src/part-1"]);
    let part = estimate(&harness, &base, harness.repo.path());
    assert!(part.bytes < whole.bytes / 5, "{part:?} of {whole:?}");
    let lease = harness.create("a").await;
    let files = fs::read_dir(lease.path.join("src")).expect("a folder").count();
    assert_eq!(files, 1, "the worktree is sparse too");
}

#[test]
fn a_file_that_a_filter_makes_larger_counts_as_it_lies_in_the_work_tree() {
    let harness = Harness::new();
    harness.repo.git(&["config", "filter.big.smudge", "cat; head -c 1000000 /dev/zero"]);
    harness.repo.git(&["config", "filter.big.clean", "head -c 8"]);
    harness.repo.write(".gitattributes", "*.big filter=big\n");
    harness.repo.write("a.big", [b"pointer\n".as_slice(), &[0; 1_000_000]].concat());
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Big"]);
    let base = harness.repo.git(&["rev-parse", "HEAD"]);
    // So that git notes its size: not at the moment when it was written.
    let file = fs::File::options().append(true).open(harness.repo.path().join("a.big")).expect("a file");
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).expect("a time");
    harness.repo.git(&["update-index", "--refresh"]);
    assert_eq!(harness.repo.git(&["cat-file", "-s", "HEAD:a.big"]), "8");
    let estimate = estimate(&harness, &base, harness.repo.path());
    assert!(estimate.bytes > 1_000_000, "{estimate:?}");
}

#[test]
fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above() {
    let repo = TestRepo::new();
    let there = FreeSpace::of(repo.path()).expect("it can be asked for");
    let below = FreeSpace::of(&repo.path().join("not/there/yet")).expect("it can be asked for");
    assert_eq!((there.block, there.inodes.is_some()), (below.block, below.inodes.is_some()));
}
