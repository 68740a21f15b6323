//! Measures what Gadugi costs, beside what a shell costs for the same; see `docs/benchmarks.md`.
//!
//! The program plays three parts, told apart by the name that it is started with: it drives the
//! benchmarks; it is the command line `gadugi`; and it is a fresh process for each run of the library, so
//! that times and memory are those of that run alone.

mod alone;
mod args;
mod bench;
mod bulk;
mod content;
mod disk;
mod drive;
mod error;
mod job;
mod library;
mod machine;
mod measured;
mod process;
mod sample;
mod scratch;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    gadugi_exec::shim::main_if_requested();
    match std::env::args().next().as_deref() {
        Some(process::GADUGI) => gadugi_cli::Gadugi::new().main(),
        Some(process::MEASURED) => measured::main(),
        _ => drive::main(),
    }
}
