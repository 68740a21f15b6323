//! Files that worktrees get besides those of their commit.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use gadugi_core::worktrees::{CreatedWorktree, Pruned, Seeded, WorktreeFate};
use gadugi_core::{Lease, Worktrees};
use gadugi_test_support::repo::TestRepo;
use gadugi_worktree::{GitWorktrees, Seeding, Seeds, Sharing, WorktreeSettings, sharing};
use proptest::prelude::*;

use crate::harness::{Harness, KEEP, discover, request, write};
use crate::killed::{assert_clean, kill_at};
use crate::process;

/// A repository that ignores `target/`, `*.log` and some more, and whose worktrees are seeded with these patterns.
fn harness(patterns: &[&str]) -> Harness {
    let harness = Harness::new();
    harness.repo.write(".gitignore", "target/\n*.log\n.env*\ncache/\n/local/\n");
    harness.repo.git(&["commit", "-q", "-a", "-m", "Ignore more"]);
    seeding(harness.repo, Seeds::new(patterns.iter().map(|&pattern| pattern.to_owned()).collect()))
}

fn seeding(repo: TestRepo, seed: Seeds) -> Harness {
    let repository = discover(repo.path());
    let (base, folder) = (repository.head_commit().clone(), repository.default_worktrees_folder());
    let settings = WorktreeSettings { seed, ..WorktreeSettings::new(repository, base, folder) };
    Harness { repo, worktrees: GitWorktrees::new(settings).expect("a valid prefix") }
}

async fn make(harness: &Harness, task: &str) -> CreatedWorktree {
    harness.make(request(task)).await.expect("a worktree")
}

