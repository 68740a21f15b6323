//! The background task that supervises one command from its start to its end.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::executor::{ExecEnd, OutputSummary, StopSignal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument;

use super::launch::Launched;
use super::process_group::Leader;
use crate::events;
use crate::output::pump;

/// The end of a command, or the error that ended its supervision.
pub(super) type Ending = Result<ExecEnd, Arc<io::Error>>;

/// A request to stop the command.
pub(super) struct StopOrder {
    pub(super) grace: Duration,
    /// Receives the result of the signal; dropped when the command had ended.
    pub(super) asked: oneshot::Sender<io::Result<()>>,
}

/// The handle on a supervised command: requests to stop go in, output and end come out.
pub(super) struct StopHandle {
    pub(super) orders: mpsc::UnboundedSender<StopOrder>,
    /// Bytes of output so far; `None` when the output is not seen here.
    pub(super) printed: Option<watch::Receiver<u64>>,
    pub(super) ending: watch::Receiver<Option<Ending>>,
}

/// Supervises a command in a background task, which ends with the command and not before, also when the handle is dropped.
pub(super) fn supervise(launched: Launched, drain: Duration, stop_signal: StopSignal) -> StopHandle {
    let (printed, printed_so_far) = watch::channel(0);
    let (cut, cut_off) = oneshot::channel();
    let pump = tokio::spawn(pump::drain(launched.output, launched.log, printed, cut_off));
    let feed = launched.input.map(|(pipe, text)| tokio::spawn(pump::feed(pipe, text)));
    let streams = Streams::Ours { pump: Pump::Open(pump), cut, feed, drain };
    spawn(launched.leader.claim(), launched.started, streams, Some(printed_so_far), stop_signal)
}

/// As [`supervise`], for a command of another process, whose output goes there.
#[cfg(target_os = "linux")]
pub(super) fn supervise_foreign(leader: Leader, started: Instant) -> StopHandle {
    spawn(leader, started, Streams::Elsewhere, None, StopSignal::default())
}

fn spawn(
    leader: Leader,
    started: Instant,
    streams: Streams,
    printed: Option<watch::Receiver<u64>>,
    stop_signal: StopSignal,
) -> StopHandle {
    let (orders, incoming) = mpsc::unbounded_channel();
    let (end, ending) = watch::channel(None);
    let supervisor = Supervisor { leader, started, streams, orders: incoming, stop_signal, stop: Stop::NotAsked };
    let identity = format!("pid {}", supervisor.leader.pid().as_raw_nonzero());
    let supervision = async move {
        let ending = supervisor.run().await;
        events::ended(identity, &ending);
        end.send_replace(Some(ending.map_err(Arc::new)));
    };
    tokio::spawn(supervision.in_current_span());
    StopHandle { orders, printed, ending }
}

struct Supervisor {
    leader: Leader,
    started: Instant,
    streams: Streams,
    orders: mpsc::UnboundedReceiver<StopOrder>,
    stop_signal: StopSignal,
    stop: Stop,
}

enum Stop {
    NotAsked,
    /// Asked to end by itself before `kill_at`; `None` when the grace is too long for the clock.
    Asked {
        /// The time of SIGTERM, after another signal.
        terminate_at: Option<Instant>,
        kill_at: Option<Instant>,
    },
    Killed,
}

enum Streams {
    Ours {
        pump: Pump,
        cut: oneshot::Sender<()>,
        feed: Option<JoinHandle<()>>,
        drain: Duration,
    },
    /// The output goes to another process.
    #[cfg(target_os = "linux")]
    Elsewhere,
}

enum Pump {
    Open(JoinHandle<OutputSummary>),
    Closed(OutputSummary),
}

