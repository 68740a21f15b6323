//! Worktrees and commits are the same as git would have made them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::worktrees::WorktreeFate;
use gadugi_core::{Lease, Worktrees};
use gadugi_test_support::repo::TestRepo;

use crate::harness::{DISCARD, Harness, KEEP, branch, chain, request, worktrees_within, write};

/// Everything in a folder but `.git`: kind and permissions, and the content or where it leads.
pub(crate) fn listing(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let metadata = path.symlink_metadata().expect("metadata");
            let content = if metadata.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).expect("a file")
            };
            let name = path.strip_prefix(folder).expect("a path in the folder").to_owned();
            found.insert(name, (metadata.permissions().mode(), content));
        }
    }
    found.remove(Path::new(".git")).expect("the .git file");
    found
}

/// Makes a worktree of `main` with git and one with us and compares them.
async fn assert_checked_out_like_git(repo: TestRepo) -> (Harness, Lease) {
    let harness = Harness::on(repo);
    let by_git = harness.repo.root().join("by-git");
    harness.repo.git(&["worktree", "add", "-q", "--detach", &by_git.to_string_lossy(), "main"]);
    let lease = harness.create("a").await;
    assert_eq!(listing(&lease.path), listing(&by_git));
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
    let files = |folder: &Path| harness.repo.git_in(folder, &["ls-files", "-s", "-v"]);
    assert_eq!(files(&lease.path), files(&by_git));
    harness.assert_sound();
    (harness, lease)
}

/// Changes two worktrees in the same way, commits one with `git add --all` and one with us, and compares.
async fn assert_committed_like_git(repo: TestRepo, change: impl Fn(&Harness, &Lease)) {
    let harness = Harness::on(repo);
    let (ours, by_git) = (harness.create("ours").await, harness.create("by-git").await);
    change(&harness, &ours);
    change(&harness, &by_git);
    let work = harness.commit(&ours).await;
    harness.git(&by_git, &["add", "--all"]);
    harness.git(&by_git, &["commit", "-q", "-m", "By git"]);
    let tree = |lease: &Lease| harness.git(lease, &["ls-tree", "-r", "HEAD"]);
    assert_eq!(tree(&ours), tree(&by_git));
    assert_eq!(harness.git(&ours, &["status", "--porcelain"]), "");
    assert_eq!(harness.git(&ours, &["diff", "HEAD", "--stat"]), "");
    let files = harness.git(&by_git, &["diff", "--name-only", "--no-renames", "HEAD~1"]);
    assert_eq!(work.files, files.lines().count() as u64, "{files}");
    harness.assert_sound();
}

fn symlink(lease: &Lease, target: &str, path: &str) {
    std::os::unix::fs::symlink(target, lease.path.join(path)).expect("a symbolic link");
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

fn repo_with_everything() -> TestRepo {
    let repo = TestRepo::new();
    repo.write(".gitattributes", "*.crlf text eol=crlf\n*.lf text eol=lf\n*.bin -text\n*.txt text=auto\n");
    repo.write("a.crlf", "one\ntwo\n");
    repo.write("a.lf", "one\ntwo\n");
    repo.write("a.bin", b"one\r\ntwo\n\0\xff");
    repo.write("sub folder/größe.txt", "text\n");
    repo.write("tool.sh", "#!/bin/sh\n");
    make_executable(&repo.path().join("tool.sh"));
    std::os::unix::fs::symlink("a.lf", repo.path().join("link")).expect("a symbolic link");
    std::os::unix::fs::symlink("nowhere/at all", repo.path().join("dangling")).expect("a symbolic link");
    std::os::unix::fs::symlink("sub folder", repo.path().join("folder-link")).expect("a symbolic link");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    repo
}

#[tokio::test]
async fn line_ends_links_and_permissions_are_checked_out_like_git() {
    assert_checked_out_like_git(repo_with_everything()).await;
}

#[tokio::test]
async fn autocrlf_is_followed() {
    let repo = repo_with_everything();
    repo.git(&["config", "core.autocrlf", "true"]);
    assert_checked_out_like_git(repo).await;
}

#[tokio::test]
async fn smudge_filters_of_the_configuration_are_applied() {
    let repo = TestRepo::new();
    repo.git(&["config", "filter.shout.smudge", "tr a-z A-Z"]);
    repo.git(&["config", "filter.shout.clean", "tr A-Z a-z"]);
    repo.write(".gitattributes", "*.loud filter=shout\n");
    repo.commit_file("a.loud", "hello\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Attributes"]);
    let (_ground, lease) = assert_checked_out_like_git(repo).await;
    assert_eq!(fs::read_to_string(lease.path.join("a.loud")).expect("a file"), "HELLO\n");
}

