//! Errors of starting a command whose program exists.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The source of an [`ExecError::Start`](gadugi_core::executor::ExecError::Start) of this executor.
#[derive(Debug, Error)]
pub(super) enum StartError {
    #[error("the command is empty")]
    Empty,
    #[error("this executor does not know this kind of program")]
    UnknownKind,
    #[error("the secret `{name}` is not set in the environment of the caller")]
    MissingSecret { name: String },
    #[error("cannot work in the folder {}", .path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is a folder", .path.display())]
    IsFolder { path: PathBuf },
    #[error("{} is not executable", .path.display())]
    NotExecutable { path: PathBuf },
    #[error("{} is neither a program for this machine nor a script with a `#!` line", .path.display())]
    Format { path: PathBuf },
    #[error("{} needs an interpreter or a dynamic loader that does not exist", .path.display())]
    Interpreter { path: PathBuf },
    #[cfg(target_os = "linux")]
    #[error("it has been started before: {} says so", .path.display())]
    Begun { path: PathBuf },
    #[cfg(target_os = "linux")]
    #[error("another start of it has won, and nobody knows how that ended")]
    Lost,
    #[cfg(target_os = "linux")]
    #[error("cannot have it looked after by {}", .path.display())]
    Shim {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[cfg(target_os = "linux")]
    #[error("cannot use {}", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the script {}", .path.display())]
    Script {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}
