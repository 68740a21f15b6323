//! The same as `gadugi-fakeagent`, for the tests of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    gadugi_fakeagent::main()
}