#[tokio::test]
async fn a_sparse_work_tree_gives_sparse_worktrees() {
    let repo = TestRepo::new();
    for path in ["in/a.txt", "out/b.txt", "top.txt"] {
        repo.commit_file(path, path);
    }
    repo.git(&["sparse-checkout", "set", "in"]);
    let (_ground, lease) = assert_checked_out_like_git(repo).await;
    assert!(lease.path.join("in/a.txt").exists());
    assert!(!lease.path.join("out").exists());
}

#[tokio::test]
async fn a_submodule_gives_an_empty_folder() {
    let (harness, lease) = assert_checked_out_like_git(repo_with_a_submodule()).await;
    assert_eq!(harness.count(&lease).await.uncommitted, 0);
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
}

#[tokio::test]
async fn a_submodule_that_is_deleted_or_becomes_a_file_is_committed_like_git() {
    assert_committed_like_git(repo_with_a_submodule(), |_, lease| {
        fs::remove_dir(lease.path.join("sub")).expect("an empty folder goes");
    })
    .await;
    assert_committed_like_git(repo_with_a_submodule(), |_, lease| {
        fs::remove_dir(lease.path.join("sub")).expect("an empty folder goes");
        write(lease, "sub", "a file now");
    })
    .await;
}

fn repo_with_a_submodule() -> TestRepo {
    let repo = TestRepo::new();
    repo.commit_file("a.txt", "a");
    let head = repo.git(&["rev-parse", "HEAD"]);
    repo.write(".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = ./nowhere\n");
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},sub")]);
    repo.git(&["add", ".gitmodules"]);
    repo.git(&["commit", "-q", "-m", "With a submodule"]);
    repo
}

