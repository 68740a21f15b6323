//! The repository that a run works in: found as git finds it, with its state at that moment.

pub(crate) mod branch;
pub(crate) mod disk_usage;
pub(crate) mod filters;
pub(crate) mod gc_guard;
pub(crate) mod git_command;
pub(crate) mod ids;
pub(crate) mod lock;
pub(crate) mod lock_file;
pub(crate) mod open;
pub(crate) mod refs;
pub(crate) mod synced;
pub(crate) mod valid_path;
pub(crate) mod worktrees_folder;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gadugi_core::{BranchName, CommitId};
use gix::bstr::ByteSlice;
use thiserror::Error;

use crate::error::GitError;
use crate::repo::ids::{to_commit, to_object};
use crate::repo::open::{ConfigSources, Opener};

/// Why there is no repository to work in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Neither the folder nor one above it is a git repository.
    #[error("{} is not in a git repository", .dir.display())]
    NotARepository {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The folder cannot be read.
    #[error("cannot read the folder {}", .dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a bare repository, and the folder is not in one of its worktrees.
    #[error("{} is a bare repository, without a work tree", .path.display())]
    Bare {
        /// The repository.
        path: PathBuf,
        /// One of its worktrees, if there is any.
        worktree: Option<PathBuf>,
    },
    /// There is nothing to start from.
    #[error("{} has no commits yet", .path.display())]
    NoCommits {
        /// The work tree.
        path: PathBuf,
    },
    /// It belongs to another user, and git refuses to work in it too.
    #[error(
        "{} belongs to another user; `git config --global --add safe.directory {}` makes git trust it",
        .path.display(), .path.display()
    )]
    NotTrusted {
        /// The work tree.
        path: PathBuf,
    },
    /// It keeps its references in a format that cannot be read here.
    #[error("{} keeps its references in the format `{format}`, which is not supported", .path.display())]
    RefFormat {
        /// The repository.
        path: PathBuf,
        /// The value of `extensions.refStorage`.
        format: String,
    },
    /// It is a repository, and cannot be opened.
    #[error("cannot open the repository of {}", .dir.display())]
    Open {
        /// Where it was looked for.
        dir: PathBuf,
        /// Why.
        #[source]
        source: GitError,
    },
}

/// The reason why a base gives no commit.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BaseError {
    /// There is nothing of this name, or it is ambiguous.
    #[error("the base `{asked}` does not exist; name a branch, a tag or a commit that `git log {asked}` knows")]
    Missing {
        /// The base, as given.
        asked: String,
        /// The error of the search.
        #[source]
        source: GitError,
    },
    /// It names a file or a folder.
    #[error("the base `{asked}` is no commit; name a branch, a tag or a commit")]
    NotACommit {
        /// The base, as given.
        asked: String,
        /// The object that was found instead.
        #[source]
        source: GitError,
    },
}

/// The position of the work tree's `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// On this branch.
    Branch(String),
    /// On a commit, without a branch.
    Detached,
}

/// The hash of the repository's object ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectFormat {
    /// 40 digits.
    Sha1,
    /// 64 digits.
    Sha256,
}

impl fmt::Display for ObjectFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        })
    }
}

/// A repository with a work tree and at least one commit. Plain data; every operation opens it anew.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) opener: Opener,
    pub(crate) durable: Arc<synced::Known>,
    work_tree: PathBuf,
    root: PathBuf,
    common_dir: PathBuf,
    head: Head,
    head_commit: CommitId,
    object_format: ObjectFormat,
}

impl Repository {
    /// Finds the repository of a folder, which may be a subfolder, or lie in a linked worktree.
    ///
    /// # Errors
    /// A variant of [`OpenError`] for each reason why a run cannot work there.
    pub fn discover(dir: &Path) -> Result<Self, OpenError> {
        Self::discover_with(dir, ConfigSources::All)
    }

