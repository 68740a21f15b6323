//! `claude` and `codex`, as the name that it is called by says; the library tells what they understand.

use std::process::ExitCode;

fn main() -> ExitCode {
    gadugi_fakeagent::main()
}
