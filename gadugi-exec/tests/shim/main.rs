//! The subprocess executor with a shim for each command, on real processes.
#![cfg(target_os = "linux")]

mod ending;
#[path = "../subprocess/harness.rs"]
#[expect(dead_code, reason = "the tests without a shim use more of it")]
mod harness;
mod machine;
#[path = "../subprocess/processes.rs"]
#[expect(dead_code, reason = "the tests without a shim use more of it")]
mod processes;
mod recovery;
mod starter;
mod starting;
mod stopping;
mod supervised;