#[tokio::test]
async fn ident_and_encodings_are_left_to_git() {
    let repo = TestRepo::new();
    repo.write("deep/.gitattributes", "*.c ident\n*.utf16 text working-tree-encoding=UTF-16LE eol=crlf\n");
    repo.write("deep/a.c", "/* $Id$ */\n");
    let utf16: Vec<u8> = "größe\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    repo.write("deep/a.utf16", utf16);
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    let (harness, lease) = assert_checked_out_like_git(repo).await;
    assert!(fs::read_to_string(lease.path.join("deep/a.c")).expect("a file").starts_with("/* $Id: "));
    assert_eq!(harness.commit(&lease).await.uncommitted, 0);
    let utf16: Vec<u8> = "kleiner\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    write(&lease, "deep/a.utf16", utf16);
    harness.commit(&lease).await;
    assert_eq!(harness.git(&lease, &["cat-file", "blob", "HEAD:deep/a.utf16"]), "kleiner");
    assert_eq!(harness.git(&lease, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_post_checkout_hook_runs_once_for_each_worktree() {
    let harness = Harness::new();
    let hook = harness.repo.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    fs::write(&hook, "#!/bin/sh\npwd >> \"$(git rev-parse --git-common-dir)/../../ran\"\n").expect("a hook");
    make_executable(&hook);
    let lease = harness.create("a").await;
    assert!(!harness.repo.path().join(".git/worktrees/a/locked").exists());
    let ran = fs::read_to_string(harness.repo.root().join("ran")).expect("the hook ran");
    assert_eq!(ran.trim(), lease.path.to_string_lossy());
    harness.assert_sound();
}

#[tokio::test]
async fn a_hook_that_does_not_end_is_killed_when_its_time_is_up_and_the_worktree_is_none() {
    let harness = Harness::new();
    let hook = harness.repo.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    fs::write(&hook, "#!/bin/sh\nsleep 600\n").expect("a hook");
    make_executable(&hook);
    let worktrees = worktrees_within(harness.repo.path(), Duration::from_millis(300));
    let error = worktrees.create(vec![request("a")]).await.remove(0).expect_err("the hook does not end");
    let told = chain(&error);
    assert!(told.contains("took longer than 300ms (`worktree_timeout`)"), "{told}");
    assert!(told.contains("there is a post-checkout hook"), "{told}");
    assert_eq!((harness.listed().len(), harness.branches()), (0, vec!["main".to_owned()]));
    assert!(!harness.folder().exists());
    fs::remove_file(&hook).expect("the hook goes");
    harness.create("a").await;
    harness.assert_sound();
}

#[tokio::test]
async fn the_lines_that_git_has_printed_stay_apart() {
    let harness = Harness::new();
    let hook = harness.repo.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    fs::write(&hook, "#!/bin/sh\nprintf 'the tool was not found\\nfatal: so nothing works\\n' >&2\nexit 1\n")
        .expect("a hook");
    make_executable(&hook);
    let error = harness.worktrees.create(vec![request("a")]).await.remove(0).expect_err("the hook fails");
    assert!(chain(&error).contains("the tool was not found; fatal: so nothing works"), "{}", chain(&error));
}

#[tokio::test]
async fn entries_of_git_s_list_that_do_not_say_where_their_worktree_is_are_in_nobody_s_way() {
    let harness = Harness::new();
    let entries = harness.repo.path().join(".git/worktrees");
    for (name, gitdir) in [("empty", &b""[..]), ("nul", b"\0\0\0\0"), ("file", b"/dev/null/x/.git\n")] {
        fs::create_dir_all(entries.join(name)).expect("a folder");
        fs::write(entries.join(name).join("gitdir"), gitdir).expect("a file");
        fs::write(entries.join(name).join("HEAD"), gitdir).expect("a file");
        fs::write(entries.join(name).join("commondir"), "../..\n").expect("a file");
        let theirs = harness.repo.root().join("theirs");
        let theirs = theirs.to_string_lossy();
        harness.repo.git(&["worktree", "add", "-q", "-b", "theirs", &theirs]);
        harness.repo.git(&["worktree", "remove", &theirs]);
        harness.repo.git(&["branch", "-q", "-D", "theirs"]);
        let made = harness.worktrees.create(vec![request("a"), request("b")]).await;
        for made in made {
            let made = made.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
            assert_eq!(made.warnings, [""; 0], "{name}");
            write(&made.lease, "a.txt", "a");
            assert_eq!(harness.commit(&made.lease).await.commits, 1, "{name}");
            assert_eq!(harness.release(&made.lease, DISCARD).await.worktree, WorktreeFate::Removed, "{name}");
        }
        harness.worktrees.prune(false).await.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
        assert!(entries.join(name).exists(), "it is not ours");
        fs::remove_dir_all(entries.join(name)).expect("it goes");
    }
}

#[tokio::test]
async fn a_worktree_counts_as_in_the_making_until_its_hook_has_run() {
    let harness = Harness::new();
    let hook = harness.repo.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    let script =
        "#!/bin/sh\ncat \"$(git rev-parse --git-dir)/locked\" > \"$(git rev-parse --git-common-dir)/../../seen\"\n";
    fs::write(&hook, script).expect("a hook");
    make_executable(&hook);
    harness.create("a").await;
    let seen = fs::read_to_string(harness.repo.root().join("seen")).expect("the hook ran");
    assert_eq!(seen.trim(), "initializing");
}

#[tokio::test]
async fn a_post_checkout_hook_that_fails_leaves_nothing_behind_and_is_heard() {
    let harness = Harness::new();
    let hook = harness.repo.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    fs::write(&hook, "#!/bin/sh\necho 'no worktrees today' >&2\nexit 3\n").expect("a hook");
    make_executable(&hook);
    let error = harness.try_create(request("a")).await.expect_err("the hook refuses");
    assert!(chain(&error).contains("no worktrees today"), "{}", chain(&error));
    assert_eq!(harness.branches(), ["main"]);
    assert!(harness.listed().is_empty());
    assert!(!harness.folder().exists());
}

#[tokio::test]
async fn relative_paths_between_worktrees_are_left_to_git() {
    let harness = Harness::new();
    harness.repo.git(&["config", "worktree.useRelativePaths", "true"]);
    let before = harness.repo.fingerprint();
    let lease = harness.create("a").await;
    // Git 2.48 and later notes in the configuration that there are relative paths; the older ones ignore the setting.
    if harness.repo.git(&["config", "--default", "", "extensions.relativeWorktrees"]).is_empty() {
        assert_eq!(harness.repo.fingerprint(), before);
    }
    write(&lease, "a.txt", "a");
    assert_eq!(harness.commit(&lease).await.files, 1);
    harness.release(&lease, KEEP).await;
    harness.assert_sound();
}

#[tokio::test]
async fn a_partial_clone_fetches_what_it_lacks_by_git() {
    let source = TestRepo::new();
    source.commit_file("a.txt", "old\n");
    source.commit_file("a.txt", "new\n");
    source.git(&["config", "uploadpack.allowFilter", "true"]);
    source.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let clone = TestRepo::init("clone", &[]);
    clone.git(&["remote", "add", "origin", &format!("file://{}", source.path().display())]);
    clone.git(&["fetch", "-q", "--filter=blob:none", "origin", "main"]);
    clone.git(&["reset", "-q", "--hard", "origin/main~1"]);
    clone.git(&["reset", "-q", "--hard", "origin/main"]);
    let repository = crate::harness::discover(clone.path());
    let base = repository.resolve("HEAD").expect("a base");
    let settings = gadugi_worktree::WorktreeSettings::new(repository, base, clone.root().join("clone.gadugi"));
    let worktrees = gadugi_worktree::GitWorktrees::new(settings).expect("a valid prefix");
    let harness = Harness { repo: clone, worktrees };
    let lease = harness.create("a").await;
    assert_eq!(fs::read_to_string(lease.path.join("a.txt")).expect("a file"), "new\n");
    write(&lease, "b.txt", "b");
    assert_eq!(harness.commit(&lease).await.files, 1);
}

#[tokio::test]
async fn a_shallow_clone_works() {
    let source = TestRepo::new();
    source.commit_file("a.txt", "old\n");
    source.commit_file("a.txt", "new\n");
    let clone = TestRepo::init("clone", &[]);
    clone.git(&["fetch", "-q", "--depth=1", &format!("file://{}", source.path().display()), "main"]);
    clone.git(&["reset", "-q", "--hard", "FETCH_HEAD"]);
    let harness = Harness::on(clone);
    let (lease, _) = harness.done("a", "b.txt", "b").await;
    assert_eq!(harness.count(&lease).await.commits, 1);
    harness.assert_sound();
}

#[tokio::test]
async fn edits_deletions_renames_links_and_permissions_are_committed_like_git() {
    assert_committed_like_git(repo_with_everything(), |_, lease| {
        write(lease, "a.crlf", "one\r\nthree\r\n");
        write(lease, "a.lf", "one\r\nthree\r\n");
        write(lease, "a.bin", b"\r\n\0other");
        write(lease, "new.txt", "mixed\r\nends\n");
        fs::rename(lease.path.join("sub folder"), lease.path.join("renamed")).expect("a rename");
        fs::remove_file(lease.path.join("dangling")).expect("a link goes");
        make_executable(&lease.path.join("a.lf"));
        symlink(lease, "../outside", "new-link");
        write(lease, "new-tool", "#!/bin/sh\n");
        make_executable(&lease.path.join("new-tool"));
        fs::create_dir_all(lease.path.join("empty/folders")).expect("folders");
    })
    .await;
}

#[tokio::test]
async fn files_that_become_folders_or_links_and_back_are_committed_like_git() {
    assert_committed_like_git(repo_with_everything(), |_, lease| {
        fs::remove_file(lease.path.join("a.lf")).expect("a file goes");
        write(lease, "a.lf/inner/file.txt", "in a folder\n");
        fs::remove_dir_all(lease.path.join("sub folder")).expect("a folder goes");
        write(lease, "sub folder", "a file now\n");
        fs::remove_file(lease.path.join("link")).expect("a link goes");
        write(lease, "link", "a file now\n");
        fs::remove_file(lease.path.join("tool.sh")).expect("a file goes");
        symlink(lease, "a.bin", "tool.sh");
        fs::remove_file(lease.path.join("folder-link")).expect("a link goes");
        write(lease, "folder-link/file.txt", "a folder now\n");
    })
    .await;
}

#[tokio::test]
async fn a_folder_replaced_by_a_link_to_a_folder_with_the_same_files_is_committed_as_a_link() {
    assert_committed_like_git(repo_with_everything(), |_, lease| {
        fs::rename(lease.path.join("sub folder"), lease.path.join("moved")).expect("a rename");
        symlink(lease, "moved", "sub folder");
    })
    .await;
}

#[tokio::test]
async fn what_is_staged_counts_only_as_far_as_the_files_say_the_same() {
    assert_committed_like_git(repo_with_everything(), |harness, lease| {
        let stage = |path: &str| harness.git(lease, &["add", "-f", "--", path]);
        write(lease, "staged.txt", "staged\n");
        stage("staged.txt");
        write(lease, "staged-and-gone.txt", "gone\n");
        stage("staged-and-gone.txt");
        fs::remove_file(lease.path.join("staged-and-gone.txt")).expect("a file goes");
        write(lease, "a.lf", "staged\n");
        stage("a.lf");
        write(lease, "a.lf", "newer\n");
        harness.git(lease, &["rm", "-q", "--cached", "a.bin"]);
        harness.git(lease, &["mv", "tool.sh", "renamed.sh"]);
        write(lease, "promised.txt", "promised\n");
        harness.git(lease, &["add", "--intent-to-add", "promised.txt"]);
        write(lease, "ignored.log", "ignored\n");
        write(lease, ".gitignore", "*.log\n");
        stage("ignored.log");
    })
    .await;
}

#[tokio::test]
async fn every_form_of_index_that_git_writes_is_read() {
    for (key, value) in [
        ("index.version", "4"),
        ("core.splitIndex", "true"),
        ("core.untrackedCache", "true"),
        ("feature.manyFiles", "true"),
        ("index.skipHash", "true"),
        ("index.recordEndOfIndexEntries", "true"),
    ] {
        let repo = repo_with_everything();
        repo.git(&["config", key, value]);
        assert_committed_like_git(repo, |harness, lease| {
            write(lease, "committed.txt", "by the task\n");
            harness.git(lease, &["add", "."]);
            harness.git(lease, &["commit", "-q", "-m", "By the task"]);
            harness.git(lease, &["reset", "-q", "--soft", "HEAD~1"]);
            harness.git(lease, &["update-index", "--refresh"]);
            write(lease, "a.lf", "changed\n");
            write(lease, "new.txt", "new\n");
        })
        .await;
    }
}

#[tokio::test]
async fn clean_filters_of_the_configuration_are_applied() {
    let repo = TestRepo::new();
    repo.git(&["config", "filter.shout.smudge", "tr a-z A-Z"]);
    repo.git(&["config", "filter.shout.clean", "tr A-Z a-z"]);
    repo.write(".gitattributes", "*.loud filter=shout\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Attributes"]);
    assert_committed_like_git(repo, |_, lease| write(lease, "a.loud", "HELLO\n")).await;
}

#[tokio::test]
async fn file_modes_are_not_looked_at_where_the_configuration_says_so() {
    let repo = repo_with_everything();
    repo.git(&["config", "core.fileMode", "false"]);
    assert_committed_like_git(repo, |_, lease| {
        make_executable(&lease.path.join("a.lf"));
        write(lease, "new.sh", "#!/bin/sh\n");
        make_executable(&lease.path.join("new.sh"));
        write(lease, "tool.sh", "#!/bin/sh\nexit\n");
    })
    .await;
}

#[tokio::test]
async fn line_ends_that_cannot_be_kept_do_not_hinder_the_commit() {
    let repo = repo_with_everything();
    repo.git(&["config", "core.safecrlf", "true"]);
    let harness = Harness::on(repo);
    let lease = harness.create("a").await;
    write(&lease, "mixed.lf", "one\r\ntwo\n");
    assert_eq!(harness.commit(&lease).await.files, 1);
    assert_eq!(branch(&lease), "gadugi/a");
}
