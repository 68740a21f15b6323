//! Work in places that are easily overlooked.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use gadugi_core::worktrees::{KeepReason, SnapshotRequest, WorktreeFate};
use gadugi_core::{Lease, Worktrees};
use gadugi_test_support::repo::TestRepo;

use crate::attack::pipe;
use crate::harness::{DELETE, DISCARD, Harness, KEEP, branch, chain, request, write};

/// A repository with two folders of files, and one whose rules ignore `cache/`.
fn harness() -> Harness {
    let repo = TestRepo::new();
    for path in ["d0/a.txt", "d0/sub/b.txt", "d1/c.txt", "top.txt"] {
        repo.write(path, format!("{path}\n"));
    }
    repo.write(".gitignore", "cache/\n*.o\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    Harness::on(repo)
}

/// Checks that a task's worktree is not released after a snapshot, for this case.
async fn assert_kept(harness: &Harness, lease: &Lease, case: &str) {
    let work = harness.commit(lease).await;
    let release = harness.release(lease, KEEP).await;
    let WorktreeFate::Kept(reasons) = &release.worktree else { panic!("{case}: {release:?}") };
    assert!(matches!(reasons[..], [KeepReason::Uncommitted { .. }]), "{case}: {reasons:?}");
    assert!(work.uncommitted > 0 && lease.path.exists(), "{case}: {work:?}");
    assert!(!release.details.untracked.first.is_empty(), "{case}: {release:?}");
}

/// Whether some commit that a reference leads to has a text in a file.
fn is_kept_somewhere(harness: &Harness, text: &str) -> bool {
    let objects = harness.repo.git(&["rev-list", "--all", "--objects", "--no-object-names"]);
    objects.lines().any(|id| {
        let found = harness.repo.try_git_in(harness.repo.path(), &["cat-file", "-p", id]);
        String::from_utf8_lossy(&found.stdout).contains(text)
    })
}

fn git_in(harness: &Harness, folder: &Path, args: &[&str]) {
    drop(harness.repo.git_in(folder, args));
}

fn repository(harness: &Harness, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    git_in(harness, folder, &["init", "-q"]);
    fs::write(folder.join("work.txt"), "work").expect("a file");
    git_in(harness, folder, &["add", "."]);
    git_in(harness, folder, &["commit", "-q", "-m", "Work"]);
}

/// An action of a task in its worktree.
type Deed = fn(&Harness, &Lease);

#[tokio::test]
async fn what_is_in_no_commit_and_not_ignored_by_the_user_keeps_the_worktree() {
    let deeds: [(&str, Deed); 11] = [
        ("a folder .git that is no repository", |_, lease| write(lease, "new/.git/work", "work")),
        ("only a folder .git", |_, lease| write(lease, "d1/.git/work", "work")),
        ("a file .git that leads nowhere", |_, lease| write(lease, "new/.git", "work")),
        ("a repository in an ignored folder", |harness, lease| {
            repository(harness, &lease.path.join("cache/deep/nested"))
        }),
        ("a bare repository in an ignored folder", |harness, lease| {
            repository(harness, &lease.path.join("cache/nested"));
            fs::rename(lease.path.join("cache/nested/.git"), lease.path.join("cache/bare.git")).expect("it moves");
            fs::remove_dir_all(lease.path.join("cache/nested")).expect("it goes");
        }),
        ("a repository beside tracked files", |harness, lease| {
            git_in(harness, &lease.path.join("d1"), &["init", "-q"])
        }),
        ("a worktree in an ignored folder", |harness, lease| {
            harness.git(lease, &["worktree", "add", "-q", "--detach", "cache/wt"]);
            write(lease, "cache/wt/new", "work");
        }),
        ("a clone in an ignored folder with a commit", |harness, lease| {
            let origin = harness.repo.path().to_string_lossy().into_owned();
            harness.git(lease, &["clone", "-q", "--no-local", &origin, "cache/clone"]);
            write(lease, "cache/clone/new", "work");
            git_in(harness, &lease.path.join("cache/clone"), &["add", "."]);
            git_in(harness, &lease.path.join("cache/clone"), &["commit", "-q", "-m", "Work"]);
        }),
        ("a clone in an ignored folder with a change", |harness, lease| {
            let origin = harness.repo.path().to_string_lossy().into_owned();
            harness.git(lease, &["clone", "-q", "--no-local", &origin, "cache/clone"]);
            write(lease, "cache/clone/top.txt", "work");
        }),
        ("a rule in info/exclude", |harness, lease| {
            let exclude = harness.repo.path().join(".git/info/exclude");
            fs::create_dir_all(exclude.parent().expect("a folder")).expect("a folder");
            fs::write(exclude, "*.hid\n").expect("rules");
            write(lease, "x.hid", "work");
        }),
        ("a rule in core.excludesFile", |harness, lease| {
            let rules = harness.repo.root().join("rules");
            fs::write(&rules, "*.hid\n").expect("rules");
            harness.git(lease, &["config", "core.excludesFile", &rules.to_string_lossy()]);
            write(lease, "x.hid", "work");
        }),
    ];
    for (case, deed) in deeds {
        let harness = harness();
        let lease = harness.create("a").await;
        deed(&harness, &lease);
        assert_kept(&harness, &lease, case).await;
    }
}

#[tokio::test]
async fn a_rule_that_one_task_has_made_for_all_hides_no_file_of_another() {
    let harness = harness();
    let (a, b) = (harness.create("a").await, harness.create("b").await);
    let exclude = harness.repo.path().join(".git/info/exclude");
    fs::write(&exclude, "*.hid\n").expect("rules");
    let c = harness.create("c").await;
    for lease in [&a, &b, &c] {
        write(lease, "x.hid", "work");
        assert_kept(&harness, lease, lease.attempt.task.as_str()).await;
    }
}

#[tokio::test]
async fn rules_that_the_user_had_before_the_run_hold() {
    let harness = harness();
    let exclude = harness.repo.path().join(".git/info/exclude");
    fs::create_dir_all(exclude.parent().expect("a folder")).expect("a folder");
    fs::write(&exclude, "*.hid\n").expect("rules");
    let rules = harness.repo.root().join("rules");
    fs::write(&rules, "*.tmp\n").expect("rules");
    harness.repo.git(&["config", "core.excludesFile", &rules.to_string_lossy()]);
    let lease = harness.create("a").await;
    for path in ["x.hid", "x.tmp", "cache/x", "x.o"] {
        write(&lease, path, "ignored");
    }
    assert_eq!(harness.commit(&lease).await.uncommitted, 0);
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
}

#[tokio::test]
async fn ignored_files_that_go_with_the_worktree_are_counted() {
    let harness = harness();
    let lease = harness.create("a").await;
    for (path, bytes) in [("cache/a/x", 1000), ("cache/y", 24), ("d1/cache/z", 5000), ("x.o", 7)] {
        write(&lease, path, vec![b'x'; bytes]);
    }
    write(&lease, "new/cache/a", "four");
    fs::create_dir(lease.path.join("cache/empty")).expect("a folder");
    let ignored = harness.commit(&lease).await.ignored;
    assert_eq!((ignored.files, ignored.bytes), (5, 6035));
    assert_eq!(ignored.largest, ["d1/cache", "cache", "new/cache"]);
    let other = harness.create("b").await;
    assert_eq!(harness.commit(&other).await.ignored, gadugi_core::worktrees::IgnoredFiles::default());
}

#[tokio::test]
async fn a_clone_in_an_ignored_folder_that_is_as_it_was_cloned_keeps_nothing() {
    let harness = harness();
    harness.repo.git(&["tag", "v1"]);
    let origin = harness.repo.path().to_string_lossy().into_owned();
    for (task, more) in [("a", &[][..]), ("b", &["--bare"]), ("c", &["--branch", "v1", "--depth", "1"])] {
        let lease = harness.create(task).await;
        let url = format!("file://{origin}");
        let args = [&["-c", "advice.detachedHead=false", "clone", "-q"], more, &[&url, "cache/clone"]].concat();
        harness.git(&lease, &args);
        write(&lease, "cache/clone/build/x.o", "built");
        assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed, "{task}");
    }
}

