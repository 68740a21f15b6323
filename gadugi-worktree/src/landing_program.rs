//! The program that lands merges in a process of its own.

use std::ffi::OsString;
use std::path::PathBuf;

/// A program whose first argument has it call [`land_ordered`](crate::land_ordered) with the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandingProgram {
    /// The executable.
    pub program: PathBuf,
    /// The name that it is called by; `None` is that of the executable.
    pub name: Option<OsString>,
    /// The first argument.
    pub argument: OsString,
}