    /// As [`Repository::discover`], with a choice of the git configuration that counts, now and in
    /// everything that is done in the repository later.
    ///
    /// # Errors
    /// As [`Repository::discover`].
    pub fn discover_with(dir: &Path, sources: ConfigSources) -> Result<Self, OpenError> {
        let opener = Opener { sources, ..Opener::default() };
        let dir = dir.canonicalize().map_err(|source| OpenError::Folder { dir: dir.to_owned(), source })?;
        let open_error = |source: GitError| OpenError::Open { dir: dir.clone(), source };
        let trust = gix::sec::trust::Mapping { full: opener.options(&[]), reduced: opener.options(&[]) };
        let found = gix::ThreadSafeRepository::discover_opts(&dir, Default::default(), trust);
        let repo = match found {
            Ok(repo) => repo.to_thread_local(),
            Err(error) if error.downcast_any_ref::<gix::discover::upwards::Error>().is_some() => {
                // The repository of a folder that holds nothing else than its worktrees.
                let hidden = dir.join(".bare");
                return match hidden.is_dir() {
                    true => Self::discover_with(&hidden, sources),
                    false => Err(OpenError::NotARepository { dir }),
                };
            }
            Err(error) => return Err(open_error(error.into())),
        };
        let common_dir = repo.common_dir().canonicalize().map_err(GitError::io("find", repo.common_dir()));
        let common_dir = common_dir.map_err(open_error)?;
        if let Some(format) = repo.config_snapshot().string("extensions.refStorage")
            && format != "files"
        {
            return Err(OpenError::RefFormat { path: common_dir, format: format.to_string() });
        }
        let Some(work_tree) = repo.workdir() else {
            return Err(OpenError::Bare { worktree: first_worktree(&repo), path: common_dir });
        };
        let work_tree = work_tree.canonicalize().map_err(GitError::io("find", work_tree)).map_err(open_error)?;
        if repo.git_dir_trust() != gix::sec::Trust::Full {
            return Err(OpenError::NotTrusted { path: work_tree });
        }
        let mut head = repo.head().map_err(|error| open_error(error.into()))?;
        if head.is_unborn() {
            return Err(OpenError::NoCommits { path: work_tree });
        }
        let name = head.referent_name().map(|name| name.shorten().to_str_lossy().into_owned());
        let commit = head.peel_to_commit().map_err(|error| open_error(error.into()))?;
        let object_format = match repo.object_hash() {
            gix::hash::Kind::Sha256 => ObjectFormat::Sha256,
            _ => ObjectFormat::Sha1,
        };
        let root = root(&repo, &common_dir).map_err(open_error)?;
        Ok(Self {
            opener,
            durable: Arc::default(),
            root,
            head: name.map_or(Head::Detached, Head::Branch),
            head_commit: to_commit(commit.id),
            object_format,
            work_tree,
            common_dir,
        })
    }

    /// The work tree that the folder lay in; a linked one, if it lay in one.
    #[must_use]
    pub fn work_tree(&self) -> &Path {
        &self.work_tree
    }

