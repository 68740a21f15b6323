//! Supervises a command through its shim: the amount of its output, and its end.

use std::convert::Infallible;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::executor::{ExecEnd, ExitStatus, OutputSummary};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tracing::Instrument;

use super::cleanup;
use super::token::ShimToken;
use crate::events;
use crate::os::process_table;
use crate::output::sealed::{Content, read, unseal};
use crate::shim::files::CommandFiles;
use crate::shim::record::ExitRecord;

/// The names and records of a command.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    pub(super) token: ShimToken,
    pub(super) files: CommandFiles,
    pub(super) generation: u32,
}

/// The pipes between a shim and its starter, at the starter's side.
pub(crate) struct StarterEnds {
    /// The shim's answers.
    pub(super) status: BufReader<ChildStdout>,
    /// Closed by the end of this process; held open if the command is to end with it.
    pub(super) starter: Option<ChildStdin>,
}

/// A running shim whose supervision can begin.
pub(crate) struct Watched {
    pub(super) shim: Arc<AsyncFd<OwnedFd>>,
    pub(super) traces: Traces,
    /// The start time of the command, since the boot.
    pub(super) began: Duration,
    progress: Option<pipe::Receiver>,
    ends: Option<StarterEnds>,
}

/// The handle on a supervised shim.
#[derive(Clone)]
pub(super) struct ShimHandle {
    pub(super) shim: Arc<AsyncFd<OwnedFd>>,
    /// Bytes of output so far; `None` when the shim does not report them.
    pub(super) printed: Option<watch::Receiver<u64>>,
    pub(super) ending: watch::Receiver<Option<ExecEnd>>,
    /// Notified when the wait for the shim is given up.
    pub(super) given_up: Arc<Notify>,
}

impl Watched {
    pub(super) fn new(
        shim: AsyncFd<OwnedFd>,
        traces: Traces,
        began: Duration,
        progress: Option<pipe::Receiver>,
        ends: Option<StarterEnds>,
    ) -> Self {
        Self { shim: Arc::new(shim), traces, began, progress, ends }
    }

    /// Supervises it in a background task, which ends with the shim and not before, also when the handle is dropped.
    pub(super) fn supervise(mut self) -> ShimHandle {
        let (counter, printed) = watch::channel(0);
        let (end, ending) = watch::channel(None);
        let printed = self.progress.is_some().then_some(printed);
        let shim = Arc::clone(&self.shim);
        let given_up = Arc::new(Notify::new());
        let notified = Arc::clone(&given_up);
        let identity = self.traces.token.to_string();
        let supervision = async move {
            let has_ended = tokio::select! {
                () = self.until_end(&counter) => true,
                () = notified.notified() => false,
            };
            let seen = *counter.borrow();
            let conclude = move || if has_ended { self.conclude(seen) } else { self.give_up(seen) };
            // It fails when the runtime is shut down. Waiting callers see that by the dropped sender.
            if let Ok(ended) = spawn_blocking(conclude).await {
                counter.send_replace(ended.output.bytes);
                drop(counter);
                events::ended(identity, &Ok::<_, Infallible>(ended));
                end.send_replace(Some(ended));
            }
        };
        tokio::spawn(supervision.in_current_span());
        ShimHandle { shim, printed, ending, given_up }
    }

    async fn until_end(&mut self, counter: &watch::Sender<u64>) {
        let mut number = [0; 8];
        let mut filled = 0;
        loop {
            let progress = async {
                match &mut self.progress {
                    Some(pipe) => pipe.read(&mut number[filled..]).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                read = progress => match read {
                    Ok(count) if count > 0 => {
                        filled = (filled + count) % number.len();
                        if filled == 0 {
                            let printed = u64::from_le_bytes(number);
                            counter.send_if_modified(|counted| std::mem::replace(counted, printed.max(*counted)) < printed);
                        }
                    }
                    // It has been open for both directions here, so it has no end.
                    _ => self.progress = None,
                },
                // It fails when the runtime is shut down.
                _ = self.shim.readable() => return,
            }
        }
    }

    /// Returns the end of the command, which had printed at least `printed` bytes. Blocks until the shim has ended.
    pub(super) fn conclude(self, printed: u64) -> ExecEnd {
        let Self { shim, traces, began, ends, .. } = self;
        let (status, starter) = ends.map(|ends| (ends.status, ends.starter)).unzip();
        let orderly = reap(shim.get_ref());
        drop(starter);
        // The shim's own answer goes before a file that the command could have written.
        let recorded = status.and_then(sent_end).or_else(|| match read(&traces.files.exit(traces.generation)) {
            Ok(Content::Sound(record)) => Some(record),
            _ => None,
        });
        match recorded.filter(|record: &ExitRecord| record.nonce == traces.token.nonce) {
            Some(record) => {
                if !orderly {
                    cleanup::tidy(&traces.files, &traces.token.nonce);
                }
                record.end()
            }
            None => unknown(&traces, began, printed),
        }
    }

    /// Kills the command of a shim that cannot be killed itself. Blocks until its processes are gone.
    fn give_up(self, printed: u64) -> ExecEnd {
        unknown(&self.traces, self.began, printed)
    }
}

/// Cleans up after a shim; the end of the command is unknown.
fn unknown(traces: &Traces, began: Duration, printed: u64) -> ExecEnd {
    cleanup::clear_away(&traces.files, traces.generation, &traces.token);
    let mut end = ExecEnd::new(ExitStatus::Unknown, process_table::uptime().saturating_sub(began));
    end.output = OutputSummary { bytes: printed, ..OutputSummary::default() };
    end
}

/// Opens the reports of how much a command prints; `None` when there are none. To be called within a runtime.
pub(super) fn open_progress(progress: &Path) -> Option<pipe::Receiver> {
    // Open for both directions it has no end before the shim has opened it, and none when another listener goes.
    pipe::OpenOptions::new().read_write(true).open_receiver(progress).ok()
}

/// Waits for the end of a shim, and reaps it if it is a child of this process. Returns whether it has certainly done its part
/// to the end.
fn reap(shim: &OwnedFd) -> bool {
    // A debugger that traces it sees its end first; until then it cannot be reaped.
    while let Err(rustix::io::Errno::INTR) = poll(&mut [PollFd::new(shim, PollFlags::IN)], None) {}
    loop {
        match waitid(WaitId::PidFd(shim.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(ended) => return ended.is_some_and(|ended| ended.exit_status() == Some(0)),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Returns the end that the shim has sent to its starter. It has ended, so this does not wait.
fn sent_end(mut status: BufReader<ChildStdout>) -> Option<ExitRecord> {
    let mut said = Vec::new();
    status.read_to_end(&mut said).ok()?;
    unseal(said.split_inclusive(|&byte| byte == b'\n').next_back()?).ok()
}
