//! Deletion of released worktrees after the command has returned: this program once more, in the background.

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

use crate::site::Site;
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;

/// The first argument of a process that deletes; the state folder follows, and the folders with removed worktrees.
/// Its standard input is the lock.
const ARGUMENT: &str = "__sweep";

/// Niceness of the process that deletes. Disk schedulers with priorities go by it too.
const NICE: i32 = 10;

/// Deletes removed worktrees if this process was started for that, and then returns its exit code.
pub(crate) fn sweep_if_requested() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|first| first != ARGUMENT) {
        return None;
    }
    let state = args.next().map(PathBuf::from);
    let folders: Vec<PathBuf> = args.map(PathBuf::from).collect();
    // Deletion works as well without these.
    setsid().ok();
    nice(NICE).ok();
    let lock = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let swept = state.zip(lock.ok()).map(|(state, lock)| sweep_left(&state, &lock, &folders));
    // The next command reports what is left, and tries again.
    Some(if matches!(swept, Some(Ok(()))) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Site {
    /// Lets another process delete what this one has released and not deleted yet. Returns whether one was started.
    pub(crate) fn leave_deletion(&self, terminal: &Terminal) -> bool {
        let Some(worktrees) = self.worktrees.get() else { return false };
        let left = worktrees.leave_to_sweep().map_err(|error| error_chain(&error));
        let started = left.and_then(|left| match left {
            Some(left) => start(&self.state_folder(), left).map(|()| true).map_err(|error| error.to_string()),
            None => Ok(false),
        });
        started.unwrap_or_else(|why| {
            // What was removed lies beside the worktrees under a name that says so, and the next command deletes it.
            terminal.detail(&format!("what was removed is not deleted yet: {why}"));
            false
        })
    }

    /// Counts the removed folders that are not deleted yet. Returns also whether a process deletes them.
    pub(crate) fn left_to_delete(&self, worktrees: &Path) -> Result<(usize, bool), String> {
        left_to_sweep(&self.state_folder(), worktrees).map_err(|error| error_chain(&error))
    }
}

/// Starts the process that deletes.
fn start(state: &Path, left: LeftToSweep) -> io::Result<()> {
    let LeftToSweep { lock, folders } = left;
    let mut args: Vec<OsString> = vec![OsStr::new(ARGUMENT).to_owned(), state.into()];
    args.extend(folders.into_iter().map(PathBuf::into_os_string));
    // This process does not wait for it, and ends before it.
    let mut command = Command::new(Surroundings::this_program()?);
    // The name of this process, by which a program may decide what it is.
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

/// Files that are searched for one of another user.
const MAX_SEARCHED: usize = 10_000;

/// Returns a hint if files of another user are in the way, as left by a container whose commands run as root.
pub(crate) fn foreign_files(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    let path = chain.find_map(|error| match error.downcast_ref()? {
        GitError::Io { path, source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Some(path),
        _ => None,
    })?;
    let path = aside(path);
    let foreign = foreign_owner(path, geteuid().as_raw(), &mut { MAX_SEARCHED })?;
    Some(format!(
        "files in it belong to user {foreign}, as a container leaves them whose commands run as root: `sudo chown -R \"$(id -u)\" '{}'`, \
         then the same again; with `user = \"owner\"` in [docker] it does not come about",
        path.display()
    ))
}

/// The owner of the first file below a path that is not `own`; `None` also if it is not among the `left` files searched.
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
