//! Commands as real processes.
#![cfg(target_os = "linux")]

mod adoption;
mod ending;
mod environment;
mod harness;
mod output;
mod processes;
mod program;
mod starting;
mod stopping;
