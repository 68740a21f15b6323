//! Whatever a task does, nothing that it has written is lost: it is on a reference, in a folder that stays, or ignored by a rule
//! that the user had made before.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use gadugi_core::worktrees::WorktreeFate;
use gadugi_core::{Lease, Worktrees};
use gadugi_test_support::repo::TestRepo;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::harness::{DELETE, Harness, KEEP};

/// A step of a task, in its worktree. What git refuses is passed over, as by a task.
#[derive(Debug, Clone)]
enum Step {
    /// Writes something that was never written before.
    Write(&'static str),
    /// Writes a file in place with the same size, and gives it the time that it had.
    Disguise(&'static str),
    Remove(&'static str),
    Git(&'static [&'static str]),
    /// Commits what is there on no branch, and lets a reference lead to it.
    Reference(&'static str),
    /// Makes a repository, with a commit of what is there.
    Repository(&'static str),
    /// Adds a rule to a file in the worktree, or in the git folder.
    Rule(&'static str, &'static str),
}

const PATHS: [&str; 14] = [
    "top.txt",
    "d0/a.txt",
    "d0/sub/b.txt",
    "d0/sub/new",
    "d0/new/x",
    "d1/c.txt",
    "d1/new",
    "new/x",
    "new/y.hid",
    "cache/x",
    "cache/deep/y",
    "x.o",
    "x.hid",
    "d1/.git/x",
];

const GIT: [&[&str]; 32] = [
    &["add", "-A"],
    &["add", "-A"],
    &["add", "--sparse", "-A"],
    &["add", "-f", "cache", "x.o"],
    &["add", "-N", "."],
    &["commit", "-q", "-m", "Work"],
    &["commit", "-q", "-a", "-m", "Work"],
    &["commit", "-q", "--amend", "--no-edit"],
    &["reset", "-q", "--hard", "HEAD~1"],
    &["reset", "-q", "--soft", "HEAD~1"],
    &["reset", "-q", "HEAD~1"],
    &["rm", "-q", "-r", "--cached", "d1"],
    &["mv", "d1", "d2"],
    &["stash", "-q", "-u"],
    &["checkout", "-q", "--detach"],
    &["checkout", "-q", "-b", "elsewhere"],
    &["checkout", "-q", "gadugi/a"],
    &["update-ref", "refs/worktree/mine", "HEAD"],
    &["bisect", "start"],
    &["update-index", "--assume-unchanged", "top.txt"],
    &["update-index", "--skip-worktree", "d1/c.txt"],
    &["update-index", "--split-index"],
    &["update-index", "-q", "--refresh"],
    &["sparse-checkout", "set", "--cone", "d1"],
    &["sparse-checkout", "set", "--no-cone", "/*", "!/d0/"],
    &["sparse-checkout", "reapply", "--sparse-index"],
    &["config", "core.trustctime", "false"],
    &["config", "core.checkStat", "minimal"],
    &["config", "core.ignoreStat", "true"],
    &["config", "core.fileMode", "false"],
    &["config", "core.ignoreCase", "true"],
    &["worktree", "add", "-q", "--detach", "cache/wt"],
];

fn step() -> impl Strategy<Value = Step> {
    let path = || proptest::sample::select(PATHS.to_vec());
    // Rules of a `.gitignore` that does not hide itself are committed with the rest, and hold.
    let rule = proptest::sample::select(vec![
        (".gitignore", "!x.o"),
        ("new/.gitignore", "*"),
        ("d1/.gitignore", "*"),
        ("INFO", "*.hid"),
        ("INFO", "new/"),
        ("INFO", "/d0/"),
        ("INFO", "*"),
        (".gitattributes", "*.txt text eol=crlf"),
        ("d0/.gitattributes", "*.txt -text"),
    ]);
    prop_oneof![
        8 => path().prop_map(Step::Write),
        1 => path().prop_map(Step::Disguise),
        2 => path().prop_map(Step::Remove),
        8 => proptest::sample::select(GIT.to_vec()).prop_map(Step::Git),
        1 => proptest::sample::select(vec!["refs/worktree/x", "refs/bisect/bad", "ORIG_HEAD", "X_HEAD"])
            .prop_map(Step::Reference),
        1 => proptest::sample::select(vec!["cache/nested", "cache/deep", "new", "d1", "d0/sub"])
            .prop_map(Step::Repository),
        2 => rule.prop_map(|(file, rule)| Step::Rule(file, rule)),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    sparse: Option<bool>,
    steps: Vec<Step>,
}

fn case() -> impl Strategy<Value = Case> {
    (proptest::option::weighted(0.3, any::<bool>()), proptest::collection::vec(step(), 1..12))
        .prop_map(|(sparse, steps)| Case { sparse, steps })
}

/// The n-th thing that is written: all of one size.
fn token(number: usize) -> String {
    format!("token {number:03} end\n")
}

fn number_of_tokens(text: &[u8], found: &mut BTreeSet<usize>) {
    for (at, _) in text.windows(6).enumerate().filter(|(_, window)| *window == b"token ") {
        let number: Option<usize> =
            text.get(at + 6..at + 9).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        found.extend(number);
    }
}

struct Task<'a> {
    harness: &'a Harness,
    lease: &'a Lease,
    written: usize,
}

impl Task<'_> {
    fn try_git(&self, folder: &Path, args: &[&str]) -> Option<String> {
        let output = self.harness.repo.try_git_in(folder, args);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn next(&mut self) -> String {
        self.written += 1;
        token(self.written)
    }

    fn take(&mut self, step: &Step) {
        let root = self.lease.path.clone();
        match step {
            Step::Write(path) => {
                let text = self.next();
                let path = root.join(path);
                // A file may be in the way of a folder.
                if fs::create_dir_all(path.parent().expect("a folder")).is_ok() {
                    fs::write(path, text).ok();
                }
            }
            Step::Disguise(path) => {
                let path = root.join(path);
                let Ok(metadata) = path.symlink_metadata() else { return };
                if metadata.is_file() && metadata.len() == token(0).len() as u64 {
                    let time = metadata.modified().expect("a time");
                    fs::write(&path, self.next()).expect("in place");
                    File::options().write(true).open(&path).and_then(|file| file.set_modified(time)).expect("a time");
                }
            }
            Step::Remove(path) => drop(fs::remove_file(root.join(path))),
            Step::Git(args) => drop(self.try_git(&root, args)),
            Step::Reference(name) => {
                let text = self.next();
                fs::write(self.harness.repo.root().join("text"), text).expect("a file");
                let file = self.harness.repo.root().join("text");
                let commit = || {
                    let blob = self.try_git(&root, &["hash-object", "-w", &file.to_string_lossy()])?;
                    let mut tree = self.harness.repo.git_command(&root);
                    let mut tree = tree.arg("mktree").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
                    writeln!(tree.stdin.take()?, "100644 blob {blob}\tx").ok()?;
                    let tree = tree.wait_with_output().ok()?.stdout;
                    let tree = String::from_utf8_lossy(&tree).trim().to_owned();
                    let commit = self.try_git(&root, &["commit-tree", "-m", "Work", &tree])?;
                    self.try_git(&root, &["update-ref", name, &commit])
                };
                commit();
            }
            Step::Repository(path) => {
                let folder = root.join(path);
                if fs::create_dir_all(&folder).is_ok() && self.try_git(&folder, &["init", "-q"]).is_some() {
                    fs::write(folder.join("own"), self.next()).ok();
                    self.try_git(&folder, &["add", "-A"]);
                    self.try_git(&folder, &["commit", "-q", "-m", "Work"]);
                }
            }
            Step::Rule(file, rule) => {
                let file = match *file {
                    "INFO" => self.harness.repo.path().join(".git/info/exclude"),
                    file => root.join(file),
                };
                if fs::create_dir_all(file.parent().expect("a folder")).is_ok() {
                    let file = File::options().create(true).append(true).open(file);
                    file.and_then(|mut file| writeln!(file, "{rule}")).ok();
                }
            }
        }
    }
}

/// All that git can reach from a folder: what references, pseudo references and the index there lead to.
fn in_git(harness: &Harness, folder: &Path, found: &mut BTreeSet<usize>) {
    let git = |args: &[&str]| harness.repo.try_git_in(folder, args);
    let mut ids = git(&["rev-list", "--objects", "--no-object-names", "--all"]).stdout;
    for name in ["HEAD", "ORIG_HEAD", "X_HEAD", "refs/worktree/x", "refs/worktree/mine", "refs/bisect/bad"] {
        ids.extend(git(&["rev-list", "--objects", "--no-object-names", name]).stdout);
    }
    for line in String::from_utf8_lossy(&git(&["ls-files", "-s"]).stdout).lines() {
        ids.extend(line.split(' ').nth(1).unwrap_or_default().bytes().chain([b'\n']));
    }
    let mut batch = harness.repo.git_command(folder);
    let mut batch =
        batch.args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git");
    let mut stdin = batch.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || drop(stdin.write_all(&ids)));
    let output = batch.wait_with_output().expect("it ends");
    writer.join().expect("it is written");
    number_of_tokens(&output.stdout, found);
}

/// All files below a folder, but for git folders.
fn files(folder: &Path, found: &mut Vec<PathBuf>, repositories: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name() == ".git" && (path.is_file() || path.join("HEAD").exists()) {
            repositories.push(folder.to_owned());
        } else if path.is_dir() && !path.is_symlink() {
            files(&path, found, repositories);
        } else {
            found.push(path);
        }
    }
}

/// The files in a worktree that must not be lost: all but those that the user's rules ignore.
fn worth_keeping(harness: &Harness, root: &Path) -> BTreeSet<usize> {
    let (mut paths, mut repositories, mut found) = (Vec::new(), Vec::new(), BTreeSet::new());
    files(root, &mut paths, &mut repositories);
    for path in paths {
        let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
        let is_ignored = name.starts_with("cache/") || name.ends_with(".o");
        if !is_ignored {
            number_of_tokens(&fs::read(&path).unwrap_or_default(), &mut found);
        }
    }
    for repository in repositories {
        in_git(harness, &repository, &mut found);
    }
    found
}

/// The files after it: in the repository, and in the rest of the worktree.
fn left(harness: &Harness, root: &Path) -> BTreeSet<usize> {
    let (mut paths, mut repositories, mut found) = (Vec::new(), Vec::new(), BTreeSet::new());
    in_git(harness, harness.repo.path(), &mut found);
    files(root, &mut paths, &mut repositories);
    paths.iter().for_each(|path| number_of_tokens(&fs::read(path).unwrap_or_default(), &mut found));
    repositories.iter().for_each(|folder| in_git(harness, folder, &mut found));
    found
}

async fn nothing_is_lost(case: &Case) -> Result<(), TestCaseError> {
    let repo = TestRepo::new();
    for path in ["d0/a.txt", "d0/sub/b.txt", "d1/c.txt", "top.txt"] {
        repo.write(path, token(0));
    }
    repo.write(".gitignore", "cache/\n*.o\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    match case.sparse {
        Some(true) => drop(repo.git(&["sparse-checkout", "set", "--cone", "d1"])),
        Some(false) => drop(repo.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/d0/"])),
        None => {}
    }
    let harness = Harness::on(repo);
    let lease = harness.create("a").await;
    let mut task = Task { harness: &harness, lease: &lease, written: 0 };
    case.steps.iter().for_each(|step| task.take(step));
    let worth = worth_keeping(&harness, &lease.path);
    // What cannot be collected stays as it is.
    let collected = harness
        .worktrees
        .snapshot(&lease, gadugi_core::worktrees::SnapshotRequest { commit: true, subject: None, since: None })
        .await;
    let released = harness.worktrees.release(&lease, KEEP).await;
    let cleaned = harness.worktrees.release(&lease, DELETE).await;
    harness.worktrees.prune(false).await.expect("a list");
    harness.worktrees.swept().await.expect("it is deleted");
    let left = left(&harness, &lease.path);
    let lost: Vec<_> = worth.difference(&left).collect();
    prop_assert!(lost.is_empty(), "lost {lost:?}: {collected:?}, {released:?}, {cleaned:?}");
    // It is not for want of an answer that all is kept.
    let is_removed = |fate: &WorktreeFate| *fate == WorktreeFate::Removed;
    prop_assert_eq!(released.is_ok_and(|release| is_removed(&release.worktree)) && lease.path.exists(), false);
    Ok(())
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(nothing_is_lost(case))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 15, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_task_has_written_is_lost(case in case()) {
        check(&case)?;
    }
}

mod heavy {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

        #[test]
        #[ignore = "heavy: does the work of 400 tasks"]
        fn nothing_that_many_tasks_have_written_is_lost(case in case()) {
            check(&case)?;
        }
    }
}
