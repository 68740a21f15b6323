//! Errors between a command and its container.

use std::io;
use std::path::PathBuf;

use bollard::errors::Error;
use gadugi_core::executor::Unusable;
use thiserror::Error as ThisError;
use tracing::debug;

use super::endpoint::Endpoint;
use super::{Unreachable, status};

/// A container could not be created, started, found, supervised or removed.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum DockerError {
    /// The daemon cannot be used.
    #[error("{} ({})", .0.reason, .0.remedy)]
    Daemon(Unusable),
    /// The daemon has refused something, or went away meanwhile.
    #[error("cannot {action}")]
    Request {
        /// The request, as in "cannot …".
        action: &'static str,
        /// Its answer.
        #[source]
        source: bollard::errors::Error,
    },
    /// A file could not be written or read.
    #[error("cannot use {}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A record of an earlier process cannot be read.
    #[error("{} is {state}", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Its state, as in "is damaged".
        state: &'static str,
    },
    /// A path cannot be shown to a container.
    #[error("the path {} cannot be shown to a container: it is not UTF-8", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A mount would show the daemon's socket, and with it the machine.
    #[error("{} cannot be shown to a container: the Docker daemon's socket is in it", .path.display())]
    Socket {
        /// The source of the mount.
        path: PathBuf,
    },
    /// An image could not be built.
    #[error("the build failed: {said}")]
    Build {
        /// The builder's last message.
        said: String,
    },
    /// The task has no image.
    #[error("no image is named for it")]
    NoImage,
    /// A secret is not set.
    #[error("the variable `{name}`, which it needs, is not set")]
    MissingSecret {
        /// The name of the variable.
        name: String,
    },
    /// A variable has no name that a shell takes.
    #[error("`{name}` is no name of a variable that a shell can set")]
    VariableName {
        /// The name.
        name: String,
    },
    /// The command is empty, or of an unknown kind.
    #[error("there is no command")]
    NoCommand,
    /// Another start of the same command has a container already.
    #[error("it was started before, as container {id}")]
    StartedBefore {
        /// The id of that container.
        id: String,
    },
    /// The container belongs to another daemon than the one that is asked.
    #[error("it runs at another Docker daemon ({daemon}) than {endpoint}; name that one by DOCKER_HOST")]
    OtherDaemon {
        /// The id of the other daemon.
        daemon: String,
        /// The address of the daemon that is asked.
        endpoint: String,
    },
    /// The daemon went away and did not come back.
    #[error("the Docker daemon at {endpoint} went away, and has not come back within {} s", .seconds)]
    WentAway {
        /// Its address.
        endpoint: String,
        /// Seconds that it was waited for.
        seconds: u64,
    },
    /// The container was removed by another program while it was supervised.
    #[error("its container was removed by somebody else")]
    Removed,
    /// The connection that reports its end is dead.
    #[error("nobody has told of the end of its container")]
    Untold,
    /// The daemon reports the container as running, and none of its processes is alive.
    #[error("its processes have ended, and the Docker daemon has not noticed: containerd may have died meanwhile")]
    Vanished,
    /// The daemon died during the start, and may have started the command.
    #[error("the Docker daemon died while it started its container, and nobody knows whether it had begun")]
    MayHaveBegun,
    /// The daemon went away during the handover of secrets. The command, which might wait for them for ever, was ended.
    #[error(
        "the Docker daemon went away when it was to hand over the secrets, and nobody knows whether they have arrived"
    )]
    NotHandedOver,
    /// The caller has dropped the start.
    #[error("its start was given up")]
    GivenUp,
    /// A secret cannot be given to a shell.
    #[error("the value of the variable `{name}` is not UTF-8")]
    SecretNotText {
        /// The variable.
        name: String,
    },
    /// The folder of an image is too large to be sent to the daemon.
    #[error("{} holds more than {limit} MiB: put the Dockerfile into a folder with what it copies, or use `docker build`", .path.display())]
    LargeContext {
        /// The folder.
        path: PathBuf,
        /// The largest size, in MiB.
        limit: u64,
    },
    /// The runtime that supervised the command was shut down.
    #[error("the runtime that followed it was shut down")]
    ShutDown,
}

/// The certainty that a failed start has started nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::docker) enum Certainty {
    /// It was refused, so nothing was started.
    Refused,
    /// The daemon has not answered; it knows more when it does.
    Unanswered,
    /// The daemon itself does not know.
    Unknown,
}

/// Words, in lower case, of a daemon whose containerd, or whose shim of the container, has not answered.
const BROKEN_CHAIN: [&str; 6] =
    ["transport", "ttrpc", "unavailable", "deadline exceeded", "context canceled", "shim disconnected"];

impl DockerError {
    /// Returns the error of a refused request.
    pub(in crate::docker) fn request(action: &'static str) -> impl Fn(bollard::errors::Error) -> Self {
        move |source| {
            debug!(action, error = %source, "the Docker daemon has refused a request");
            Self::Request { action, source }
        }
    }

    /// Returns the error of a file.
    pub(in crate::docker) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Returns the certainty of a start that failed with this error.
    pub(in crate::docker) fn certainty(&self) -> Certainty {
        match self {
            Self::Request { source: Error::DockerResponseServerError { message, .. }, .. } => {
                let message = message.to_lowercase();
                let is_broken = BROKEN_CHAIN.iter().any(|words| message.contains(words));
                if is_broken { Certainty::Unknown } else { Certainty::Refused }
            }
            // Nothing was sent.
            Self::Request { source: Error::HyperLegacyError { err }, .. } if err.is_connect() => Certainty::Refused,
            Self::Request { source: Error::SocketNotFoundError(_), .. } => Certainty::Refused,
            _ => Certainty::Unanswered,
        }
    }

    /// Returns the HTTP status of the daemon's answer, if it has answered.
    pub(in crate::docker) fn status(&self) -> Option<u16> {
        match self {
            Self::Request { source, .. } => status(source),
            _ => None,
        }
    }
}

impl Unreachable {
    pub(in crate::docker) fn into_fault(self, endpoint: &Endpoint) -> DockerError {
        DockerError::Daemon(self.into_unusable(endpoint))
    }
}
