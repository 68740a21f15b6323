//! The handle on a command under a shim.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use async_trait::async_trait;
use gadugi_core::executor::{ExecEnd, ExecError, ExecIdentity, ExecUsage, RunningTask};
use rustix::process::{Pid, Signal, pidfd_send_signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::token::ShimToken;
use super::watch::{ShimHandle, Watched};
use crate::events;
use crate::os::process_table;
use crate::shim::orders;
use crate::subprocess::NAME;

/// Time for a kill to take effect. A process that hangs in the kernel delays no stop for longer.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// Time after the grace for a traced shim to obey, before it is killed itself.
const OBEY_TIMEOUT: Duration = Duration::from_secs(3);

/// A handle on a shim. Dropping it stops nothing.
pub(crate) struct ShimmedTask {
    identity: ExecIdentity,
    token: ShimToken,
    hold: Hold,
}

enum Hold {
    Running { began: Duration, handle: ShimHandle },
    Ended(ExecEnd),
}

impl ShimmedTask {
    /// Supervises a command that runs. To be called within a runtime.
    pub(crate) fn supervise(watched: Watched) -> Self {
        let (token, began) = (watched.traces.token.clone(), watched.began);
        Self::new(token, Hold::Running { began, handle: watched.supervise() })
    }

    /// Returns the handle on a command that has ended.
    pub(crate) fn ended(token: ShimToken, end: ExecEnd) -> Self {
        Self::new(token, Hold::Ended(end))
    }

    fn new(token: ShimToken, hold: Hold) -> Self {
        Self { identity: ExecIdentity { executor: NAME.to_owned(), token: token.to_string() }, token, hold }
    }

    fn end_so_far(&self) -> Option<ExecEnd> {
        match &self.hold {
            Hold::Running { handle, .. } => *handle.ending.borrow(),
            Hold::Ended(end) => Some(*end),
        }
    }

    /// Sends an order to the shim, unless it has ended.
    fn order(&self, order: impl Fn(rustix::fd::BorrowedFd<'_>) -> io::Result<()>) -> Result<(), ExecError> {
        match &self.hold {
            Hold::Running { handle, .. } => match order(handle.shim.get_ref().as_fd()) {
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                ordered => ordered.map_err(|error| self.lost(error)),
            },
            Hold::Ended(_) => Ok(()),
        }
    }

    fn lost(&self, source: io::Error) -> ExecError {
        ExecError::Watch { identity: self.identity.token.clone(), source: Box::new(source) }
    }
}

/// Returns the process that traces the shim or the leader of its command.
fn tracer(token: &ShimToken) -> Option<Pid> {
    [token.shim, token.leader].iter().find_map(|process| process_table::tracer(Pid::from_raw(process.pid)?))
}

/// Kills a shim that does not obey because a debugger traces it, or traces its command, whose end the shim then does not see; and
/// then kills the command. An error when the shim itself cannot be killed.
async fn force(mut handle: ShimHandle, token: ShimToken, grace: Duration) -> io::Result<()> {
    let mut time = grace.saturating_add(OBEY_TIMEOUT);
    let tracer = loop {
        if ended(&mut handle, time).await {
            return Ok(());
        }
        time = OBEY_TIMEOUT;
        // A shim that is not traced obeys, however busy it is.
        if let Some(tracer) = tracer(&token) {
            break tracer;
        }
    };
    pidfd_send_signal(handle.shim.get_ref(), Signal::KILL)?;
    if ended(&mut handle, KILL_TIMEOUT).await {
        return Ok(());
    }
    // It hangs in its end. Its command is killed without it.
    handle.given_up.notify_one();
    let (shim, tracer) = (token.shim.pid, tracer.as_raw_nonzero());
    let said = format!("its supervisor, process {shim}, is held by process {tracer}, which traces it: end that one");
    Err(io::Error::other(said))
}

/// Whether the command ends within that time.
async fn ended(handle: &mut ShimHandle, time: Duration) -> bool {
    timeout(time, handle.ending.wait_for(Option::is_some)).await.is_ok()
}

#[async_trait]
impl RunningTask for ShimmedTask {
    fn identity(&self) -> &ExecIdentity {
        &self.identity
    }

    async fn wait(&self) -> Result<ExecEnd, ExecError> {
        match &self.hold {
            Hold::Ended(end) => Ok(*end),
            Hold::Running { handle, .. } => {
                let mut ending = handle.ending.clone();
                let end = ending.wait_for(Option::is_some).await.ok().and_then(|end| *end);
                // It is supervised by the runtime that it was started in, or found in.
                end.ok_or_else(|| self.lost(io::Error::other("the runtime that followed it was shut down")))
            }
        }
    }

    async fn stop(&self, grace: Duration) -> Result<(), ExecError> {
        events::stopping(&self.identity, grace);
        self.order(|shim| orders::stop(shim, grace))?;
        let Hold::Running { handle, .. } = &self.hold else { return Ok(()) };
        let forced = tokio::spawn(force(handle.clone(), self.token.clone(), grace));
        // After a successful kill nothing of it is left.
        if grace.is_zero()
            && timeout(KILL_TIMEOUT, self.wait()).await.is_err()
            && tracer(&self.token).is_some()
            && let Ok(Err(error)) = forced.await
        {
            return Err(self.lost(error));
        }
        Ok(())
    }

    async fn suspend(&self) -> Result<bool, ExecError> {
        if self.end_so_far().is_some() {
            return Ok(false);
        }
        self.order(orders::suspend)?;
        events::suspending(&self.identity, true);
        Ok(true)
    }

    async fn resume(&self) -> Result<(), ExecError> {
        events::suspending(&self.identity, false);
        self.order(orders::resume)
    }

    fn elapsed(&self) -> Option<Duration> {
        match (&self.hold, self.end_so_far()) {
            (_, Some(end)) => Some(end.took),
            (Hold::Running { began, .. }, None) => Some(process_table::uptime().saturating_sub(*began)),
            (Hold::Ended(_), None) => None,
        }
    }

    async fn usage(&self) -> ExecUsage {
        match (self.end_so_far(), Pid::from_raw(self.token.leader.pid)) {
            (Some(end), _) => end.usage,
            (None, Some(leader)) => process_table::usage(leader, self.token.leader.start),
            (None, None) => ExecUsage::default(),
        }
    }

    fn output(&self) -> Option<watch::Receiver<u64>> {
        match &self.hold {
            Hold::Running { handle, .. } => handle.printed.clone(),
            Hold::Ended(end) => Some(watch::channel(end.output.bytes).1),
        }
    }
}
