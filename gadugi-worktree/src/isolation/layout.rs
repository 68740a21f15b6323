//! The folder with an attempt's private git folder, and with files of gadugi's beside it, out of the reach of the task.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gadugi_core::{AttemptNo, AttemptRef, Lease, RunId, TaskId};
use gix::ObjectId;

use crate::delete::trash;
use crate::error::GitError;
use crate::files::paths::remove_if_empty;
use crate::files::{ordinary, rename_aside};
use crate::repo::lock_file::is_at;
use crate::settings::WorktreeSettings;

/// The prefix of folders that are being made. No attempt's name begins so.
const NEW: &str = ".new-";

/// `<state>/git/<run>/<task>/<attempt>/`.
#[derive(Debug, Clone)]
pub(super) struct IsolationFolder {
    folder: PathBuf,
}

/// The lock of the folder. It ends when this is dropped, or with the process.
pub(super) struct Held(#[expect(dead_code, reason = "held, not used")] File);

impl IsolationFolder {
    pub(super) fn of(settings: &WorktreeSettings, lease: &Lease) -> Self {
        let AttemptRef { task, number } = &lease.attempt;
        let folder = root(settings).join(lease.run.as_str()).join(task.as_str()).join(number.to_string());
        Self { folder }
    }

    /// All existing folders, with the attempts that they were made for.
    pub(super) fn all(settings: &WorktreeSettings) -> Result<Vec<(Self, RunId, AttemptRef)>, GitError> {
        let mut found = Vec::new();
        for (run, runs) in names(&root(settings))? {
            let Ok(run) = run.parse::<RunId>() else { continue };
            for (task, tasks) in names(&runs)? {
                let Ok(task) = task.parse::<TaskId>() else { continue };
                for (number, folder) in names(&tasks)? {
                    let Some(number) = number.parse().ok().and_then(AttemptNo::new) else { continue };
                    found.push((Self { folder }, run.clone(), AttemptRef { task: task.clone(), number }));
                }
            }
        }
        Ok(found)
    }

    /// Removes the remains of folders whose making or removal was cut short.
    pub(super) fn clear_half_made(settings: &WorktreeSettings) -> Result<(), GitError> {
        for (_, run) in names(&root(settings))? {
            for (_, task) in names(&run)? {
                for (_, new) in names(&task)?.into_iter().filter(|(name, _)| name.starts_with(NEW)) {
                    // The process that makes it holds its lock. Under another name, it does not become the folder of an attempt any more.
                    let lock = ordinary::open(&new.join(LOCK), File::options().read(true));
                    if lock.is_err() || lock.is_ok_and(|file| file.try_lock().is_ok()) {
                        rename_aside::put_aside(&new).map(drop).or_else(unless_gone)?;
                    }
                }
                let leftovers = rename_aside::leftovers(&task)?;
                leftovers.iter().try_for_each(|leftover| rename_aside::delete(leftover))?;
                for folder in [&task, &run, &root(settings)] {
                    remove_if_empty(folder)?;
                }
            }
        }
        Ok(())
    }

    /// The git folder that the task sees.
    pub(super) fn git(&self) -> PathBuf {
        self.folder.join("git")
    }

    /// The file that the task sees in place of `.git` in its worktree.
    pub(super) fn git_file(&self) -> PathBuf {
        self.folder.join("gitfile")
    }

    /// The folder with the note of the attempt that it was made for, as in a worktree's entry of git's list.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new folder for checking objects of the task. Each call returns another one: git continues in its own for a while after
    /// its parent process was killed.
    pub(super) fn new_quarantine(&self) -> PathBuf {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.quarantine().join(format!("{}-{}", std::process::id(), now.as_nanos()))
    }

    /// Removes all quarantines.
    pub(super) fn clear_quarantine(&self) -> Result<(), GitError> {
        let quarantine = self.quarantine();
        if quarantine.symlink_metadata().is_ok() {
            // Under another name, nothing can be added to it.
            rename_aside::put_aside(&quarantine)?;
        }
        rename_aside::leftovers(&self.folder)?.iter().try_for_each(|leftover| rename_aside::delete(leftover))
    }

    fn quarantine(&self) -> PathBuf {
        self.folder.join("quarantine")
    }

    /// Whether the folder exists.
    pub(super) fn is_there(&self) -> Result<bool, GitError> {
        match self.folder.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(GitError::io("look at", &self.folder)(error)),
        }
    }

    /// Makes the folder at once: `fill` gets one of another name, which is renamed in the end. If another process was faster,
    /// its folder counts.
    pub(super) fn make(&self, fill: impl Fn(&Path) -> Result<(), GitError>) -> Result<(), GitError> {
        let (parent, name) = (self.folder.parent(), self.folder.file_name());
        let (Some(parent), Some(name)) = (parent, name) else { return Ok(()) };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let made = new_folder(parent, &name.to_string_lossy()).and_then(|(new, _lock)| {
                let made = fill(&new).and_then(|()| match fs::rename(&new, &self.folder) {
                    Err(_) if self.is_there()? => rename_aside::delete(&new),
                    other => other.map_err(GitError::io("rename", &new)),
                });
                made.inspect_err(|_| drop(rename_aside::delete(&new)))
            });
            match made {
                // Folders that are empty, or whose lock was not held yet, were cleared away meanwhile.
                Err(GitError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && attempts < 3 => {}
                other => return other,
            }
        }
    }

    /// Waits for the lock; `None` when the folder does not exist (any more).
    pub(super) fn lock(&self) -> Result<Option<Held>, GitError> {
        self.held(|file| file.lock().map(|()| true))
    }

    /// As [`lock`](Self::lock), but `None` also when another process holds it.
    pub(super) fn try_lock(&self) -> Result<Option<Held>, GitError> {
        self.held(|file| match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })
    }

    fn held(&self, take: impl Fn(&File) -> io::Result<bool>) -> Result<Option<Held>, GitError> {
        let path = self.folder.join(LOCK);
        loop {
            let file = match ordinary::open(&path, File::options().create(true).truncate(false).write(true)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other.map_err(GitError::io("open", &path))?,
            };
            if !take(&file).map_err(GitError::io("lock", &path))? {
                return Ok(None);
            }
            // The folder may have been removed, and made again, while this waited.
            if is_at(&file, &path) {
                return Ok(Some(Held(file)));
            }
        }
    }

    /// Notes that an import has begun, until [`end_import`](Self::end_import).
    pub(super) fn start_import(&self) -> Result<(), GitError> {
        let note = self.importing();
        ordinary::write(&note, "").map_err(GitError::io("write", &note))
    }

    /// Whether an import has begun and not ended.
    pub(super) fn is_importing(&self) -> bool {
        self.importing().symlink_metadata().is_ok()
    }

    pub(super) fn end_import(&self) -> Result<(), GitError> {
        let note = self.importing();
        match fs::remove_file(&note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::io("remove", &note)(error)),
            _ => Ok(()),
        }
    }

    fn importing(&self) -> PathBuf {
        self.folder.join("importing")
    }

    /// Notes that this state could not be imported.
    pub(super) fn note_failure(&self, state: &str) -> Result<(), GitError> {
        let note = self.folder.join("failed");
        ordinary::write(&note, state).map_err(GitError::io("write", &note))
    }

    /// Whether this very state could not be imported a short while ago.
    pub(super) fn has_failed(&self, state: &str) -> bool {
        let note = self.folder.join("failed");
        let age =
            note.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed().unwrap_or_default());
        age.is_ok_and(|age| age < RETRY_INTERVAL) && ordinary::read_to_string(&note).is_ok_and(|noted| noted == state)
    }

    /// Notes that this commit, the task's `HEAD`, was brought to the attempt's branch, where its worktree is now.
    pub(super) fn note_moved_to_branch(&self, head: ObjectId) -> Result<(), GitError> {
        let note = self.moved_to_branch();
        ordinary::write(&note, head.to_string()).map_err(GitError::io("write", &note))
    }

    /// Whether that is noted for this commit.
    pub(super) fn is_moved_to_branch(&self, head: ObjectId) -> bool {
        let noted = ordinary::read(&self.moved_to_branch()).ok();
        noted.and_then(|noted| ObjectId::from_hex(&noted).ok()) == Some(head)
    }

    fn moved_to_branch(&self) -> PathBuf {
        self.folder.join("taken-over")
    }

    /// The note of the files that were imported from the task's index.
    pub(super) fn staged(&self) -> PathBuf {
        self.folder.join("staged")
    }

    /// Removes the folder, and parents that become empty.
    pub(super) fn remove(&self, held: Held) -> Result<(), GitError> {
        let aside = rename_aside::put_aside(&self.folder)?;
        drop(held);
        rename_aside::delete(&aside)?;
        self.remove_empty_above()
    }

    /// Moves the folder into the trash, and returns its new path.
    pub(super) fn discard(&self, settings: &WorktreeSettings, lease: &Lease, held: Held) -> Result<PathBuf, GitError> {
        self.clear_quarantine()?;
        let AttemptRef { task, number } = &lease.attempt;
        let path = trash::put(settings, &self.folder, &format!("{}-{task}-{number}", lease.run))?;
        drop(held);
        self.remove_empty_above()?;
        Ok(path)
    }

    fn remove_empty_above(&self) -> Result<(), GitError> {
        self.folder.ancestors().skip(1).take(3).try_for_each(remove_if_empty)
    }
}

