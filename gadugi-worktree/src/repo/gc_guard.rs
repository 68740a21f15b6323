//! Holding off `git gc` while work is collected: it deletes objects that no reference leads to yet.
//!
//! Git's own file `gc.pid` says which process collects garbage, and on which machine. While that process lives, git begins no
//! other collection, neither one that the user asks for (unless with `--force`) nor those that the commits of tasks set
//! off. A file whose process is gone, as after a crash of ours, is passed over by git.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tracing::debug;

use crate::error::GitError;
use crate::files::ordinary;
use crate::repo::lock_file::{LockFile, NotTaken};

/// Number of retries after a `git gc` beside us has spoilt an operation, as in git.
pub(crate) const MAX_RETRIES: usize = 2;

/// The age from which git takes the file for a stale one.
const STALE_AGE: Duration = Duration::from_secs(12 * 3600);

/// The age at which our file is rewritten.
const RENEWAL_AGE: Duration = Duration::from_secs(6 * 3600);

/// Interval for checking the file: another collection may have ended, or another gadugi that held it.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The word after pid and host in our files; git reads only the first two.
const NAME: &str = "gadugi";

/// Interval for checking whether such a collection has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Holds `gc.pid` of a repository from its first use until it is dropped.
#[derive(Debug)]
pub(crate) struct GcGuard {
    common_dir: PathBuf,
    /// Time that a collection which began earlier gets to end.
    timeout: Duration,
    watch: Mutex<Option<Watch>>,
}

/// The thread that checks the file, and the channel that ends it.
#[derive(Debug)]
struct Watch {
    thread: JoinHandle<()>,
    /// The channel whose end stops the thread.
    stop: Sender<()>,
}

/// The process that the file belongs to.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    /// This process; an old file has to be renewed.
    Us {
        is_old: bool,
    },
    /// Another gadugi, which holds off `git gc` as well.
    Gadugi,
    /// A process that collects garbage.
    Other(String),
}

impl Holder {
    /// Reads the file as git does.
    fn of(path: &Path) -> Self {
        let Ok(metadata) = path.symlink_metadata() else { return Self::Nobody };
        if !metadata.is_file() {
            return Self::Other(format!("{} is no file", path.display()));
        }
        let age = metadata.modified().ok().and_then(|written| SystemTime::now().duration_since(written).ok());
        let age = age.unwrap_or_default();
        let text = ordinary::read_to_string(path).unwrap_or_default();
        let mut words = text.split_whitespace();
        let (pid, host) = (words.next().and_then(|pid| pid.parse().ok()), words.next());
        let (Some(pid), Some(host)) = (pid, host) else { return Self::Nobody };
        let is_here = host == host_name();
        if age > STALE_AGE || (is_here && !is_alive(pid)) {
            return Self::Nobody;
        }
        if is_here && pid == std::process::id() {
            return Self::Us { is_old: age > RENEWAL_AGE };
        }
        if words.next() == Some(NAME) {
            return Self::Gadugi;
        }
        Self::Other(format!("process {pid} on {host}"))
    }

    fn is_to_be_written(&self) -> bool {
        matches!(self, Self::Nobody | Self::Us { is_old: true })
    }
}

impl GcGuard {
    pub(crate) fn new(common_dir: &Path, timeout: Duration) -> Arc<Self> {
        Arc::new(Self { common_dir: common_dir.to_owned(), timeout, watch: Mutex::default() })
    }

    /// Holds the file from now on, or as soon as the collection that is under way has ended. Work continues where it cannot be
    /// held: whatever is collected is looked for again before a worktree is removed.
    pub(crate) fn hold(&self) {
        let mut watch = self.lock();
        if watch.is_some() {
            return;
        }
        take(&self.common_dir).ok();
        let (stop, stopped) = mpsc::channel();
        let common_dir = self.common_dir.clone();
        let look = move || {
            while stopped.recv_timeout(WATCH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                take(&common_dir).ok();
            }
        };
        let thread = thread::Builder::new().name("gadugi-gc".to_owned()).spawn(look);
        // Where no thread can be had it is held for as long as git believes the file.
        *watch = thread.ok().map(|thread| Watch { thread, stop });
    }

    /// Holds the file, and waits for a collection that began earlier: it may delete objects that are written from now on before
    /// a reference leads to them. After the timeout the work starts all the same.
    pub(crate) fn hold_alone(&self) {
        self.hold();
        self.wait_for_others().ok();
    }

    /// Waits for a collection that is under way, which may still delete objects written since it began.
    ///
    /// # Errors
    /// [`GitError::GcRuns`] when it does not end soon.
    pub(crate) fn wait_for_others(&self) -> Result<(), GitError> {
        let begun = Instant::now();
        let mut is_waiting = false;
        while let Holder::Other(who) = take(&self.common_dir)? {
            if !is_waiting {
                debug!(%who, "waiting for a collection of garbage");
                is_waiting = true;
            }
            if begun.elapsed() > self.timeout {
                return Err(GitError::GcRuns { who });
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Watch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GcGuard {
    fn drop(&mut self) {
        let Some(Watch { thread, stop }) = self.lock().take() else { return };
        drop(stop);
        // It has ended also if it panicked.
        thread.join().ok();
        let path = path(&self.common_dir);
        if matches!(Holder::of(&path), Holder::Us { .. }) {
            // One that stays is passed over once this process has ended.
            fs::remove_file(&path).ok();
        }
    }
}

fn path(common_dir: &Path) -> PathBuf {
    common_dir.join("gc.pid")
}

/// Takes the file unless a live process has it, and renews ours before it grows old. Returns its holder.
fn take(common_dir: &Path) -> Result<Holder, GitError> {
    let path = path(common_dir);
    let found = Holder::of(&path);
    if !found.is_to_be_written() {
        return Ok(found);
    }
    // As git does, which looks at the file while it has this lock.
    let lock = match LockFile::acquire(common_dir, &path, Duration::ZERO) {
        Ok(lock) => lock,
        Err(NotTaken::Held { lock }) => return Ok(Holder::Other(format!("{} is there", lock.display()))),
        Err(NotTaken::Failed(error)) => return Err(error),
    };
    let found = Holder::of(&path);
    if !found.is_to_be_written() {
        return Ok(found);
    }
    lock.replace(format!("{} {} {NAME}", std::process::id(), host_name()).as_bytes())?;
    Ok(Holder::Us { is_old: false })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether a process of this machine runs, by the test that git uses.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}
