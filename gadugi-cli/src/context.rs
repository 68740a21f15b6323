//! The context of a command: where it runs, where it prints, and what the embedding program has added.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use gadugi_core::Executor;
use gadugi_exec::InheritedFiles;

use crate::args::Global;
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;

/// The terminal, the surroundings and the global options of this call.
pub(crate) struct Context {
    pub(crate) terminal: Terminal,
    pub(crate) surroundings: Surroundings,
    pub(crate) global: Global,
    /// Executors of the embedding program, beside our own.
    pub(crate) executors: Vec<Arc<dyn Executor>>,
    /// File descriptors inherited from the caller, until a process in the background closes them.
    pub(crate) inherited: Mutex<InheritedFiles>,
}

impl Context {
    /// Path of the configuration file given by `--config`, relative to the folder of `-C`.
    pub(crate) fn named_config(&self) -> Option<PathBuf> {
        self.global.config.as_ref().map(|file| self.surroundings.folder.join(file))
    }
}
