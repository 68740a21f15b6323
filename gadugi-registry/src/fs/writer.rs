//! The thread that writes the journal of one run.
//!
//! Whatever is queued while it writes is written next, together: the attempt files first, then all lines
//! by one write and, when one of them is durable, one fdatasync. So the price of a sync is shared by all
//! that wait for one, and nobody waits for a timer.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use gadugi_core::{RegistryError, Ticket};
use tokio::sync::oneshot;

use super::copies::keep_copies;

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
        let with_copy = || batch.iter().enumerate().filter(|(_, job)| job.entry.copy.is_some());
        let copies = with_copy().filter_map(|(_, job)| Some((job.entry.copy.as_deref()?, job.entry.line.as_bytes())));
        let (copied, failed) = keep_copies(copies);
        self.failure = failed.map(|(path, error)| Failure::new(&path, &error));
        // Without its copy an entry is not kept, nor is any after it.
        let kept = with_copy().nth(copied).map_or(batch.len(), |(at, _)| at);
        let batch = &batch[..kept];
        let lines: String = batch.iter().map(|job| job.entry.line.as_str()).collect();
        let durable = batch.iter().any(|job| job.entry.durable);
        let written = self.journal.write_all(lines.as_bytes());
        match written.and_then(|()| if durable { self.journal.sync_data() } else { Ok(()) }) {
            Ok(()) => kept,
            Err(error) => {
                self.failure = Some(Failure::new(&self.path, &error));
                0
            }
        }
    }
}
