//! The same three lines as the `main` of `gadugi`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gadugi_cli::Gadugi::new().main()
}
