//! The registry on disk.

mod ballast;
mod durable;
mod find;
mod header;
mod intent_file;
mod journal;
mod layout;
mod lock;
mod log;
mod merges;
mod owner;
mod regular;
mod requests;
mod resume;

use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gadugi_core::registry::{RegistryError, RunHistory, RunListing, RunLog};
use gadugi_core::{AttemptRef, Event, Registry, RunHeader, RunId, crash_point, error_chain};
use tracing::debug;

use self::ballast::{Ballast, is_full};
use self::durable::{create_folder, create_folders, private, sync_folder};
use self::header::Header;
use self::journal::JournalState;
use self::journal::history::{History, LastRead, read_history};
use self::journal::writer::Writer;
use self::lock::{LockFile, RunLock};
use self::log::{FsRunLog, unwritable};
use self::regular::{MAX_HEADER, MAX_RECORD};
use self::resume::{resume, write_owner};
use crate::format::{FormatError, run_to_json};

pub(crate) use durable::{replace, replace_by};
pub use find::FindError;
pub use journal::JournalFollower;
pub(crate) use layout::RunFolder;
pub use merges::{FsMergeLog, MergeHistory};
pub use owner::Owner;
pub use regular::open as open_regular;
pub use requests::{StopRequest, TakenRequests};

/// In the folder of requests: those for the next driver.
const NEXT: &str = "next";

/// A run that cannot get a driver as long as this lives.
#[derive(Debug)]
#[must_use]
pub struct HeldRun {
    /// The lock, which is only held.
    _lock: RunLock,
}

/// Keeps every run in a folder of its own, in files that people can read and that are described in
/// `docs/formats.md`.
///
/// The log of a run has a thread of its own. Dropping it blocks until what was handed to it is written or
/// has failed, and only then lets go of the run.
///
/// Beside the methods of [`Registry`] it has some for processes that watch a run or ask its driver for
/// something. These block; they read or write a few small files.
#[derive(Debug, Clone)]
pub struct FsRegistry {
    state: PathBuf,
    /// The run that was read last, if it may be resumed next.
    seen: Arc<Mutex<Option<LastRead>>>,
}

