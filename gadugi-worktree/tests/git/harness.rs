//! A repository with worktrees to test on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::worktrees::{
    BranchFate, CreatedWorktree, NeededTip, Release, ReleaseRequest, SnapshotRequest, Work, WorktreeError,
    WorktreeRequest,
};
use gadugi_core::{AttemptNo, AttemptRef, CommitId, Lease, Worktrees};
use gadugi_test_support::repo::TestRepo;
use gadugi_worktree::{ConfigSources, GitWorktrees, Repository, WorktreeSettings};

pub(crate) const RUN: &str = "20261122-083355-k7q";

pub(crate) const KEEP: ReleaseRequest = ReleaseRequest { branch: BranchFate::Keep, discard: false, dry_run: false };
pub(crate) const DELETE: ReleaseRequest =
    ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: false, dry_run: false };
pub(crate) const DISCARD: ReleaseRequest =
    ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: true, dry_run: false };

pub(crate) struct Harness {
    pub(crate) repo: TestRepo,
    pub(crate) worktrees: GitWorktrees,
}

impl Harness {
    /// A repository with two files and one commit.
    pub(crate) fn new() -> Self {
        let repo = TestRepo::new();
        repo.write("src/lib.rs", "pub fn one() {}\n");
        repo.write(".gitignore", "target/\n*.log\n");
        repo.git(&["add", "."]);
        repo.git(&["commit", "-q", "-m", "Begin"]);
        Self::on(repo)
    }

    pub(crate) fn on(repo: TestRepo) -> Self {
        let worktrees = worktrees_of(repo.path());
        Self { repo, worktrees }
    }

    pub(crate) async fn create(&self, task: &str) -> Lease {
        self.try_create(request(task)).await.expect("a worktree")
    }

    pub(crate) async fn try_create(&self, request: WorktreeRequest) -> Result<Lease, WorktreeError> {
        self.make(request).await.map(|made| made.lease)
    }

    pub(crate) async fn make(&self, request: WorktreeRequest) -> Result<CreatedWorktree, WorktreeError> {
        self.worktrees.create(vec![request]).await.pop().expect("an answer for each request")
    }

    pub(crate) async fn commit(&self, lease: &Lease) -> Work {
        self.worktrees
            .snapshot(lease, SnapshotRequest { commit: true, subject: None, since: None })
            .await
            .expect("a snapshot")
    }

    pub(crate) async fn count(&self, lease: &Lease) -> Work {
        self.worktrees
            .snapshot(lease, SnapshotRequest { commit: false, subject: None, since: None })
            .await
            .expect("a count")
    }

    /// Releases a worktree, and waits until it is deleted.
    pub(crate) async fn release(&self, lease: &Lease, request: ReleaseRequest) -> Release {
        let release = self.worktrees.release(lease, request).await.expect("a release");
        self.worktrees.swept().await.expect("it is deleted");
        release
    }

    /// Runs git in a worktree.
    pub(crate) fn git(&self, lease: &Lease, args: &[&str]) -> String {
        self.repo.git_in(&lease.path, args)
    }

    /// Makes a worktree for a task, commits a file in it, and gives what another task would need of it.
    pub(crate) async fn done(&self, task: &str, path: &str, text: &str) -> (Lease, NeededTip) {
        let lease = self.create(task).await;
        write(&lease, path, text);
        let work = self.commit(&lease).await;
        let tip = work.tip.expect("a tip");
        (lease.clone(), NeededTip { task: lease.attempt.task, tip })
    }

    /// Checks that git finds nothing to complain about.
    pub(crate) fn assert_sound(&self) {
        let fsck = self.repo.try_git_in(self.repo.path(), &["fsck", "--strict", "--no-dangling"]);
        let complaints = [fsck.stdout, fsck.stderr].concat();
        assert!(fsck.status.success() && complaints.is_empty(), "{}", String::from_utf8_lossy(&complaints));
        let prunable = self.repo.git(&["worktree", "prune", "-n", "-v"]);
        assert_eq!(prunable, "");
    }

    /// The folders in git's list of worktrees, without the main one.
    pub(crate) fn listed(&self) -> Vec<PathBuf> {
        let list = self.repo.git(&["worktree", "list", "--porcelain"]);
        let folders = list.lines().filter_map(|line| line.strip_prefix("worktree "));
        folders.skip(1).map(PathBuf::from).collect()
    }

    pub(crate) fn branches(&self) -> Vec<String> {
        let list = self.repo.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
        list.lines().map(str::to_owned).collect()
    }

    /// The folder that worktrees lie in.
    pub(crate) fn folder(&self) -> PathBuf {
        let name = self.repo.path().file_name().expect("a name").to_string_lossy().into_owned();
        self.repo.path().with_file_name(format!("{name}.gadugi"))
    }
}

pub(crate) fn discover(dir: &Path) -> Repository {
    Repository::discover_with(dir, ConfigSources::RepositoryOnly).expect("a repository")
}

pub(crate) fn worktrees_of(dir: &Path) -> GitWorktrees {
    GitWorktrees::new(settings_of(dir)).expect("a valid prefix")
}

/// The same, with a time limit for each step.
pub(crate) fn worktrees_within(dir: &Path, limit: Duration) -> GitWorktrees {
    worktrees_with(dir, |settings| settings.limit = Some(limit))
}

/// The same, with changed settings.
pub(crate) fn worktrees_with(dir: &Path, change: impl FnOnce(&mut WorktreeSettings)) -> GitWorktrees {
    let mut settings = settings_of(dir);
    change(&mut settings);
    GitWorktrees::new(settings).expect("a valid prefix")
}

fn settings_of(dir: &Path) -> WorktreeSettings {
    let repository = discover(dir);
    let (base, folder) = (repository.head_commit().clone(), repository.default_worktrees_folder());
    WorktreeSettings::new(repository, base, folder)
}

pub(crate) fn request(task: &str) -> WorktreeRequest {
    WorktreeRequest {
        run: RUN.parse().expect("a run id"),
        attempt: AttemptRef { task: task.parse().expect("a task id"), number: AttemptNo::FIRST },
        base: None,
        needs: Vec::new(),
        from: None,
        reuse: None,
    }
}

/// Asks for the place of an attempt, for the next one at its task.
pub(crate) fn next_in(lease: &Lease) -> WorktreeRequest {
    let attempt = AttemptRef { number: lease.attempt.number.next(), ..lease.attempt.clone() };
    WorktreeRequest { attempt, reuse: Some(lease.clone()), ..request(lease.attempt.task.as_str()) }
}

pub(crate) fn write(lease: &Lease, path: &str, text: impl AsRef<[u8]>) {
    let path = lease.path.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

pub(crate) fn branch(lease: &Lease) -> &str {
    lease.branch.as_ref().expect("a branch").as_str()
}

pub(crate) fn commit_id(text: &str) -> CommitId {
    text.parse().expect("a commit id")
}

/// An error with all its sources, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text += ": ";
        text += &source.to_string();
        next = source.source();
    }
    text
}