#[tokio::test]
async fn a_change_is_seen_whatever_the_task_has_configured() {
    for config in [&["core.trustctime", "false"], &["core.checkStat", "minimal"], &["core.ignoreStat", "true"]] {
        let harness = harness();
        let lease = harness.create("a").await;
        // So that the time of the change is not that of the index.
        harness.git(&lease, &["config", config[0], config[1]]);
        let path = lease.path.join("top.txt");
        let past = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
        let set_time = || File::options().write(true).open(&path).and_then(|file| file.set_modified(past));
        set_time().expect("a time");
        harness.git(&lease, &["update-index", "-q", "--refresh"]);
        let inode = path.metadata().expect("a file").ino();
        fs::write(&path, "TOP.txt\n").expect("in place");
        set_time().expect("a time");
        assert_eq!(path.metadata().expect("a file").ino(), inode);
        assert_eq!(harness.commit(&lease).await.files, 1, "{config:?}");
        assert_eq!(harness.git(&lease, &["show", "HEAD:top.txt"]), "TOP.txt", "{config:?}");
    }
}

#[tokio::test]
async fn what_was_staged_and_is_in_no_file_any_more_is_kept_by_a_reference() {
    let harness = harness();
    let lease = harness.create("a").await;
    write(&lease, "gone.txt", "only staged");
    write(&lease, "top.txt", "first");
    harness.git(&lease, &["add", "."]);
    fs::remove_file(lease.path.join("gone.txt")).expect("it goes");
    write(&lease, "top.txt", "second");
    let work = harness.commit(&lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted), (1, 1, 0));
    let name = "refs/gadugi/kept/20261122-083355-k7q/a/1/staged";
    assert_eq!(work.kept_refs, [name]);
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert_eq!(harness.repo.git(&["show", &format!("{name}:gone.txt")]), "only staged");
    assert_eq!(harness.repo.git(&["show", &format!("{name}:top.txt")]), "first");
    assert_eq!(harness.repo.git(&["show", "gadugi/a:top.txt"]), "second");
    harness.assert_sound();
}

