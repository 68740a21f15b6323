//! A shim as a program of its own, for embedders whose own program cannot be one.

use std::process::ExitCode;

fn main() -> ExitCode {
    gadugi_exec::shim::main_if_requested();
    // Without the argument that asks for it there is nothing to do here.
    ExitCode::from(2)
}
