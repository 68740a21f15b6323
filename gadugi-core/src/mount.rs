//! Files of this machine that a command sees.

use std::path::PathBuf;

/// A file or folder of this machine that a command sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Path on this machine.
    pub source: PathBuf,
    /// Path for the command. It hides anything that is there already.
    pub target: PathBuf,
    /// Whether the command may write to it.
    pub writable: bool,
}
