//! The site of a command: the repository that the user stands in, and what Gadugi keeps in it. Beside `executors/` the only room
//! of this crate that names adapters.

mod activity;
mod background;
mod disk_space;
mod formats;
mod leftovers;
mod log;
mod merges;
mod registry;
mod reports;
mod runs;
mod stop_requests;
mod usage;
mod worktrees;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use gadugi_core::{BranchName, CommitId, error_chain};
use gadugi_registry::FsRegistry;
use gadugi_worktree::{BaseError, GitWorktrees, Head, OpenError, Repository};

use crate::config::Config;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::terminal::Announcer;

pub(crate) use self::activity::{ACTIVITY_INTERVAL, Activity, Question};
pub(crate) use self::background::{foreign_files, land_if_requested, sweep_if_requested};
pub(crate) use self::disk_space::DiskSpace;
pub(crate) use self::formats::{encode_event, output_formats};
pub(crate) use self::log::GrowingLog;
pub(crate) use self::merges::encode_merge_event;
pub(crate) use self::registry::AttemptFolder;
pub(crate) use self::runs::{FollowedRun, LoadedRun, is_suspended, process_name};
pub(crate) use self::usage::{PendingReport, usage, usage_text, with_report};
/// A run that no other process can start to drive.
pub(crate) use gadugi_registry::HeldRun;
/// Paths of the reports of a run.
pub(crate) use gadugi_registry::render::WrittenReports;
/// The work of an attempt, as git can show it.
pub(crate) use gadugi_worktree::{Preview, PreviewRequest, PreviewSource};

/// A repository and its registry.
pub(crate) struct Site {
    repository: Repository,
    registry: Arc<FsRegistry>,
    /// Announces what adapters do that takes long.
    pub(crate) announcer: Arc<Announcer>,
    /// The worktrees, once they were asked for.
    worktrees: OnceLock<GitWorktrees>,
}

/// The commit that branches start from, and the name that the user gave it.
pub(crate) struct Base {
    pub(crate) commit: CommitId,
    pub(crate) name: String,
}

impl Site {
    /// Finds the repository that the user stands in.
    pub(crate) fn open(surroundings: &Surroundings) -> Result<Self, Failure> {
        let repository = Repository::discover(&surroundings.folder).map_err(no_repository)?;
        let registry = Arc::new(FsRegistry::new(state_folder(&repository)));
        Ok(Self { repository, registry, announcer: Arc::default(), worktrees: OnceLock::new() })
    }

    /// The work tree that the user stands in.
    pub(crate) fn work_tree(&self) -> &Path {
        self.repository.work_tree()
    }

    /// The name of the repository's folder, the same in all of its work trees.
    pub(crate) fn name(&self) -> String {
        self.repository.name()
    }

    /// The git folder that all work trees share.
    pub(crate) fn git_folder(&self) -> &Path {
        self.repository.common_dir()
    }

    /// The folder of the registry.
    pub(crate) fn state_folder(&self) -> PathBuf {
        state_folder(&self.repository)
    }

    /// The command git, as the user calls it in a folder of the repository.
    pub(crate) fn git(&self, folder: &Path) -> Command {
        self.repository.git(folder)
    }

