//! Errors of executors.

use thiserror::Error;

/// Why a command could not be started, watched or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The program does not exist, or not on the task's `PATH`.
    #[error("the command `{program}` was not found")]
    NotFound {
        /// As it was asked for.
        program: String,
    },
    /// It exists and cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        /// As it was asked for.
        program: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The executor lost sight of a command that it had started.
    #[error("cannot follow {identity}")]
    Watch {
        /// Which command.
        identity: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The identity was not made by this executor, or by a newer version of it.
    #[error("`{token}` does not name a command of the executor `{executor}`")]
    Identity {
        /// The executor that was asked.
        executor: String,
        /// The token that it was given.
        token: String,
    },
}

/// Why an executor cannot be used now, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Unusable {
    /// What is wrong.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}
