//! The handle on a running command.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gadugi_core::executor::{ExecEnd, ExecError, ExecIdentity, ExecUsage, RunningTask};
use rustix::process::Pid;
use tokio::sync::{oneshot, watch};

use super::supervisor::{StopHandle, StopOrder};
use super::token::Token;
use crate::events;
use crate::os::process_table;

/// A handle on the supervisor of a command. Dropping it stops nothing.
pub(super) struct SubprocessTask {
    identity: ExecIdentity,
    pid: Pid,
    start: Option<u64>,
    handle: StopHandle,
}

impl SubprocessTask {
    pub(super) fn new(identity: ExecIdentity, token: &Token, handle: StopHandle) -> Self {
        Self { identity, pid: token.pid, start: token.start, handle }
    }

    fn lost(&self, source: Arc<io::Error>) -> ExecError {
        ExecError::Watch { identity: self.identity.token.clone(), source: Box::new(source) }
    }

    /// The supervisor lives in the runtime that the command was started in, and went with it.
    fn lost_with_runtime(&self) -> ExecError {
        self.lost(Arc::new(io::Error::other("the runtime that looked after it was shut down")))
    }
}

#[async_trait]
impl RunningTask for SubprocessTask {
    fn identity(&self) -> &ExecIdentity {
        &self.identity
    }

    async fn wait(&self) -> Result<ExecEnd, ExecError> {
        let mut ending = self.handle.ending.clone();
        let ending = ending.wait_for(Option::is_some).await.map(|ending| ending.clone());
        match ending {
            Ok(Some(Ok(end))) => Ok(end),
            Ok(Some(Err(error))) => Err(self.lost(error)),
            Ok(None) | Err(_) => Err(self.lost_with_runtime()),
        }
    }

    async fn stop(&self, grace: Duration) -> Result<(), ExecError> {
        events::stopping(&self.identity, grace);
        let (asked, answer) = oneshot::channel();
        // An order that cannot be delivered or is dropped has come after the end.
        let answer = match self.handle.orders.send(StopOrder { grace, asked }) {
            Ok(()) => answer.await.unwrap_or(Ok(())),
            Err(_) => Ok(()),
        };
        let ending = &self.handle.ending;
        if ending.has_changed().is_err() && ending.borrow().is_none() {
            return Err(self.lost_with_runtime());
        }
        answer.map_err(|error| self.lost(Arc::new(error)))
    }

    async fn usage(&self) -> ExecUsage {
        match (&*self.handle.ending.borrow(), self.start) {
            (Some(Ok(end)), _) => end.usage,
            (None, Some(start)) => process_table::usage(self.pid, start),
            _ => ExecUsage::default(),
        }
    }

    fn output(&self) -> Option<watch::Receiver<u64>> {
        self.handle.printed.clone()
    }
}
