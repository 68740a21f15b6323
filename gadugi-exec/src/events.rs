//! Debug events about commands, in the same words for all executors. They hold no environment, no input and no output.

use std::fmt::Display;
use std::time::Duration;

use gadugi_core::error_chain;
use gadugi_core::executor::{ExecEnd, ExecError, ExecIdentity, Reattached, RunningTask};
use tracing::debug;

/// Reports the result of a start.
pub(crate) fn started(started: &Result<Box<dyn RunningTask>, ExecError>) {
    match started {
        Ok(task) => debug!(identity = task.identity().token, "command started"),
        Err(error) => debug!(error = error_chain(error), "command not started"),
    }
}

/// Reports the result of finding a command again.
pub(crate) fn reattached(found: &Result<Reattached, ExecError>) {
    match found {
        Ok(Reattached::Found(task)) => debug!(identity = task.identity().token, "command found again"),
        Ok(Reattached::Gone { why }) => debug!(why, "command is gone"),
        Ok(_) => debug!("command was never started"),
        Err(error) => debug!(error = error_chain(error), "command cannot be looked for"),
    }
}

/// Reports a request to stop.
pub(crate) fn stopping(identity: &ExecIdentity, grace: Duration) {
    debug!(identity = identity.token, ?grace, "command asked to stop");
}

/// Reports that a command is suspended or resumed.
pub(crate) fn suspending(identity: &ExecIdentity, suspended: bool) {
    debug!(identity = identity.token, suspended, "command suspended or resumed");
}

/// Reports the end of a command, or the error that ended its supervision.
pub(crate) fn ended<E: Display>(identity: impl Display, ended: &Result<ExecEnd, E>) {
    match ended {
        Ok(end) => {
            let ExecEnd { status, took, stopped, .. } = end;
            debug!(%identity, ?status, ?took, stopped, bytes = end.output.bytes, "command ended");
        }
        Err(error) => debug!(%identity, %error, "command lost"),
    }
}
