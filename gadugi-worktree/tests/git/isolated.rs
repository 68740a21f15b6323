//! A task that knows nothing but its worktree and its private git folder, played on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use gadugi_core::executor::Mount;
use gadugi_core::worktrees::WorktreeError;
use gadugi_core::{Lease, Worktrees};
use gadugi_test_support::repo::Fingerprint;

use crate::harness::{Harness, RUN, branch, write};

/// An isolated lease.
pub(crate) struct Isolated {
    pub(crate) lease: Lease,
    /// Its private git folder.
    pub(crate) git: PathBuf,
    pub(crate) mounts: Vec<Mount>,
}

impl Isolated {
    /// Makes a worktree for a task and isolates it.
    pub(crate) async fn new(harness: &Harness, task: &str) -> Self {
        let lease = harness.create(task).await;
        Self::of(harness, lease).await
    }

    pub(crate) async fn of(harness: &Harness, lease: Lease) -> Self {
        let mounts = harness.worktrees.isolate(&lease).await.expect("what it has to see");
        Self { git: mounts[0].source.clone(), mounts, lease }
    }

    /// Runs git as the task does.
    pub(crate) fn git(&self, harness: &Harness, args: &[&str]) -> String {
        let output = self.try_git(harness, args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub(crate) fn try_git(&self, harness: &Harness, args: &[&str]) -> Output {
        let mut command = harness.repo.git_command(&self.lease.path);
        command.arg("--git-dir").arg(&self.git).arg("--work-tree").arg(&self.lease.path);
        command.args(args).output().expect("git can be started")
    }

    /// Writes a file and commits it; gives the commit.
    pub(crate) fn commit(&self, harness: &Harness, path: &str, text: &str) -> String {
        write(&self.lease, path, text);
        self.git(harness, &["add", "--", path]);
        self.git(harness, &["commit", "-q", "-m", &format!("Write {path}")]);
        self.git(harness, &["rev-parse", "HEAD"])
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.git.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub(crate) async fn import(&self, harness: &Harness) -> Result<(), WorktreeError> {
        harness.worktrees.import(&self.lease).await
    }

    /// The commit that the task's branch is at in the repository.
    pub(crate) fn tip(&self, harness: &Harness) -> String {
        harness.repo.git(&["rev-parse", branch(&self.lease)])
    }

    pub(crate) fn base(&self) -> &str {
        self.lease.base.as_ref().expect("a base").as_str()
    }

    /// Where what is not on its branch is kept.
    pub(crate) fn kept(&self, name: &str) -> String {
        format!("refs/gadugi/kept/{RUN}/{}/1/{name}", self.lease.attempt.task)
    }

    /// Checks that its private folder has nothing but what `isolate` has made.
    pub(crate) fn assert_nothing_begun(&self) {
        self.assert_nothing_begun_but_a_failed_import(false);
    }

    /// The same, but for the note that an import has not come to its end.
    pub(crate) fn assert_nothing_begun_but_a_failed_import(&self, failed: bool) {
        let place = self.git.parent().expect("a place");
        assert!(!place.join("quarantine").exists(), "a quarantine was left");
        assert!(failed || !place.join("importing").exists(), "an import is said to be under way");
    }
}

/// The state that no task may change: all that is the user's, and every reference but those that it is given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Untouched {
    users: Fingerprint,
    references: Vec<String>,
}

impl Untouched {
    pub(crate) fn of(harness: &Harness, lease: &Lease) -> Self {
        let own = [format!("refs/heads/{} ", branch(lease)), "refs/gadugi/kept/".to_owned()];
        let references = harness.repo.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let others = references.lines().filter(|line| !own.iter().any(|own| line.starts_with(own)));
        Self { users: harness.repo.fingerprint(), references: others.map(str::to_owned).collect() }
    }
}

/// References that keep what tasks have committed in isolation.
pub(crate) fn kept(harness: &Harness) -> Vec<String> {
    let list = harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/kept"]);
    list.lines().map(str::to_owned).collect()
}

/// The folder of all private git folders.
pub(crate) fn all_private(repository: &Path) -> PathBuf {
    repository.join(".git/gadugi/git")
}