impl FsRegistry {
    /// The registry in the state folder of a repository, `<git-common-dir>/gadugi`. The folder is made
    /// with the first run.
    #[must_use]
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self { state: state.into(), seen: Arc::default() }
    }

    /// Where all files of a run lie.
    #[must_use]
    pub fn run_folder(&self, run: &RunId) -> PathBuf {
        self.runs().join(run.as_str())
    }

    /// Where the files of an attempt lie, its output among them.
    #[must_use]
    pub fn attempt_folder(&self, run: &RunId, attempt: &AttemptRef) -> PathBuf {
        self.folder(run).attempt(attempt)
    }

    /// Follows the journal of a run as it grows.
    #[must_use]
    pub fn follow(&self, run: &RunId) -> JournalFollower {
        JournalFollower::new(self.folder(run).journal())
    }

    /// All events of a run that are known, with those that were rebuilt where its journal is damaged. There can be many:
    /// who needs them one after the other [follows](Self::follow) the run.
    ///
    /// # Errors
    /// Those of [`load`](Registry::load).
    pub fn events(&self, run: &RunId) -> Result<Vec<Event>, RegistryError> {
        let (_, told, _) = self.read_run(run)?;
        if let Some(events) = told.rebuilt {
            return Ok(events);
        }
        let mut events = Vec::new();
        journal::read(&self.folder(run).journal(), |event| events.push(event))?;
        Ok(events)
    }

    /// Whether the last line of the journal of a run is its end. Only that line is read; `false` where it cannot be, or
    /// where something was told after the end, so that only [`load`](Registry::load) knows.
    #[must_use]
    pub fn has_ended(&self, run: &RunId) -> bool {
        journal::ends_with_the_end(&self.folder(run).journal()).unwrap_or(false)
    }

    /// Whether a process drives the run now. When none does, everything that its driver wrote can be read.
    ///
    /// # Errors
    /// [`RegistryError::Read`].
    pub fn is_driven(&self, run: &RunId) -> Result<bool, RegistryError> {
        is_driven(&self.folder(run))
    }

    /// The process that drives the run now and can be signalled from here. `None` without a driver, or when the driver is not
    /// visible from here, for example in a container.
    ///
    /// # Errors
    /// [`RegistryError::Read`], [`RegistryError::TooNew`], [`RegistryError::Damaged`].
    pub fn owner(&self, run: &RunId) -> Result<Option<Owner>, RegistryError> {
        let folder = self.folder(run);
        if !is_driven(&folder)? {
            return Ok(None);
        }
        Ok(Some(read_owner(&folder)?).filter(Owner::is_here))
    }

    /// Leaves a request for the driver of a run. It is on disk at the return; the caller then wakes the driver.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchRun`], [`RegistryError::Write`].
    pub fn post_request(&self, run: &RunId, request: &StopRequest) -> Result<(), RegistryError> {
        let folder = self.folder(run);
        if !folder.is_run() {
            return Err(no_such_run(run));
        }
        requests::post(&folder.requests(), request)
    }

    /// Takes the requests for the run that this process drives. A crash between reading and removing a request leaves it there.
    ///
    /// # Errors
    /// [`RegistryError::Read`], and [`RegistryError::Write`] when one cannot be removed.
    pub fn take_requests(&self, run: &RunId) -> Result<TakenRequests, RegistryError> {
        requests::take(&self.folder(run).requests())
    }

    /// Leaves a request for the next driver of a run that has none. It outlives requests to an earlier driver, and is on disk
    /// at the return.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchRun`], [`RegistryError::Write`].
    pub fn post_request_for_next(&self, run: &RunId, request: &StopRequest) -> Result<(), RegistryError> {
        let folder = self.folder(run);
        if !folder.is_run() {
            return Err(no_such_run(run));
        }
        requests::post(&folder.requests().join(NEXT), request)
    }

    /// Takes the requests that were left before this process drove the run, as [`take_requests`](Self::take_requests) does.
    ///
    /// # Errors
    /// As there.
    pub fn take_requests_for_next(&self, run: &RunId) -> Result<TakenRequests, RegistryError> {
        requests::take(&self.folder(run).requests().join(NEXT))
    }

    /// Keeps every process from driving the run as long as what it gives lives; `None` when one drives it now. What
    /// is read of the run meanwhile stays true. Nothing is written, but a lock that is no file is replaced.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchRun`], and [`RegistryError::Write`] when its lock cannot be opened.
    pub fn hold(&self, run: &RunId) -> Result<Option<HeldRun>, RegistryError> {
        let folder = self.folder(run);
        if !folder.is_run() {
            return Err(no_such_run(run));
        }
        Ok(take_lock(&folder)?.map(|(lock, _)| HeldRun { _lock: lock }))
    }

    fn seen(&self) -> MutexGuard<'_, Option<LastRead>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> PathBuf {
        self.state.join("runs")
    }

    fn folder(&self, run: &RunId) -> RunFolder {
        RunFolder::new(self.run_folder(run))
    }

    /// The ids of all runs, oldest first. A folder without `run.json` is none.
    fn ids(&self) -> Result<Vec<RunId>, RegistryError> {
        ids_in(&self.runs(), |id| self.folder(id).is_run())
    }

    fn create_run(&self, header: &RunHeader) -> Result<FsRunLog, RegistryError> {
        let runs = self.runs();
        let folder = self.folder(&header.run);
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| RegistryError::Write { path, source }
        };
        let json = run_to_json(header).map_err(|error| unwritable(folder.header(), error))?;
        if json.len() as u64 > MAX_HEADER {
            let error = format!("the plan takes {} bytes, more than the {MAX_HEADER} that are read again", json.len());
            return Err(failed(&folder.header())(io::Error::new(io::ErrorKind::FileTooLarge, error)));
        }
        create_folders(&runs).map_err(failed(&runs))?;
        match create_folder(folder.path()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(held(&header.run, &folder)),
            Err(error) => return Err(failed(folder.path())(error)),
        }
        crash_point("registry-run-folder-made");
        create_folder(&folder.tasks()).map_err(failed(&folder.tasks()))?;
        let lock = RunLock::take(&folder.lock()).map_err(failed(&folder.lock()))?;
        let lock = lock.ok_or_else(|| held(&header.run, &folder))?;
        write_owner(&folder, &lock)?;
        let journal = private().append(true).create_new(true).open(folder.journal());
        let journal = journal.map_err(failed(&folder.journal()))?;
        let ballast = Ballast::at(folder.ballast());
        ballast.make().map_err(failed(&folder.ballast()))?;
        let watch = lock.watch().map_err(failed(&folder.lock()))?;
        let writer = Writer::start(journal, folder.journal(), ballast, watch).map_err(failed(&folder.journal()))?;
        replace(&folder.header_copy(), json.as_bytes()).map_err(failed(&folder.header_copy()))?;
        // The last step: from here on it is a run.
        replace(&folder.header(), json.as_bytes()).map_err(failed(&folder.header()))?;
        let above = runs.ancestors().take(3).filter(|path| !path.as_os_str().is_empty());
        for changed in above {
            sync_folder(changed).map_err(failed(changed))?;
        }
        debug!(run = %header.run, path = %folder.path().display(), "journal created");
        crash_point("registry-run-created");
        Ok(FsRunLog::new(folder, writer, lock))
    }

    fn resume_run(&self, run: &RunId) -> Result<(RunHistory, FsRunLog), RegistryError> {
        let folder = self.folder(run);
        if !folder.is_run() {
            return Err(no_such_run(run));
        }
        let failed = |path: PathBuf| move |source| RegistryError::Write { path, source };
        let (lock, damage) = take_lock(&folder)?.ok_or_else(|| held(run, &folder))?;
        let ballast = Ballast::at(folder.ballast());
        let seen = self.seen().take();
        let mut history = match resume(&folder, run, &lock, seen) {
            // The ballast of the earlier driver is there for that.
            Err(RegistryError::Write { source, .. })
                if is_full(&source) && ballast.release().map_err(failed(folder.ballast()))? =>
            {
                resume(&folder, run, &lock, None)?
            }
            history => history?,
        };
        history.damage.splice(0..0, damage);
        match ballast.make() {
            // Running commands can be supervised without it, as long as there is room for a few lines.
            Err(error) if !is_full(&error) => return Err(failed(folder.ballast())(error)),
            _ => {}
        }
        let journal = regular::open(&folder.journal(), private().append(true)).map_err(failed(folder.journal()))?;
        let watch = lock.watch().map_err(failed(folder.lock()))?;
        let writer = Writer::start(journal, folder.journal(), ballast, watch).map_err(failed(folder.journal()))?;
        debug!(%run, last = history.last, damage = history.damage.len(), "run resumed");
        Ok((history, FsRunLog::new(folder, writer, lock)))
    }

    fn load_run(&self, run: &RunId) -> Result<RunHistory, RegistryError> {
        let (header, History { journal, record, .. }, driven) = self.read_run(run)?;
        let damage = header.damage.into_iter().chain(journal.damage).collect();
        Ok(RunHistory { record: record?, last: journal.last, driven, damage })
    }

    /// The content of a run, and whether a process drives it.
    fn read_run(&self, run: &RunId) -> Result<(Header, History, bool), RegistryError> {
        let folder = self.folder(run);
        let header = header::read(&folder, run)?;
        // Before the journal is read: a run without a driver has written all that it will.
        let driven = is_driven(&folder)?;
        let state = JournalState::of(&folder.journal()).filter(|_| !driven);
        let told = read_history(&header.run, &folder, |journal, record| {
            let lost = if driven { None } else { journal::rebuild::lost_end(&header.run, &folder, journal, record) };
            // Another process may have resumed the run between the two.
            if lost.is_some() && is_driven(&folder)? { Ok(None) } else { Ok(lost) }
        })?;
        debug!(%run, last = told.journal.last, damaged = told.journal.broken, driven, "journal read");
        *self.seen() = LastRead::new(state, &told);
        Ok((header, told, driven))
    }
}

