//! Commands as real processes.
#![cfg(target_os = "linux")]

mod adoption;
mod ending;
mod environment;
mod output;
mod processes;
mod program;
mod scene;
mod starting;
mod stopping;