#[tokio::test]
async fn what_was_staged_and_is_discarded_stays_in_the_trash() {
    let harness = harness();
    let lease = harness.create("a").await;
    write(&lease, "gone.txt", "only staged");
    harness.git(&lease, &["add", "."]);
    fs::remove_file(lease.path.join("gone.txt")).expect("it goes");
    assert_eq!(harness.release(&lease, DISCARD).await.worktree, WorktreeFate::Removed);
    assert!(is_kept_somewhere(&harness, "only staged"));
}

#[tokio::test]
async fn commits_that_only_references_of_the_worktree_lead_to_are_kept() {
    let names = ["refs/worktree/mine", "refs/bisect/bad", "ORIG_HEAD", "MY_HEAD", "REBASE_HEAD"];
    for name in names {
        let harness = harness();
        let lease = harness.create("a").await;
        write(&lease, "new.txt", "on a reference of the worktree");
        harness.git(&lease, &["add", "."]);
        let tree = harness.git(&lease, &["write-tree"]);
        let commit = harness.git(&lease, &["commit-tree", "-m", "Work", &tree]);
        harness.git(&lease, &["rm", "-q", "-f", "new.txt"]);
        harness.git(&lease, &["update-ref", name, &commit]);
        // Without a snapshot, too.
        if name == "MY_HEAD" {
            assert_eq!(harness.commit(&lease).await.kept_refs.len(), 1, "{name}");
        }
        assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Removed, "{name}");
        assert!(is_kept_somewhere(&harness, "on a reference of the worktree"), "{name}");
        harness.assert_sound();
    }
}

