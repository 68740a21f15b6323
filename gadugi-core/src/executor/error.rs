//! Errors of executors.

use thiserror::Error;

/// An error in starting, watching or stopping a command.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The program does not exist, or is not on the task's `PATH`.
    #[error("the command `{program}` was not found")]
    NotFound {
        /// The program as requested.
        program: String,
    },
    /// The program exists and cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program as requested.
        program: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The executor can no longer see a command that it had started.
    #[error("cannot follow {identity}")]
    Watch {
        /// Token of the command.
        identity: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The identity is from another executor, or from a newer version of this one.
    #[error("`{token}` does not name a command of the executor `{executor}`")]
    Identity {
        /// Name of the executor.
        executor: String,
        /// The token.
        token: String,
    },
}

/// A reason for which an executor cannot be used now, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Unusable {
    /// Reason, for the user.
    pub reason: String,
    /// Remedy, for the user.
    pub remedy: String,
}
