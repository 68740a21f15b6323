//! One work tree whose files and index follow a branch.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::{BranchName, crash_point};
use gix::ObjectId;

use super::checkouts::Checkout;
use super::git::{Git, failed};
use super::plan::{Commits, Plan};
use super::record::{Acting, Place};
use super::settle::{Side, Unsettled};
use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;
use crate::repo::Repository;
use crate::repo::lock_file::{LockFile, NotTaken};
use crate::repo::{branch, refs};

/// Time that another git gets to release the index.
const INDEX_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// What all work trees of a landing have in common.
pub(super) struct Landing<'a> {
    pub(super) repository: &'a Repository,
    pub(super) repo: gix::Repository,
    pub(super) place: Place,
    pub(super) branch: BranchName,
    pub(super) commits: Commits,
    pub(super) log_message: String,
    /// The lock of landings.
    pub(super) lock: File,
}

impl Landing<'_> {
    pub(super) fn git<'b>(&'b self, checkout: &'b Checkout, index: &'b Path) -> Git<'b> {
        Git { sources: self.repository.opener.sources, checkout, index, lock: &self.lock }
    }

    pub(super) fn tip(&self) -> Result<Option<ObjectId>, GitError> {
        branch::tip(&self.repo, &self.branch)
    }

    /// Takes the lock of the index of a work tree; `None` while another git holds it.
    pub(super) fn lock_index(&self, checkout: &Checkout) -> Result<Result<LockFile, PathBuf>, GitError> {
        let lock =
            LockFile::acquire(&real(self.repository.common_dir()), &checkout.git_dir.join("index"), INDEX_LOCK_TIMEOUT);
        match lock {
            Ok(lock) => Ok(Ok(lock)),
            Err(NotTaken::Held { lock }) => Ok(Err(lock)),
            Err(NotTaken::Failed(error)) => Err(error),
        }
    }

    /// Notes in the log of `HEAD` of a work tree that the branch has moved, as git does. Once is enough.
    pub(super) fn log_head(&self, checkout: &Checkout) -> Result<(), GitError> {
        let log = checkout.git_dir.join("logs").join("HEAD");
        let Some(known) = refs::read_log(&log)? else { return Ok(()) };
        let line = refs::log_line(&self.repo, Some(self.commits.old), self.commits.new, &self.log_message)?;
        let ends = format!("{} {} ", self.commits.old, self.commits.new);
        let last = known.strip_suffix(b"\n").unwrap_or(&known).rsplit(|byte| *byte == b'\n').next();
        if last.is_some_and(|last| last.starts_with(ends.as_bytes())) {
            return Ok(());
        }
        let failed = GitError::io("write", &log);
        ordinary::append_to(&log).and_then(|mut file| io::Write::write_all(&mut file, &line)).map_err(failed)
    }
}

/// The reason why a work tree cannot follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) worktree: PathBuf,
    pub(super) reason: String,
    pub(super) files: Vec<String>,
}

/// A work tree that is about to follow. Its index is locked until this is dropped.
pub(super) struct Follower {
    pub(super) checkout: Checkout,
    /// The index apart, which becomes the index.
    index: PathBuf,
    hash: ObjectId,
    plan: Plan,
    lock: LockFile,
}

