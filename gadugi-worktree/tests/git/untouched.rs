//! Worktrees that are looked at in one pass, and what is not to be missed there.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use gadugi_core::Lease;
use gadugi_core::worktrees::{KeepReason, WorktreeFate};
use gadugi_test_support::repo::TestRepo;

use crate::harness::{DELETE, Harness, write};

/// A repository with files of all kinds.
fn harness() -> Harness {
    let repo = TestRepo::new();
    for path in ["a.txt", "a/b/one.txt", "a/b/two.txt", "a-b/x.txt", "a.b/y.txt", "z/last.txt"] {
        repo.write(path, format!("{path}\n"));
    }
    repo.write("run.sh", "echo\n");
    fs::set_permissions(repo.path().join("run.sh"), fs::Permissions::from_mode(0o755)).expect("permissions");
    symlink("a.txt", repo.path().join("link")).expect("a link");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    Harness::on(repo)
}

/// Lets a file seem to have been written when another one was.
fn as_old_as(path: &Path, time: std::time::SystemTime) {
    File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("a time");
}

/// A change that git, which looks at seconds, does not see within the second in which the worktree was made.
const DISGUISED: &str = "content of the same size and time";

/// A change in a worktree.
type Change = fn(&Lease);

#[tokio::test]
async fn whatever_is_changed_in_a_worktree_is_seen() {
    let changes: [(&str, Change); 12] = [
        ("content", |lease| write(lease, "a/b/one.txt", "other")),
        (DISGUISED, |lease| {
            let path = lease.path.join("a/b/one.txt");
            let time = path.metadata().and_then(|metadata| metadata.modified()).expect("a time");
            write(lease, "a/b/one.txt", "A/b/one.txt\n");
            as_old_as(&path, time);
        }),
        ("a file less", |lease| fs::remove_file(lease.path.join("a/b/two.txt")).expect("it goes")),
        ("a folder less", |lease| fs::remove_dir_all(lease.path.join("a-b")).expect("it goes")),
        ("a new file", |lease| write(lease, "a/b/three.txt", "new")),
        ("a new file in the root", |lease| write(lease, "new", "new")),
        ("a new folder", |lease| write(lease, "b/new", "new")),
        ("a new file behind all others", |lease| write(lease, "z/zz", "new")),
        ("a link elsewhere", |lease| {
            fs::remove_file(lease.path.join("link")).expect("it goes");
            symlink("z", lease.path.join("link")).expect("a link");
        }),
        ("a link in the place of a folder", |lease| {
            fs::rename(lease.path.join("z"), lease.path.join(".git-z")).expect("it moves");
            symlink(".git-z", lease.path.join("z")).expect("a link");
        }),
        ("a file that cannot be executed any more", |lease| {
            let path = lease.path.join("run.sh");
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("permissions");
        }),
        ("a folder in the place of a file", |lease| {
            fs::remove_file(lease.path.join("a.txt")).expect("it goes");
            write(lease, "a.txt/inside", "new");
        }),
    ];
    let harness = harness();
    for (number, (name, change)) in changes.into_iter().enumerate() {
        let lease = harness.create(&format!("t{number}")).await;
        change(&lease);
        if name != DISGUISED {
            let status = harness.git(&lease, &["status", "--porcelain", "-uall"]);
            assert_ne!(status, "", "{name}");
        }
        let release = harness.release(&lease, DELETE).await;
        let WorktreeFate::Kept(reasons) = &release.worktree else { panic!("{name}: {release:?}") };
        assert!(matches!(reasons[..], [KeepReason::Uncommitted { .. }]), "{name}: {reasons:?}");
        assert!(lease.path.exists(), "{name}");
    }
}

#[tokio::test]
async fn a_worktree_that_was_only_touched_or_written_anew_with_the_same_content_goes() {
    let harness = harness();
    let lease = harness.create("a").await;
    write(&lease, "a.txt", "other");
    write(&lease, "a.txt", "a.txt\n");
    as_old_as(&lease.path.join("z/last.txt"), std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Removed);
}

#[tokio::test]
async fn changes_that_are_marked_not_to_be_looked_at_are_seen() {
    let harness = harness();
    for (task, mark) in [("assumed", "--assume-unchanged"), ("skipped", "--skip-worktree")] {
        let lease = harness.create(task).await;
        harness.git(&lease, &["update-index", mark, "a.txt"]);
        write(&lease, "a.txt", "changed");
        let fate = harness.release(&lease, DELETE).await.worktree;
        assert_eq!(fate, WorktreeFate::Kept(vec![KeepReason::Uncommitted { files: 1 }]), "{task}");
    }
}

/// The work tree is as the index says; what differs is the index.
#[tokio::test]
async fn whatever_is_staged_in_a_worktree_is_seen() {
    let one_side = |harness: &Harness, lease: &Lease| {
        let id = harness.git(lease, &["rev-parse", ":a.txt"]);
        harness.git(lease, &["update-index", "--force-remove", "a.txt"]);
        let mut command = harness.repo.git_command(&lease.path);
        let mut git = command.args(["update-index", "--index-info"]).stdin(Stdio::piped()).spawn().expect("git starts");
        let line = format!("100644 {id} 2\ta.txt\n");
        git.stdin.take().expect("a pipe").write_all(line.as_bytes()).expect("it reads");
        assert!(git.wait().expect("it ends").success());
    };
    type Setup<'a> = &'a dyn Fn(&Harness, &Lease);
    let all = |harness: &Harness, lease: &Lease| {
        write(lease, "a.txt", "other");
        harness.git(lease, &["add", "-A"]);
    };
    let changes: [(&str, Setup<'_>); 9] = [
        ("content", &all),
        ("content of which the tree was written", &|harness, lease| {
            all(harness, lease);
            harness.git(lease, &["write-tree"]);
        }),
        ("a commit that was taken back", &|harness, lease| {
            all(harness, lease);
            harness.git(lease, &["commit", "-q", "-m", "Work"]);
            harness.git(lease, &["reset", "-q", "--soft", "HEAD~"]);
        }),
        ("a mode", &|harness, lease| {
            harness.git(lease, &["update-index", "--chmod=+x", "a.txt"]);
            harness.git(lease, &["checkout", "-q", "."]);
        }),
        ("a file less", &|harness, lease| drop(harness.git(lease, &["rm", "-q", "a/b/two.txt"]))),
        ("a folder less", &|harness, lease| drop(harness.git(lease, &["rm", "-q", "-r", "a"]))),
        ("a folder of another name", &|harness, lease| drop(harness.git(lease, &["mv", "a", "a+b"]))),
        ("a file that is announced", &|harness, lease| {
            write(lease, "new", "");
            harness.git(lease, &["add", "-N", "new"]);
        }),
        ("one side of a conflict", &one_side),
    ];
    let harness = harness();
    for (number, (name, change)) in changes.into_iter().enumerate() {
        let lease = harness.create(&format!("t{number}")).await;
        change(&harness, &lease);
        let release = harness.release(&lease, DELETE).await;
        let WorktreeFate::Kept(reasons) = &release.worktree else { panic!("{name}: {release:?}") };
        assert!(matches!(reasons[..], [KeepReason::Uncommitted { .. }]), "{name}: {reasons:?}");
    }
}
