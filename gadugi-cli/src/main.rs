//! The command `gadugi`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gadugi_cli::Gadugi::new().main()
}
