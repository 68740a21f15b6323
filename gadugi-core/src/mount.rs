//! Files of this machine that a command sees.

use std::path::PathBuf;

/// A file or folder of this machine that a command sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is here.
    pub source: PathBuf,
    /// Where the command sees it. It covers what is there.
    pub target: PathBuf,
    /// Whether the command may change it.
    pub writable: bool,
}
