//! Follows a command by its shim: how much it prints, and how it ended.

use std::io::{BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::{ExecEnd, ExitStatus, OutputSummary};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;

use super::cleanup;
use super::token::ShimToken;
use crate::os::process_table;
use crate::output::sealed::{Content, read, unseal};
use crate::shim::files::CommandFiles;
use crate::shim::record::ExitRecord;

/// Where a command has left its traces.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    pub(super) token: ShimToken,
    pub(super) files: CommandFiles,
    pub(super) generation: u32,
}

/// What only the starter of a shim has of it.
pub(crate) struct StarterEnds {
    /// What the shim says.
    pub(super) status: BufReader<ChildStdout>,
    /// Closed by the end of this process; held where the command is to end with it.
    pub(super) starter: Option<ChildStdin>,
}

/// A shim that runs, ready to be followed.
pub(crate) struct Watched {
    pub(super) shim: Arc<AsyncFd<OwnedFd>>,
    pub(super) traces: Traces,
    /// When the command began, since the boot.
    pub(super) began: Duration,
    progress: Option<pipe::Receiver>,
    ends: Option<StarterEnds>,
}

/// What the holder of a running command has in hand.
#[derive(Clone)]
pub(super) struct ShimHandle {
    pub(super) shim: Arc<AsyncFd<OwnedFd>>,
    /// `None` where nobody tells it.
    pub(super) printed: Option<watch::Receiver<u64>>,
    pub(super) ending: watch::Receiver<Option<ExecEnd>>,
    /// Told when the shim is to be waited for no longer.
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

    /// Follows it in a background task, which ends with the shim and not before, whoever drops the handle.
    pub(super) fn follow(mut self) -> ShimHandle {
        let (tell, printed) = watch::channel(0);
        let (end, ending) = watch::channel(None);
        let printed = self.progress.is_some().then_some(printed);
        let shim = Arc::clone(&self.shim);
        let given_up = Arc::new(Notify::new());
        let told = Arc::clone(&given_up);
        tokio::spawn(async move {
            let has_ended = tokio::select! {
                () = self.until_end(&tell) => true,
                () = told.notified() => false,
            };
            let seen = *tell.borrow();
            let conclude = move || if has_ended { self.conclude(seen) } else { self.give_up(seen) };
            // It fails when the runtime is shut down. Whoever waits learns that by the dropped sender.
            if let Ok(ended) = spawn_blocking(conclude).await {
                tell.send_replace(ended.output.bytes);
                drop(tell);
                end.send_replace(Some(ended));
            }
        });
        ShimHandle { shim, printed, ending, given_up }
    }

    async fn until_end(&mut self, tell: &watch::Sender<u64>) {
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
                            tell.send_if_modified(|told| std::mem::replace(told, printed.max(*told)) < printed);
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

    /// Finds out how it ended, after `printed` bytes or more. Blocks until the shim has ended.
    pub(super) fn conclude(self, printed: u64) -> ExecEnd {
        let Self { shim, traces, began, ends, .. } = self;
        let (status, starter) = ends.map(|ends| (ends.status, ends.starter)).unzip();
        let orderly = reap(shim.get_ref());
        drop(starter);
        // What the shim says itself comes before a file that the command could have written.
        let recorded = status.and_then(told).or_else(|| match read(&traces.files.exit(traces.generation)) {
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

    /// Ends the command of a shim that cannot be ended itself. Blocks until what is left of it was killed.
    fn give_up(self, printed: u64) -> ExecEnd {
        unknown(&self.traces, self.began, printed)
    }
}

/// Clears away what a shim could not; how the command would have ended is not known.
fn unknown(traces: &Traces, began: Duration, printed: u64) -> ExecEnd {
    cleanup::clear_away(&traces.files, traces.generation, &traces.token);
    let mut end = ExecEnd::new(ExitStatus::Unknown, process_table::uptime().saturating_sub(began));
    end.output = OutputSummary { bytes: printed, ..OutputSummary::default() };
    end
}

/// Listens to how much a command prints; `None` where nobody tells it. To be called within a runtime.
pub(super) fn listen(progress: &Path) -> Option<pipe::Receiver> {
    // Open for both directions it has no end before the shim has opened it, and none when another listener goes.
    pipe::OpenOptions::new().read_write(true).open_receiver(progress).ok()
}

/// Waits for the end of a shim, and reaps it where it is a child of this process. Says whether it has certainly
/// done its part to the end.
fn reap(shim: &OwnedFd) -> bool {
    // Whoever traces it, as a debugger does, has its end first: it cannot be waited for while that does not take it.
    while let Err(rustix::io::Errno::INTR) = poll(&mut [PollFd::new(shim, PollFlags::IN)], None) {}
    loop {
        match waitid(WaitId::PidFd(shim.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(ended) => return ended.is_some_and(|ended| ended.exit_status() == Some(0)),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// The end as the shim has told it to its starter. It has ended, so this does not wait.
fn told(mut status: BufReader<ChildStdout>) -> Option<ExitRecord> {
    let mut said = Vec::new();
    status.read_to_end(&mut said).ok()?;
    unseal(said.split_inclusive(|&byte| byte == b'\n').next_back()?).ok()
}