    /// Whether another process changes the worktrees of the repository at this moment.
    pub(crate) fn is_busy(&self) -> bool {
        let lock = gadugi_registry::open_regular(&self.state_folder().join("lock"), File::options().read(true));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The configuration file: `named` if given, else the repository's `gadugi.toml`.
    pub(crate) fn config_file(&self, named: Option<&Path>) -> PathBuf {
        named.map_or_else(|| self.repository.work_tree().join("gadugi.toml"), Path::to_owned)
    }

    /// Counts the files of the user's work tree that are changed or new and not committed.
    pub(crate) fn uncommitted(&self) -> Result<u64, String> {
        let uncommitted = self.repository.uncommitted().map_err(|error| error_chain(&error))?;
        Ok(uncommitted.changed + uncommitted.untracked)
    }

    /// The commit that the tasks start from.
    pub(crate) fn base(&self, config: &Config) -> Result<Base, Failure> {
        if config.base != "HEAD" {
            let commit = self.repository.resolve(&config.base).map_err(no_base)?;
            return Ok(Base { commit, name: config.base.clone() });
        }
        Ok(self.head())
    }

    /// The commit that the user's work tree is at.
    pub(crate) fn head(&self) -> Base {
        let commit = self.repository.head_commit().clone();
        let name = match self.repository.head() {
            Head::Branch(name) => name.clone(),
            Head::Detached => format!("detached HEAD at {}", commit.short()),
        };
        Base { commit, name }
    }

    /// The newest commit of a branch; `None` when there is no such branch.
    pub(crate) fn branch_tip(&self, name: &str) -> Result<Option<CommitId>, Failure> {
        // What is no name of a branch names none.
        let Ok(branch) = name.parse::<BranchName>() else { return Ok(None) };
        self.repository.branch_tip(&branch).map_err(|error| {
            Failure::environment(format!("the branch `{name}` cannot be read: {}", error_chain(&error)))
                .hint("`git fsck` checks the repository")
        })
    }

    /// The commit that a revision of git names.
    pub(crate) fn commit(&self, name: &str) -> Result<CommitId, Failure> {
        self.repository.resolve(name).map_err(|_| {
            Failure::usage(format!("there is no branch or commit `{name}`"))
                .hint("`git branch --all` and `git tag` list what there is")
        })
    }

    /// Whether a commit has all commits of another one.
    pub(crate) fn contains(&self, commit: &CommitId, other: &CommitId) -> Result<bool, Failure> {
        self.repository.contains(commit, other).map_err(|error| {
            Failure::environment(format!("the history of {} cannot be read: {}", commit.short(), error_chain(&error)))
                .hint("`git fsck` checks the repository")
        })
    }

    /// Checks that git can create the branches of tasks beside the existing ones.
    pub(crate) fn check_branches(&self, config: &Config) -> Result<(), Failure> {
        let prefix = config.branch_prefix.as_str();
        let existing = self
            .repository
            .branch_in_the_way(prefix)
            .map_err(|error| Failure::environment(format!("the branches cannot be read: {}", error_chain(&error))))?;
        let Some(existing) = existing else { return Ok(()) };
        let message = format!("the branch `{existing}` is in the way: git cannot have branches `{prefix}…` beside it");
        Err(Failure::environment(message).hint("rename it, or set another `branch_prefix` in gadugi.toml"))
    }
}

fn state_folder(repository: &Repository) -> PathBuf {
    repository.common_dir().join("gadugi")
}

fn no_repository(error: OpenError) -> Failure {
    let hint = match &error {
        OpenError::NotARepository { .. } => {
            "change to a git repository, name one with -C, or make one: git init".to_owned()
        }
        OpenError::Bare { worktree: Some(worktree), .. } => {
            format!("change to one of its work trees, or name one: -C {}", worktree.display())
        }
        // Beside a hidden repository (`project/.bare`), else beside the repository.
        OpenError::Bare { path, .. } => {
            format!("make a work tree of it: git -C {} worktree add ../work", path.display())
        }
        OpenError::NoCommits { .. } => {
            "tasks start from a commit: git commit --allow-empty -m 'first commit'".to_owned()
        }
        OpenError::RefFormat { .. } => {
            "convert it: git refs migrate --ref-format=files (git 2.46 or later, without linked \
            worktrees), or work in a clone: git clone --ref-format=files"
                .to_owned()
        }
        _ => "`git status` there says more".to_owned(),
    };
    Failure::environment(error_chain(&error)).hint(hint)
}

fn no_base(error: BaseError) -> Failure {
    Failure::usage(error.to_string()).hint("`git branch --all` and `git tag` list what there is")
}