/// All files and symbolic links of a worktree that git does not track there.
fn extras(harness: &Harness, lease: &Lease) -> BTreeSet<String> {
    let listed = harness.git(lease, &["ls-files", "--others", "-z"]);
    listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

fn set(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(|&path| path.to_owned()).collect()
}

fn age(path: &Path, seconds: u64, nanos: u32) -> SystemTime {
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    let times = FileTimes::new().set_modified(time);
    File::open(path).and_then(|file| file.set_times(times)).expect("a time");
    time
}

#[tokio::test]
async fn ignored_files_that_are_named_are_copied_and_all_others_are_not() {
    let harness = harness(&[".env", "/local/keys/*.pem"]);
    for path in [".env", ".env.local", "sub/.env", "local/keys/a.pem", "local/keys/b.txt", "local/other/a.pem", "a.log"]
    {
        harness.repo.write(path, format!("of {path}"));
    }
    harness.repo.write(".worktreeinclude", "# logs\n*.log\n");
    harness.repo.write("target/debug/deps/.env", "deep");
    let before = harness.repo.fingerprint();
    let made = make(&harness, "a").await;
    let expected = [".env", "sub/.env", "local/keys/a.pem", "a.log", "target/debug/deps/.env"];
    assert_eq!(extras(&harness, &made.lease), set(&expected));
    assert_eq!(fs::read_to_string(made.lease.path.join("sub/.env")).expect("a file"), "of sub/.env");
    let bytes = expected.iter().map(|path| harness.repo.path().join(path).metadata().expect("a file").len()).sum();
    assert_eq!(made.seeded, Some(Seeded { files: 5, bytes }));
    assert_eq!(made.warnings, [""; 0]);
    assert_eq!(harness.git(&made.lease, &["status", "--porcelain"]), "");
    assert_eq!(harness.repo.fingerprint(), before);
}

#[tokio::test]
async fn without_patterns_nothing_is_copied() {
    let harness = harness(&[]);
    harness.repo.write(".env", "x");
    harness.repo.write(".worktreeinclude", "# nothing\n\n!.env\n");
    let made = make(&harness, "a").await;
    assert_eq!((extras(&harness, &made.lease), made.seeded, made.warnings), (set(&[]), None, Vec::new()));
}

#[tokio::test]
async fn a_pattern_with_an_exclamation_mark_takes_files_out_as_in_a_gitignore() {
    let harness =
        harness(&["cache/*", "!cache/big", "cache/keep/", "!cache/keep/not-this", ".env*", "!.env.production"]);
    for path in ["cache/a", "cache/big/x", "cache/keep/not-this", "cache/keep/this", ".env.local", ".env.production"] {
        harness.repo.write(path, "x");
    }
    let made = make(&harness, "a").await;
    // Nothing can be taken out of a folder that is named as a whole.
    assert_eq!(
        extras(&harness, &made.lease),
        set(&["cache/a", "cache/keep/not-this", "cache/keep/this", ".env.local"])
    );
}

#[tokio::test]
async fn the_settings_have_the_last_word_over_the_file() {
    let harness = harness(&["!.env.local", "a.log"]);
    harness.repo.write(".worktreeinclude", ".env*\n!a.log\n");
    for path in [".env", ".env.local", "a.log"] {
        harness.repo.write(path, "x");
    }
    let made = make(&harness, "a").await;
    assert_eq!(extras(&harness, &made.lease), set(&[".env", "a.log"]));
}

#[tokio::test]
async fn nested_rules_of_git_count() {
    let harness = harness(&["*.txt"]);
    harness.repo.write("sub/.gitignore", "*.txt\n!kept.txt\n");
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Rules"]);
    let harness = seeding(harness.repo, Seeds::new(vec!["*.txt".to_owned()]));
    for path in ["sub/a.txt", "sub/kept.txt", "b.txt"] {
        harness.repo.write(path, "x");
    }
    let made = make(&harness, "a").await;
    assert_eq!(extras(&harness, &made.lease), set(&["sub/a.txt"]));
    assert_eq!(
        made.warnings,
        ["not copied into worktrees, since git would commit it there: b.txt, sub/kept.txt; \
          name it in .gitignore or .git/info/exclude"]
    );
}

#[tokio::test]
async fn what_git_tracks_stays_as_it_was_committed() {
    let harness = harness(&["*.log", ".env"]);
    harness.repo.write("forced.log", "committed");
    harness.repo.write("cache/forced.log", "committed");
    harness.repo.git(&["add", "-f", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Track what is ignored"]);
    let harness = seeding(harness.repo, Seeds::new(vec!["*.log".to_owned(), "cache/".to_owned()]));
    harness.repo.write("forced.log", "changed since");
    harness.repo.write("cache/forced.log", "changed since");
    harness.repo.write("cache/other", "ignored");
    let made = make(&harness, "a").await;
    assert_eq!(extras(&harness, &made.lease), set(&["cache/other"]));
    assert_eq!(harness.git(&made.lease, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn what_the_start_of_the_worktree_does_not_ignore_is_not_copied_and_said_once() {
    let harness = harness(&["venv/", "new/", "user/", "own/"]);
    harness.repo.write("venv/.gitignore", "*\n");
    harness.repo.write("venv/bin/python", "x");
    harness.repo.write("new/a", "x");
    harness.repo.write("own/a", "x");
    // Not committed, so the tasks do not have it.
    harness.repo.write(".gitignore", "target/\n*.log\nnew/\n");
    harness.repo.write(".git/info/exclude", "own/\n");
    let made = make(&harness, "a").await;
    assert_eq!(extras(&harness, &made.lease), set(&["own/a"]));
    assert_eq!(
        made.warnings,
        ["not copied into the worktree, since the commit that it starts from does not ignore it: new/a, \
          venv/.gitignore, venv/bin/python; commit the .gitignore that does, or name it in .git/info/exclude"]
    );
    let work = harness.commit(&made.lease).await;
    assert_eq!((work.commits, work.uncommitted), (0, 0));
}

#[tokio::test]
async fn the_same_trouble_of_the_main_work_tree_is_told_with_the_first_worktree_only() {
    let harness = harness(&["*.txt"]);
    harness.repo.write("b.txt", "x");
    let both = harness.worktrees.create(vec![request("a"), request("b")]).await;
    let later = make(&harness, "c").await;
    let told = both.into_iter().map(|made| made.expect("a worktree").warnings.len());
    assert_eq!(told.chain([later.warnings.len()]).collect::<Vec<_>>(), [1, 0, 0]);
}

#[tokio::test]
async fn permissions_times_links_and_holes_stay_as_they_are() {
    let harness = harness(&["cache/"]);
    let cache = harness.repo.path().join("cache");
    harness.repo.write("cache/bin/tool", "#!/bin/sh\n");
    harness.repo.write("cache/secret", "x");
    harness.repo.write("cache/large", vec![7; 300 << 10]);
    fs::create_dir(cache.join("empty")).expect("a folder");
    fs::set_permissions(cache.join("bin/tool"), fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::set_permissions(cache.join("secret"), fs::Permissions::from_mode(0o400)).expect("a mode");
    symlink("bin/tool", cache.join("inside")).expect("a link");
    symlink("/etc/hostname", cache.join("outside")).expect("a link");
    symlink("nowhere", cache.join("dangling")).expect("a link");
    fs::hard_link(cache.join("secret"), cache.join("second-name")).expect("a link");
    let mut holes = File::create(cache.join("holes")).expect("a file");
    holes.seek(SeekFrom::Start(5 << 20)).expect("a place");
    holes.write_all(b"in the middle").expect("written");
    holes.set_len(64 << 20).expect("a length");
    drop(holes);
    let files = ["bin/tool", "large", "holes", "secret"];
    let times: Vec<SystemTime> =
        (0..).zip(files).map(|(n, file)| age(&cache.join(file), 1_000_000 + n, 123_456_789)).collect();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o750)).expect("a mode");
    fs::set_permissions(cache.join("bin"), fs::Permissions::from_mode(0o555)).expect("a mode");
    let folder_time = age(&cache.join("bin"), 2_000_000, 5);

    let made = make(&harness, "a").await;
    let copy = made.lease.path.join("cache");
    let mode = |name: &str| copy.join(name).metadata().expect(name).mode() & 0o7777;
    assert_eq!([mode(""), mode("bin"), mode("bin/tool"), mode("secret")], [0o750, 0o555, 0o755, 0o400]);
    for (file, time) in files.iter().zip(times) {
        assert_eq!(copy.join(file).metadata().expect(file).modified().expect(file), time, "{file}");
    }
    assert_eq!(copy.join("bin").metadata().expect("a folder").modified().expect("a time"), folder_time);
    assert!(copy.join("empty").is_dir());
    for (link, target) in [("inside", "bin/tool"), ("outside", "/etc/hostname"), ("dangling", "nowhere")] {
        assert_eq!(fs::read_link(copy.join(link)).expect(link), Path::new(target));
    }
    assert_eq!(copy.join("second-name").metadata().expect("a file").nlink(), 1);
    for file in ["large", "holes"] {
        assert!(fs::read(copy.join(file)).expect(file) == fs::read(cache.join(file)).expect(file), "{file}");
    }
    let (before, after) = (cache.join("holes").metadata().expect("it"), copy.join("holes").metadata().expect("it"));
    // Where the system knows of holes, the copy has them.
    assert!(before.blocks() * 512 == before.len() || after.blocks() * 512 < 1 << 20, "{} blocks", after.blocks());
    assert_eq!(made.warnings, [""; 0]);
    assert_eq!(harness.release(&made.lease, KEEP).await.worktree, WorktreeFate::Removed);
}

#[tokio::test]
async fn a_build_that_was_up_to_date_is_up_to_date_in_the_copy() {
    let harness = harness(&["target/"]);
    harness.repo.write("target/in.txt", "one");
    harness.repo.write("target/Makefile", "out.txt: in.txt\n\tcp in.txt out.txt\n");
    harness.repo.write("target/out.txt", "one");
    // The one is newer by a nanosecond.
    age(&harness.repo.path().join("target/in.txt"), 1_000_000, 1);
    age(&harness.repo.path().join("target/out.txt"), 1_000_000, 2);
    let made = make(&harness, "a").await;
    let times = |name: &str| made.lease.path.join("target").join(name).metadata().expect(name).modified().expect(name);
    assert!(times("out.txt") > times("in.txt"));
    let make = std::process::Command::new("make").arg("-q").current_dir(made.lease.path.join("target")).status();
    // Not everybody has make.
    assert!(make.map_or(true, |status| status.success()));
}

#[tokio::test]
async fn what_cannot_be_read_or_copied_is_named_and_nothing_else_suffers() {
    let harness = harness(&["cache/"]);
    harness.repo.write("cache/good", "x");
    let cache = harness.repo.path().join("cache");
    rustix::fs::mkfifoat(rustix::fs::CWD, cache.join("pipe"), rustix::fs::Mode::RWXU).expect("a pipe");
    let _socket = UnixListener::bind(cache.join("socket")).expect("a socket");
    assert!(cache.join("pipe").metadata().expect("a pipe").file_type().is_fifo());
    harness.repo.write("cache/locked", "x");
    harness.repo.write("cache/closed/inside", "x");
    let forbid = |mode: u32| {
        fs::set_permissions(cache.join("locked"), fs::Permissions::from_mode(mode & 0o600)).expect("a mode");
        fs::set_permissions(cache.join("closed"), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    forbid(0);
    let can_read_anything = File::open(cache.join("locked")).is_ok();
    let made = make(&harness, "a").await;
    forbid(0o700);
    let mut expected = vec![
        "not copied into worktrees, since it is a pipe, a socket or a device: cache/pipe, cache/socket".to_owned(),
    ];
    let mut there = set(&["cache/good"]);
    if can_read_anything {
        there.extend(set(&["cache/locked", "cache/closed/inside"]));
        fs::set_permissions(made.lease.path.join("cache/closed"), fs::Permissions::from_mode(0o700)).expect("a mode");
    } else {
        let unreadable = |what| {
            format!("not copied into worktrees, since it cannot be read: {what}; let yourself read it, or take it out")
        };
        expected.insert(0, unreadable("cache/closed"));
        expected.push(unreadable("cache/locked"));
    }
    assert_eq!(extras(&harness, &made.lease), there);
    assert_eq!(made.warnings, expected);
}

#[tokio::test]
async fn repositories_and_other_worktrees_are_not_copied_as_such() {
    let harness = harness(&["/local/"]);
    harness.repo.write("local/nested/file", "x");
    harness.repo.git(&["init", "-q", "local/nested"]);
    harness.repo.git(&["worktree", "add", "-q", "--detach", "local/tree"]);
    harness.repo.write("local/tree/of-another", "x");
    harness.repo.write("local/file", "x");
    let made = make(&harness, "a").await;
    assert!(made.lease.path.join("local/nested/file").is_file() && made.lease.path.join("local/file").is_file());
    assert!(!made.lease.path.join("local/nested/.git").exists());
    assert!(!made.lease.path.join("local/tree").exists());
    assert_eq!(made.seeded.map(|seeded| seeded.files), Some(2));
}

#[tokio::test]
async fn nothing_is_written_through_links_of_the_commit_nor_over_what_it_holds() {
    let harness = harness(&["cache/", "data/"]);
    let outside = harness.repo.root().join("outside");
    fs::create_dir(&outside).expect("a folder");
    let elsewhere = harness.repo.git(&["rev-parse", "HEAD"]);
    symlink(&outside, harness.repo.path().join("cache")).expect("a link");
    harness.repo.write("data", "a file in the commit");
    harness.repo.write(".gitignore", "cache\ndata\n");
    harness.repo.git(&["add", "-f", "cache", "data", ".gitignore"]);
    harness.repo.git(&["commit", "-q", "-m", "A link and a file"]);
    let harness = seeding(harness.repo, Seeds::new(vec!["cache/".to_owned(), "data/".to_owned()]));
    // The user works on a commit where both are folders that git ignores.
    harness.repo.git(&["checkout", "-q", "--detach", &elsewhere]);
    harness.repo.write(".gitignore", "cache\ndata\n");
    harness.repo.write("cache/victim", "x");
    harness.repo.write("data/file", "x");
    let made = make(&harness, "a").await;
    assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0);
    assert_eq!(fs::read_to_string(made.lease.path.join("data")).expect("a file"), "a file in the commit");
    assert_eq!(harness.git(&made.lease, &["status", "--porcelain"]), "");
    assert_eq!(
        made.warnings,
        ["not copied into the worktree, since something else is in its place there: cache, data; rename one of them"]
    );
    assert_eq!(made.seeded, None);
}

#[tokio::test]
async fn seeded_files_reach_no_branch_and_keep_no_worktree() {
    let harness = harness(&[".env", "cache/"]);
    harness.repo.write(".env", "SECRET=1");
    harness.repo.write("cache/a", "x");
    let made = make(&harness, "a").await;
    write(&made.lease, "work.txt", "work");
    let work = harness.commit(&made.lease).await;
    assert_eq!((work.commits, work.files, work.uncommitted, work.left_out), (1, 1, 0, Vec::new()));
    let tree = harness.git(&made.lease, &["ls-tree", "-r", "--name-only", "HEAD"]);
    assert_eq!(tree, ".gitignore\nsrc/lib.rs\nwork.txt");
    assert_eq!(harness.release(&made.lease, KEEP).await.worktree, WorktreeFate::Removed);
    assert!(!made.lease.path.exists());
    assert_eq!(fs::read_to_string(harness.repo.path().join(".env")).expect("a file"), "SECRET=1");
}

#[tokio::test]
async fn worktrees_of_a_batch_are_all_seeded_and_the_observer_is_told_once() {
    let told: Arc<Mutex<Vec<Seeding>>> = Arc::default();
    let heard = Arc::clone(&told);
    let repo = harness(&[]).repo;
    for n in 0..300 {
        repo.write(&format!("cache/{}/{n}", n % 7), format!("{n}"));
    }
    let seeds = Seeds::new(vec!["cache/".to_owned()]);
    let harness = seeding(repo, seeds.observed_by(move |seeding| heard.lock().expect("no panic").push(seeding)));
    let requests = ["a", "b", "c", "d", "e"].map(request);
    let made = harness.worktrees.create(requests.to_vec()).await;
    for made in made {
        let made = made.expect("a worktree");
        assert_eq!(extras(&harness, &made.lease).len(), 300);
        assert_eq!(fs::read_to_string(made.lease.path.join("cache/5/299")).expect("a file"), "299");
    }
    let told = told.lock().expect("no panic");
    assert_eq!(told.iter().map(|told| (told.each.files, told.worktrees)).collect::<Vec<_>>(), [(300, 5)]);
}

#[test]
fn worktrees_that_nobody_waits_for_any_more_are_undone() {
    let repo = harness(&[]).repo;
    repo.write("cache/large", "x".repeat(100_000));
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let seeds = Seeds::new(vec!["cache/".to_owned()]).observed_by(move |_| {
        begun.send(()).expect("the test waits");
        may_go_on.lock().expect("no panic").recv().expect("the test says so");
    });
    let harness = seeding(repo, seeds);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let worktrees = harness.worktrees.clone();
    let creation = runtime.spawn(async move { worktrees.create(vec![request("a"), request("b")]).await });
    has_begun.recv().expect("it begins");
    creation.abort();
    assert!(runtime.block_on(creation).expect_err("it was dropped").is_cancelled());
    go_on.send(()).expect("it waits");
    assert!(harness.worktrees.leave_to_sweep().expect("an answer").is_none());
    assert!(harness.listed().is_empty());
    assert_eq!(harness.branches(), ["main"]);
    assert!(!harness.folder().exists());
    harness.assert_sound();
}

#[tokio::test]
async fn worktrees_that_git_makes_are_seeded_too() {
    let harness = harness(&[]);
    harness.repo.write(".gitattributes", "*.rs ident\n");
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Let git make the worktrees"]);
    harness.repo.write(".env", "x");
    let harness = seeding(harness.repo, Seeds::new(vec![".env".to_owned()]));
    let made = make(&harness, "a").await;
    assert_eq!(extras(&harness, &made.lease), set(&[".env"]));
    assert_eq!(harness.git(&made.lease, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn in_a_bare_repository_the_work_tree_of_the_user_is_the_source() {
    let origin = harness(&[]).repo;
    let bare = origin.root().join("bare.git");
    origin.git(&["clone", "-q", "--bare", ".", &bare.display().to_string()]);
    let mine = origin.root().join("mine");
    origin.git_in(&bare, &["worktree", "add", "-q", &mine.display().to_string()]);
    fs::write(mine.join(".env"), "x").expect("a file");
    let repository = discover(&mine);
    let (base, folder) = (repository.head_commit().clone(), origin.root().join("trees"));
    let seed = Seeds::new(vec![".env".to_owned()]);
    let survey = repository.seeds(&seed).expect("a survey");
    assert_eq!(survey.each, Seeded { files: 1, bytes: 1 });
    let worktrees = GitWorktrees::new(WorktreeSettings { seed, ..WorktreeSettings::new(repository, base, folder) });
    let made = worktrees.expect("a valid prefix").create(vec![request("a")]).await.pop().expect("an answer");
    assert!(made.expect("a worktree").lease.path.join(".env").is_file());
}

#[tokio::test]
async fn from_a_linked_worktree_it_is_the_main_work_tree_that_is_copied_from() {
    let harness = harness(&[".env"]);
    harness.repo.write(".env", "of the main one");
    let linked = harness.repo.root().join("linked");
    harness.repo.git(&["worktree", "add", "-q", "--detach", &linked.display().to_string()]);
    fs::write(linked.join(".env"), "of the linked one").expect("a file");
    let repository = discover(&linked);
    let (base, folder) = (repository.head_commit().clone(), repository.default_worktrees_folder());
    let seed = Seeds::new(vec![".env".to_owned()]);
    let worktrees = GitWorktrees::new(WorktreeSettings { seed, ..WorktreeSettings::new(repository, base, folder) });
    let made = worktrees.expect("a valid prefix").create(vec![request("a")]).await.pop().expect("an answer");
    let copied = fs::read_to_string(made.expect("a worktree").lease.path.join(".env"));
    assert_eq!(copied.expect("a file"), "of the main one");
}

#[tokio::test]
async fn an_include_file_that_is_none_is_told_of_and_no_failure() {
    let harness = harness(&[".env"]);
    harness.repo.write(".env", "x");
    fs::create_dir(harness.repo.path().join(".worktreeinclude")).expect("a folder");
    let made = make(&harness, "a").await;
    assert_eq!(extras(&harness, &made.lease), set(&[".env"]));
    assert_eq!(
        made.warnings,
        ["not copied into worktrees, since it cannot be read: .worktreeinclude (it is no file); \
          let yourself read it, or take it out"]
    );
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_seeds_leaves_nothing() {
    let harness = harness(&[]);
    harness.repo.write(".worktreeinclude", "cache/\n");
    for n in 0..20 {
        harness.repo.write(&format!("cache/{}/{n}", n % 3), "x");
    }
    fs::set_permissions(harness.repo.path().join("cache/1"), fs::Permissions::from_mode(0o555)).expect("a mode");
    let before = (harness.repo.fingerprint(), harness.branches());
    for point in ["worktree-file-seeded", "worktree-file-seeded:13", "worktree-file-seeded:39"] {
        kill_at(&harness, "create a b", point);
        assert_eq!(harness.worktrees.leases().await.expect("a list"), [], "{point}");
        let pruned = harness.worktrees.prune(false).await.expect("a list");
        let folders = ["a", "b"].map(|task| Pruned::HalfMade { path: harness.folder().join(task) });
        assert_eq!(pruned, folders, "{point}");
        assert!(!harness.folder().exists(), "{point}");
        assert_eq!((harness.repo.fingerprint(), harness.branches()), before, "{point}");
        assert_clean(&harness).await;
    }
    let made = make(&harness, "a").await;
    assert_eq!(extras(&harness, &made.lease).len(), 20);
}

#[tokio::test]
async fn a_worktree_for_which_the_disk_has_no_room_is_none_and_leaves_nothing() {
    let harness = harness(&[]);
    harness.repo.write(".worktreeinclude", "cache/\n");
    harness.repo.write("cache/large", vec![7; 8 << 20]);
    fs::create_dir(harness.folder()).expect("a folder");
    let Some(said) = process::run_on_a_small_disk(harness.repo.path(), &harness.folder(), "refuse a") else {
        eprintln!("skipped: this system lets nobody mount a small disk for a process of his own");
        return;
    };
    assert!(said.contains("cannot fill") && said.contains("cache/large: No space left on device"), "{said}");
    assert_eq!((harness.listed().len(), harness.branches()), (0, vec!["main".to_owned()]));
    assert_clean(&harness).await;
    harness.assert_sound();
}

#[test]
fn whether_files_can_be_shared_is_told_and_nothing_is_left() {
    let harness = Harness::new();
    let before = harness.repo.fingerprint();
    let told = sharing(&discover(harness.repo.path()), &harness.folder().join("not/there"));
    assert!(matches!(told, Ok(Sharing::Shared | Sharing::Copied)), "{told:?}");
    assert_eq!(harness.repo.fingerprint(), before);
    assert!(!harness.folder().exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Git itself says which files patterns name: as if they stood in a `.gitignore` of a repository without any other.
    #[test]
    fn patterns_name_what_git_would_ignore_by_them(
        patterns in proptest::collection::vec("!?/?(a|b|\\*|\\*\\*/)?(a|b|c|a\\*|\\*b|/a|/b)(/c?|/\\*|)/?", 1..5),
        files in proptest::collection::btree_set("x/(a|b|ab)(/(a|b|c)){0,3}\\.f", 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        runtime.block_on(async {
            let repo = TestRepo::new();
            repo.write(".gitignore", "*.f\n");
            repo.git(&["add", "."]);
            repo.git(&["commit", "-q", "-m", "Begin"]);
            let reference = TestRepo::new();
            reference.write(".gitignore", patterns.join("\n"));
            for file in &files {
                let file = file.trim_start_matches("x/");
                repo.write(file, "x");
                reference.write(file, "x");
            }
            let wanted = reference.git(&["ls-files", "--others", "--ignored", "--exclude-standard"]);
            let wanted: BTreeSet<String> = wanted.lines().filter(|path| path.ends_with(".f")).map(str::to_owned).collect();
            let harness = seeding(repo, Seeds::new(patterns.clone()));
            let made = make(&harness, "a").await;
            assert_eq!(extras(&harness, &made.lease), wanted, "{patterns:?}");
        });
    }
}

mod heavy {
    use super::*;

    #[tokio::test]
    #[ignore = "heavy: copies 10,000 small files into four worktrees, and a sparse file of 4 GiB"]
    async fn many_small_files_and_a_huge_one_come_through() {
        let harness = harness(&["cache/"]);
        for n in 0..10_000 {
            harness.repo.write(&format!("cache/{}/{n}", n % 100), format!("{n}"));
        }
        let huge = File::create(harness.repo.path().join("cache/huge")).expect("a file");
        huge.set_len(4 << 30).expect("a length");
        let requests = ["a", "b", "c", "d"].map(request);
        for made in harness.worktrees.create(requests.to_vec()).await {
            let made = made.expect("a worktree");
            assert_eq!(made.seeded.map(|seeded| seeded.files), Some(10_001));
            assert_eq!(made.lease.path.join("cache/huge").metadata().expect("a file").len(), 4 << 30);
            assert_eq!(harness.release(&made.lease, KEEP).await.worktree, WorktreeFate::Removed);
        }
    }
}