/// Turns an error that says that a file is gone into success.
fn unless_gone(error: GitError) -> Result<(), GitError> {
    match error {
        GitError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Err(other),
    }
}

/// Makes a folder that is closed to other users, with missing parents.
pub(super) fn create_private(folder: &Path) -> Result<(), GitError> {
    let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
    made.map_err(GitError::io("create", folder))
}

/// Time before a failed import is retried by a clean-up. Its cause may pass.
const RETRY_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

const LOCK: &str = "lock";

fn root(settings: &WorktreeSettings) -> PathBuf {
    settings.state.join("git")
}

fn new_folder(parent: &Path, name: &str) -> Result<(PathBuf, File), GitError> {
    create_private(parent)?;
    for number in 1_u32.. {
        let new = parent.join(format!("{NEW}{name}-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            other => other.map_err(GitError::io("create", &new))?,
        }
        let path = new.join(LOCK);
        let file = File::options().create_new(true).write(true).open(&path).map_err(GitError::io("create", &path))?;
        file.lock().map_err(GitError::io("lock", &path))?;
        return Ok((new, file));
    }
    unreachable!("cannot happen because a folder has fewer than four thousand million entries")
}

/// The entries of a folder of ours that may not exist, by names that are text.
fn names(folder: &Path) -> Result<Vec<(String, PathBuf)>, GitError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        other => other.map_err(GitError::io("list", folder))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(GitError::io("list", folder))?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
