//! The command line of Gadugi, as a library: a program of your own can add an executor and keep the
//! whole command line.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     gadugi_cli::Gadugi::new().main()
//! }
//! ```

mod args;
mod commands;
pub mod config;
mod context;
#[cfg(any(debug_assertions, feature = "crash-points"))]
mod crash;
mod drive;
mod executors;
mod failure;
mod forecast;
pub mod input;
mod merge;
mod parse;
mod prepare;
mod signals;
mod site;
mod surroundings;
mod terminal;
mod threads;
mod traces;
mod view;
mod work;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clap::Parser;
use gadugi_core::Executor;
use gadugi_exec::{InheritedFiles, survive_file_size_limit};

use crate::args::Cli;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::surroundings::Surroundings;
use crate::terminal::{Terminal, TerminalLimits};

/// The command line, ready to run.
#[derive(Default)]
#[must_use = "the command line does nothing until `main` is called"]
pub struct Gadugi {
    executors: Vec<Arc<dyn Executor>>,
}

impl std::fmt::Debug for Gadugi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.executors.iter().map(|executor| executor.name()).collect();
        f.debug_struct("Gadugi").field("executors", &names).finish()
    }
}

impl Gadugi {
    /// The command line with the executors of this crate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an executor. Tasks, the configuration and `--executor` ask for it by its name; `auto` takes the
    /// first one that isolates and can be used, in the order in which they were added.
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executors.push(executor);
        self
    }

    /// Reads the arguments and the environment of the process, executes the command, and returns the exit
    /// code. Must be called first in `main`: tasks are supervised, removed worktrees deleted, and merges landed by
    /// processes of this same program, which never get past this call. Wrong usage, `--help` and `--version` end the process at once, as is usual;
    /// nothing else in this crate ends it.
    pub fn main(self) -> ExitCode {
        // Must come first: supervisor processes run everything above this line.
        executors::become_shim_if_requested();
        // Before anything is opened.
        let inherited = InheritedFiles::find();
        survive_file_size_limit();
        Surroundings::name_process();
        if let Some(code) = site::sweep_if_requested() {
            return code;
        }
        #[cfg(any(debug_assertions, feature = "crash-points"))]
        crash::arm();
        if let Some(code) = site::land_if_requested() {
            return code;
        }
        let cli = Cli::parse();
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let filter = traces::filter(var(traces::VARIABLE).as_deref(), cli.global.verbose);
        let limits = TerminalLimits {
            no_color: var("NO_COLOR").is_some(),
            dumb: var("TERM").is_none_or(|term| term == "dumb"),
            traces: matches!(filter, Ok(Some(_))),
        };
        let terminal = Terminal::new(&cli.global, limits);
        let traced = filter.map(|filter| filter.into_iter().for_each(|filter| traces::print(filter, &terminal)));
        match traced.and_then(|()| self.execute(cli, &terminal, inherited)) {
            Ok(code) => code.into(),
            Err(failure) => {
                failure.print(&terminal);
                failure.code.into()
            }
        }
    }

    fn execute(self, cli: Cli, terminal: &Terminal, inherited: InheritedFiles) -> Result<Code, Failure> {
        let surroundings = Surroundings::read(cli.global.directory.as_deref())?;
        // A process in the background reads its arguments anew, and one of them may be such a file (`<(…)` of a shell).
        if !cli.command.is_detached() || surroundings.in_background {
            inherited.keep_from_children();
        }
        let context = Context {
            terminal: terminal.clone(),
            surroundings,
            global: cli.global,
            executors: self.executors,
            inherited: Mutex::new(inherited),
        };
        let runtime = threads::runtime()?;
        let result = runtime.block_on(commands::execute(&context, cli.command));
        // Work that still runs in the background does not concern the command.
        runtime.shutdown_background();
        result
    }
}
