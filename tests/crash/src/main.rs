//! Kills Gadugi, its shims and its tasks at every moment, resumes what is left, and checks that nothing was
//! lost, begun twice or left behind; see `docs/testing.md`.
//!
//! The program plays three parts, told apart by the name that it is started with: it drives the cases; it is
//! the command line `gadugi`; and it is `faketask`, which does what bad tasks do. So every process that one
//! of them leaves is known by its executable.

mod args;
mod case;
mod cleaned;
mod drive;
mod harness;
mod oracle;
mod plan;
mod processes;
mod report;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(|name| name.to_str()) {
        Some(harness::FAKETASK) => gadugi_faketask::main(),
        // A shim is started by the path of its executable, whatever the name of its maker.
        _ if std::env::args().nth(1).as_deref() == Some("__shim") => gadugi_cli::Gadugi::new().main(),
        Some(harness::GADUGI) => gadugi_cli::Gadugi::new().main(),
        _ => drive::main(),
    }
}
