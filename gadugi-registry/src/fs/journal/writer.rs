//! The thread that writes the journal of one run.
//!
//! Lines that are queued while it writes are written next, together: all lines by one write and, when one of them is durable,
//! one fdatasync; then the copies of intents get their names. So the cost of a sync is shared by all that wait for one, and
//! there is no timer to wait for.
//!
//! When the disk is full, the ballast is removed and the write is repeated. From then on intents are refused, so that nothing
//! new is started, while the ends of running commands are kept as long as there is room. The line of a refused intent is
//! written nevertheless: the numbers in the journal have no gap, and the end of that attempt has a line to follow on. The same
//! holds when the lock of the run is found to be another file than the one that this process has locked.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use gadugi_core::crash_point;
use gadugi_core::registry::{RegistryError, Ticket};
use tokio::sync::oneshot;

use crate::fs::ballast::{Ballast, is_full};
use crate::fs::durable::Unlinked;
use crate::fs::intent_file::write_copy;
use crate::fs::lock::LockWatch;

/// Limit for the lines of one write.
const MAX_BATCH: usize = 1024;

/// A line for the journal.
pub(crate) struct Entry {
    pub(crate) line: String,
    /// Of an intent: where the line is also kept as a file of its own. The folder of that file is made before the
    /// journal is written.
    pub(crate) intent: Option<PathBuf>,
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
    /// Writes to `journal`, which is open for appending at `path` and ends with a newline. The ballast is gone when
    /// the thread has ended.
    pub(crate) fn start(journal: File, path: PathBuf, ballast: Ballast, lock: LockWatch) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let length = journal.metadata()?.len();
        let mut state = State { journal, path, length, ballast, lock, refusing: None, failure: None };
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

/// The first failed write, told to every later ticket that it concerns.
#[derive(Clone)]
struct WriteFailure {
    path: PathBuf,
    code: Option<i32>,
    kind: io::ErrorKind,
    text: String,
}

impl WriteFailure {
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
    /// The length of the journal. The remains of a failed write are cut off.
    length: u64,
    ballast: Ballast,
    lock: LockWatch,
    /// Set once there was no room, or the lock was lost: intents are refused.
    refusing: Option<WriteFailure>,
    /// Set once a write has failed for good: nothing is written any more.
    failure: Option<WriteFailure>,
}

impl State {
    fn work(&mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            batch.extend(jobs.try_iter().take(MAX_BATCH - 1));
            let kept = self.keep(&batch);
            for (at, job) in batch.into_iter().enumerate() {
                let refused = self.refusing.as_ref().filter(|_| job.entry.intent.is_some());
                let result = match (&self.failure, refused) {
                    (Some(failure), _) if at >= kept => Err(failure.error()),
                    (_, Some(refused)) => Err(refused.error()),
                    _ => Ok(()),
                };
                // Whoever dropped the ticket does not want to know.
                job.done.send(result).ok();
            }
        }
        // The run is let go of. A ballast that stays only takes up room.
        self.ballast.release().ok();
    }

    /// Keeps as many of these as it can, from the first on, and says how many those are. Fewer than all
    /// are kept only after a failure, which is noted.
    fn keep(&mut self, batch: &[Job]) -> usize {
        if self.failure.is_some() {
            return 0;
        }
        let (copies, prepared) = self.prepare(batch);
        let durable = batch[..prepared].iter().any(|job| job.entry.durable);
        let mut kept = self.append(&batch[..prepared]);
        if durable && let Err(error) = self.journal.sync_data() {
            self.failure = Some(WriteFailure::new(&self.path, &error));
            return 0;
        }
        crash_point("registry-journal-written");
        for (at, copy) in copies {
            if at < kept
                && self.refusing.is_none()
                && let Err(error) = copy.link()
            {
                self.failure.get_or_insert_with(|| WriteFailure::new(copy.path(), &error));
                kept = kept.min(at);
            }
        }
        kept
    }

    /// Makes the folders of attempts that are intended, and writes the copies of their intents, with their places
    /// in the batch. Also says how many entries can be written then, from the first on.
    fn prepare<'a>(&mut self, batch: &'a [Job]) -> (Vec<(usize, Unlinked<'a>)>, usize) {
        let mut copies = Vec::new();
        if batch.iter().any(|job| job.entry.intent.is_some())
            && let Err(error) = self.lock.check()
        {
            self.refusing.get_or_insert_with(|| WriteFailure::new(self.lock.path(), &error));
        }
        for (at, job) in batch.iter().enumerate() {
            let Some(path) = job.entry.intent.as_deref().filter(|_| self.refusing.is_none()) else { continue };
            match write_copy(path, job.entry.line.as_bytes()) {
                Ok(copy) => copies.extend(copy.map(|copy| (at, copy))),
                Err(error) if is_full(&error) => {
                    self.make_room(path, &error);
                }
                Err(error) => {
                    self.failure = Some(WriteFailure::new(path, &error));
                    return (copies, at);
                }
            }
        }
        (copies, batch.len())
    }

    /// Refuses intents from now on, and gives the room of the ballast back; says whether there was any.
    fn make_room(&mut self, path: &Path, error: &io::Error) -> bool {
        self.refusing.get_or_insert_with(|| WriteFailure::new(path, error));
        // Where it cannot be removed it gives no room.
        self.ballast.release().unwrap_or(false)
    }

    /// Appends lines, and says how many of them are there whole, from the first on.
    fn append(&mut self, batch: &[Job]) -> usize {
        let lines: String = batch.iter().map(|job| job.entry.line.as_str()).collect();
        let lines = lines.as_bytes();
        let begin = self.length;
        let mut written = 0;
        while written < lines.len() {
            let error = match self.journal.write(&lines[written..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(more) => {
                    written += more;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            // A line that is torn is taken away, so that no other one is ever glued to it.
            written = lines[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            let cut = self.journal.set_len(begin + written as u64);
            let path = self.path.clone();
            if cut.is_ok() && is_full(&error) && self.make_room(&path, &error) {
                continue;
            }
            self.failure = Some(WriteFailure::new(&path, &error));
            break;
        }
        self.length = begin + written as u64;
        lines[..written].iter().filter(|byte| **byte == b'\n').count()
    }
}
