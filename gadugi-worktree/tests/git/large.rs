//! Files that are too large to be held in memory.

use std::fs::{self, File};
use std::io::Write;

use gadugi_core::Lease;
use gadugi_test_support::repo::TestRepo;

use crate::harness::{Harness, write};
use crate::process::run_and_measure;

/// More than is held in memory of one file.
const LARGE: usize = 5 * 1024 * 1024;
const MAX_MEMORY: u64 = 128 * 1024 * 1024;

fn repeated(text: impl AsRef<[u8]>) -> Vec<u8> {
    text.as_ref().repeat(LARGE / text.as_ref().len() + 1)
}

/// The tree that git would make of all that lies in a worktree.
fn by_git(harness: &Harness, lease: &Lease) -> String {
    let index = harness.repo.root().join("index-of-git");
    let run = |args: &[&str]| {
        let output = harness.repo.git_command(&lease.path).args(args).env("GIT_INDEX_FILE", &index).output();
        let output = output.expect("git runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    run(&["read-tree", "HEAD"]);
    run(&["add", "-A"]);
    let tree = run(&["write-tree"]);
    fs::remove_file(index).expect("a file");
    tree
}

#[tokio::test]
async fn a_large_file_is_committed_with_the_content_that_git_gives_it() {
    let repo = TestRepo::new();
    // Git had them with CR LF before it was told that they are text.
    repo.write("kept.auto", repeated("as it was\r\n"));
    repo.write("shrunk.auto", repeated("as it was\r\n"));
    repo.write("grown.auto", "as it was\r\n");
    repo.write("binary-before.auto", repeated("as it was\0\r\n"));
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    let attributes = "\
        *.text text\n*.auto text=auto\n*.crlf eol=crlf\n*.autocrlf text=auto eol=crlf\n*.bin -text\n*.old crlf=input\n\
        *.id ident\n*.wide working-tree-encoding=UTF-16LE\n*.up filter=up\n*.both filter=up text\n*.none filter=none\n\
        *.fails filter=fails\n";
    repo.commit_file(".gitattributes", attributes);
    repo.git(&["config", "filter.up.clean", "tr a-z A-Z; echo %f"]);
    repo.git(&["config", "filter.fails.clean", "false"]);
    let harness = Harness::on(repo);
    let lease = harness.create("fix").await;
    let lines = repeated("some text\r\n");
    for name in [
        "a.text",
        "a.auto",
        "a.crlf",
        "a.autocrlf",
        "a.bin",
        "a.old",
        "it's one.up",
        "a.both",
        "a.none",
        "a.fails",
        "a",
    ] {
        write(&lease, name, &lines);
    }
    write(&lease, "binary.auto", repeated("\0some\r\n"));
    write(&lease, "binary.text", repeated("\0some\r\n"));
    write(&lease, "lone.auto", repeated("some\rtext\r\n"));
    write(&lease, "lone.text", repeated("some\rtext\r\n\r\r\n"));
    write(&lease, "a.id", repeated("$Id: what it was $\n"));
    write(&lease, "a.wide", repeated("w\0i\0d\0e\0\r\0\n\0"));
    write(&lease, "kept.auto", repeated("as it is\r\n"));
    write(&lease, "shrunk.auto", "as it is\r\n");
    write(&lease, "grown.auto", repeated("as it is\r\n"));
    write(&lease, "binary-before.auto", "as it is\r\n");
    let expected = by_git(&harness, &lease);
    let work = harness.commit(&lease).await;
    assert_eq!((work.uncommitted, work.unsaved), (0, Vec::new()));
    let differs = harness.git(&lease, &["diff", "--name-only", &expected, "HEAD"]);
    assert_eq!(differs, "");
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
    harness.assert_sound();
}

#[tokio::test]
async fn a_large_file_that_was_only_touched_is_not_changed() {
    let repo = TestRepo::new();
    repo.write(".gitattributes", "*.text text=auto\n*.up filter=up\n");
    repo.git(&["config", "filter.up.clean", "tr a-z A-Z"]);
    for name in ["a", "a.text", "a.up"] {
        repo.write(name, repeated("SOME TEXT\n"));
    }
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    let harness = Harness::on(repo);
    let lease = harness.create("fix").await;
    for name in ["a", "a.text", "a.up"] {
        write(&lease, name, repeated("SOME TEXT\n"));
    }
    assert_eq!(harness.count(&lease).await.uncommitted, 0);
    write(&lease, "a.text", repeated("SOME MORE\n"));
    assert_eq!(harness.count(&lease).await.uncommitted, 1);
}

#[tokio::test]
async fn a_file_whose_filter_fails_is_named_and_the_others_are_committed() {
    let repo = TestRepo::new();
    repo.commit_file(".gitattributes", "*.big filter=big\n");
    repo.git(&["config", "filter.big.clean", "no-such-program"]);
    repo.git(&["config", "filter.big.required", "true"]);
    let harness = Harness::on(repo);
    let lease = harness.create("fix").await;
    write(&lease, "large.big", repeated("large"));
    write(&lease, "small.big", "small");
    write(&lease, "other.txt", "other");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (1, 1, 2));
    let paths: Vec<_> = work.unsaved.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["large.big", "small.big"]);
    assert!(work.unsaved[0].why.contains("filter"), "{:?}", work.unsaved);
}

/// The memory that it takes to commit what lies in a worktree.
async fn memory(harness: &Harness, lease: &Lease) -> u64 {
    let task = lease.attempt.task.as_str();
    let (_, memory) = run_and_measure(harness.repo.path(), &format!("snapshot {task}"));
    let work = harness.count(lease).await;
    assert_eq!((work.commits, work.uncommitted), (1, 0));
    memory
}

/// Makes a sparse file without data.
fn sparse(lease: &Lease, path: &str, size: u64) {
    let file = File::create(lease.path.join(path)).expect("a file");
    file.set_len(size).expect("a size");
}

#[tokio::test]
async fn the_memory_of_a_snapshot_does_not_grow_with_a_file() {
    let harness = Harness::new();
    let lease = harness.create("fix").await;
    write(&lease, ".gitattributes", "* text=auto\n");
    sparse(&lease, "big", 150 * 1024 * 1024);
    let memory = memory(&harness, &lease).await;
    assert!(memory < MAX_MEMORY, "{memory}");
    assert_eq!(harness.git(&lease, &["cat-file", "-s", "HEAD:big"]), (150 * 1024 * 1024).to_string());
}

mod heavy {
    use super::*;

    #[tokio::test]
    #[ignore = "heavy: reads and writes files of 1.5 and 3 GB"]
    async fn the_memory_of_a_snapshot_does_not_grow_with_files_of_gigabytes() {
        let harness = Harness::new();
        let lease = harness.create("fix").await;
        write(&lease, ".gitattributes", "real text=auto\n");
        sparse(&lease, "sparse", 3 * 1024 * 1024 * 1024);
        let mut real = File::create(lease.path.join("real")).expect("a file");
        let block: Vec<u8> = (0..1024 * 1024).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        (0..1536).for_each(|_| real.write_all(&block).expect("room"));
        let memory = memory(&harness, &lease).await;
        assert!(memory < MAX_MEMORY, "{memory}");
    }
}