#[tokio::test]
async fn references_of_the_worktree_to_commits_of_its_branch_make_no_other() {
    let harness = harness();
    let lease = harness.create("a").await;
    for number in 0..3 {
        write(&lease, "new.txt", number.to_string());
        harness.git(&lease, &["add", "."]);
        harness.git(&lease, &["commit", "-q", "-m", "Work"]);
    }
    harness.git(&lease, &["commit", "-q", "--amend", "-m", "Better"]);
    harness.git(&lease, &["update-ref", "refs/worktree/start", "HEAD~1"]);
    harness.git(&lease, &["merge", "-q", "main"]);
    assert_eq!(harness.commit(&lease).await.kept_refs, Vec::<String>::new());
}

#[tokio::test]
async fn the_entry_of_an_absent_worktree_stays_when_a_reference_of_its_own_alone_keeps_a_commit() {
    let harness = harness();
    let lease = harness.create("a").await;
    let commit = harness.git(&lease, &["commit-tree", "-m", "Work", "HEAD^{tree}"]);
    harness.git(&lease, &["update-ref", "refs/worktree/mine", &commit]);
    fs::remove_dir_all(&lease.path).expect("it goes");
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Absent);
    assert_eq!(harness.worktrees.prune(false).await.expect("a list"), []);
    assert!(harness.repo.path().join(".git/worktrees/a/refs/worktree/mine").exists());
}

/// A sparse checkout of `d1`, as the user has it.
fn sparse(harness: &Harness, cone: bool) {
    let set: &[&str] = match cone {
        true => &["sparse-checkout", "set", "--cone", "d1"],
        false => &["sparse-checkout", "set", "--no-cone", "/*", "!/d0/"],
    };
    harness.repo.git(set);
}

#[tokio::test]
async fn new_files_in_folders_that_a_sparse_checkout_leaves_out_are_committed() {
    for (cone, index) in [(true, false), (false, false), (true, true)] {
        let harness = harness();
        sparse(&harness, cone);
        let lease = harness.create("a").await;
        if index {
            harness.git(&lease, &["sparse-checkout", "reapply", "--sparse-index"]);
            assert!(harness.git(&lease, &["ls-files", "--sparse"]).contains("d0/\n"));
        }
        let case = format!("cone {cone}, sparse index {index}");
        assert!(!lease.path.join("d0").exists(), "{case}");
        let all = ["d0/new", "d0/sub/new", "d0/other/new", "new/new", "d1/new"];
        for path in all {
            write(&lease, path, "work");
        }
        // One that is there again and changed.
        write(&lease, "d0/a.txt", "changed");
        assert_eq!(
            harness.release(&lease, KEEP).await.worktree,
            WorktreeFate::Kept(vec![KeepReason::Uncommitted { files: 6 }]),
            "{case}"
        );
        let work = harness.commit(&lease).await;
        assert_eq!((work.files, work.uncommitted), (6, 0), "{case}");
        for path in all {
            assert_eq!(harness.git(&lease, &["show", &format!("{}:{path}", branch(&lease))]), "work", "{case}: {path}");
        }
        let names = harness.git(&lease, &["ls-tree", "-r", "--name-only", branch(&lease)]);
        assert!(names.contains("d0/sub/b.txt"), "{case}: {names}");
        assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "", "{case}");
        assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed, "{case}");
        harness.assert_sound();
    }
}