impl Supervisor {
    async fn run(mut self) -> io::Result<ExecEnd> {
        let mut ended = None;
        let ended = loop {
            match ended {
                // The leader has obeyed. The processes that it left have the rest of the grace, until they have
                // closed the output.
                Some(_) if matches!(self.stop, Stop::Asked { .. }) && self.streams.are_open() => {}
                Some(ended) => break ended,
                None => {}
            }
            tokio::select! {
                seen = self.leader.exited(), if ended.is_none() => {
                    seen?;
                    ended = Some(Instant::now());
                }
                Some(order) = self.orders.recv() => self.obey(order),
                () = self.stop.first_part_over() => self.terminate(),
                () = self.stop.grace_over() => {
                    // It fails for a command that has changed its user: then waiting is all that is left.
                    self.kill().ok();
                }
                closed = self.streams.closed() => closed?,
            }
        };
        // From here on there is nothing to signal; later requests to stop see that by this.
        drop(self.orders);
        let end = self.leader.end()?;
        let output = self.streams.finish().await?;
        let stopped = !matches!(self.stop, Stop::NotAsked);
        Ok(ExecEnd { status: end.status, took: ended - self.started, output, usage: end.usage, stopped })
    }

    fn obey(&mut self, order: StopOrder) {
        let kill_at = Instant::now().checked_add(order.grace);
        let asked = match &mut self.stop {
            Stop::Killed => Ok(()),
            _ if order.grace.is_zero() => self.kill(),
            Stop::Asked { kill_at: planned, .. } => {
                *planned = (*planned).into_iter().chain(kill_at).min();
                Ok(())
            }
            Stop::NotAsked => {
                let waits = self.stop_signal != StopSignal::Terminate;
                let terminate_at = Instant::now().checked_add(order.grace / 2).filter(|_| waits);
                self.stop = Stop::Asked { terminate_at, kill_at };
                self.leader.ask(self.stop_signal)
            }
        };
        // The caller need not wait for the answer.
        order.asked.send(asked).ok();
    }

    /// Sends SIGTERM, the second step after another signal.
    fn terminate(&mut self) {
        if let Stop::Asked { terminate_at, .. } = &mut self.stop {
            *terminate_at = None;
        }
        // It fails for a command that has changed its user: the kill comes in any case.
        self.leader.ask(StopSignal::Terminate).ok();
    }

    fn kill(&mut self) -> io::Result<()> {
        self.stop = Stop::Killed;
        self.leader.kill()
    }
}

impl Stop {
    /// Waits for the second step; for ever when there is none.
    async fn first_part_over(&self) {
        match self {
            Self::Asked { terminate_at: Some(terminate_at), .. } => sleep_until(*terminate_at).await,
            _ => pending().await,
        }
    }

    /// Waits for the end of the grace; for ever when none runs.
    async fn grace_over(&self) {
        match self {
            Self::Asked { kill_at: Some(kill_at), .. } => sleep_until(*kill_at).await,
            _ => pending().await,
        }
    }
}

impl Streams {
    fn are_open(&self) -> bool {
        matches!(self, Self::Ours { pump: Pump::Open(_), .. })
    }

    /// Waits until every process has closed the output; for ever when that was reported before.
    async fn closed(&mut self) -> io::Result<()> {
        match self {
            Self::Ours { pump: pump @ Pump::Open(_), .. } => pump.closed().await.map(drop),
            _ => pending().await,
        }
    }

    /// Reads the rest of the output, within the time for processes that outlive the command.
    async fn finish(self) -> io::Result<OutputSummary> {
        match self {
            Self::Ours { mut pump, cut, feed, drain } => {
                if let Some(feed) = feed {
                    feed.abort();
                    // It fails when it was still under way. Either way the pipe is closed after this.
                    feed.await.ok();
                }
                if let Ok(closed) = timeout(drain, pump.closed()).await {
                    return closed;
                }
                drop(cut);
                pump.closed().await
            }
            #[cfg(target_os = "linux")]
            Self::Elsewhere => Ok(OutputSummary::default()),
        }
    }
}

impl Pump {
    async fn closed(&mut self) -> io::Result<OutputSummary> {
        match self {
            Self::Open(pump) => {
                let summary = pump.await.map_err(|error: JoinError| io::Error::other(error))?;
                *self = Self::Closed(summary);
                Ok(summary)
            }
            Self::Closed(summary) => Ok(*summary),
        }
    }
}
