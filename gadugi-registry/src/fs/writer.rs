//! The thread that writes the journal of one run.
//!
//! Whatever is queued while it writes is written next, together: the attempt files first, then all lines
//! by one write and, when one of them is durable, one fdatasync. So the price of a sync is shared by all
//! that wait for one, and nobody waits for a timer.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use gadugi_core::{RegistryError, Ticket};
use tokio::sync::oneshot;

use super::durable::{create_folder, link_once, sync_folder};

/// How many lines are written at once at the most, so that one write stays small.
const BATCH: usize = 1024;

/// A line for the journal.
pub(crate) struct Entry {
    pub(crate) line: String,
    /// Where the line is also kept as a file of its own, written before the journal.
    pub(crate) copy: Option<PathBuf>,
    /// Whether it must outlive a crash of the machine.
    pub(crate) durable: bool,
}

struct Job {
    entry: Entry,
    done: oneshot::Sender<Result<(), RegistryError>>,
}

/// Owns the thread. Dropping it lets the thread finish what is queued, and waits for that.
pub(crate) struct Writer {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes to `journal`, which is open for appending at `path`.
    pub(crate) fn start(journal: File, path: PathBuf) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let mut state = State { journal, path, failure: None };
        let thread = thread::Builder::new().name("gadugi-journal".into()).spawn(move || state.work(&jobs))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues an entry. Entries are written in the order of these calls.
    pub(crate) fn write(&self, entry: Entry) -> Ticket {
        let (done, ticket) = oneshot::channel();
        if let Some(queue) = &self.queue {
            // A thread that is gone drops the job with its sender, and the ticket says so.
            queue.send(Job { entry, done }).ok();
        }
        Box::pin(async { ticket.await.unwrap_or(Err(RegistryError::Stopped)) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It panics only where its tickets have told of it already.
            thread.join().ok();
        }
    }
}

/// The first failed write, told to every later ticket.
#[derive(Clone)]
struct Failure {
    path: PathBuf,
    code: Option<i32>,
    kind: io::ErrorKind,
    text: String,
}

impl Failure {
    fn new(path: &Path, error: &io::Error) -> Self {
        Self { path: path.to_owned(), code: error.raw_os_error(), kind: error.kind(), text: error.to_string() }
    }

    fn error(&self) -> RegistryError {
        let source = match self.code {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.kind, self.text.clone()),
        };
        RegistryError::Write { path: self.path.clone(), source }
    }
}

struct State {
    journal: File,
    path: PathBuf,
    failure: Option<Failure>,
}

impl State {
    fn work(&mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            batch.extend(jobs.try_iter().take(BATCH - 1));
            let kept = self.keep(&batch);
            for (at, job) in batch.into_iter().enumerate() {
                let result = match &self.failure {
                    Some(failure) if at >= kept => Err(failure.error()),
                    _ => Ok(()),
                };
                // Whoever dropped the ticket does not want to know.
                job.done.send(result).ok();
            }
        }
    }

    /// Keeps as many of these as it can, from the first on, and says how many those are. Fewer than all
    /// are kept only after a failure, which is noted.
    fn keep(&mut self, batch: &[Job]) -> usize {
        if self.failure.is_some() {
            return 0;
        }
        let mut folders = BTreeSet::new();
        let copies = batch.iter().position(|job| match &job.entry.copy {
            Some(path) => self.attempt(path, |path| link(path, &job.entry.line, &mut folders)).is_none(),
            None => false,
        });
        let batch = &batch[..copies.unwrap_or(batch.len())];
        // Deeper folders come last in this order, and go to disk first.
        for folder in folders.iter().rev() {
            if self.attempt(folder, sync_folder).is_none() {
                return 0;
            }
        }
        let lines: String = batch.iter().map(|job| job.entry.line.as_str()).collect();
        let durable = batch.iter().any(|job| job.entry.durable);
        let path = self.path.clone();
        let mut journal = &self.journal;
        let written =
            journal.write_all(lines.as_bytes()).and_then(|()| if durable { journal.sync_data() } else { Ok(()) });
        if self.attempt(&path, |_| written).is_some() { batch.len() } else { 0 }
    }

    /// Does something to a path, and notes a failure.
    fn attempt(&mut self, path: &Path, act: impl FnOnce(&Path) -> io::Result<()>) -> Option<()> {
        act(path).map_err(|error| self.failure = Some(Failure::new(path, &error))).ok()
    }
}

/// Links a copy of a line into the folder of its attempt, which is made when it is missing, and adds the
/// folders that have changed.
fn link(path: &Path, line: &str, folders: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let above: Vec<&Path> = path.ancestors().skip(1).take(3).collect();
    if let [attempt, task, tasks] = above[..] {
        for (folder, parent) in [(task, tasks), (attempt, task)] {
            match create_folder(folder) {
                Ok(()) => drop(folders.insert(parent.to_owned())),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        folders.insert(attempt.to_owned());
    }
    link_once(path, line.as_bytes())
}
