//! The command git, for what gix does not do as git does.

use std::path::Path;
use std::process::Command;

use gadugi_core::BranchName;
use gix::ObjectId;

use crate::error::GitError;
use crate::repo::lock::RepositoryLock;
use crate::repo::open::ConfigSources;
use crate::threads::cancel::Awaited;
use crate::threads::guarded;

/// The content of `locked` while a worktree is being made, as written by git and gix.
pub(crate) const IN_THE_MAKING: &str = "initializing";

/// Variables that tell git another repository, index or object store than that of the folder it runs in; see
/// `git rev-parse --local-env-vars`.
const OF_ANOTHER_REPOSITORY: [&str; 13] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// The command git with no other repository from its environment, and with the configuration of these sources only. It is
/// found, and finds its own parts, through the `PATH` of this process.
pub(crate) fn git(sources: ConfigSources) -> Command {
    let mut command = Command::new("git");
    for name in OF_ANOTHER_REPOSITORY {
        command.env_remove(name);
    }
    if sources == ConfigSources::RepositoryOnly {
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env_remove("GIT_CONFIG_COUNT").env_remove("GIT_CONFIG_PARAMETERS");
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command
}

/// The command git as its user calls it in a folder, with the user's configuration, language and questions.
pub(crate) fn of_user(folder: &Path) -> Command {
    let mut command = Command::new("git");
    for name in OF_ANOTHER_REPOSITORY {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

/// The command git in the repository with this common git folder.
pub(crate) fn in_repository(sources: ConfigSources, common_dir: &Path) -> Command {
    let mut command = git(sources);
    // The folder that this process is in may be gone. Named so, git does not ask again whose repository it is: a user who
    // trusts its work tree would have to name the folder of its files too.
    command.current_dir(common_dir).arg("--git-dir").arg(common_dir);
    command
}

/// A worktree to be made by git.
pub(crate) struct NewWorktree<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) branch: &'a BranchName,
    /// The commit that the branch starts from.
    pub(crate) start: ObjectId,
}

/// Runs `git worktree add` with a new branch until the waiter gives up; `git` knows the repository. Blocks. When it fails, part
/// of the worktree may be there. The worktree stays locked as one in the making, also after its hooks have run. Git is killed
/// with this process, and holds the lock until then.
pub(crate) fn add_worktree(
    lock: &RepositoryLock,
    mut git: Command,
    new: NewWorktree<'_>,
    awaited: &Awaited,
) -> Result<(), GitError> {
    let NewWorktree { folder, branch, start } = new;
    git.stdin(lock.share()?)
        .args(["worktree", "add", "-q", "--no-track", "--lock", "--reason", IN_THE_MAKING])
        .args(["-b", branch.as_str(), "--"])
        .arg(folder)
        .arg(start.to_string());
    let (status, stderr) = guarded::run(git, awaited)?;
    if status.success() { Ok(()) } else { Err(GitError::Command { status, stderr }) }
}
