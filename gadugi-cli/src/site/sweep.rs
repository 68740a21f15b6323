//! Deleting what was given back after the command has returned: this program, once more, in the background.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use gadugi_core::error_chain;
use gadugi_worktree::{GitError, LeftToSweep, left_to_sweep, sweep_left};
use rustix::process::{geteuid, nice, setsid};

use super::Site;
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;

/// The first argument of a program that is to delete; the state folder follows, and the folders in which something was put
/// aside. Its standard input is the lock.
const ARGUMENT: &str = "__sweep";

/// How much it steps back behind others. The disk schedulers that know priorities go by it too.
const NICE: i32 = 10;

/// Makes this process the one that deletes, if it was started for that; gives its exit code when it is done.
pub(crate) fn sweep_if_requested() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|first| first != ARGUMENT) {
        return None;
    }
    let state = args.next().map(PathBuf::from);
    let folders: Vec<PathBuf> = args.map(PathBuf::from).collect();
    // It does as well where it is not allowed to be so considerate.
    setsid().ok();
    nice(NICE).ok();
    let lock = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let swept = state.zip(lock.ok()).map(|(state, lock)| sweep_left(&state, &lock, &folders));
    // What is left, the next command says and tries again.
    Some(if matches!(swept, Some(Ok(()))) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Site {
    /// Lets another process delete what this one has given back and not deleted yet. Says whether there is one.
    pub(crate) fn leave_deletion(&self, terminal: &Terminal) -> bool {
        let Some(worktrees) = self.worktrees.get() else { return false };
        let left = worktrees.leave_to_sweep().map_err(|error| error_chain(&error));
        let started = left.and_then(|left| match left {
            Some(left) => start(&self.state_folder(), left).map(|()| true).map_err(|error| error.to_string()),
            None => Ok(false),
        });
        started.unwrap_or_else(|why| {
            // It lies beside the worktrees under a name that says so, and the next command deletes it.
            terminal.detail(&format!("what was removed is not deleted yet: {why}"));
            false
        })
    }

    /// How many removed folders are not deleted yet, and whether a process is at it.
    pub(crate) fn left_to_delete(&self, worktrees: &Path) -> Result<(usize, bool), String> {
        left_to_sweep(&self.state_folder(), worktrees).map_err(|error| error_chain(&error))
    }
}

fn start(state: &Path, left: LeftToSweep) -> io::Result<()> {
    let LeftToSweep { lock, folders } = left;
    let mut args: Vec<OsString> = vec![OsStr::new(ARGUMENT).to_owned(), state.into()];
    args.extend(folders.into_iter().map(PathBuf::into_os_string));
    // It is nobody's child when this process has ended, which waits for nothing more.
    let mut command = Command::new(Surroundings::this_program()?);
    // As this one: a program may tell by its name what it is.
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command
        .args(args)
        .env_clear()
        .current_dir("/")
        .stdin(lock)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

/// How many files are looked at in search of one of another user.
const LOOKED_AT: usize = 10_000;

/// What helps where files of another user are in the way, as a container leaves them whose commands run as root.
pub(crate) fn foreign_files(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    let path = chain.find_map(|error| match error.downcast_ref()? {
        GitError::Io { path, source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Some(path),
        _ => None,
    })?;
    let path = aside(path);
    let foreign = foreign_owner(path, geteuid().as_raw(), &mut { LOOKED_AT })?;
    Some(format!(
        "files in it belong to user {foreign}, as a container leaves them whose commands run as root: `sudo chown -R \"$(id -u)\" '{}'`, \
         then the same again; with `user = \"owner\"` in [docker] it does not come about",
        path.display()
    ))
}

/// The user of the first file below a path that is not this one's; `None` also where that is not found in a while.
fn foreign_owner(path: &Path, own: u32, left: &mut usize) -> Option<u32> {
    *left = left.checked_sub(1)?;
    let metadata = path.symlink_metadata().ok()?;
    if metadata.uid() != own {
        return Some(metadata.uid());
    }
    let entries = metadata.is_dir().then(|| path.read_dir().ok()).flatten()?;
    entries.flatten().find_map(|entry| foreign_owner(&entry.path(), own, left))
}

/// The removed folder that a path lies in, else the path itself.
fn aside(path: &Path) -> &Path {
    let is_aside =
        |path: &&Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".gadugi-removed-"));
    path.ancestors().find(is_aside).unwrap_or(path)
}