#[async_trait]
impl Registry for FsRegistry {
    async fn create(&self, header: &RunHeader) -> Result<Box<dyn RunLog>, RegistryError> {
        let (registry, header) = (self.clone(), header.clone());
        let log = blocking(move || registry.create_run(&header)).await?;
        Ok(Box::new(log))
    }

    async fn resume(&self, run: &RunId) -> Result<(RunHistory, Box<dyn RunLog>), RegistryError> {
        let (registry, run) = (self.clone(), run.clone());
        let (history, log) = blocking(move || registry.resume_run(&run)).await?;
        Ok((history, Box::new(log)))
    }

    async fn load(&self, run: &RunId) -> Result<RunHistory, RegistryError> {
        let (registry, run) = (self.clone(), run.clone());
        blocking(move || registry.load_run(&run)).await
    }

    async fn list(&self) -> Result<Vec<RunListing>, RegistryError> {
        let registry = self.clone();
        blocking(move || {
            let listing = |run: RunId| Ok(RunListing { driven: is_driven(&registry.folder(&run))?, run });
            registry.ids()?.into_iter().map(listing).collect()
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(RegistryError::Stopped),
        },
    }
}

/// The ids by which folders in this one are called, sorted; none where it does not exist.
fn ids_in<T: FromStr + Ord>(folder: &Path, is_there: impl Fn(&T) -> bool) -> Result<Vec<T>, RegistryError> {
    let unreadable = |source| RegistryError::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        if let Some(id) = name.to_str().and_then(|name| name.parse::<T>().ok())
            && is_there(&id)
        {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}

fn is_driven(folder: &RunFolder) -> Result<bool, RegistryError> {
    let is_driven = || Ok(RunLock::is_held(&folder.lock())? || is_driven_with_another_lock(folder)?);
    is_driven().map_err(|source| RegistryError::Read { path: folder.lock(), source })
}

/// Whether a process drives the run whose lock was deleted meanwhile.
fn is_driven_with_another_lock(folder: &RunFolder) -> io::Result<bool> {
    let found = LockFile::at(&folder.lock())?;
    Ok(read_owner(folder).is_ok_and(|owner| owner.holds_another(found)))
}

/// Takes the lock of a run that exists, and says so if something else had taken its place; `None` when a process drives
/// it.
fn take_lock(folder: &RunFolder) -> Result<Option<(RunLock, Option<String>)>, RegistryError> {
    let take = || {
        // Before the lock is taken, which would make its file.
        if is_driven_with_another_lock(folder)? {
            return Ok(None);
        }
        let aside = lock::clear(&folder.lock())?;
        let name = aside.as_deref().and_then(Path::file_name).map(|name| name.display());
        let damage = name.map(|name| format!("lock was no regular file, and is kept as {name}"));
        Ok(RunLock::take(&folder.lock())?.map(|lock| (lock, damage)))
    };
    take().map_err(|source| RegistryError::Write { path: folder.lock(), source })
}

fn read_owner(folder: &RunFolder) -> Result<Owner, RegistryError> {
    let path = folder.owner();
    let json = regular::read(&path, MAX_RECORD).map_err(|source| RegistryError::Read { path: path.clone(), source })?;
    Owner::from_json(&json).map_err(|error| unreadable(path, error))
}

fn no_such_run(run: &RunId) -> RegistryError {
    RegistryError::NoSuchRun { run: run.to_string() }
}

fn held(run: &RunId, folder: &RunFolder) -> RegistryError {
    let holder = match (is_driven(folder), read_owner(folder)) {
        (Ok(true), Ok(owner)) => owner.to_string(),
        (Ok(true), Err(_)) => "another process".to_owned(),
        _ => "an earlier run of that id".to_owned(),
    };
    RegistryError::Held { run: run.clone(), holder }
}

/// The registry's error for a file with a format error.
fn unreadable(path: PathBuf, error: FormatError) -> RegistryError {
    match error {
        FormatError::TooNew { found, known } => RegistryError::TooNew { path, found, known },
        error => RegistryError::Damaged { path, what: error_chain(&error) },
    }
}