impl Follower {
    /// Locks the index, and finds out whether the work tree can follow. Nothing in it changes.
    pub(super) fn prepare(
        landing: &Landing<'_>,
        number: usize,
        checkout: &Checkout,
    ) -> Result<Result<Self, Refusal>, GitError> {
        let refuse = |reason: String, files| Refusal { worktree: checkout.folder.clone(), reason, files };
        let lock = match landing.lock_index(checkout)? {
            Ok(lock) => lock,
            Err(lock) => {
                let reason = format!(
                    "git works there, or was killed there: {} exists; if no git runs, remove it",
                    lock.display()
                );
                return Ok(Err(refuse(reason, Vec::new())));
            }
        };
        // Between the search for it and the lock the user may have left the branch, or begun something.
        if !checkout.is_on(&landing.branch) {
            return Ok(Err(refuse(format!("it is just leaving `{}`; try again", landing.branch), Vec::new())));
        }
        if let Some(obstacle) = checkout.obstacle(&landing.branch) {
            return Ok(Err(refuse(obstacle, Vec::new())));
        }
        let index = landing.place.index(number);
        let content = read_index(&checkout.git_dir)?;
        ordinary::write(&index, &content).map_err(GitError::io("write", &index))?;
        if content.is_empty() {
            // Git takes an empty file for a damaged index.
            fs::remove_file(&index).map_err(GitError::io("remove", &index))?;
        }
        let git = landing.git(checkout, &index);
        git.refresh()?;
        let plan = Plan::new(&landing.repo, &git, landing.commits, &landing.place)?;
        let in_the_way = plan.in_the_way(&git)?;
        if !in_the_way.is_empty() {
            let files = in_the_way.iter().map(ToString::to_string).collect();
            let reason = "files that git does not track there would be overwritten".to_owned();
            return Ok(Err(refuse(reason, files)));
        }
        let hash = hash(&content)?;
        Ok(Ok(Self { checkout: checkout.clone(), index, hash, plan, lock }))
    }

    /// What is to be remembered before anything changes.
    pub(super) fn acting(&self) -> Acting {
        Acting {
            folder: self.checkout.folder.clone(),
            git_dir: self.checkout.git_dir.clone(),
            index: self.hash,
            kept: self.plan.kept.clone(),
            missing: self.plan.missing.clone(),
        }
    }

    /// Lets the files and the index apart follow, or refuses and changes nothing.
    ///
    /// # Errors
    /// [`GitError`] when it has failed half-way; [`undo`](Self::undo) mends that.
    pub(super) fn update(&self, landing: &Landing<'_>) -> Result<Result<(), Refusal>, GitError> {
        let git = landing.git(&self.checkout, &self.index);
        let (old, new) = (landing.commits.old.to_string(), landing.commits.new.to_string());
        let args = ["read-tree", "-m", "-u", "--no-recurse-submodules", &old, &new];
        let ended = git.change(&args, &[])?;
        if ended.status.success() {
            return Ok(Ok(()));
        }
        if !self.plan.is_unchanged(&self.checkout.folder)? {
            return Err(failed(&args, ended.status, ended.stderr));
        }
        // It checks everything before it changes anything.
        let files: Vec<_> = self.plan.changed_by_user(&git, landing.commits)?;
        let said = ended.stderr.lines().map(|line| line.trim_start_matches("error: ").trim());
        let said = said.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        let reason = match files.is_empty() {
            true => said,
            false => "changes there that are not committed would be overwritten".to_owned(),
        };
        let files = files.iter().map(ToString::to_string).collect();
        Ok(Err(Refusal { worktree: self.checkout.folder.clone(), reason, files }))
    }

    /// Brings the files back to where they were. The index was not touched.
    pub(super) fn undo(&self, landing: &Landing<'_>) -> Result<(), GitError> {
        let index = self.checkout.git_dir.join("index");
        let git = landing.git(&self.checkout, &index);
        let unsettled = Unsettled { git: &git, place: &landing.place, changes: &self.plan.changes };
        unsettled.settle(Side::Before, &self.plan.missing)
    }

    /// Puts the index in place, once the branch has moved. Returns whether the work tree has followed: one that has left the
    /// branch meanwhile gets its files back.
    pub(super) fn finish(&self, landing: &Landing<'_>) -> Result<bool, GitError> {
        if !self.checkout.is_on(&landing.branch) || landing.tip()? != Some(landing.commits.new) {
            self.undo(landing)?;
            return Ok(false);
        }
        landing.log_head(&self.checkout)?;
        crash_point("landing-head-logged");
        let content = ordinary::read(&self.index).map_err(GitError::io("read", &self.index))?;
        self.lock.replace(&content)?;
        crash_point("landing-index-written");
        Ok(true)
    }
}

/// The content of an index; empty where there is none.
pub(super) fn read_index(git_dir: &Path) -> Result<Vec<u8>, GitError> {
    let path = git_dir.join("index");
    match ordinary::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(GitError::io("read", &path)),
    }
}

pub(super) fn hash(content: &[u8]) -> Result<ObjectId, GitError> {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(content);
    Ok(hasher.try_finalize().map_err(gix::Error::from_error)?)
}