#[tokio::test]
async fn pipes_in_the_place_of_rules_and_of_gits_own_files_are_not_waited_for() {
    for path in
        [".gitignore", ".gitattributes", "d1/.gitignore", "d1/.gitattributes", "new/.gitattributes", "new/.gitignore"]
    {
        let harness = harness();
        let lease = harness.create("a").await;
        write(&lease, "new/x", "work");
        write(&lease, "d1/c.txt", "changed");
        write(&lease, "top.txt", "changed");
        fs::remove_file(lease.path.join(path)).ok();
        pipe(&lease.path.join(path));
        assert_eq!(harness.commit(&lease).await.commits, 1, "{path}");
        assert_eq!(harness.git(&lease, &["show", "HEAD:new/x"]), "work", "{path}");
        harness.release(&lease, KEEP).await;
    }
    for name in
        ["index", "HEAD", "commondir", "gitdir", "gadugi", "locked", "ORIG_HEAD", "refs/worktree/x", "logs/HEAD"]
    {
        let harness = harness();
        let lease = harness.create("a").await;
        write(&lease, "new", "work");
        let path = harness.repo.path().join(".git/worktrees/a").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::remove_file(&path).ok();
        pipe(&path);
        let released = harness.worktrees.release(&lease, KEEP).await;
        assert!(!matches!(&released, Ok(release) if release.worktree == WorktreeFate::Removed), "{name}: {released:?}");
        assert!(lease.path.join("new").exists(), "{name}");
    }
    for name in [
        "info/exclude",
        "info/attributes",
        "packed-refs",
        "refs/heads/gadugi/a",
        "logs/refs/stash",
        "logs/refs/heads/gadugi/a",
    ] {
        let harness = harness();
        let lease = harness.create("a").await;
        write(&lease, "new", "work");
        write(&lease, "top.txt", "changed");
        let path = harness.repo.path().join(".git").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::remove_file(&path).ok();
        pipe(&path);
        let released = harness.worktrees.release(&lease, KEEP).await;
        assert!(!matches!(&released, Ok(release) if release.worktree == WorktreeFate::Removed), "{name}: {released:?}");
        let error = harness
            .worktrees
            .snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None })
            .await
            .expect_err("it cannot be committed");
        assert!(chain(&error).contains("no ordinary file"), "{name}: {}", chain(&error));
    }
}

#[tokio::test]
async fn a_worktree_whose_entry_has_a_pipe_for_its_link_is_discarded_into_the_trash_and_none_is_made_beside_it() {
    let harness = harness();
    let lease = harness.create("a").await;
    write(&lease, "new", "work");
    let link = harness.repo.path().join(".git/worktrees/a/gitdir");
    fs::remove_file(&link).expect("a link");
    pipe(&link);
    let error = chain(&harness.try_create(request("b")).await.expect_err("gix and git would wait"));
    assert!(error.contains(&link.display().to_string()) && error.contains("move"), "{error}");
    let release = harness.release(&lease, DISCARD).await;
    assert_eq!(release.worktree, WorktreeFate::Removed);
    assert!(release.dropped.iter().any(|dropped| dropped.contains("stays at")), "{:?}", release.dropped);
    assert!(!lease.path.exists() && !link.exists());
    harness.create("b").await;
    harness.assert_sound();
}

#[tokio::test]
async fn rules_of_more_than_ten_megabytes_are_none() {
    let harness = harness();
    let lease = harness.create("a").await;
    let mut rules = b"*.hid\n".repeat(2 * 1024 * 1024);
    rules.push(b'\n');
    write(&lease, ".gitignore", &rules);
    write(&lease, ".gitattributes", b"*.hid text eol=crlf\n".repeat(600 * 1024));
    write(&lease, "x.hid", "work\n");
    assert_eq!(harness.commit(&lease).await.uncommitted, 0);
    assert_eq!(harness.git(&lease, &["show", "HEAD:x.hid"]), "work");
}

#[tokio::test]
async fn folders_within_folders_are_looked_at_as_far_as_handles_reach_and_stay_beyond() {
    let harness = harness();
    let lease = harness.create("a").await;
    let script = "i=0; while [ $i -lt 400 ]; do mkdir d; cd d; i=$((i+1)); done; echo work > deep";
    assert!(Command::new("sh").args(["-c", script]).current_dir(&lease.path).status().expect("sh").success());
    assert_kept(&harness, &lease, "deep").await;
}
