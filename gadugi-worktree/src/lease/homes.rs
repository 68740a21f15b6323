//! Home folders that agents keep from one attempt at their task to the next where they see nothing else of the machine.
//!
//! They lie in `<state>/homes`, one for each task, named by run and task. The folder is closed to other users, so that they
//! cannot run a program from it, whatever its rights. Files that a task has put into its home are counted and deleted, and
//! never opened: links are not followed, and no pipe is waited for.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};

use gadugi_core::worktrees::AgentHome;
use gadugi_core::{RunId, TaskId, crash_point};

use crate::error::GitError;
use crate::files::rename_aside;
use crate::repo::disk_usage::Footprint;

/// Length of a run's id.
const RUN_ID_LENGTH: usize = 19;

/// The folder of a repository's homes.
pub(crate) fn root(state: &Path) -> PathBuf {
    state.join("homes")
}

fn folder(state: &Path, run: &RunId, task: &TaskId) -> PathBuf {
    root(state).join(format!("{run}-{task}"))
}

/// Finds the home of a task, or makes it.
pub(crate) fn find_or_make(state: &Path, run: &RunId, task: &TaskId) -> Result<AgentHome, GitError> {
    let path = folder(state, run, task);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let made = create(&root(state), true).and_then(|()| create(&path, false));
        match made {
            Ok(()) => {
                crash_point("home-made");
                return Ok(AgentHome { path, is_new: true });
            }
            // Somebody has removed the folder above meanwhile, which was empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < 3 => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => break,
            Err(error) => return Err(GitError::io("create", &path)(error)),
        }
    }
    // One that cannot be looked into is not empty.
    let is_new = fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
    Ok(AgentHome { path, is_new })
}

/// Gives the home of a task in an earlier run to the same task of another run, unless that has one.
pub(crate) fn adopt(state: &Path, earlier: &RunId, run: &RunId, task: &TaskId) -> Result<(), GitError> {
    let (from, to) = (folder(state, earlier, task), folder(state, run, task));
    if to.symlink_metadata().is_ok() {
        return Ok(());
    }
    match fs::rename(&from, &to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => {
            renamed.map_err(GitError::io("rename", &from))?;
            crash_point("home-adopted");
            Ok(())
        }
    }
}

/// Makes a folder that is closed to other users.
fn create(folder: &Path, with_those_above: bool) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(with_those_above).create(folder)
}

/// Whether the home of a task is larger than `most`. The task must not run.
pub(crate) fn is_larger(state: &Path, run: &RunId, task: &TaskId, most: Footprint) -> bool {
    let (mut size, mut open) = (Footprint::default(), vec![folder(state, run, task)]);
    while let Some(folder) = open.pop() {
        // What cannot be looked into counts for nothing: it is bounded by the disk alone.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            // Not of what a link leads to.
            let Ok(metadata) = entry.metadata() else { continue };
            size = size + Footprint { bytes: bytes(&metadata), inodes: 1 };
            if size.bytes > most.bytes || size.inodes > most.inodes {
                return true;
            }
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    false
}

/// The bytes that a file takes on the disk, whatever its size.
fn bytes(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512)
}

/// Puts the home of a task aside, to be deleted. Returns whether there was one.
pub(crate) fn put_aside(state: &Path, run: &RunId, task: &TaskId) -> Result<bool, GitError> {
    let path = folder(state, run, task);
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(false);
    }
    match rename_aside::put_aside(&path) {
        // Somebody else was faster.
        Err(GitError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        other => {
            other?;
            crash_point("home-renamed-aside");
            Ok(true)
        }
    }
}

/// All homes, by run and task.
pub(crate) fn all(state: &Path) -> Result<Vec<(RunId, TaskId)>, GitError> {
    let root = root(state);
    let entries = match fs::read_dir(&root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(GitError::io("list", &root))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(GitError::io("list", &root))?.file_name();
        found.extend(name.to_str().and_then(owner));
    }
    found.sort();
    Ok(found)
}

/// The run and the task of the home with this name; `None` for other names.
fn owner(name: &str) -> Option<(RunId, TaskId)> {
    let (run, task) = name.split_at_checked(RUN_ID_LENGTH)?;
    Some((run.parse().ok()?, task.strip_prefix('-')?.parse().ok()?))
}