    /// The folder of the repository as a whole: its main work tree or, where it has none, its git folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of git's own files, which all worktrees share.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The name of the repository's folder, without `.git` at its end.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.strip_suffix(".git").filter(|name| !name.is_empty()).map_or(name.clone(), str::to_owned)
    }

    /// The position of the work tree's `HEAD` when the repository was found.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The commit that `HEAD` of the work tree pointed to when the repository was found.
    #[must_use]
    pub fn head_commit(&self) -> &CommitId {
        &self.head_commit
    }

    /// The hash of the repository's object ids.
    #[must_use]
    pub fn object_format(&self) -> ObjectFormat {
        self.object_format
    }

    /// Finds the commit that a branch, tag, id or any other revision of git names, as git does in the work tree.
    ///
    /// # Errors
    /// [`BaseError`] when there is none.
    pub fn resolve(&self, base: &str) -> Result<CommitId, BaseError> {
        let missing = |source| BaseError::Missing { asked: base.to_owned(), source };
        let repo = self.opener.open(&self.work_tree).map_err(missing)?;
        let object = repo.rev_parse_single(base).and_then(|id| id.object());
        let object = object.map_err(|error| missing(error.into()))?;
        let commit = object.peel_to_commit();
        let commit = commit.map_err(|error| BaseError::NotACommit { asked: base.to_owned(), source: error.into() })?;
        Ok(to_commit(commit.id))
    }

    /// The branch that keeps git from having others whose names begin with this prefix, since it keeps `a` and `a/b` at one path.
    ///
    /// # Errors
    /// [`GitError`] when the branches cannot be read.
    pub fn branch_in_the_way(&self, prefix: &str) -> Result<Option<String>, GitError> {
        branch::in_the_way(&self.open(&[])?, prefix)
    }

    /// The newest commit of a branch; `None` when it does not exist.
    ///
    /// # Errors
    /// [`GitError`] when it cannot be read.
    pub fn branch_tip(&self, branch: &BranchName) -> Result<Option<CommitId>, GitError> {
        Ok(branch::tip(&self.open(&[])?, branch)?.map(to_commit))
    }

    /// The command git as the user calls it in a folder of the repository: with all of the user's configuration, and without
    /// variables that name another repository.
    #[must_use]
    pub fn git(&self, folder: &Path) -> Command {
        git_command::of_user(folder)
    }

    /// The commit that a branch is at; `None` where there is no such branch.
    ///
    /// # Errors
    /// [`GitError`] when it cannot be read.
    pub fn tip(&self, branch: &BranchName) -> Result<Option<CommitId>, GitError> {
        Ok(branch::tip(&self.open(&[])?, branch)?.map(to_commit))
    }

    /// Whether a commit exists.
    ///
    /// # Errors
    /// [`GitError`] when the repository cannot be opened.
    pub fn has_commit(&self, commit: &CommitId) -> Result<bool, GitError> {
        Ok(self.open(&[])?.has_object(to_object(commit)))
    }

    /// Opens the repository by the work tree that it was found from, which may be gone.
    pub(crate) fn open_work_tree(&self) -> Result<gix::Repository, GitError> {
        self.opener.open(&self.work_tree)
    }

    /// Opens the repository by the files that all its worktrees share: the folder that it was found from may be a
    /// worktree that is removed later. `HEAD` is that of the main worktree.
    pub(crate) fn open(&self, overrides: &[&str]) -> Result<gix::Repository, GitError> {
        self.opener.open_git_dir(&self.common_dir, overrides)
    }
}

/// A worktree that is there.
fn first_worktree(repo: &gix::Repository) -> Option<PathBuf> {
    let mut worktrees = repo.worktrees().ok()?.into_iter();
    worktrees.find_map(|worktree| worktree.base().ok().filter(|base| base.is_dir()))
}

/// The main work tree, or else the folder that stands for the repository: a bare one itself, and the parent
/// of a hidden one (`project/.bare`, with worktrees beside it).
fn root(repo: &gix::Repository, common_dir: &Path) -> Result<PathBuf, GitError> {
    let main = repo.main_repo()?;
    if let Some(root) = main.workdir() {
        return root.canonicalize().map_err(GitError::io("find", root));
    }
    let hidden = common_dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    Ok(common_dir.parent().filter(|_| hidden).unwrap_or(common_dir).to_owned())
}

/// Whether git fetches objects only when they are needed.
pub(crate) fn is_partial(repo: &gix::Repository) -> bool {
    let config = repo.config_snapshot();
    let mut remotes = config.plumbing().sections_by_name("remote").into_iter().flatten();
    config.string("extensions.partialClone").is_some()
        || remotes.any(|section| {
            section
                .value("promisor")
                .is_some_and(|value| gix::config::Boolean::try_from(value.as_bstr()).map_or(true, |value| value.0))
        })
}
