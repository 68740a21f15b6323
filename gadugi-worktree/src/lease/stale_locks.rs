//! Lock files of git that the end of a task has left: when its commands have ended, all that they have started is killed, and a
//! `git commit` in the background leaves its lock.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use gadugi_core::BranchName;

use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;
use crate::lease::admin_folder::Entry;
use crate::repo::ids::full_name;
use crate::repo::lock_file::HEADING;
use crate::repo::refs;

/// Time that the unseen holder of a lock gets to release it: git holds these for a moment only.
const HOLDER_TIMEOUT: Duration = Duration::from_millis(500);

/// Interval for checking whether a lock is gone.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Removes locks of a worktree's index, `HEAD` and configuration, and of its branch, that no process holds. Nothing of the task
/// runs any more. Another git that works there has the worktree as its folder, or the file open; its lock stays.
pub(crate) fn clear(repo: &gix::Repository, entry: &Entry, branch: &BranchName) -> Result<(), GitError> {
    let mut locks: Vec<PathBuf> =
        ["index.lock", "HEAD.lock", "config.worktree.lock"].into_iter().map(|name| entry.admin.join(name)).collect();
    let mut of_branch = refs::path(repo, full_name(branch).as_ref())?.into_os_string();
    of_branch.push(".lock");
    locks.push(of_branch.into());
    locks.retain(|lock| is_there(lock));
    let give_up = Instant::now() + HOLDER_TIMEOUT;
    while !locks.is_empty() && Instant::now() < give_up {
        thread::sleep(POLL_INTERVAL);
        locks.retain(|lock| is_there(lock));
    }
    if locks.is_empty() || is_worked_in(&entry.folder) {
        return Ok(());
    }
    for lock in locks {
        let is_gits = matches!(is_ours(&lock), Ok(false));
        if is_gits && !is_open(&lock) {
            match fs::remove_file(&lock) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(GitError::io("remove", &lock)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The lock files of git in a repository that were made since `since`, and that no process holds. They stay, since a user may
/// have made them by hand.
pub(crate) fn left(common_dir: &Path, since: SystemTime) -> Vec<PathBuf> {
    const NAMES: [&str; 7] =
        ["packed-refs", "HEAD", "config", "shallow", "index", "config.worktree", "objects/maintenance"];
    let common_dir = real(common_dir);
    let mut locks: Vec<PathBuf> = NAMES.iter().map(|name| common_dir.join(format!("{name}.lock"))).collect();
    locks_below(&common_dir.join("refs"), &mut locks);
    let is_recent = |lock: &PathBuf| lock.metadata().and_then(|lock| lock.modified()).is_ok_and(|made| made >= since);
    locks.retain(|lock| is_there(lock) && is_recent(lock) && matches!(is_ours(lock), Ok(false)));
    let give_up = Instant::now() + HOLDER_TIMEOUT;
    while !locks.is_empty() && Instant::now() < give_up {
        thread::sleep(POLL_INTERVAL);
        locks.retain(|lock| is_there(lock));
    }
    locks.retain(|lock| !is_open(lock));
    locks
}

/// Adds the lock files in a folder of references. A folder that cannot be read is passed over.
fn locks_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => locks_below(&entry.path(), found),
            Ok(_) if entry.path().extension().is_some_and(|end| end == "lock") => found.push(entry.path()),
            _ => {}
        }
    }
}

fn is_there(lock: &Path) -> bool {
    lock.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Whether a lock file is one of gadugi's, which are recognised in another way.
fn is_ours(lock: &Path) -> io::Result<bool> {
    let mut heading = Vec::new();
    ordinary::open(lock, File::options().read(true))?.take(HEADING.len() as u64).read_to_end(&mut heading)?;
    Ok(heading == HEADING.as_bytes())
}

/// Whether a git process has its working folder in `folder`. True where processes cannot be seen.
fn is_worked_in(folder: &Path) -> bool {
    let folder = real(folder);
    any_process(|process| {
        let is_git = || fs::read_to_string(process.join("comm")).is_ok_and(|name| name.starts_with("git"));
        fs::read_link(process.join("cwd")).is_ok_and(|at| at.starts_with(&folder)) && is_git()
    })
}

/// Whether a process has this file open.
fn is_open(file: &Path) -> bool {
    let file = real(file);
    any_process(|process| {
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        open.map(|open| open.path()).any(|open| fs::read_link(open).is_ok_and(|at| at == file))
    })
}

fn any_process(is_it: impl Fn(&Path) -> bool) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let mut seen = 0;
    for process in processes.flatten() {
        let is_process = process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        seen += u32::from(is_process);
        if is_process && is_it(&process.path()) {
            return true;
        }
    }
    seen == 0
}
