//! The registry of runs: it records them, and reports on them.
//!
//! - [`FsRegistry`] keeps runs in files that survive a crash of the process and of the machine;
//!   [`MemoryRegistry`] keeps them as long as it lives.
//! - [`mod@format`] holds the formats of the files and of the events that scripts read.
//! - [`sanitize`] keeps what is shown of tasks from controlling a terminal.
//! - [`render`] turns a [`Report`](gadugi_core::Report) into Markdown, JSON and JUnit.

#[cfg(not(unix))]
compile_error!("Gadugi runs on Linux and macOS");

pub mod format;
mod fs;
mod memory;
pub mod render;
pub mod sanitize;

pub use fs::{
    FindError, FsMergeLog, FsRegistry, HeldRun, JournalFollower, MergeHistory, Owner, StopRequest, TakenRequests,
    open_regular,
};
pub use memory::MemoryRegistry;
